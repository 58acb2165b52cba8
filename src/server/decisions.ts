import { changeResource, grantResource, requestResource } from '../access/access.ts'
import { requestAccess } from '../access/contract.ts'
import { leaseResource } from '../credentials/credentials.ts'
import { tokenResource } from '../identities/identities.ts'
import type { Config } from '../kernel/config.ts'
import type { Log } from '../kernel/log.ts'
import { systemRandom } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'
import type { Ledger } from '../ledger/ledger.ts'
import {
  entryOf,
  writeDenial,
  type Calendar,
  type Observed,
  type PolicyRouteNeeds,
  type RecordFacts,
} from '../policy/policy.ts'
import { sessionResource } from '../sessions/sessions.ts'
import type { Ground } from './ground.ts'
import type { Rules } from './policies.ts'

export type DecisionParts = {
  readonly config: Config
  readonly ground: Ground
  readonly ledger: Ledger
  readonly rules: Rules
  readonly calendar: Calendar
  readonly record: RecordFacts
  readonly log: Log
  /** Counts what was heard of changes of the record. */
  readonly heard: () => number
}

/** What the doors for enforcement points that are not ours decide with. */
export function decisionNeeds({
  config,
  ground,
  ledger,
  rules,
  calendar,
  record,
  log,
  heard,
}: DecisionParts): PolicyRouteNeeds {
  const { db, clock, seal } = ground
  const { enforcementPoints, deciders, drafts, entries } = config.authzen
  const { enforcementPoint } = config.mesh
  return {
    db,
    clock,
    random: systemRandom,
    seal,
    ledger,
    fingerprint: (text) => seal.fingerprint(text),
    engine: rules.engine,
    teams: rules.teams,
    record,
    onUnread: (error) => log.warn({ err: error }, 'what a question refers to could not be read, so it was denied'),
    enforcementPoints: new Set(
      enforcementPoint === undefined ? enforcementPoints : [...enforcementPoints, enforcementPoint],
    ),
    deciders: new Set(deciders),
    heard,
    loaders: LOADERS,
    drafts,
    entries,
    requestable: requestable(seal),
    situation: situationIn(calendar),
  }
}

/** Records of higher domains that enforcement points may ask about. */
const LOADERS: NonNullable<PolicyRouteNeeds['loaders']> = new Map([
  ['AccessRequest', requestResource],
  ['Change', changeResource],
  ['Grant', grantResource],
  ['Lease', leaseResource],
  ['Session', sessionResource],
  ['Token', tokenResource],
])

/** What policies are told of the time at a place. */
export function situationIn(calendar: Calendar): PolicyRouteNeeds['situation'] {
  return (place, now) => {
    const window = calendar.window(place, now)
    return { freeze: calendar.isFrozen(place, now), ...(window && { window }) }
  }
}

/** Enters what was decided for a door of ours. Nobody waits for it: the act has an entry of its own that they do wait for. */
export function decisionObserver({ seal }: Ground, ledger: Ledger, log: Log): (observed: Observed) => void {
  return (observed) => {
    ledger
      .observe(entryOf((text) => seal.fingerprint(text), observed))
      .catch((error: unknown) => log.warn({ err: error, decision: observed.decision.id }, 'a decision was not entered'))
  }
}

/** Access to an account is what can be asked for here, by who is in the record. */
function requestable(seal: Seal): PolicyRouteNeeds['requestable'] {
  return ({ question, subject, onBehalfOf, resource }, asked, denial) => {
    const account = resource.entities[0]?.attributes['name']
    const isAccount = resource.ref.type === 'Account' && typeof account === 'string' && resource.place !== undefined
    if (!isAccount || !subject.isRecord) return undefined
    const action = question.action.name
    const denied = {
      ...denial,
      subjectId: subject.ref.id,
      onBehalfOfId: onBehalfOf[0]?.ref.id ?? null,
      accountId: resource.ref.id,
      action,
    }
    const token = writeDenial(seal, denied, asked)
    if (token === undefined) return undefined
    const purpose = asked.context?.['purpose']
    const { id: operation, method, path } = requestAccess
    const input = { target: resource.place.target, account, actions: [action] }
    return {
      binding_token: token,
      request: { operation, method, path, input: { ...input, ...(typeof purpose === 'string' && { purpose }) } },
    }
  }
}
