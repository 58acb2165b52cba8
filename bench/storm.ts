/**
 * A revocation storm: leases of one PostgreSQL whose grants all end while it is down, until the last is proven dead after its return. Roles are
 * made as for any grant, by a provisioner that is no superuser; the worker runs throughout and learns of the return by itself. In a second
 * round, with fewer, the same worker ends them one by one. Both servers and the worker share the machine.
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { leaseFor, runObligations, type CredentialNeeds } from '../src/credentials/credentials.ts'
import { postgresRoleWriter } from '../src/credentials/postgres/writer.ts'
import type { LeaseWriter } from '../src/credentials/writer.ts'
import { systemClock } from '../src/kernel/clock.ts'
import type { Db } from '../src/kernel/db.ts'
import { sleep } from '../src/kernel/timer.ts'
import { startCluster, type Cluster } from '../test/support/cluster.ts'
import { freshDatabase } from '../test/support/database.ts'
import { credentialNeeds, furnish, leaseRoles, world } from '../test/support/lease-world.ts'
import { globalSetup, globalTeardown } from '../test/support/setup.ts'

const AT_ONCE = 32
const LOOK_MS = 100
/** The round in which they are ended one by one is short: fewer of them, and down for less. */
const SINGLE = 100
const SINGLE_DOWN_SECONDS = 5
const never = new AbortController().signal
const DURABLE = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', max_connections: '200' }

type Storm = {
  readonly leases: number
  readonly secondsToMake: number
  readonly secondsToDeath: number
  /** Whose own login was tried and refused; for the others of a batch that is inferred. */
  readonly tried: number
  /** Load of the machine at the end, over a minute: nearly all of it is this. */
  readonly loadAfter: number
}

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: { leases: { type: 'string', default: '500' }, down: { type: 'string', default: '5' } },
  })
  const load = loadavg()[0] ?? 0
  const [leases, downSeconds] = [Number(values.leases), Number(values.down)]
  await globalSetup()
  try {
    const together = await storm(postgresRoleWriter, leases, downSeconds)
    const single = await storm(oneByOne(), Math.min(leases, SINGLE), Math.min(downSeconds, SINGLE_DOWN_SECONDS))
    report({ load, downSeconds, together, single })
  } finally {
    await globalTeardown()
  }
}

/** The same writer without its way of ending many. */
function oneByOne(): LeaseWriter {
  const { kind, protocol, capability, needsSite } = postgresRoleWriter
  return {
    kind,
    protocol,
    capability,
    needsSite,
    plan: (...given) => postgresRoleWriter.plan(...given),
    apply: (...given) => postgresRoleWriter.apply(...given),
    end: (...given) => postgresRoleWriter.end(...given),
    verify: (...given) => postgresRoleWriter.verify(...given),
  }
}

async function storm(writer: LeaseWriter, leases: number, downSeconds: number): Promise<Storm> {
  await using stack = new AsyncDisposableStack()
  const t = { after: (close: () => unknown) => stack.defer(async () => void (await close())) }
  const cluster = stack.use(await startCluster({ settings: DURABLE }))
  await furnish(cluster, 'createrole')
  const { db } = await freshDatabase(t)
  const needs: CredentialNeeds = { ...credentialNeeds(systemClock), writers: [writer] }
  const here = await world(db, needs, cluster)
  const from = performance.now()
  const grants: string[] = []
  const make = async () => {
    const grant = await here.grant({ actions: ['postgres.write'] })
    await leaseFor(db, needs, grant, never)
    grants.push(grant.id)
  }
  // The account is made with the first.
  await make()
  await inParallel(leases - 1, make)
  const secondsToMake = (performance.now() - from) / 1000
  await cluster.stop()
  const stop = new AbortController()
  const worker = runObligations(db, needs, stop.signal)
  const left = [...grants]
  await inParallel(leases, async () => here.endGrant(left.pop() ?? ''))
  await sleep(downSeconds * 1000)
  const secondsToDeath = await untilDead(db, cluster)
  const [{ tried } = { tried: 0 }] = (
    await sql<{ tried: number }>`select count(*)::int as tried from lease where evidence ? 'login'`.execute(db)
  ).rows
  stop.abort()
  await worker.done
  return { leases, secondsToMake, secondsToDeath, tried, loadAfter: loadavg()[0] ?? 0 }
}

/** Brings the target back; the seconds from then until nothing is left to end. */
async function untilDead(db: Db, cluster: Cluster): Promise<number> {
  await cluster.restart()
  const from = performance.now()
  for (;;) {
    const { rows } = await sql<{ open: number }>`
      select count(*)::int as open from lease where state <> 'dead'`.execute(db)
    if (rows[0]?.open === 0) break
    await sleep(LOOK_MS)
  }
  const seconds = (performance.now() - from) / 1000
  const roles = await leaseRoles(cluster)
  if (roles.length > 0) throw new Error(`${roles.length} roles of dead leases still stand at the target`)
  return seconds
}

async function inParallel(count: number, work: () => Promise<void>): Promise<void> {
  let left = count
  const worker = async () => {
    while (left > 0) {
      left -= 1
      await work()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

type Found = { readonly load: number; readonly downSeconds: number; readonly together: Storm; readonly single: Storm }

function report({ load, downSeconds, together, single }: Found): void {
  console.log(
    `${cpus().length} cores, load ${load.toFixed(1)}, target down for ${downSeconds} s after the last grant ended`,
  )
  for (const [how, { leases, secondsToMake, secondsToDeath, tried, loadAfter }] of Object.entries({
    together,
    single,
  })) {
    const perSecond = leases / secondsToDeath
    console.log(
      `${how.padEnd(9)} ${leases} leases proven dead ${secondsToDeath.toFixed(1)} s after its return (${perSecond.toFixed(0)}/s; the worker's pause is in it), ${tried} by their own login; made in ${secondsToMake.toFixed(0)} s; load then ${loadAfter.toFixed(1)}`,
    )
  }
  console.log('goal      10,000 within a minute of its return, after five minutes: --leases 10000 --down 300')
  console.log(`RESULT ${JSON.stringify({ bench: 'storm', cpus: cpus().length, load, downSeconds, together, single })}`)
}
