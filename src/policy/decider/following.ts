/** Keeps what a decider decides with as it stands at its Reeve. */
import { secondsAfter, systemClock, type Clock } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'
import { sleep } from '../../kernel/timer.ts'
import type { AnswerTerms } from '../authzen/answer.ts'
import { buildPolicySetAside } from '../aside/build.ts'
import { openCompiledEngine } from '../compiled/engine.ts'
import { liveEngine, type LiveEngine } from '../live-engine.ts'
import type { PolicySet } from '../policy-set.ts'
import { riskModelFrom } from '../risk/model.ts'
import { schemaFrom } from '../schema.ts'
import {
  MOST_ITEMS,
  streamDecisionChanges,
  syncDecisions,
  type FactItem,
  type PolicySetText,
  type Synced,
} from './contract.ts'
import type { Link } from './link.ts'
import { SyncedRecord, type Fact } from './record.ts'

type Options = {
  readonly link: Link
  readonly staleMs: number
  readonly log: Log
  readonly monotonicMs: () => number
}

type Asked = { readonly item: FactItem; readonly answers: PromiseWithResolvers<Fact>[] }

/** All that is kept is asked for again this often within the bound. */
const REFRESHES_PER_BOUND = 3
const RECONNECT_MS = 500

export class Following implements AsyncDisposable {
  readonly engine: LiveEngine
  readonly record: SyncedRecord
  /** The machine's clock, set by what Reeve says the time is. */
  readonly clock: Clock
  readonly #options: Options
  readonly #ending = new AbortController()
  readonly #asked = new Map<string, Asked>()
  #wake: PromiseWithResolvers<void> = Promise.withResolvers()
  #wantsRefresh = false
  #confirmedAtMs: number
  #aheadMs = 0
  #terms: AnswerTerms & { readonly entries: 'all' | 'privileged' }
  #epoch = ''
  #running: Promise<unknown> = Promise.resolve()

  private constructor(options: Options, first: LiveEngine, synced: Synced, askedAtMs: number) {
    this.#options = options
    this.engine = first
    this.#terms = termsOf(synced)
    this.#confirmedAtMs = askedAtMs
    this.clock = {
      now: () => secondsAfter(systemClock.now(), this.#aheadMs / 1000),
      monotonicMs: options.monotonicMs,
    }
    this.record = new SyncedRecord(this.clock, options.staleMs, (key, item) => this.#want(key, item))
    this.#note(synced, askedAtMs)
  }

  static async open(options: Options): Promise<Following> {
    const askedAtMs = options.monotonicMs()
    const synced = await options.link.ask(syncDecisions, { knownVersion: null, items: [] })
    if (!synced.policies) throw new Error('Reeve sent no policies')
    const set = await setFrom(synced.policies)
    const following = new Following(options, liveEngine(await openCompiledEngine(set)), synced, askedAtMs)
    following.#running = Promise.all([following.#follow(), following.#hear(), following.#beat()])
    return following
  }

  /** Whether Reeve has said within the bound that this set decides. */
  isFresh(): boolean {
    return this.clock.monotonicMs() - this.#confirmedAtMs <= this.#options.staleMs
  }

  terms(): AnswerTerms & { readonly entries: 'all' | 'privileged' } {
    return this.#terms
  }

  state(): { readonly policyVersion: string; readonly silenceMs: number; readonly facts: number } {
    return {
      policyVersion: this.engine.current().set.sha256,
      silenceMs: this.clock.monotonicMs() - this.#confirmedAtMs,
      facts: this.record.size(),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    this.#wake.resolve()
    await this.#running
    this.engine[Symbol.dispose]()
  }

  #want(key: string, item: FactItem): Promise<Fact> {
    const answer = Promise.withResolvers<Fact>()
    const known = this.#asked.get(key)
    if (known) known.answers.push(answer)
    else this.#asked.set(key, { item, answers: [answer] })
    this.#wake.resolve()
    return answer.promise
  }

  /** One call at a time, so that no answer takes back what a later one said. */
  async #follow(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      await this.#wake.promise
      this.#wake = Promise.withResolvers()
      // What is asked for in the same turn goes along.
      await Promise.resolve()
      const wanted = this.#wantsRefresh ? this.record.inUse() : new Map<string, FactItem>()
      this.#wantsRefresh = false
      for (const [key, { item }] of this.#asked) wanted.set(key, item)
      const all = [...wanted]
      for (let from = 0; from === 0 || from < all.length; from += MOST_ITEMS) {
        await this.#ask(all.slice(from, from + MOST_ITEMS))
      }
    }
    for (const { answers } of this.#asked.values()) for (const each of answers) each.reject(new Error('it was closed'))
  }

  async #ask(items: readonly (readonly [key: string, item: FactItem])[]): Promise<void> {
    const waiting = items.flatMap(([key]) => {
      const answers = this.#asked.get(key)?.answers ?? []
      this.#asked.delete(key)
      return answers.length === 0 ? [] : [{ key, answers }]
    })
    try {
      const askedAtMs = this.clock.monotonicMs()
      const knownVersion = this.engine.current().set.sha256
      const synced = await this.#options.link.ask(syncDecisions, { knownVersion, items: items.map(([, item]) => item) })
      if (synced.policyVersion !== knownVersion) await this.#take(synced.policies)
      this.#note(synced, askedAtMs)
      const facts = new Map(
        items.map(([key, item], at) => [key, this.record.put(key, item, synced.facts[at], askedAtMs)]),
      )
      for (const { key, answers } of waiting) {
        const fact = facts.get(key)
        for (const each of answers) if (fact) each.resolve(fact)
      }
    } catch (error) {
      this.#options.log.warn({ err: error }, 'what decides could not be asked for')
      for (const { answers } of waiting) for (const each of answers) each.reject(error)
    }
  }

  /** Another version decides: what was read by the words of the one before is forgotten in the same step. */
  async #take(policies: PolicySetText | null): Promise<void> {
    if (!policies) throw new Error('Reeve sent no policies')
    const next = await openCompiledEngine(await setFrom(policies))
    this.record.clear()
    this.engine.swap(next)
  }

  #note(synced: Synced, askedAtMs: number): void {
    this.#confirmedAtMs = askedAtMs
    this.#aheadMs = synced.now.getTime() - systemClock.now().getTime()
    this.#terms = termsOf(synced)
    this.#epoch = synced.epoch
  }

  /** Hears of changes, and looks at everything again at each. */
  async #hear(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      await this.#options.link
        .follow(streamDecisionChanges, signal, ({ epoch }) => {
          if (epoch !== this.#epoch) this.#refresh()
        })
        .catch((error: unknown) => this.#options.log.debug({ err: error }, 'the stream of changes broke'))
      await sleep(RECONNECT_MS, signal).catch(() => undefined)
    }
  }

  /** Whether or not anything was heard, nothing grows older than the bound allows. */
  async #beat(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      await sleep(this.#options.staleMs / REFRESHES_PER_BOUND, signal).catch(() => undefined)
      this.#refresh()
    }
  }

  #refresh(): void {
    this.#wantsRefresh = true
    this.#wake.resolve()
  }
}

function termsOf({ drafts, entries }: Synced): AnswerTerms & { readonly entries: 'all' | 'privileged' } {
  return { drafts, entries, requestable: () => undefined }
}

/** The set as it was sent, checked like any other; its hash is what every decision names, so it must be the one that was said. */
async function setFrom({ sha256, schema, files, risk, vocabulary }: PolicySetText): Promise<PolicySet> {
  const set = await buildPolicySetAside(files, schemaFrom(schema), riskModelFrom(risk), vocabulary)
  if (set.sha256 !== sha256)
    throw new Error('the policies that were sent are not those that decide: is Reeve of another release?')
  return set
}
