import { secondsAfter } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { Instant } from '../../kernel/instant.ts'
import { newId } from '../../kernel/random.ts'
import { nextTurn } from '../../kernel/timer.ts'
import { observationsOf, type Actor } from '../../ledger/ledger.ts'
import type { EvaluateNeeds } from '../authzen/evaluate.ts'
import { factsFor } from '../authzen/question.ts'
import { VOCABULARY_FILE } from '../authzen/vocabulary.ts'
import { buildPolicySetAside } from '../aside/build.ts'
import { openCompiledEngine } from '../compiled/engine.ts'
import type { CandidatePolicies, Simulation } from '../contract.ts'
import { decide, type Decision } from '../decide.ts'
import type { Engine } from '../evaluate.ts'
import { decisionMade, policiesSimulated } from '../events.ts'
import { readRiskModelText, RISK_FILE, type PolicySet } from '../policy-set.ts'
import { NOT_ASKED, recall, recordedIn, type Recalled, type Recorded, type WhyNot } from './recall.ts'
import { obligationText } from './run-cases.ts'

/** Decisions of one simulation; a busy installation has more in a week, and the newest say most. */
const MAX_DECISIONS = 20_000
/** Questions that are listed; the counts are of all. */
const MAX_CHANGES = 100

/** A question that was recorded, however often, with what became of it then. */
type Asked = { readonly recorded: Recorded; decisions: number; readonly lastAt: Date }

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
  const past = await gather(db, sinceAt)
  const facts = factsFor(db, needs, current)
  const tally = new Tally()
  for (const [at, asked] of [...past.questions.values()].entries()) {
    const recalled = await recall(db, needs, facts, current, asked.recorded)
    if (typeof recalled === 'string') tally.skip(recalled, asked.decisions)
    else tally.compare(asked, decideAgain(needs, now, recalled), decideAgain(needs, engine, recalled), recalled)
    if (at % 8 === 7) await nextTurn()
  }
  if (past.odd > 0) tally.skip('form', past.odd)
  const simulation: Simulation = {
    sinceAt,
    decisions: past.decisions,
    isCut: past.isCut,
    ...tally.result(),
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

/** As it would be activated; the weights of the risk are those of now where its folder says none. */
function candidateOf(files: CandidatePolicies['files'], { schema, risk }: PolicySet): Promise<PolicySet> {
  const textOf = (file: string) => files.find(({ name }) => name === file)?.text
  const own = textOf(RISK_FILE)
  const policies = files.filter(({ name }) => name !== RISK_FILE && name !== VOCABULARY_FILE)
  const weights = own === undefined ? risk : readRiskModelText(own)
  return buildPolicySetAside(policies, schema, weights, textOf(VOCABULARY_FILE) ?? '')
}

async function gather(db: Db, since: Date) {
  const questions = new Map<string, Asked>()
  let [decisions, odd] = [0, 0]
  for await (const observation of observationsOf(db, decisionMade.kind, since)) {
    if (decisions >= MAX_DECISIONS) return { questions, decisions, odd, isCut: true }
    decisions += 1
    const recorded = recordedIn(observation)
    if (!recorded) {
      odd += 1
      continue
    }
    const { chain, asked, on, context, decided } = recorded
    const key = JSON.stringify([chain, asked, on, context, decided])
    const known = questions.get(key)
    if (known) known.decisions += 1
    else questions.set(key, { recorded, decisions: 1, lastAt: Instant.parse(observation.at) })
  }
  return { questions, decisions, odd, isCut: false }
}

function decideAgain(needs: Pick<EvaluateNeeds, 'clock' | 'random'>, engine: Engine, recalled: Recalled): Decision {
  return decide(engine, recalled.question, {
    ...recalled.facts,
    decisionId: newId(needs.clock, needs.random),
    now: needs.clock.now(),
    epoch: engine.set.sha256,
  })
}

/** What came of it all. */
class Tally {
  readonly #changes: Simulation['changes'] = []
  readonly #skipped = new Map<WhyNot, number>()
  #asked = 0
  #moved = 0
  #refused = 0
  #permitted = 0
  #owing = 0

  skip(why: WhyNot, decisions: number): void {
    this.#skipped.set(why, (this.#skipped.get(why) ?? 0) + decisions)
  }

  compare({ recorded, decisions, lastAt }: Asked, before: Decision, after: Decision, { question }: Recalled): void {
    this.#asked += decisions
    if ((recorded.decided !== 'deny') !== before.decision) this.#moved += decisions
    const [was, is] = [answerText(before), answerText(after)]
    if (was === is) return
    if (before.decision && !after.decision) this.#refused += decisions
    else if (after.decision && !before.decision) this.#permitted += decisions
    else this.#owing += decisions
    this.#changes.push({
      decisions,
      lastAt,
      subject: `${question.subject.type} ${question.subject.id}`,
      action: question.action.name,
      resource: `${question.resource.type} ${question.resource.id}`,
      before: was,
      after: is,
      reasons: [...after.reasons],
    })
  }

  result(): Pick<Simulation, 'asked' | 'notAsked' | 'moved' | 'changed' | 'lines' | 'changes'> {
    const changed = this.#refused + this.#permitted + this.#owing
    const notAsked = [...this.#skipped].map(([why, decisions]) => ({ why: NOT_ASKED[why], decisions }))
    return {
      asked: this.#asked,
      notAsked,
      moved: this.#moved,
      changed,
      lines: [
        `${count(changed, 'decision')} would change: ${this.#refused} would be refused, ${this.#permitted} permitted, ` +
          `${this.#owing} would owe something else.`,
        `${count(this.#asked, 'recorded decision')} asked again on the record as it stands now, not as it stood then.`,
        ...(this.#moved > 0
          ? [
              `${count(this.#moved, 'decision')} would end otherwise by today’s policies already: the record has changed.`,
            ]
          : []),
        ...notAsked.map(({ why, decisions }) => `${count(decisions, 'decision')} not asked again: ${why}.`),
      ],
      changes: this.#changes.toSorted((a, b) => b.decisions - a.decisions).slice(0, MAX_CHANGES),
    }
  }
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function answerText(decision: Decision): string {
  return decision.decision ? `permit; owed: ${obligationText(decision.obligations)}` : 'deny'
}
