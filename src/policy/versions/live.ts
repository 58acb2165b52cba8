import { sha256 as hashOf } from '../../kernel/crypto.ts'
import { transact } from '../../kernel/db.ts'
import { every } from '../../kernel/timer.ts'
import type { Engine } from '../evaluate.ts'
import type { PolicySet } from '../policy-set.ts'
import { setOf } from './build.ts'
import type { PolicyFiles } from './contract.ts'
import { reachPolicy } from './fault-points.ts'
import { activeSeq, loadActive } from './records.ts'
import { POLICY_HINT, type LivePolicies, type PolicyVersionNeeds } from './needs.ts'
import { ensureShipped } from './store.ts'

/** Activations are pushed; this is for the push that did not arrive, and for a version that could not be loaded. */
const LOOK_EVERY_MS = 2_000

/** Enters the shipped policies as the first version where there is none, loads what is active and follows it from there. */
export async function openLivePolicies(needs: PolicyVersionNeeds, shipped: PolicyFiles): Promise<LivePolicies> {
  await transact(needs.db, (tx) => ensureShipped(tx, needs, shipped))
  const live = new Following(needs)
  await live.refresh()
  return live
}

class Following implements LivePolicies {
  readonly #needs: PolicyVersionNeeds
  readonly #timer: Disposable
  #seq = 0
  #isLoaded = false
  #looking: Promise<void> | undefined

  constructor(needs: PolicyVersionNeeds) {
    this.#needs = needs
    this.#timer = every(LOOK_EVERY_MS, () => this.heard(undefined))
  }

  isLoaded(): boolean {
    return this.#isLoaded
  }

  seq(): number {
    return this.#seq
  }

  heard(hint: string | undefined): void {
    if (hint !== undefined && !hint.startsWith(POLICY_HINT)) return
    this.refresh().catch((error: unknown) => {
      // What was loaded goes on: nothing is decided without the database either, and the next look is two seconds away.
      this.#needs.log.warn({ err: error }, 'it could not be read which policies decide; looking again')
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
    const { db, schema, engine, open, log } = this.#needs
    if (this.#isLoaded && (await activeSeq(db)) === this.#seq) return
    const active = await loadActive(db)
    if (!active) throw new Error('no version of the policies is active')
    await reachPolicy('policy.swapping')
    try {
      // The hash covers the schema too: a version that another release stored is built anew.
      if (engine.current().set.sha256 !== active.sha256) {
        const set = await setOf(active.files, schema)
        if (engine.current().set.sha256 !== set.sha256) engine.swap(await open(set))
      }
      this.#isLoaded = true
    } catch (error) {
      if (this.#isLoaded || this.#seq !== active.seq) {
        log.error({ err: error, version: active.versionId }, 'the active policies cannot be loaded: this node denies')
        // Not by the old ones: what they permit may be exactly what was taken away.
        this.#deny(active.sha256)
      }
      this.#isLoaded = false
    }
    this.#seq = active.seq
  }

  #deny(sha256: string): void {
    const { engine } = this.#needs
    const { set } = engine.current()
    engine.swap(denyingEngine({ ...set, sha256: hashOf(`not loaded ${sha256}`).toString('hex') }))
  }
}

/** Decides nothing: every question errs, and what errs is denied (rule 9). */
function denyingEngine(set: PolicySet): Engine {
  const errors = [{ policy: null, message: 'The active version of the policies cannot be loaded on this node.' }]
  return {
    set: { ...set, policies: new Map() },
    evaluate: () => ({ decision: false, determining: [], errors }),
    [Symbol.dispose]: () => undefined,
  }
}
