import { sweepAccess, sweepUses, weighPending, type AccessNeeds, type Ends } from '../access/access.ts'
import { closeUsesOfExpired, closeUsesOfIssued, type Obligations } from '../credentials/credentials.ts'
import { evaluateFindingsWhenDue, sweepReach } from '../governance/governance.ts'
import { suspendExpired, type IdentityNeeds } from '../identities/identities.ts'
import { collectDue, type InventoryNeeds } from '../inventory/inventory.ts'
import { transact, type Connection, type Db } from '../kernel/db.ts'
import { runJobs } from '../kernel/jobs.ts'
import type { Log } from '../kernel/log.ts'
import type { RunningNode } from '../kernel/nodes.ts'
import { every } from '../kernel/timer.ts'
import { sweepLoginSessions, type LoginNeeds } from '../login/login.ts'
import type { LiveSessions } from '../sessions/sessions.ts'
import { tellAnswered } from '../tokens/tokens.ts'
import { followInventory } from './graph.ts'
import { END_LEASES_JOB } from './hooks.ts'

export type WorkNeeds = {
  readonly db: Db
  readonly connection: Connection
  readonly log: Log
  readonly node: RunningNode
  readonly ends: Ends
  readonly access: AccessNeeds
  readonly identities: IdentityNeeds
  readonly sessions: LiveSessions
  readonly login: Pick<LoginNeeds, 'clock' | 'ledger' | 'db' | 'seal' | 'egress' | 'log'>
  readonly obligations: Obligations
  readonly inventory: InventoryNeeds
}

const ACCESS_MS = 1_000
const SESSIONS_MS = 5_000
const LOGINS_MS = 10_000
const IDENTITIES_MS = 60_000
const REACH_MS = 5_000
const SOURCES_MS = 30_000
const FINDINGS_MS = 20_000
const GRAPH_MS = 10_000
const REVIEWS_MS = 2_000
const ANSWERS_MS = 1_000

/** What makes true in the rows what time has decided, and what jobs wake. Every worker runs it; rows that one holds are left by the others. */
export async function startWork(needs: WorkNeeds): Promise<AsyncDisposable> {
  const { db, log, node, ends, access, identities, sessions, obligations, inventory } = needs
  const jobs = await runJobs({
    connection: needs.connection,
    tasks: { [END_LEASES_JOB]: async () => obligations.wake() },
    log,
    onPool: (pool) => node.nameWorkerPool(pool),
  })
  const stopping = new AbortController()
  const timers = [
    repeat('grants and requests', ACCESS_MS, log, async () => {
      for (let isMore = true; isMore;) {
        const swept = await sweepAccess(db, access)
        for (const ended of swept.ended) ends.announceEnd(ended)
        isMore = swept.isMore
      }
    }),
    repeat('sessions and uses that nobody has any more', SESSIONS_MS, log, async () => {
      await sessions.sweep()
      for (const ended of await sweepUses(db, access, node.id)) ends.announceEnd(ended)
      for (const ended of await closeUsesOfExpired(db, access)) ends.announceEnd(ended)
      for (const ended of await closeUsesOfIssued(db, access)) ends.announceEnd(ended)
    }),
    repeat('logins that are over', LOGINS_MS, log, async () => {
      for (let isMore = true; isMore;) isMore = (await transact(db, (tx) => sweepLoginSessions(tx, needs.login))) > 0
    }),
    repeat('answers that clients are told of', ANSWERS_MS, log, () => tellAnswered(needs.login, stopping.signal)),
    repeat('what waits for approval', REVIEWS_MS, log, async () => void (await weighPending(db, access))),
    repeat('what identities reach', REACH_MS, log, async () => {
      for (let isMore = true; isMore;) isMore = await sweepReach(db, access)
    }),
    repeat(
      'sources that are due',
      SOURCES_MS,
      log,
      async () => void (await collectDue(db, inventory, stopping.signal)),
    ),
    repeat('what the inventory comes to', GRAPH_MS, log, () =>
      followInventory(db, needs.connection, inventory, stopping.signal),
    ),
    repeat('findings', FINDINGS_MS, log, () => evaluateFindingsWhenDue(db, inventory, stopping.signal)),
    repeat('identities past their expiry', IDENTITIES_MS, log, async () => void (await suspendExpired(db, identities))),
  ]
  return {
    async [Symbol.asyncDispose]() {
      stopping.abort(new Error('this node stops'))
      await Promise.all(timers.map((timer) => timer[Symbol.asyncDispose]()))
      await jobs[Symbol.asyncDispose]()
    },
  }
}

/** Runs `work` every `ms`, never twice at once; a failure is logged and tried again the next time. */
function repeat(what: string, ms: number, log: Log, work: () => Promise<void>): AsyncDisposable {
  let running: Promise<void> | undefined
  const timer = every(ms, () => {
    running ??= work()
      .catch((error: unknown) => log.warn({ err: error }, `the sweep of ${what} failed and is tried again`))
      .finally(() => {
        running = undefined
      })
  })
  return {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      await running
    },
  }
}
