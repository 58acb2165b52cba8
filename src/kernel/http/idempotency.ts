import type { Clock } from '../clock.ts'
import { secondsAfter } from '../clock.ts'
import { transact, type Db } from '../db.ts'
import { Problem } from '../problem.ts'
import type { Seal } from '../seal.ts'
import { Secret } from '../secret.ts'
import { keyInProgress, keyReused } from './problems.ts'

/** An answer as it went to the caller. */
export type KeptAnswer = { readonly status: number; readonly body: string }

/** Which write it is: the same key, by the same caller, for the same bytes. */
type KeyedRequest = { readonly callerId: string; readonly key: string; readonly requestSha256: Buffer }

/** Answers a repeated write with the first one's answer (the IETF draft on Idempotency-Key), for a day. */
export type Idempotency = {
  /**
   * Runs `answer` once per key. A repeat gets what was kept; another request under the key, or a repeat while the first has no answer, is a
   * problem. `problemAnswer` says how a problem looks to the caller.
   */
  once(
    request: KeyedRequest,
    answer: () => Promise<KeptAnswer>,
    problemAnswer: (problem: Problem) => KeptAnswer,
  ): Promise<KeptAnswer & { readonly isReplay: boolean }>
  /** Forgets what is older than a day; returns how many. */
  prune(): Promise<number>
}

const KEPT_SECONDS = 86_400
/** No request of ours runs longer; a row without an answer after that is of a process that died. */
const LONGEST_RUN_SECONDS = 120

export function openIdempotency(db: Db, needs: { clock: Clock; seal: Seal }): Idempotency {
  const store = { db, ...needs }
  return {
    async once(request, answer, problemAnswer) {
      if (!(await claim(store, request))) return { ...(await replay(store, request)), isReplay: true }
      try {
        const kept = await answer()
        await keep(store, request, kept)
        return { ...kept, isReplay: false }
      } catch (error) {
        // A problem means that the command's transaction did not commit. Any other error may have come after the commit: the row stays open,
        // and a repeat is told that the outcome is unknown rather than run a second time.
        if (!(error instanceof Problem)) throw error
        if (error.status >= 500 || error.status === 429) {
          await release(store, request)
          throw error
        }
        const kept = problemAnswer(error)
        await keep(store, request, kept)
        return { ...kept, isReplay: false }
      }
    },
    prune: () =>
      transact(db, async (tx) => {
        const before = secondsAfter(needs.clock.now(), -KEPT_SECONDS)
        const gone = await tx.deleteFrom('idempotency').where('createdAt', '<', before).executeTakeFirst()
        return Number(gone.numDeletedRows)
      }),
  }
}

type Store = { readonly db: Db; readonly clock: Clock; readonly seal: Seal }

/** The row is the right to run: of several at once, one inserts it. */
function claim({ db, clock }: Store, { callerId, key, requestSha256 }: KeyedRequest): Promise<boolean> {
  return transact(db, async (tx) => {
    const made = await tx
      .insertInto('idempotency')
      .values({ callerId, key, requestSha256, createdAt: clock.now() })
      .onConflict((conflict) => conflict.columns(['callerId', 'key']).doNothing())
      .executeTakeFirst()
    return made.numInsertedOrUpdatedRows === 1n
  })
}

async function replay({ db, clock, seal }: Store, { callerId, key, requestSha256 }: KeyedRequest): Promise<KeptAnswer> {
  const row = await db
    .selectFrom('idempotency')
    .select(['requestSha256', 'status', 'sealedBody', 'createdAt'])
    .where('callerId', '=', callerId)
    .where('key', '=', key)
    .executeTakeFirst()
  // Released or pruned between the two statements: the caller may come again.
  if (!row) throw keyInProgress('Send the request again.', { outcome: 'running' })
  if (!row.requestSha256.equals(requestSha256)) {
    throw keyReused('Use a new Idempotency-Key for another request.', {})
  }
  if (row.status === null || row.sealedBody === null) {
    if (secondsAfter(row.createdAt, LONGEST_RUN_SECONDS) > clock.now()) {
      throw keyInProgress('The first request still runs; send it again in a moment.', { outcome: 'running' })
    }
    throw keyInProgress('Nobody knows how the first request ended: look at its subject before using a new key.', {
      outcome: 'unknown',
    })
  }
  const body = seal.open(row.sealedBody, placeOf(callerId, key)).reveal().toString('utf8')
  return { status: row.status, body }
}

function keep({ db, seal }: Store, { callerId, key }: KeyedRequest, { status, body }: KeptAnswer): Promise<void> {
  const sealedBody = seal.seal(new Secret(body), placeOf(callerId, key))
  return transact(db, async (tx) => {
    await tx
      .updateTable('idempotency')
      .set({ status, sealedBody })
      .where('callerId', '=', callerId)
      .where('key', '=', key)
      .where('status', 'is', null)
      .execute()
  })
}

function release({ db }: Store, { callerId, key }: KeyedRequest): Promise<void> {
  return transact(db, async (tx) => {
    await tx.deleteFrom('idempotency').where('callerId', '=', callerId).where('key', '=', key).execute()
  })
}

function placeOf(callerId: string, key: string): string {
  return `idempotency.sealed_body:${callerId}:${key}`
}
