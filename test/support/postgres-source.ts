import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { Bed } from '../../src/connectors/conformance.fixture.ts'
import { postgresConnector } from '../../src/connectors/postgres/connector.ts'
import { clientConfig } from '../../src/kernel/db.ts'
import { Secret } from '../../src/kernel/secret.ts'
import type { Cluster } from './cluster.ts'

/** The login that a bed reads with. */
const READER = 'reeve_reader'
const MD5_ROLE = 'old_job'

export async function asSuperuser<T>(
  cluster: Cluster,
  work: (client: pg.Client) => Promise<T>,
  database = 'postgres',
): Promise<T> {
  const client = new pg.Client(clientConfig(cluster.connection(undefined, undefined, database)))
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** An estate in a real cluster: roles that own, inherit and pass on, and a login that may see nearly all of it. */
export async function postgresBed(cluster: Cluster): Promise<Bed> {
  const password = randomBytes(12).toString('hex')
  const others = randomBytes(12).toString('hex')
  await asSuperuser(cluster, async (client) => {
    const { rowCount } = await client.query('select from pg_roles where rolname = $1', [READER])
    if (rowCount === 0) {
      await client.query(`create role ${READER} login`)
      await client.query(`create database shop`)
      await client.query(`create database hidden`)
      await client.query(`revoke connect on database hidden from public`)
      await client.query(
        `create role readers; create role app_owner; create role svc_billing login; create role ${MD5_ROLE} login valid until '2020-01-01'`,
      )
      await client.query(`comment on role svc_billing is 'owner: payments'`)
    }
    await client.query(`alter role ${READER} password '${password}'; alter role svc_billing password '${others}'`)
    await client.query(`set password_encryption = 'md5'; alter role ${MD5_ROLE} password '${others}'`)
    await client.query(
      `grant select on pg_authid, pg_hba_file_rules to ${READER}; grant execute on function pg_hba_file_rules() to ${READER}`,
    )
    await client.query(`grant pg_read_all_stats to ${READER}`)
    await client.query(`grant readers to svc_billing with admin option`)
  })
  await asSuperuser(
    cluster,
    async (client) => {
      await client.query(`
        create schema if not exists sales authorization app_owner;
        create table if not exists sales.orders (id int, card text);
        alter table sales.orders owner to app_owner;
        grant select on sales.orders to readers; grant select (id), update (card) on sales.orders to svc_billing with grant option;
        alter default privileges for role app_owner in schema sales grant select on tables to readers;
        create or replace function sales.refund() returns int language sql security definer as 'select 1'`)
    },
    'shop',
  )
  return {
    connector: postgresConnector,
    settings: { host: cluster.host, port: cluster.port, database: 'postgres', tls: { mode: 'disable' } },
    credential: { user: READER, password },
    whole: [
      'cluster/roles',
      'cluster/memberships',
      'cluster/databases',
      'cluster/passwords',
      'cluster/hba',
      'cluster/activity',
    ],
    async lose() {
      await asSuperuser(cluster, (client) => client.query(`revoke readers from svc_billing`))
      return 'cluster/memberships'
    },
    async deny() {
      await asSuperuser(cluster, (client) =>
        client.query(`revoke select on pg_authid, pg_hba_file_rules from ${READER}`),
      )
      return ['cluster/passwords', 'cluster/hba']
    },
    async plant() {
      const names = ['\u001b[31mred', '=1+1', 'line\nfeed', 'quote"d', '\u202eltr']
      await asSuperuser(cluster, async (client) => {
        for (const name of names) {
          const { rowCount } = await client.query('select from pg_roles where rolname = $1', [`planted ${name}`])
          if (rowCount === 0) await client.query(`create role ${pg.escapeIdentifier(`planted ${name}`)}`)
        }
      })
      return { table: 'observed_principal', count: names.length, like: 'planted %' }
    },
    secrets: [password, others, 'SCRAM-SHA-256$'],
  }
}

/** A login without any right beyond being one. */
export async function plainLogin(cluster: Cluster, name: string): Promise<{ user: string; password: Secret }> {
  const password = new Secret(randomBytes(12).toString('hex'))
  await asSuperuser(cluster, (client) => client.query(`create role ${name} login password '${password.reveal()}'`))
  return { user: name, password }
}
