import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, test, type TestContext } from 'node:test'
import pg from 'pg'
import * as encode from '../../src/gateways/postgres/wire/encode.ts'
import { startCluster, type Cluster } from './cluster.ts'
import { addLease, openGatewayBed, poolless, spoken, type GatewayBed, type RawClient } from './gateway.ts'

const debian = '/usr/lib/postgresql/15/bin'
const clusters: Cluster[] = []

/** Real servers under attack: the embedded PostgreSQL, and Debian's where there is one. */
before(async () => {
  clusters.push(await startCluster())
  if (existsSync(debian)) clusters.push(await startCluster({ binFolder: debian }))
  for (const cluster of clusters) {
    await addLease(cluster)
    await asAdmin(cluster, 'create table public.accounts (id int primary key, balance int)')
    await asAdmin(cluster, 'grant all on public.accounts to lease')
    await asAdmin(cluster, 'create role boss; grant boss to lease; create role other')
  }
})

after(async () => {
  for (const cluster of clusters) await cluster[Symbol.asyncDispose]()
})

/** As the superuser of the target. */
export async function asAdmin(cluster: Cluster, sql: string): Promise<Record<string, unknown>[]> {
  const admin = new pg.Client(poolless(cluster))
  await admin.connect()
  const { rows } = await admin.query(sql)
  await admin.end()
  return rows
}

export type Attack = {
  readonly bed: GatewayBed
  readonly cluster: Cluster
  readonly balances: () => Promise<unknown[]>
}

/** Runs an attack on every server, starting from one account with a balance of 100. */
export function attack(name: string, run: (attack: Attack, t: TestContext) => Promise<void>): void {
  test(name, async (t) => {
    assert.ok(clusters.length > 0)
    for (const cluster of clusters) {
      await asAdmin(cluster, 'truncate public.accounts')
      await asAdmin(cluster, 'insert into public.accounts values (1, 100)')
      const bed = await openGatewayBed(t, cluster)
      const balances = async () =>
        (await asAdmin(cluster, 'select balance from public.accounts order by id')).map(({ balance }) => balance)
      await run({ bed, cluster, balances }, t)
    }
  })
}

export const reads = { actions: ['postgres.read'] }
export const changes = { actions: ['postgres.read', 'postgres.write'] }
export const HALF = 'update public.accounts set balance = 0'
export const BEYOND = 'grant all on public.accounts to public'

/** The unnamed statement, run once. */
export function unnamed(sql: string): Buffer[] {
  return [encode.parse('', sql), bind('', ''), execute('')]
}

export function bind(portal: string, statement: string, ...values: string[]): Buffer {
  const parts = values.map((value) => Buffer.concat([encode.int32(Buffer.byteLength(value)), Buffer.from(value)]))
  const head = [encode.cstring(portal), encode.cstring(statement), Buffer.from([0, 0, 0, values.length])]
  return encode.frame('B', ...head, ...parts, Buffer.from([0, 0]))
}

export function execute(portal: string): Buffer {
  return encode.frame('E', encode.cstring(portal), encode.int32(0))
}

/** The answer to one round, up to its ReadyForQuery. */
export async function round(raw: RawClient, ...frames: Buffer[]): Promise<string> {
  raw.send(...frames)
  return spoken(await raw.next('Z'))
}
