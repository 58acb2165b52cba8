import type { PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { Policy, PolicySet } from '../policy-set.ts'
import { conditionsOf } from './conditions.ts'
import { obligationText } from './run-cases.ts'

type AnalysisFinding = {
  readonly kind: 'unreachable' | 'shadowed' | 'over-broad' | 'odd'
  readonly policy: string
  readonly file: string
  readonly line: number
  readonly message: string
}

export type Analysis = {
  readonly findings: readonly AnalysisFinding[]
  /** What this analysis cannot see, so that silence is not taken for more than it is. */
  readonly notSeen: readonly string[]
}

const NOT_SEEN = [
  'Conditions are compared as they are written: two that mean the same in different words count as different.',
  'Whether conditions of different policies can hold at once is not solved for; only the validator’s own proof of “never” is used.',
  'Facts are not looked at: a policy that no identity of today fits is not found.',
]

/** What of a set can be found by its scopes and the text of its conditions alone. Every finding is certain; silence is not. */
export function analyse(set: PolicySet): Analysis {
  const policies = [...set.policies.values()].map((policy) => formOf(policy))
  const findings = [...oddities(set), ...policies.flatMap((form) => findingsOf(set, form, policies))]
  return { findings, notSeen: NOT_SEEN }
}

type Form = { readonly policy: Policy; readonly conditions: ReadonlySet<string> }

function formOf(policy: Policy): Form {
  return { policy, conditions: new Set(conditionsOf(policy)?.map(({ text }) => text) ?? [policy.text]) }
}

/** What the validator proves or wonders about. */
function oddities(set: PolicySet): AnalysisFinding[] {
  return set.warnings.flatMap((warning) => {
    const policy = [...set.policies.values()].find(({ id }) => warning.startsWith(`${id}: `))
    if (!policy) return []
    const isNever = /impossible|always false|never/i.test(warning)
    return [finding(isNever ? 'unreachable' : 'odd', policy, warning.slice(policy.id.length + 2))]
  })
}

function findingsOf(set: PolicySet, form: Form, all: readonly Form[]): AnalysisFinding[] {
  const { policy } = form
  const others = all.filter((other) => other !== form)
  const found: AnalysisFinding[] = []
  const wider = (effect: Policy['effect']) =>
    others.find(
      (other) => other.policy.effect === effect && coversForm(set, other, form) && !isTwin(set, other, form, all),
    )
  if (policy.effect === 'permit') {
    const barred = others.find((other) => other.policy.effect === 'forbid' && coversForm(set, other, form))
    if (barred) {
      found.push(finding('unreachable', policy, `${barred.policy.id} forbids everything that it permits`))
    }
    const covering = wider('permit')
    if (covering) found.push(finding('shadowed', policy, shadowMessage(policy, covering.policy)))
    found.push(...breadthOf(form))
  } else {
    const covering = wider('forbid')
    if (covering) found.push(finding('shadowed', policy, `${covering.policy.id} forbids all of it already`))
  }
  return found
}

function shadowMessage(policy: Policy, covering: Policy): string {
  const own = obligationText(policy.obligations)
  return own === 'nothing'
    ? `${covering.id} permits all of it already, so it changes nothing`
    : `${covering.id} permits all of it already, so all it does is to add what is owed: ${own}`
}

/** Of two that cover each other, the later one is told of. */
function isTwin(set: PolicySet, other: Form, form: Form, all: readonly Form[]): boolean {
  return coversForm(set, form, other) && all.indexOf(other) > all.indexOf(form)
}

/** Whether whatever `inner` is about, `outer` is about too: its scope is as wide, and it asks for nothing more. */
function coversForm(set: PolicySet, outer: Form, inner: Form): boolean {
  const [o, i] = [outer.policy.json, inner.policy.json]
  return (
    coversEntity(o.principal, i.principal) &&
    coversAction(set, o.action, i.action) &&
    coversEntity(o.resource, i.resource) &&
    outer.conditions.isSubsetOf(inner.conditions)
  )
}

type Scope = PolicyJson['principal'] | PolicyJson['resource']

function coversEntity(outer: Scope, inner: Scope): boolean {
  if (outer.op === 'All') return true
  if (canonical(outer) === canonical(inner)) return true
  // `is T` covers `is T in …`; which type a bare `==` or `in` names is in its own text.
  if (outer.op !== 'is' || 'in' in outer) return false
  if (inner.op === 'is') return inner.entity_type === outer.entity_type
  if (inner.op === '==' && 'entity' in inner) return typeOf(inner.entity) === outer.entity_type
  return false
}

function coversAction(set: PolicySet, outer: PolicyJson['action'], inner: PolicyJson['action']): boolean {
  if (outer.op === 'All') return true
  if (inner.op === 'All') return false
  const [wide, narrow] = [namesIn(outer), namesIn(inner)]
  if (outer.op === '==') return inner.op === '==' && wide.some((name) => narrow.includes(name))
  return narrow.every((name) => {
    const groups = set.schema.actionGroups.get(name) ?? new Set([name])
    return wide.some((group) => groups.has(group))
  })
}

function namesIn(scope: PolicyJson['action']): string[] {
  const uids = 'entities' in scope ? scope.entities : 'entity' in scope ? [scope.entity] : []
  return uids.map((uid) => ('__entity' in uid ? uid.__entity.id : uid.id))
}

function typeOf(uid: { type: string } | { __entity: { type: string } }): string {
  return '__entity' in uid ? uid.__entity.type : uid.type
}

/** Actions that change who may do what, or what others may do. */
const MIGHTY = [
  'privileged',
  'privileged.admin',
  'operation',
  'identities.manage',
  'credentials.issue',
  'catalog.change',
]

function breadthOf({ policy, conditions }: Form): AnalysisFinding[] {
  const { principal, action, resource } = policy.json
  const found: AnalysisFinding[] = []
  if (action.op === 'All') found.push(finding('over-broad', policy, 'it permits every action there is or will be'))
  const names = namesIn(action)
  const mighty = names.filter((name) => MIGHTY.includes(name))
  const isUngated = obligationText(policy.obligations) === 'nothing'
  if (conditions.size === 0 && action.op !== 'All' && mighty.length > 0) {
    found.push(finding('over-broad', policy, `it permits ${mighty.join(', ')} without a condition`))
  }
  if (conditions.size === 0 && isUngated && principal.op === 'All' && resource.op === 'All' && mighty.length === 0) {
    found.push(finding('over-broad', policy, 'it asks nothing of who, on what or how'))
  }
  return found
}

function finding(kind: AnalysisFinding['kind'], policy: Policy, message: string): AnalysisFinding {
  return { kind, policy: policy.id, file: policy.file, line: policy.line, message }
}

function canonical(scope: Scope): string {
  return JSON.stringify(scope)
}
