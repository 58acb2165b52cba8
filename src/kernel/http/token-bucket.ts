import type { Clock } from '../clock.ts'

/** So many at once, and so many per second after that. */
export type Rate = { readonly perSecond: number; readonly burst: number }

/** Buckets remembered at once. The least recently used go first, which only ever gives somebody a full bucket again. */
const MOST_BUCKETS = 20_000

/** Token buckets by key. `take` answers 0 when the request may go on, else the seconds after which one may. */
export class TokenBuckets {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #rate: Rate
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>()

  constructor(clock: Pick<Clock, 'monotonicMs'>, rate: Rate) {
    this.#clock = clock
    this.#rate = rate
  }

  take(key: string): number {
    const { perSecond, burst } = this.#rate
    const nowMs = this.#clock.monotonicMs()
    const bucket = this.#buckets.get(key) ?? { tokens: burst, atMs: nowMs }
    const filled = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond)
    const isAllowed = filled >= 1
    bucket.tokens = isAllowed ? filled - 1 : filled
    bucket.atMs = nowMs
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > MOST_BUCKETS) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    return isAllowed ? 0 : Math.max(1, Math.ceil((1 - filled) / perSecond))
  }

  /** What was taken turned out not to count. */
  giveBack(key: string): void {
    const bucket = this.#buckets.get(key)
    if (bucket) bucket.tokens = Math.min(this.#rate.burst, bucket.tokens + 1)
  }
}

/** What one client is counted as: an IPv4 address, or the /64 that one IPv6 customer gets. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped) return mapped[1] ?? address
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? []
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right]
  return `${groups.slice(0, 4).join(':')}::/64`
}
