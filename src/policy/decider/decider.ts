/**
 * Decides in the process of who asks: the policies and the facts it asks about are kept as they were sent, followed, and not believed for
 * longer than a stated bound. The routine is the server's own, so the answer is the same one.
 */
import { systemClock, type Clock } from '../../kernel/clock.ts'
import { silentLog, type Log } from '../../kernel/log.ts'
import { newId, systemRandom } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { answerOf, malformed, refusal } from '../authzen/answer.ts'
import { AskedQuestion, type Answer } from '../authzen/asked.ts'
import { isPrivileged } from '../authzen/evaluate.ts'
import { decidePrepared, prepareFrom } from '../authzen/question.ts'
import { sliceSha256 } from '../observed.ts'
import { vocabularyOf } from '../authzen/vocabulary.ts'
import { Following } from './following.ts'
import { Link } from './link.ts'
import { syncedSources } from './record.ts'
import { Reports } from './reports.ts'

export type DeciderOptions = {
  /** Of Reeve's API. */
  readonly url: string
  /** Of the enforcement point, which the configuration lists in `authzen.deciders`. */
  readonly token: string
  /** PEM of the authority that issued the certificate of Reeve; those of the system by default. */
  readonly ca?: string
  /** Nothing that is older is decided on: everything is denied then. 5 s by default, 1 s to a minute. */
  readonly staleMs?: number
  /** Decisions that may wait to be entered in the ledger; 10,000 by default. */
  readonly mostQueued?: number
  /** Privileged acts are denied while a decision waits longer than this to be entered; 30 s by default. */
  readonly lateMs?: number
  readonly log?: Log
}

export type DeciderState = {
  readonly policyVersion: string
  /** Since Reeve last said what decides. */
  readonly silenceMs: number
  readonly facts: number
  readonly waiting: number
  /** Decisions that no entry was kept of. */
  readonly lost: number
}

export type Decider = AsyncDisposable & {
  /** The answer to a question of AuthZEN. Never rejects: what cannot be decided is denied. */
  decide(question: unknown): Promise<Answer>
  state(): DeciderState
}

const STALE_MS = { least: 1_000, most: 60_000, usual: 5_000 }
const STALE = 'What decides has not been heard of for too long.'
const UNKEPT = 'Its entry could not be kept.'

/** Resolves once it can decide; rejects where Reeve cannot be reached or does not send what it takes. */
export async function openDecider(options: DeciderOptions): Promise<Decider> {
  const { staleMs = STALE_MS.usual, mostQueued = 10_000, lateMs = 30_000, log = silentLog } = options
  if (staleMs < STALE_MS.least || staleMs > STALE_MS.most) throw new Error('staleMs is 1000 to 60000')
  const link = new Link({ url: options.url, token: new Secret(options.token), ca: options.ca, timeoutMs: staleMs })
  try {
    const following = await Following.open({ link, staleMs, log, monotonicMs: () => systemClock.monotonicMs() })
    return new InProcess(following, new Reports(link, following.clock, log, { mostQueued, lateMs }), link)
  } catch (error) {
    link[Symbol.dispose]()
    throw error
  }
}

class InProcess implements Decider {
  readonly #following: Following
  readonly #reports: Reports
  readonly #link: Link
  readonly #clock: Clock

  constructor(following: Following, reports: Reports, link: Link) {
    this.#following = following
    this.#reports = reports
    this.#link = link
    this.#clock = following.clock
  }

  async decide(question: unknown): Promise<Answer> {
    try {
      const asked = AskedQuestion.safeParse(question)
      return asked.success ? await this.#decide(asked.data) : malformed('This is no question.')
    } catch {
      return refusal('The question could not be decided.')
    }
  }

  state(): DeciderState {
    const { policyVersion, silenceMs, facts } = this.#following.state()
    return { policyVersion, silenceMs, facts, ...this.#reports.counts() }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#following[Symbol.asyncDispose]()
    await this.#reports.close()
    this.#link[Symbol.dispose]()
  }

  async #decide(asked: AskedQuestion): Promise<Answer> {
    const { engine, record } = this.#following
    const { set } = engine.current()
    if (!this.#following.isFresh()) return refusal(STALE)
    const prepared = await prepareFrom(syncedSources(record, set), set, asked)
    // Facts may have been waited for.
    if (!this.#following.isFresh()) return refusal(STALE)
    if (engine.current().set !== set) return this.#decide(asked)
    const needs = { clock: this.#clock, random: systemRandom, engine, ...this.#following.terms() }
    if ('unanswerable' in prepared) {
      const id = newId(needs.clock, needs.random)
      const action = vocabularyOf(set).actionOf(asked.action.name)
      const told = refusal(prepared.unanswerable, { evaluation_id: id, policy_version: set.sha256 })
      const made = { id, policyVersion: set.sha256, policies: [], errors: [''], evaluatedAt: needs.clock.now() }
      return this.#entered(asked, isPrivileged(set, action), 'deny', made, () => null) ? told : refusal(UNKEPT)
    }
    const decision = decidePrepared(needs, prepared)
    const { answer, decided } = answerOf(needs, asked, prepared, decision)
    const isActPrivileged = isPrivileged(set, prepared.question.action.name)
    const isKept = this.#entered(asked, isActPrivileged, decided, decision, () => sliceSha256(prepared.entities))
    return isKept ? answer : refusal(UNKEPT, { evaluation_id: decision.id })
  }

  /** Sends the decision to the ledger where it is to be entered; false for a privileged act whose entry may not come through. */
  #entered(
    question: AskedQuestion,
    isActPrivileged: boolean,
    decided: 'permit' | 'owed' | 'deny',
    made: {
      readonly id: string
      readonly policyVersion: string
      readonly policies: readonly { readonly id: string }[]
      readonly errors: readonly string[]
      readonly evaluatedAt: Date
    },
    slice: () => string | null,
  ): boolean {
    if (this.#following.terms().entries === 'privileged' && !isActPrivileged) return true
    const isKeeping = this.#reports.isKeeping()
    if (isActPrivileged && decided === 'permit' && !isKeeping) return false
    this.#reports.add({
      question,
      decided,
      decisionId: made.id,
      decidedAt: made.evaluatedAt,
      policyVersion: made.policyVersion,
      policies: made.policies.map(({ id }) => id).slice(0, 100),
      errors: Math.min(made.errors.length, 1000),
      sliceSha256: slice(),
    })
    return true
  }
}
