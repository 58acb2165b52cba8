import { sha256 } from '../kernel/crypto.ts'
import type { Engine } from './evaluate.ts'

/**
 * The version of the policies that decides now. A decision takes `current()` once and asks it only, so that no decision
 * is made by two versions; evaluating never waits, so nothing is under way when the old version is put away.
 */
export type LiveEngine = Disposable & {
  current(): Engine
  swap(next: Engine): void
  /** While there is a sentence for anything, everything is denied with it: what decides here is not what should. */
  block(what: string, why: string | undefined): void
}

/** Starts with one version; the holder owns it and each that follows. */
export function liveEngine(first: Engine): LiveEngine {
  let now = first
  const blocked = new Map<string, string>()
  let shown = first
  const show = () => {
    shown = blocked.size === 0 ? now : denying(now, [...blocked.values()])
  }
  return {
    current: () => shown,
    swap: (next) => {
      const before = now
      now = next
      show()
      if (before !== next) before[Symbol.dispose]()
    },
    block: (what, why) => {
      if (blocked.get(what) === why) return
      if (why === undefined) blocked.delete(what)
      else blocked.set(what, why)
      show()
    },
    [Symbol.dispose]: () => now[Symbol.dispose](),
  }
}

/** Decides nothing: every question errs, and what errs is denied (rule 9). It has a hash of its own, so that what was decided before is looked at again. */
function denying({ set }: Engine, sentences: readonly string[]): Engine {
  const errors = sentences.map((message) => ({ policy: null, message }))
  const hash = sha256(`not loaded ${set.sha256} ${sentences.join(' ')}`).toString('hex')
  return {
    set: { ...set, sha256: hash, policies: new Map() },
    evaluate: () => ({ decision: false, determining: [], errors }),
    [Symbol.dispose]: () => undefined,
  }
}
