import type { Simulation } from '../contract.ts'
import type { Decision, Question } from '../decide.ts'
import { NOT_ASKED, type Recorded, type WhyNot } from './recall.ts'
import { obligationText } from './run-cases.ts'

/** Questions that are listed; the counts are of all. */
const MAX_CHANGES = 100

type Change = Simulation['changes'][number]
type Effect = 'refused' | 'permitted' | 'owing'

/** What came of asking one question again, as little of it as is told: the same question counts by it however often it was asked. */
export type Outcome = { readonly why: WhyNot } | { readonly isMoved: boolean; readonly to?: To }
type To = { readonly effect: Effect; readonly change: Change }

/** What came of asking again. */
export class Tally {
  readonly #changes: Change[] = []
  readonly #skipped = new Map<WhyNot, number>()
  readonly #counts: Record<Effect, number> = { refused: 0, permitted: 0, owing: 0 }
  #asked = 0
  #moved = 0

  /** One more decision that ends like this. */
  add(outcome: Outcome): void {
    if ('why' in outcome) {
      this.#skipped.set(outcome.why, (this.#skipped.get(outcome.why) ?? 0) + 1)
      return
    }
    this.#asked += 1
    if (outcome.isMoved) this.#moved += 1
    if (!outcome.to) return
    const { effect, change } = outcome.to
    this.#counts[effect] += 1
    if (change.decisions === 0) this.#changes.push(change)
    change.decisions += 1
  }

  result(): Pick<Simulation, 'asked' | 'notAsked' | 'moved' | 'changed' | 'lines' | 'changes'> {
    const { refused, permitted, owing } = this.#counts
    const changed = refused + permitted + owing
    const notAsked = [...this.#skipped].map(([why, decisions]) => ({ why: NOT_ASKED[why], decisions }))
    return {
      asked: this.#asked,
      notAsked,
      moved: this.#moved,
      changed,
      lines: [
        `${count(changed, 'decision')} would change: ${refused} would be refused, ${permitted} permitted, ` +
          `${owing} would owe something else.`,
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

/** A recorded decision beside what is decided now, by the policies of now and by the others. Nothing is counted yet. */
export function outcomeOf(
  { recorded, lastAt }: { readonly recorded: Pick<Recorded, 'decided'>; readonly lastAt: Date },
  before: Decision,
  after: Decision,
  { subject, action, resource }: Question,
): Outcome {
  const isMoved = (recorded.decided !== 'deny') !== before.decision
  const [was, is] = [answerText(before), answerText(after)]
  if (was === is) return { isMoved }
  const change: Change = {
    decisions: 0,
    lastAt,
    subject: `${subject.type} ${subject.id}`,
    action: action.name,
    resource: `${resource.type} ${resource.id}`,
    before: was,
    after: is,
    reasons: [...after.reasons],
  }
  return { isMoved, to: { effect: effectOf(before, after), change } }
}

function effectOf(before: Decision, after: Decision): Effect {
  if (before.decision && !after.decision) return 'refused'
  return after.decision && !before.decision ? 'permitted' : 'owing'
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function answerText(decision: Decision): string {
  return decision.decision ? `permit; owed: ${obligationText(decision.obligations)}` : 'deny'
}
