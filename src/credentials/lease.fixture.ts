import { after, before } from 'node:test'
import { startCluster, type Cluster } from '../../test/support/cluster.ts'
import { freshDatabase, type TestDatabase } from '../../test/support/database.ts'
import {
  closers,
  credentialNeeds,
  furnish,
  movableClock,
  world,
  type FixtureClock,
  type World,
} from '../../test/support/lease-world.ts'
import { systemClock } from '../kernel/clock.ts'
import { transact } from '../kernel/db.ts'
import { newId, systemRandom } from '../kernel/random.ts'
import type { CredentialNeeds } from './needs.ts'
import { postgresRoleWriter } from './postgres/writer.ts'
import type { LeaseWriter } from './writer.ts'

export const never = new AbortController().signal

/** A server to make leases at and a database that remembers them, one of each for a whole file of tests. */
export type LeaseSite = {
  readonly cluster: Cluster
  readonly home: TestDatabase
  /** A target of its own with a clock of its own. */
  setting(writer?: LeaseWriter, settings?: object): Promise<Setting>
  /** A process that was last heard of then. */
  node(heartbeatAt: Date): Promise<string>
  /** The one lease of a grant. */
  rowOf(grantId: string): ReturnType<typeof leaseOf>
}

type Setting = { readonly clock: FixtureClock; readonly needs: CredentialNeeds; readonly here: World }

/** Called once, outside of the tests: what it opens is closed behind the last one. */
export function leaseSite(provisioner: 'superuser' | 'createrole'): LeaseSite {
  const closing = closers()
  let opened: Pick<LeaseSite, 'cluster' | 'home'> | undefined
  before(async () => {
    const cluster = await startCluster()
    closing.after(() => cluster[Symbol.asyncDispose]())
    await furnish(cluster, provisioner)
    opened = { cluster, home: await freshDatabase(closing) }
  })
  after(() => closing.close())
  const site = () => {
    if (!opened) throw new Error('the site is opened before the first test')
    return opened
  }
  return {
    get cluster() {
      return site().cluster
    },
    get home() {
      return site().home
    },
    async setting(writer = postgresRoleWriter, settings = {}) {
      const clock = movableClock()
      const needs = { ...credentialNeeds(clock), writers: [writer] }
      const { cluster, home } = site()
      return { clock, needs, here: await world(home.db, needs, cluster, settings) }
    },
    async node(heartbeatAt) {
      const id = newId(systemClock, systemRandom)
      const row = { id, name: 'other', version: '0', roles: [], startedAt: heartbeatAt, heartbeatAt, clockOffsetMs: 0 }
      await transact(site().home.db, (tx) => tx.insertInto('node').values(row).execute())
      return id
    },
    rowOf: (grantId) => leaseOf(site().home, grantId),
  }
}

function leaseOf({ db }: TestDatabase, grantId: string) {
  return db.selectFrom('lease').selectAll().where('grantId', '=', grantId).executeTakeFirstOrThrow()
}
