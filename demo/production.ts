import { join } from 'node:path'
import pg from 'pg'
import { openAuthority } from '../src/kernel/ca.ts'
import { systemClock } from '../src/kernel/clock.ts'
import { clientConfig } from '../src/kernel/db.ts'
import { systemRandom } from '../src/kernel/random.ts'
import { Secret } from '../src/kernel/secret.ts'
import { startCluster, type Cluster } from '../test/support/cluster.ts'

/** A PostgreSQL with a past: what a company's production looks like before anybody governs it. */
export type Production = AsyncDisposable & {
  readonly cluster: Cluster
  readonly authority: string
  readonly provisioner: { readonly user: string; readonly password: string }
}

const ORDERS = 200_000

/** Starts it with TLS, history and data. The provisioner may make roles and hand on three group roles, and nothing else. */
export async function startProduction(
  folder: string,
  { orders = ORDERS, binFolder }: { readonly orders?: number; readonly binFolder?: string } = {},
): Promise<Production> {
  const needs = { clock: systemClock, random: systemRandom }
  const authority = await openAuthority(join(folder, 'production-ca'), needs)
  const { key, cert } = await authority.issueServer(['127.0.0.1', 'localhost'])
  const cluster = await startCluster({
    tls: { key: key.reveal(), cert },
    ...(binFolder !== undefined && { binFolder }),
  })
  const password = systemRandom.bytes(18).toString('base64url')
  await inDatabase(cluster, 'postgres', `create database shop`)
  await inDatabase(cluster, 'shop', history(password, orders))
  return {
    cluster,
    authority: authority.certificate,
    provisioner: { user: 'reeve_provisioner', password },
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  }
}

/** Roles as somebody looks at the cluster itself, past Reeve. */
export async function rolesLike(cluster: Cluster, pattern: string): Promise<string[]> {
  const client = new pg.Client(clientConfig(cluster.connection()))
  await client.connect()
  try {
    const { rows } = await client.query<{ rolname: string }>('select rolname from pg_roles where rolname ~ $1', [
      pattern,
    ])
    return rows.map(({ rolname }) => rolname)
  } finally {
    await client.end()
  }
}

async function inDatabase(cluster: Cluster, database: string, sql: string): Promise<void> {
  const client = new pg.Client(clientConfig({ ...cluster.connection(), database }))
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

function history(provisionerPassword: string, orders: number): string {
  const password = () => new Secret(systemRandom.bytes(12).toString('base64url')).reveal()
  return `
    create role shop_reader nologin;
    create role shop_writer nologin;
    create role shop_owner nologin;
    create role svc_batch login superuser password '${password()}';
    comment on role svc_batch is 'made 2019 for the nightly job; owner left';
    create role automation login createrole password '${password()}' in role shop_writer;
    comment on role automation is 'shared by three pipelines';
    create role reports_legacy login password '${password()}' in role shop_reader;
    create role dana_tmp login password '${password()}' valid until '2021-01-31' in role shop_writer;
    grant shop_reader to shop_writer;
    grant shop_writer to shop_owner;
    create schema shop authorization shop_owner;
    set role shop_owner;
    create table shop.orders (id bigint primary key, customer text not null, amount numeric(10,2) not null, placed_at timestamptz not null);
    insert into shop.orders
      select n, 'customer-' || n % 5000, (n % 9000) / 100.0, timestamptz '2026-01-01' + n * interval '1 minute'
        from generate_series(1, ${orders}) n;
    grant usage on schema shop to shop_reader;
    grant select on all tables in schema shop to shop_reader;
    alter default privileges in schema shop grant select on tables to shop_reader;
    grant insert, update, delete on all tables in schema shop to shop_writer;
    reset role;
    create role reeve_provisioner login createrole password '${provisionerPassword}';
    grant shop_reader, shop_writer, shop_owner to reeve_provisioner with admin option;
    grant pg_signal_backend to reeve_provisioner with admin option;`
}
