/**
 * Database roles as leases are made, beside a bare `CREATE ROLE … PASSWORD` on a connection that stays open, in interleaved rounds: by the writer
 * alone, one after another and 64 at the same time, and as a user meets it, announced and recorded in a database of ours. Once more beside many
 * leases that live already, since a server gets slower with them.
 */
import pg from 'pg'
import { leaseFor, type CredentialNeeds } from '../../src/credentials/credentials.ts'
import { postgresRoleWriter } from '../../src/credentials/postgres/writer.ts'
import { newId, systemRandom } from '../../src/kernel/random.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { startCluster } from '../../test/support/cluster.ts'
import { freshDatabase } from '../../test/support/database.ts'
import { credentialNeeds, furnish, PROVISIONER, PROVISIONER_PASSWORD, world } from '../../test/support/lease-world.ts'
import { globalSetup, globalTeardown } from '../../test/support/setup.ts'

const ROUNDS = 5
const AT_ONCE = 64
const DURABLE = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }
const never = new AbortController().signal

/** Roles a second, the middle of the rounds. */
export type Roles = {
  /** `CREATE ROLE … PASSWORD`, by the same provisioner. */
  readonly bare: number
  readonly single: number
  readonly together: number
  /** Whole leases, one after another and at the same time. */
  readonly lease: number
  readonly leases: number
}

export type RolesFound = { readonly few: Roles; readonly many: Roles; readonly standing: number }

export async function measureRoles(each: number, standing: number): Promise<RolesFound> {
  await globalSetup()
  await using stack = new AsyncDisposableStack()
  stack.defer(() => globalTeardown())
  const t = { after: (close: () => unknown) => stack.defer(async () => void (await close())) }
  const cluster = stack.use(await startCluster({ settings: DURABLE }))
  await furnish(cluster, 'createrole')
  const { db } = await freshDatabase(t)
  const needs: CredentialNeeds = credentialNeeds(systemClock)
  const here = await world(db, needs, cluster)
  const { host, port } = cluster
  const provisioner = { user: PROVISIONER, secret: new Secret(PROVISIONER_PASSWORD) }
  const client = new pg.Client({ host, port, user: PROVISIONER, password: PROVISIONER_PASSWORD, database: 'postgres' })
  await client.connect()
  stack.defer(() => client.end())
  const settings = { host, port, database: 'postgres', tls: { mode: 'disable' } }
  const site = { target: 'bench', settings, provisioner }
  const terms = { account: 'app', roles: ['writer'], databases: [], connections: 4 }
  const yes = { isWanted: () => Promise.resolve(true), keep: () => Promise.resolve(true) }
  let made = 0
  const bare = () => client.query(`create role bare_${(made += 1)} login password 'as-long-as-a-real-one-${made}'`)
  const role = () => {
    const id = newId(systemClock, systemRandom)
    const whole = { ...terms, validUntil: new Date(Date.now() + 3_600_000) }
    const planned = postgresRoleWriter.plan(systemRandom, { leaseId: id, grantId: id, terms: whole, settings })
    const { principal, secret = new Secret('') } = planned
    const written = { id, principal, secret, terms: whole, details: undefined, issuedAt: null }
    return postgresRoleWriter.apply(site, written, yes, never)
  }
  const measure = async (): Promise<Roles> => {
    const rounds: Roles[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const grants: Awaited<ReturnType<typeof here.grant>>[] = []
      for (let at = 0; at < each * 3; at += 1) grants.push(await here.grant({ actions: ['postgres.write'] }))
      const lease = async () => {
        const grant = grants.pop()
        if (grant) await leaseFor(db, needs, grant, never)
      }
      rounds.push({
        bare: await rate(each, 1, bare),
        single: await rate(each, 1, role),
        together: await rate(each * 8, AT_ONCE, role),
        lease: await rate(each, 1, lease),
        leases: await rate(each * 2, AT_ONCE, lease),
      })
    }
    const middle = (of: keyof Roles) => rounds.map((round) => round[of]).toSorted((a, b) => a - b)[ROUNDS >> 1] ?? 0
    return {
      bare: middle('bare'),
      single: middle('single'),
      together: middle('together'),
      lease: middle('lease'),
      leases: middle('leases'),
    }
  }
  const few = await measure()
  await rate(standing, AT_ONCE, role)
  return { few, many: await measure(), standing }
}

async function rate(count: number, atOnce: number, work: () => Promise<unknown>): Promise<number> {
  let left = count
  const from = performance.now()
  const worker = async () => {
    while (left > 0) {
      left -= 1
      await work()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return (count * 1000) / (performance.now() - from)
}
