import type { Caller } from '../kernel/http/route.ts'
import { notPermitted } from '../kernel/problem.ts'
import { AccessDetails } from '../identities/contract.ts'
import { OAuthError } from './oauth-error.ts'

/** What a token is narrowed to: each alone is enough for an act, and everything it names must hold. */
export type Narrowed = NonNullable<Caller['narrowedTo']>
type Detail = Narrowed[number]

/** What somebody is about to do. */
export type Act = {
  readonly purpose: string
  readonly target: string
  readonly account: string
  readonly actions: readonly string[]
}

/** What a caller with a narrowed token may call: what leads to the access it names, and nothing that leads elsewhere. */
const CALLABLE: ReadonlySet<string> = new Set([
  'identity.whoami',
  'access.preview',
  'access.request',
  'access.read',
  'access.withdraw',
  'grant.read',
  'grant.heartbeat',
  'grant.done',
  'ticket.issue',
  'key.issue',
  'step-up.read',
])

/** Reads `authorization_details` (RFC 9396 §5: what is not known is refused). Throws `OAuthError`. */
export function parseDetails(text: string): Narrowed {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new OAuthError('invalid_authorization_details', 'It is not JSON.', { cause: error })
  }
  const parsed = AccessDetails.safeParse(value)
  if (parsed.success) return parsed.data
  throw new OAuthError(
    'invalid_authorization_details',
    'Only the type urn:reeve:access is known, with purpose, targets, accounts and actions.',
  )
}

/** What is narrowed once is only narrowed further. Throws `OAuthError`. */
export function narrowedFurther(held: Narrowed | null, asked: Narrowed | null): Narrowed | null {
  if (held === null || asked === null) return asked ?? held
  if (asked.every((each) => held.some((outer) => isWithin(each, outer)))) return asked
  throw new OAuthError('invalid_authorization_details', 'The token that was shown is not good for that much.')
}

function isWithin(inner: Detail, outer: Detail): boolean {
  return (
    (outer.purpose === undefined || inner.purpose === outer.purpose) &&
    isSubset(inner.targets, outer.targets) &&
    isSubset(inner.accounts, outer.accounts) &&
    isSubset(inner.actions, outer.actions)
  )
}

function isSubset(inner: readonly string[] | undefined, outer: readonly string[] | undefined): boolean {
  return outer === undefined || (inner !== undefined && inner.every((each) => outer.includes(each)))
}

/** Throws `notPermitted` when the caller's token is narrowed to what this operation has no part in. */
export function holdOperation({ narrowedTo }: Pick<Caller, 'narrowedTo'>, operation: string): void {
  if (narrowedTo === undefined || CALLABLE.has(operation)) return
  throw outside(operation)
}

/** Throws `notPermitted` when the caller's token is not good for an act. */
export function holdAct({ narrowedTo }: Pick<Caller, 'narrowedTo'>, action: string, act: Act): void {
  if (narrowedTo === undefined || narrowedTo.some((detail) => covers(detail, act))) return
  throw outside(action)
}

function covers({ purpose, targets, accounts, actions }: Detail, act: Act): boolean {
  return (
    (purpose === undefined || purpose === act.purpose) &&
    (targets === undefined || targets.includes(act.target)) &&
    (accounts === undefined || accounts.includes(act.account)) &&
    (actions === undefined || act.actions.every((each) => actions.includes(each)))
  )
}

function outside(action: string) {
  const reason = 'The token is narrowed to other access (authorization_details).'
  return notPermitted(reason, { action, reasons: [reason], decisionId: '' })
}
