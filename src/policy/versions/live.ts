import { transact } from '../../kernel/db.ts'
import { every } from '../../kernel/timer.ts'
import type { RuleFiles } from './contract.ts'
import { reachRules } from './fault-points.ts'
import type { Made, RuleKind } from './kind.ts'
import { RULES_HINT, type LiveRules, type RuleNeeds } from './needs.ts'
import { activeSeq, loadActive } from './records.ts'
import { ensureShipped } from './store.ts'

/** Activations are pushed; this is for the push that did not arrive, and for a version that could not be loaded. */
const LOOK_EVERY_MS = 2_000

/** Enters what files say as the first version where there is none, loads what is active and follows it from there. */
export async function openLiveRules<M extends Made>(
  needs: RuleNeeds,
  kind: RuleKind<M>,
  shipped: RuleFiles,
): Promise<LiveRules> {
  await transact(needs.db, (tx) => ensureShipped(tx, needs, kind, shipped))
  const live = new Following(needs, kind)
  await live.refresh()
  return live
}

class Following<M extends Made> implements LiveRules {
  readonly #needs: RuleNeeds
  readonly #kind: RuleKind<M>
  readonly #timer: Disposable
  #seq = 0
  #isLoaded = false
  #looking: Promise<void> | undefined

  constructor(needs: RuleNeeds, kind: RuleKind<M>) {
    this.#needs = needs
    this.#kind = kind
    this.#timer = every(LOOK_EVERY_MS, () => this.heard(undefined))
  }

  isLoaded(): boolean {
    return this.#isLoaded
  }

  seq(): number {
    return this.#seq
  }

  heard(hint: string | undefined): void {
    if (hint !== undefined && !hint.startsWith(`${RULES_HINT}${this.#kind.name}:`)) return
    this.refresh().catch((error: unknown) => {
      // What was loaded goes on: nothing is decided without the database either, and the next look is two seconds away.
      this.#needs.log.warn({ err: error }, `it could not be read which version of ${this.#kind.called} decides`)
    })
  }

  async refresh(): Promise<void> {
    // Whoever comes while a look is under way gets one that began after they came.
    while (this.#looking) await this.#looking.catch(() => undefined)
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined
    })
    await this.#looking
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer[Symbol.dispose]()
    await this.#looking?.catch(() => undefined)
  }

  async #look(): Promise<void> {
    const kind = this.#kind
    const { db, engine, log } = this.#needs
    if (this.#isLoaded && (await activeSeq(db, kind.name)) === this.#seq) return
    const active = await loadActive(db, kind.name)
    if (!active) throw new Error(`no version of ${kind.called} is active`)
    await reachRules('rules.swapping')
    const isFirst = this.#seq === 0
    try {
      // The hash of policies covers the schema too: a version that another release stored is built anew.
      if (kind.current().sha256 !== active.sha256) {
        const made = await kind.make(active.files)
        if (kind.current().sha256 !== made.sha256) await kind.take(made)
      }
      engine.block(kind.name, undefined)
      this.#isLoaded = true
    } catch (error) {
      if (this.#isLoaded || this.#seq !== active.seq) {
        log.error({ err: error, version: active.versionId }, `${kind.called} cannot be loaded: this node denies`)
      }
      // Not by the old ones: what they permit may be exactly what was taken away.
      engine.block(kind.name, `The active version of ${kind.called} cannot be loaded on this node`)
      this.#isLoaded = false
    }
    this.#seq = active.seq
    if (!isFirst) this.#needs.onTaken()
  }
}
