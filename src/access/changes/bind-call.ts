import { canonicalJson } from '../../kernel/canonical-json.ts'
import { sha256 } from '../../kernel/crypto.ts'
import type { Db } from '../../kernel/db.ts'
import type { AskedCall } from '../../kernel/http/approval.ts'
import type { Inner, Resource } from '../../kernel/http/route.ts'
import type { PolicyValue } from '../../kernel/entity.ts'
import { notPermitted } from '../../kernel/problem.ts'
import { subjectRef } from '../../identities/identities.ts'
import { joinObligations, noObligations, type Obligations } from '../../policy/policy.ts'
import { boundOf } from './bound.ts'
import { aboutOf } from './consider.ts'
import type { ChangeNeeds } from './needs.ts'
import { shownOf } from './shown.ts'

/** What one call is about, loaded once: `bindLoaded` decides on it as often as is needed. */
type LoadedCall = {
  readonly asked: AskedCall
  readonly changeId: string | null
  readonly resource: Resource
  readonly context: Readonly<Record<string, PolicyValue>>
  readonly preview: readonly string[]
  readonly inner: Inner | null
}

/** One call with everything it would do. */
type BoundCall = {
  readonly level: Obligations['stepUp']
  /** Hash of the call, of what it is about, of what it would grant and of the policies that decide; the nonce is in it. */
  readonly actSha256: Buffer
  readonly innerSha256: Buffer | null
  /** What its person reads before they say that it is them. */
  readonly lines: readonly string[]
}

const LONGEST_LINE = 400
const MOST_LINES = 60

/** Loads what a call is about once, and gives what decides on it and binds it, as often as is needed. */
export function bindCalls(needs: Pick<ChangeNeeds, 'decisions'>) {
  return async (asked: AskedCall, changeId: string | null) => {
    const loaded = await loadCall(asked, changeId)
    return (db: Db, nonce: Buffer): Promise<BoundCall> => bindLoaded(db, needs, loaded, nonce)
  }
}

async function loadCall(asked: AskedCall, changeId: string | null): Promise<LoadedCall> {
  return { asked, changeId, ...(await aboutOf(asked)), inner: (await asked.route.inner?.(asked.call)) ?? null }
}

/** Decides the call and binds it by the same hash that an approval of it would bind (rule 8). Throws `notPermitted`. */
async function bindLoaded(
  db: Db,
  needs: Pick<ChangeNeeds, 'decisions'>,
  loaded: LoadedCall,
  nonce: Buffer,
): Promise<BoundCall> {
  const { asked, changeId, resource, context, preview, inner } = loaded
  const { caller } = asked.call
  const action = asked.route.operation.id
  const decision = await needs.decisions.decide(db, {
    subject: { ...subjectRef(caller), proof: caller.proof },
    action,
    resource,
    context: { ...context, ...(changeId !== null && { reasonGiven: true }) },
  })
  if (!decision.decision) {
    const reasons = [...decision.reasons]
    throw notPermitted(`You may not do ${action} here. ${reasons.join(' ')}`, {
      action,
      reasons,
      decisionId: decision.id,
    })
  }
  const call = boundOf({
    asked,
    salt: nonce,
    reason: '',
    resource,
    context,
    preview,
    simulation: [],
    owners: { target: null, subject: null },
    tiedIds: [],
    decision,
  })
  const innerSha256 = inner?.boundSha256 ?? null
  const onBehalfOfId = caller.onBehalfOfId ?? null
  const whole = {
    v: 1,
    call: call.toString('hex'),
    inner: innerSha256?.toString('hex') ?? null,
    changeId,
    onBehalfOfId,
  }
  const { stepUp } = joinObligations([decision.obligations, { ...noObligations, stepUp: inner?.level ?? 'none' }])
  return { level: stepUp, actSha256: sha256(canonicalJson(whole)), innerSha256, lines: linesOf(loaded) }
}

/** The call in lines: whatever it says that may be shown, and what is kept back by name. */
function linesOf({ asked, changeId, resource, preview, inner }: LoadedCall): string[] {
  const { operation } = asked.route
  const { name } = resource.attributes
  const { input, hidden } = shownOf(operation.input, asked.wire.input, true)
  const said = { ...asked.wire.params, ...asked.wire.query, ...input }
  const lines = [
    `${operation.id}: ${operation.summary}`,
    `on ${resource.type} ${typeof name === 'string' ? name : resource.id}`,
    ...Object.entries(said).map(
      ([key, value]) => `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
    ),
    ...(hidden.length === 0 ? [] : [`kept from sight, and part of it: ${hidden.join(', ')}`]),
    ...preview,
    ...(changeId === null ? [] : [`as change ${changeId}, which others approved`]),
    ...(inner === null ? [] : [`everything that it grants has the hash ${inner.boundSha256.toString('hex')}`]),
  ]
  // What was cut is bound with the rest: the hash is over the whole.
  return lines.slice(0, MOST_LINES).map((line) => printable(line).slice(0, LONGEST_LINE))
}

/** One line, and nothing that changes the direction or the look of what stands beside it. */
function printable(line: string): string {
  return line.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{fffd}')
}
