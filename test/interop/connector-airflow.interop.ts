/** Airflow itself, with both auth managers that it comes with: its own simple one, and that of Flask AppBuilder. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { z } from 'zod'
import { airflowConnector } from '../../src/connectors/airflow/connector.ts'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { FindingQuery } from '../../src/governance/findings/contract.ts'
import { evaluateFindings } from '../../src/governance/findings/evaluate.ts'
import { listFindings } from '../../src/governance/findings/lists.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { startAirflow, type AirflowPeer } from './peers/airflow.ts'

const HIDDEN = 'a-password-that-is-hidden-4711'
const SHARED = 'a-password-in-two-addresses-4712'
const KEY = 'a-key-that-nobody-hides-4713'
const VALUE = 'what-a-harmless-variable-holds-4714'
const NESTED = 'a-secret-within-a-variable-4715'
const READER = 'of-the-reader-4716'
const WHOLE = ['connections', 'variables', 'dags', 'references', 'people', 'runs', 'task-runs', 'audit-log']

const SHOP = `
from datetime import datetime
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseHook, Variable

def use():
    # get_connection("in-a-comment")
    BaseHook.get_connection("warehouse")
    Variable.get("region", default="nowhere")

with DAG("orders", start_date=datetime(2026, 1, 1), schedule=None, tags=["team:payments", "nightly"],
         default_args={"owner": "alice", "pool_conn_id": "from-settings"}, is_paused_upon_creation=False):
    SQLExecuteQueryOperator(task_id="load", conn_id="lake", sql="select '{{ conn.reports.host }}'")
    PythonOperator(task_id="use", python_callable=use)

with DAG("refunds", start_date=datetime(2026, 1, 1), schedule="0 3 * * *", is_paused_upon_creation=True):
    SQLExecuteQueryOperator(task_id="load", conn_id="ware" + "house", sql="select 1")
`
const LAKE = `
from datetime import datetime
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG

NAME = "".join(["la", "ke"])
with DAG("computed", start_date=datetime(2026, 1, 1), schedule=None, is_paused_upon_creation=False):
    SQLExecuteQueryOperator(task_id="load", conn_id=NAME, sql="select 1")
`
const BROKEN = 'from airflow import dag_that_is_not_there\n'

const ends: (() => void)[] = []
const t = { after: (end: () => void) => void ends.push(end) }
let fab: AirflowPeer
let made = 0

before(async () => {
  fab = await startAirflow(t, { auth: 'fab', dags: { 'shop.py': SHOP, 'lake.py': LAKE, 'broken.py': BROKEN } })
  await fab.parse()
  await furnish(fab)
  await fab.runs(['orders', 'computed'])
})
after(() => {
  for (const end of ends.toReversed()) end()
})

const Keys = z.object({ variables: z.array(z.object({ key: z.string() })) })

/** What stands in the deployment, as it was at the beginning. */
async function furnish(peer: AirflowPeer): Promise<void> {
  const { variables } = Keys.parse(await peer.api('GET', '/api/v2/variables?limit=100'))
  for (const { key } of variables) await peer.api('DELETE', `/api/v2/variables/${encodeURIComponent(key)}`)
  const connections = [
    {
      connection_id: 'warehouse',
      conn_type: 'postgres',
      host: 'db.example',
      login: 'loader',
      password: HIDDEN,
      port: 5432,
    },
    { connection_id: 'lake', conn_type: 'sqlite', host: ':memory:' },
    {
      connection_id: 'reports',
      conn_type: 'http',
      host: `https://robot:${SHARED}@reports.example`,
      description: 'of alice',
    },
    {
      connection_id: 'archive',
      conn_type: 'generic',
      extra: JSON.stringify({ queue_of_old: `amqp://robot:${SHARED}@old.example`, region: 'eu' }),
    },
    {
      connection_id: 'cloud',
      conn_type: 'aws',
      login: 'AKIAIOSFODNN7EXAMPLE',
      password: HIDDEN,
      extra: JSON.stringify({ signing_key: KEY }),
    },
    { connection_id: 'gone-soon', conn_type: 'http', host: 'https://gone.example' },
  ]
  const actions = connections.map((entity) => entity)
  const body = { actions: [{ action: 'create', entities: actions, action_on_existence: 'overwrite' }] }
  await peer.api('PATCH', '/api/v2/connections', body)
  const values: Readonly<Record<string, string>> = {
    region: VALUE,
    api_token: HIDDEN,
    settings: JSON.stringify({ credential_of_queue: NESTED, url: 'https://queue.example' }),
  }
  for (const [key, value] of Object.entries(values)) await peer.api('POST', '/api/v2/variables', { key, value })
}

/** Exactly what the page says. */
const READS = [
  'Connections',
  'Variables',
  'DAGs',
  'DAG Code',
  'DAG Runs',
  'Task Instances',
  'ImportError',
  'Audit Logs',
  'Users',
  'Roles',
]

type World = Bed & { readonly may: (reads: readonly string[]) => Promise<void> }

async function bed(): Promise<World> {
  await furnish(fab)
  made += 1
  const name = `reader-${made}`
  const actions = (reads: readonly string[]) =>
    reads.map((resource) => ({ action: { name: 'can_read' }, resource: { name: resource } }))
  await fab.api('POST', '/auth/fab/v1/roles', { name, actions: actions(READS) })
  await fab.api('POST', '/auth/fab/v1/users', {
    username: name,
    email: `${name}@company.example`,
    first_name: 'A',
    last_name: 'Reader',
    roles: [{ name }],
    password: READER,
  })
  const may = async (reads: readonly string[]) =>
    void (await fab.api('PATCH', `/auth/fab/v1/roles/${name}`, { name, actions: actions(reads) }))
  return {
    may,
    connector: airflowConnector,
    settings: { url: fab.url, runsSeeAll: true },
    credential: { username: name, password: READER },
    whole: WHOLE,
    secrets: [HIDDEN, SHARED, KEY, VALUE, NESTED, READER],
    async lose() {
      await fab.api('DELETE', '/api/v2/connections/gone-soon')
      return 'connections'
    },
    async deny() {
      await may(READS.filter((read) => read !== 'Connections' && read !== 'Users'))
      return ['connections', 'people']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', '\u202egnp', '../../users', 'a/b?c#d', 'x'.repeat(200)]
      for (const key of names) await fab.api('POST', '/api/v2/variables', { key: `hostile ${key}`, value: 'eu' })
      return { table: 'observed_resource', count: names.length, like: 'hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over Airflow: ${story}`, async (context) => run(context, await bed()))
}

test('a deployment is told: what it logs in with, which DAG does, what ran, who may what', async (context) => {
  const b = await bed()
  const i = await inventoryWorld(context)
  // Runs are of the present, and are read once they are half a minute old.
  i.w.clock.advance((Date.now() - i.w.clock.now().getTime()) / 1000 + 120)
  const id = await i.source(b.connector, b.settings, b.credential && { credential: b.credential })
  const { scopes } = await i.collect(id)
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}\n${rows.filter((row) => row.startsWith(table)).join('\n')}`,
    )
  const of = (scope: string) => scopes.find((each) => each.scope === scope)

  assert.deepEqual(
    scopes.map(({ scope, status }) => [scope, status]),
    WHOLE.map((scope) => [scope, 'complete']),
  )
  assert.deepEqual(of('dags')?.missing, [{ what: 'DAGs of broken.py', why: 'Airflow could not read the file' }])
  assert.match(of('connections')?.missing[0]?.why ?? '', /three stars/)
  has('observed_principal', 'warehouse', 'account', 'loader@db.example')
  has('observed_credential', 'warehouse', 'password', 'masked')
  has('observed_credential', 'lake', 'none')
  has('observed_credential', 'cloud', 'key-id:AKIAIOSFODNN7EXAMPLE')
  has('observed_principal', 'reports', 'https://reports.example')
  has('observed_credential', 'api_token', 'stored-secret')
  has('observed_credential', 'settings', 'stored-secret', 'settings credential_of_queue')
  has('observed_resource', 'variable', 'region')
  has('observed_principal', 'orders', 'workload', 'payments', 'alice', 'active')
  has('observed_principal', 'refunds', 'workload', '0 3 * * *', 'disabled')
  has('observed_reference', 'shop.py:9', 'connection warehouse')
  has('observed_reference', 'connection reports')
  has('observed_reference', 'connection from-settings')
  has('observed_reference', 'variable region')
  has('observed_reference', 'task load', 'connection lake', 'computed', 'runtime')
  has('observed_principal', 'admin', 'Ada Min', 'admin@company.example')
  has('observed_grant', 'changes users, roles or permissions', 'Admin')
  has('observed_grant', 'can_read on Connections', 'reader-')
  has('observed_usage', 'run: manual')
  has('observed_usage', 'bulk_connections')
  assert.ok(!rows.some((row) => row.includes('in-a-comment')))
  // A use is of the connection, by the DAG; and of the DAG, by whoever started it.
  const { rows: uses } = await sql<{ subject: string; actor: string }>`
    select distinct coalesce(c.name, p.name) as subject, a.name as actor from observed_usage u
      left join observed_credential c on c.id = u.subject_id left join observed_principal p on p.id = u.subject_id
      join observed_principal a on a.id = u.actor_id order by 1, 2`.execute(i.w.db)
  assert.deepEqual(uses, [
    { subject: 'computed', actor: 'admin' },
    { subject: 'lake', actor: 'computed' },
    { subject: 'lake', actor: 'orders' },
    { subject: 'orders', actor: 'admin' },
  ])
  assert.equal(await i.count('usage_window', `sees = 'every-use'`), 3)
  // What Airflow shows is recognised by the fingerprint that the value has anywhere else; what it hides is not known.
  const holding = async (secret: string) => {
    const { keyId, value } = i.needs.fingerprints.of(new Secret(secret))
    return i.count('observed_credential', `'hmac-sha256:${keyId}:${value}' = any (fingerprints)`)
  }
  assert.deepEqual(await Promise.all([SHARED, KEY, NESTED, HIDDEN, VALUE].map(holding)), [2, 1, 1, 0, 0])
  assert.equal(await i.count('observed_credential', `name = 'warehouse' and fingerprints is null`), 1)
})

test('the rules find a password that two connections share, and none on what Airflow hides', async (context) => {
  const b = await bed()
  const i = await inventoryWorld(context)
  await i.collect(await i.source(b.connector, b.settings, b.credential && { credential: b.credential }))
  await evaluateFindings(i.w.db, i.w.needs, new AbortController().signal)
  const { items } = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ limit: 200 }))
  const shared = items
    .filter(({ rule }) => rule === 'shared-credential')
    .toSorted((a, b) => (a.subject.name < b.subject.name ? -1 : 1))
  const found = ['medium', ['the same secret is held by archive, reports'], 1]

  assert.deepEqual(
    shared.map(({ subject, severity, evidence, uncertainty }) => [
      subject.name,
      severity,
      evidence,
      uncertainty.length,
    ]),
    [
      ['archive', ...found],
      ['reports', ...found],
    ],
  )
})

test('a right that is lacking is named by the part that lacks it, each by itself', async (context) => {
  const b = await bed()
  const i = await inventoryWorld(context)
  const id = await i.source(b.connector, b.settings, b.credential && { credential: b.credential })
  const lacking: Readonly<Record<string, readonly string[]>> = {
    Connections: ['connections'],
    Variables: ['variables'],
    DAGs: ['dags', 'references', 'runs', 'task-runs', 'audit-log'],
    'DAG Code': ['references'],
    'DAG Runs': ['runs', 'task-runs'],
    'Task Instances': ['task-runs'],
    'Audit Logs': ['audit-log'],
    Users: ['people'],
    Roles: ['people'],
  }
  for (const [right, denied] of Object.entries(lacking)) {
    await b.may(READS.filter((read) => read !== right))
    const { scopes } = await i.collect(id)
    const dark = scopes.filter(({ status }) => status === 'denied')

    assert.deepEqual(dark.map(({ scope }) => scope).sort(), [...denied].sort(), right)
    for (const { scope, missing } of dark)
      assert.match(missing[0]?.permission ?? '', new RegExp(`\`can_read\`.* ${right}\\b`), scope)
  }
  await b.may(READS.filter((read) => read !== 'ImportError'))
  const { scopes } = await i.collect(id)
  assert.match(scopes.find(({ scope }) => scope === 'dags')?.missing[0]?.permission ?? '', /ImportError/)
})

test('attack: a login that may see some DAGs is answered with some and 200, which is told as part and takes nothing for gone', async (context) => {
  const b = await bed()
  const i = await inventoryWorld(context)
  const id = await i.source(b.connector, b.settings, b.credential && { credential: b.credential })
  await i.collect(id)
  const before = await i.count('observed_principal', `native_kind = 'dag' and missed_at is null`)
  await b.may([...READS.filter((read) => read !== 'DAGs'), 'DAG:orders'])
  await i.collect(id)
  const { scopes } = await i.collect(id)

  const dags = scopes.find(({ scope }) => scope === 'dags')
  assert.equal(dags?.status, 'partial')
  assert.match(dags?.missing[0]?.permission ?? '', /reading all DAGs/)
  assert.equal(before, 3)
  assert.equal(await i.count('observed_principal', `native_kind = 'dag' and missed_at is null`), before)
})

test('under the simple auth manager each role sees its part, the users are said to be dark, and a wrong password denies all', async (context) => {
  const simple = await startAirflow(context, { auth: 'simple', dags: { 'lake.py': LAKE } })
  await simple.parse()
  await furnish(simple)
  const seen = async (username: string, password: string) => {
    const i = await inventoryWorld(context)
    const credential = { username, password }
    const { scopes } = await i.collect(await i.source(airflowConnector, { url: simple.url }, { credential }))
    return Object.fromEntries(scopes.map(({ scope, status }) => [scope, status]))
  }
  const rest = ['dags', 'references', 'runs', 'task-runs', 'audit-log'].map((scope) => [scope, 'complete'])
  const expected = (secrets: string) =>
    Object.fromEntries([['connections', secrets], ['variables', secrets], ...rest, ['people', 'unsupported']])

  for (const user of ['viewer', 'user'])
    assert.deepEqual(await seen(user, simple.passwordOf(user)), expected('denied'), user)
  for (const user of ['op', 'admin'])
    assert.deepEqual(await seen(user, simple.passwordOf(user)), expected('complete'), user)
  const i = await inventoryWorld(context)
  const credential = { username: 'op', password: 'a wrong one' }
  const id = await i.source(airflowConnector, { url: simple.url }, { credential })
  assert.match(JSON.stringify(await i.collect(id)), /does not accept the login/)
})

test('attack: a login of one team is answered with what is of that team and 200, which is told as part; an administrator sees all', async (context) => {
  const teams = ['red', 'blue']
  const peer = await startAirflow(context, { auth: 'simple', teams })
  for (const team of teams)
    await peer.api('POST', '/api/v2/connections', {
      connection_id: `of-${team}`,
      conn_type: 'http',
      host: 'https://api.example',
      team_name: team,
    })
  const seen = async (username: string) => {
    const i = await inventoryWorld(context)
    const credential = { username, password: peer.passwordOf(username) }
    const { scopes } = await i.collect(await i.source(airflowConnector, { url: peer.url }, { credential }))
    const connections = scopes.find(({ scope }) => scope === 'connections')
    return [await i.count('observed_credential'), connections?.status, connections?.missing.map(({ what }) => what)]
  }

  assert.deepEqual(await seen('op'), [1, 'partial', ['what is of other teams']])
  assert.deepEqual(await seen('admin'), [2, 'complete', []])
})
