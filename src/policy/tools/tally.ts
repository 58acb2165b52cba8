import type { Simulation } from '../contract.ts'
import type { Decision, Question } from '../decide.ts'
import { NOT_ASKED, type Recorded, type WhyNot } from './recall.ts'
import { obligationText } from './run-cases.ts'

/** Questions that are listed; the counts are of all. */
const MAX_CHANGES = 100

/** A question that was recorded, however often, with what became of it then. */
export type Asked = { readonly recorded: Recorded; decisions: number; readonly lastAt: Date }

/** What came of asking again. */
export class Tally {
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

  compare({ recorded, decisions, lastAt }: Asked, before: Decision, after: Decision, question: Question): void {
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

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

function answerText(decision: Decision): string {
  return decision.decision ? `permit; owed: ${obligationText(decision.obligations)}` : 'deny'
}
