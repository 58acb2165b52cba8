/** Database roles as leases are made, beside a bare `CREATE ROLE … PASSWORD` on a connection that stays open, in interleaved rounds. */
import pg from 'pg'
import { postgresRoleWriter } from '../../src/credentials/postgres/writer.ts'
import { newId, systemRandom } from '../../src/kernel/random.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { startCluster } from '../../test/support/cluster.ts'
import { furnish, PROVISIONER, PROVISIONER_PASSWORD } from '../../test/support/lease-world.ts'

const ROUNDS = 5
const DURABLE = { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }
const never = new AbortController().signal

/** Roles a second, the middle of the rounds. */
export type Roles = { readonly bare: number; readonly lease: number }

export async function measureRoles(each: number): Promise<Roles> {
  await using cluster = await startCluster({ settings: DURABLE })
  await furnish(cluster, 'createrole')
  const { host, port } = cluster
  const provisioner = { user: PROVISIONER, secret: new Secret(PROVISIONER_PASSWORD) }
  const client = new pg.Client({ host, port, user: PROVISIONER, password: PROVISIONER_PASSWORD, database: 'postgres' })
  await client.connect()
  const settings = { host, port, database: 'postgres', tls: { mode: 'disable' } }
  const site = { target: 'bench', settings, provisioner }
  const terms = { account: 'app', roles: ['writer'], databases: [], connections: 4 }
  const yes = { isWanted: () => Promise.resolve(true), keep: () => Promise.resolve(true) }
  let made = 0
  const bare = () => client.query(`create role bare_${(made += 1)} login password 'as-long-as-a-real-one-${made}'`)
  const lease = () => {
    const id = newId(systemClock, systemRandom)
    const whole = { ...terms, validUntil: new Date(Date.now() + 3_600_000) }
    const planned = postgresRoleWriter.plan(systemRandom, { leaseId: id, grantId: id, terms: whole, settings })
    const { principal, secret = new Secret('') } = planned
    const written = { id, principal, secret, terms: whole, details: undefined, issuedAt: null }
    return postgresRoleWriter.apply(site, written, yes, never)
  }
  const rounds: Roles[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    rounds.push({ bare: await rate(each, bare), lease: await rate(each, lease) })
  }
  await client.end()
  const middle = (of: keyof Roles) => rounds.map((round) => round[of]).toSorted((a, b) => a - b)[ROUNDS >> 1] ?? 0
  return { bare: middle('bare'), lease: middle('lease') }
}

async function rate(count: number, work: () => Promise<unknown>): Promise<number> {
  const from = performance.now()
  for (let at = 0; at < count; at += 1) await work()
  return (count * 1000) / (performance.now() - from)
}
