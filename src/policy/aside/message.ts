import type { Fault } from '../faults.ts'
import type { buildPolicySet, Policy, PolicySet } from '../policy-set.ts'

/** What the thread is asked to build. */
export type Work = Parameters<typeof buildPolicySet>

/** What the thread says, in this order: the policies by and by, then the rest; or what is wrong. */
export type Message =
  | { readonly kind: 'policies'; readonly policies: readonly (readonly [id: string, policy: Policy])[] }
  | { readonly kind: 'done'; readonly rest: Omit<PolicySet, 'policies' | 'schema'> }
  | { readonly kind: 'invalid'; readonly detail: string; readonly faults: Fault[] }
