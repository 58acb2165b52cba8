import { after } from './timer.ts'

/** A named thing that must hold for this node to take traffic. */
type HealthCheck = () => boolean | Promise<boolean>

type Readiness = { readonly isReady: boolean; readonly checks: Readonly<Record<string, 'ok' | 'failing'>> }

export type Health = {
  /** Adds a check until disposed. A check that throws fails. */
  add(name: string, check: HealthCheck): Disposable
  ready(): Promise<Readiness>
  /** From now on not ready: load balancers look elsewhere while calls in flight finish. */
  startDraining(): void
  isDraining(): boolean
}

/** A check that has not answered by then fails: probes have short deadlines of their own. */
const CHECK_MS = 2_000

export function openHealth(): Health {
  const checks = new Map<string, HealthCheck>()
  let isDraining = false
  return {
    add(name, check) {
      if (checks.has(name)) throw new Error(`there are two checks named ${name}`)
      checks.set(name, check)
      return { [Symbol.dispose]: () => void checks.delete(name) }
    },
    async ready() {
      const results = await Promise.all(
        [...checks].map(async ([name, check]) => [name, (await holds(check)) ? 'ok' : 'failing'] as const),
      )
      const found = [...results, ['draining', isDraining ? 'failing' : 'ok'] as const]
      return { isReady: found.every(([, state]) => state === 'ok'), checks: Object.fromEntries(found) }
    },
    startDraining() {
      isDraining = true
    },
    isDraining: () => isDraining,
  }
}

async function holds(check: HealthCheck): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  using timer = after(CHECK_MS, () => resolve(false))
  void timer
  try {
    return await Promise.race([check(), late])
  } catch {
    return false
  }
}
