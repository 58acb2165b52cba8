/**
 * Requests to cancel that reached another node than the one with the session (core 25). The request goes to all nodes as a hint; the key in it
 * is sealed, so who listens on the channel learns nothing and who writes there forges nothing. The node that holds the session compares the
 * key as if the request had come to it. Nobody is told what came of it, as the protocol has it.
 */
import { sql } from 'kysely'
import { END_CHANNEL } from '../access/access.ts'
import type { Clock } from '../kernel/clock.ts'
import { addressKey, TokenBuckets } from '../kernel/http/token-bucket.ts'
import type { Db } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import { Secret } from '../kernel/secret.ts'
import type { Seal } from '../kernel/seal.ts'
import type { CancelRequest, Plane } from './gateway.ts'

/** What all gateways of a node share. */
export type Cancels = {
  /** A hint of the ends' channel. Whatever is no request to cancel, or was sealed by somebody else, is dropped. */
  heard(hint?: string): void
  pass(protocol: string, request: CancelRequest): void
  subscribe(protocol: string, cancel: Heard): Disposable
}

type Heard = Parameters<Plane['onCancel']>[0]

type Needs = {
  readonly db: Db
  readonly seal: Seal
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly log: Log
}

/** A person who presses Ctrl-C again and again stays below this; who guesses keys gets nowhere, as each guess has to go through here. */
const PER_ADDRESS = { burst: 20, perSecond: 1 }
/** Each is a commit that takes its turn with the ends of grants (core 15). */
const OF_ALL = { burst: 100, perSecond: 10 }
/** PostgreSQL's longest key; what is longer is no key of ours. */
const KEY_MAX_BYTES = 32

const HINT = /^cancel:([a-z]+):(\d{1,10}):([A-Za-z0-9_-]+)$/

export function openCancels({ db, seal, clock, log }: Needs): Cancels {
  const addresses = new TokenBuckets(clock, PER_ADDRESS)
  const all = new TokenBuckets(clock, OF_ALL)
  const heard = new Map<string, Set<Heard>>()
  return {
    heard(hint) {
      const [, protocol = '', processId = '', sealed = ''] = HINT.exec(hint ?? '') ?? []
      const key = () => seal.open(Buffer.from(sealed, 'base64url'), placeOf(protocol, processId)).reveal()
      for (const cancel of heard.get(protocol) ?? []) {
        try {
          cancel(Number(processId), key)
        } catch (error) {
          log.warn({ err: error }, 'a request to cancel that another node passed on could not be read')
        }
      }
    },
    pass(protocol, { processId, key, clientAddress }) {
      if (key.length > KEY_MAX_BYTES) return
      if (addresses.take(addressKey(clientAddress)) > 0 || all.take('') > 0) return
      const sealed = seal.seal(new Secret(key), placeOf(protocol, String(processId))).toString('base64url')
      sql`select pg_notify(${END_CHANNEL}, ${`cancel:${protocol}:${processId}:${sealed}`})`
        .execute(db)
        .catch((error: unknown) => log.warn({ err: error }, 'a request to cancel was not passed on'))
    },
    subscribe(protocol, cancel) {
      const known = heard.get(protocol) ?? new Set()
      heard.set(protocol, known.add(cancel))
      return { [Symbol.dispose]: () => void known.delete(cancel) }
    },
  }
}

function placeOf(protocol: string, processId: string): string {
  return `cancel:${protocol}:${processId}`
}
