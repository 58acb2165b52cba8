import { secondsAfter } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import type { Actor } from '../../ledger/ledger.ts'
import type { EvaluateNeeds } from '../authzen/evaluate.ts'
import { VOCABULARY_FILE } from '../authzen/vocabulary.ts'
import { buildPolicySetAside } from '../aside/build.ts'
import { openCompiledEngine } from '../compiled/engine.ts'
import type { CandidatePolicies, Simulation } from '../contract.ts'
import { policiesSimulated } from '../events.ts'
import { readRiskModelText, RISK_FILE, type PolicySet } from '../policy-set.ts'
import type { World } from '../versions/kind.ts'
import { replay, type ReplayNeeds } from './replay.ts'
import { count } from './tally.ts'

/** Who asks waits for the answer. */
const WITHIN_MS = 60_000

/**
 * Asks the decisions of the last days again, by the policies that are loaded and by the candidate, both on the record as it stands now: what
 * differs is the candidate's doing, and what the record's own changes have moved since is counted apart. Throws `policySetInvalid`.
 */
export async function simulate(
  db: Db,
  needs: EvaluateNeeds,
  actor: Actor,
  { files, days }: CandidatePolicies,
): Promise<Simulation> {
  const { set: current } = needs.engine.current()
  const candidate = await candidateOf(files, current)
  using engine = await openCompiledEngine(candidate)
  using now = await openCompiledEngine(current)
  const sinceAt = secondsAfter(needs.clock.now(), -days * 86_400)
  const replayed = await replay(db, needs, now, { engine }, { since: sinceAt, withinMs: WITHIN_MS })
  const simulation: Simulation = {
    sinceAt,
    ...replayed,
    candidateSha256: candidate.sha256,
    policyVersion: current.sha256,
  }
  await needs.ledger.observe({
    event: policiesSimulated,
    actor,
    action: 'policy.simulate',
    resource: { type: 'PolicySet', id: 'installation' },
    outcome: 'done',
    facts: {
      candidateSha256: candidate.sha256,
      sinceAt: sinceAt.toISOString(),
      asked: simulation.asked,
      changed: simulation.changed,
    },
  })
  return simulation
}

/** What approvers of a change of rules are told of. */
const CHANGE_DAYS = 7
/** Whoever asks for a change waits for this as well. */
const CHANGE_WITHIN_MS = 8_000
const MOST_LINES = 20

/** What other rules would have meant for the decisions of the last days, in sentences that name kinds and actions and nobody. */
export async function simulateChange(
  db: Db,
  needs: ReplayNeeds & Pick<EvaluateNeeds, 'engine'>,
  candidate: World,
): Promise<string[]> {
  using now = await openCompiledEngine(needs.engine.current().set)
  const since = secondsAfter(needs.clock.now(), -CHANGE_DAYS * 86_400)
  const { lines, changes, isCut } = await replay(db, needs, now, candidate, { since, withinMs: CHANGE_WITHIN_MS })
  const kinds = new Map<string, number>()
  for (const { decisions, subject, action, before, after } of changes) {
    const line = `${subject.split(' ', 1)[0] ?? ''}, ${action}: ${before} → ${after}`
    kinds.set(line, (kinds.get(line) ?? 0) + decisions)
  }
  const most = [...kinds].sort(([, a], [, b]) => b - a).slice(0, MOST_LINES)
  return [
    `over the last ${CHANGE_DAYS} days of recorded decisions:`,
    ...lines,
    ...(isCut ? ['There were more than are asked again; the newest were.'] : []),
    ...(candidate.calendar ? ['A freeze that is new counts as if it had been in force all the time.'] : []),
    ...most.map(([line, decisions]) => `${count(decisions, 'decision')}: ${line}`),
  ]
}

/** As it would be activated; the weights of the risk are those of now where its folder says none. */
function candidateOf(files: CandidatePolicies['files'], { schema, risk }: PolicySet): Promise<PolicySet> {
  const textOf = (file: string) => files.find(({ name }) => name === file)?.text
  const own = textOf(RISK_FILE)
  const policies = files.filter(({ name }) => name !== RISK_FILE && name !== VOCABULARY_FILE)
  const weights = own === undefined ? risk : readRiskModelText(own)
  return buildPolicySetAside(policies, schema, weights, textOf(VOCABULARY_FILE) ?? '')
}
