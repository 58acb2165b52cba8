import type { Clock } from '../kernel/clock.ts'
import { addressKey, TokenBuckets } from '../kernel/http/token-bucket.ts'
import { Refused, type Asked } from './gateway.ts'

/**
 * Failed logins (core 24). A ticket holds 256 bits, so this is not about guessing it: it keeps a flood of wrong ones away from the database.
 * Success gives its token back, so a pool that opens its connections at once, or reconnects for each query, is not slowed down.
 */
const PER_ADDRESS = { burst: 200, perSecond: 2 }
/** Wider, since anybody can fail in the name of an account and its rightful users must not be shut out by one address. */
const PER_ACCOUNT = { burst: 1000, perSecond: 20 }
/** Logins that wait for the database or the target at once. */
const UNDER_WAY_MAX = 2_000

/** Counts logins before anything is looked up for them. */
export class Arrivals {
  readonly #addresses: TokenBuckets
  readonly #accounts: TokenBuckets
  #underWay = 0

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#addresses = new TokenBuckets(clock, PER_ADDRESS)
    this.#accounts = new TokenBuckets(clock, PER_ACCOUNT)
  }

  /** Throws `Refused` when too many failed. Dispose it when the login is decided; `succeeded` first if it was good. */
  enter(asked: Asked): Disposable & { succeeded(): void } {
    if (this.#underWay >= UNDER_WAY_MAX) throw tooMany(1)
    const address = addressKey(asked.clientAddress)
    const account = `${asked.account}\n${asked.target}`
    const waitSeconds = this.#addresses.take(address)
    if (waitSeconds > 0) throw tooMany(waitSeconds)
    const accountWaitSeconds = this.#accounts.take(account)
    if (accountWaitSeconds > 0) throw tooMany(accountWaitSeconds)
    this.#underWay += 1
    return {
      succeeded: () => {
        this.#addresses.giveBack(address)
        this.#accounts.giveBack(account)
      },
      [Symbol.dispose]: () => {
        this.#underWay -= 1
      },
    }
  }
}

function tooMany(waitSeconds: number): Refused {
  return new Refused('not-now', `Too many logins failed. Wait ${waitSeconds} s and try again.`)
}
