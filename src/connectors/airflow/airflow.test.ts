import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import { HOSTILE } from '../conformance/hostile.fixture.ts'
import type { Observation, ScopeReport } from '../connector.ts'
import { airflowStub, connection, dag, run, type AirflowStub } from './airflow.fixture.ts'
import { airflowConnector } from './connector.ts'
import { namesIn } from './python.ts'
import { harmless, secretsIn } from './secrets.ts'

const HIDDEN = 'a-password-of-the-stub-4711'
const SHOWN = 'in-an-address-4712'
const CREDENTIAL = { username: 'reader', password: HIDDEN }

async function furnished(t: Pick<TestContext, 'after'>): Promise<AirflowStub> {
  const stub = await airflowStub(t)
  stub.connections.push(
    ...Array.from({ length: 205 }, (_, n) => connection(`c-${String(n).padStart(3, '0')}`)),
    connection('warehouse', { login: 'loader', host: `https://robot:${SHOWN}@db.example`, password: '***' }),
  )
  stub.variables.push({ key: 'region', value: 'eu' }, { key: 'token_of_old', value: SHOWN })
  stub.dags.push(dag('orders', { owners: ['alice'], tags: [{ name: 'team:payments' }] }), dag('refunds'))
  stub.sources.set('orders', 'Operator(conn_id="warehouse")').set('refunds', 'get_connection("c-000")')
  return stub
}

async function bed(t: Pick<TestContext, 'after'>): Promise<Bed> {
  const stub = await furnished(t)
  return {
    connector: airflowConnector,
    settings: { url: stub.url },
    credential: CREDENTIAL,
    whole: ['connections', 'variables', 'dags', 'references', 'runs', 'task-runs', 'audit-log'],
    secrets: [HIDDEN, SHOWN],
    async lose() {
      stub.connections.pop()
      return 'connections'
    },
    async deny() {
      stub.answers.set('/api/v2/connections', 403)
      return ['connections']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', '\u202egnp', '../../users', 'a/b?c#d', 'x'.repeat(400)]
      stub.dags.push(...names.map((name) => dag(`hostile ${name}`, { owners: [name], tags: [{ name }] })))
      return { table: 'observed_principal', count: names.length, like: 'hostile %' }
    },
  }
}

for (const [story, tell] of Object.entries(CONFORMANCE)) {
  test(`conformance over a stub of Airflow: ${story}`, async (t) => tell(t, await bed(t)))
}
// A variable without a value is empty.
const SAYS = [/^variables\[\]\.value$/]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile: ${story}`, async (t) => run({ ...(await bed(t)), says: SAYS }))

/** One scope, as the stub answers. */
async function reading(stub: AirflowStub, scope: string, cursor?: string) {
  const signal = new AbortController().signal
  const told: Observation[] = []
  let report: ScopeReport | undefined
  let error: unknown
  let last: string | undefined
  await using source = await airflowConnector.open(
    {
      settings: airflowConnector.settings.parse({ url: stub.url, runsSeeAll: true }),
      credential: new Secret(JSON.stringify(CREDENTIAL)),
      clock: systemClock,
      fingerprint: () => ({ alg: 'hmac-sha256', keyId: '0'.repeat(12), value: '0'.repeat(64) }),
      http: sourceHttpTo(stub.url, systemClock),
      ours: async () => new Set(),
      custody: () => Buffer.of(),
    },
    signal,
  )
  const pages = source.read(scope, { cursor }, signal)
  try {
    for (let next = await pages.next(); ; next = await pages.next()) {
      if (next.done) {
        report = next.value
        break
      }
      told.push(...next.value.observations)
      last = next.value.cursor ?? last
    }
  } catch (thrown) {
    error = thrown
  }
  return { told, report, error, cursor: last }
}

test('attack: a server that heeds no page, gives too much or less than it counts, nonsense or another shape ends the reading with a sentence', async (t) => {
  const stub = await furnished(t)
  const errorOf = async (told: unknown) => {
    stub.answers.set('/api/v2/connections?limit=100', typeof told === 'string' ? told : JSON.stringify(told))
    return String((await reading(stub, 'connections')).error)
  }
  const many = Array.from({ length: 100 }, (_, n) => connection(`c-${n}`))

  assert.match(await errorOf({ connections: many, total_entries: 300 }), /changed while it was read/)
  assert.match(await errorOf({ connections: [connection('only')], total_entries: 2 }), /less than it counts/)
  assert.match(
    await errorOf({ connections: [...many, connection('more')], total_entries: 101 }),
    /another way than its API/,
  )
  assert.match(await errorOf('<html>'), /not JSON/)
  assert.match(await errorOf({ connections: [{ connection_id: 7 }], total_entries: 1 }), /another way than its API/)
  assert.match(await errorOf({ connections: [] }), /another way than its API/)
})

test('attack: a thing that is deleted while the list is read, so that another slips by, makes the reading partial', async (t) => {
  const stub = await furnished(t)
  const i = await inventoryWorld(t)
  const id = await i.source(airflowConnector, { url: stub.url }, { credential: CREDENTIAL })
  await i.collect(id)
  const pages = stub.connections.slice(0, 99)
  const moved = { connections: [connection('another'), ...pages], total_entries: 206 }
  stub.answers.set('/api/v2/connections?limit=100&offset=99', JSON.stringify(moved))
  const { scopes } = await i.collect(id)

  assert.equal(scopes.find(({ scope }) => scope === 'connections')?.status, 'partial')
  assert.equal(await i.count('observed_credential', 'missed_at is not null'), 0)
})

test('attack: a DAG called `..` is no path to somewhere else, and what it uses is a hole', async (t) => {
  const stub = await furnished(t)
  stub.dags.push(dag('..'), dag('a/../b?c#d'))
  const { report } = await reading(stub, 'references')

  assert.equal(report?.status, 'partial')
  assert.match(JSON.stringify(report?.missing), /fits in no path/)
  assert.ok(stub.asked.every((path) => !path.includes('/../')))
  assert.ok(stub.asked.includes('/api/v2/dagSources/a%2F..%2Fb%3Fc%23d'))
})

test('a server that asks for patience is waited for, a token that ended is replaced once, and files that could not be read are named', async (t) => {
  const stub = await furnished(t)
  stub.importErrors.push({ filename: 'broken.py', stack_trace: HIDDEN })
  const i = await inventoryWorld(t)
  const id = await i.source(airflowConnector, { url: stub.url }, { credential: CREDENTIAL })
  stub.answers.set('/api/v2/variables?limit=100', 429)
  const { scopes } = await i.collect(id)
  stub.answers.clear()
  const patience = i.waits.filter((ms) => ms >= 7000)
  const again = await i.collect(id, { onPage: () => stub.forget() })

  assert.ok(patience.length > 0, i.waits.join())
  assert.notEqual(scopes.find(({ scope }) => scope === 'variables')?.status, 'complete')
  assert.deepEqual(scopes.find(({ scope }) => scope === 'dags')?.missing, [
    { what: 'DAGs of broken.py', why: 'Airflow could not read the file' },
  ])
  for (const { scope, status } of again.scopes) if (scope !== 'people') assert.equal(status, 'complete', scope)
})

test('runs are read on from where the last reading ended, once each, and what was deleted in between is a gap', async (t) => {
  const stub = await furnished(t)
  const ago = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString()
  stub.runs.push(run('orders', ago(90)), run('orders', ago(80)), run('refunds', ago(80)))
  const first = await reading(stub, 'runs')
  const second = await reading(stub, 'runs', first.cursor)
  stub.runs.splice(0, 3, run('orders', new Date(Date.now() - 31_000).toISOString()))
  // As if the last reading had been an hour ago.
  const [, at, taken] = (second.cursor ?? '').split(':')
  const third = await reading(stub, 'runs', `${Date.now() - 3_600_000}:${at}:${taken}`)
  const uses = ({ told }: { readonly told: readonly Observation[] }) =>
    told.filter(({ kind }) => kind === 'usage').length
  const gaps = third.told.flatMap((each) => (each.kind === 'usage-window' ? (each.gaps ?? []) : []))

  assert.deepEqual([uses(first), uses(second), uses(third)], [3, 0, 1])
  assert.equal(first.report?.status, 'complete')
  assert.equal(third.report?.status, 'partial')
  assert.match(third.report?.missing[0]?.what ?? '', /between two readings/)
  assert.equal(gaps.length, 2)
})

test('names of connections and variables are read from the code of a DAG, not from its comments, nor from what is put together', () => {
  const names = (code: string) => namesIn(code).named.map(({ kind, name, line }) => `${line} ${kind} ${name}`)

  assert.deepEqual(names('A(postgres_conn_id="a")\nB(conn_id = \'b\',)'), ['1 connection a', '2 connection b'])
  assert.deepEqual(names('{"http_conn_id": "c"}'), ['1 connection c'])
  assert.deepEqual(names('BaseHook.get_connection(\n  "d")'), ['1 connection d'])
  assert.deepEqual(names('Hook.get_hook(conn_id="e")'), ['1 connection e', '1 connection e'])
  assert.deepEqual(names('Connection.get("f"); Variable.get("g", default=1)'), ['1 connection f', '1 variable g'])
  assert.deepEqual(names('"""\n{{ conn.h.login }} {{ conn["i"] }} {{ var.value.j }} {{ var.json.get("k") }}"""'), [
    '1 connection h',
    '1 connection i',
    '1 variable j',
    '1 variable k',
  ])
  for (const code of [
    '# A(conn_id="x")',
    '"A(conn_id=\'x\')"',
    'A(conn_id=f"x{y}")',
    'A(conn_id="x" + y)',
    'A(conn_id == "x")',
  ])
    assert.deepEqual(names(code), [], code)
  assert.equal(namesIn('A(conn_id=NAME)\nB(conn_id="a" "b")\nC(conn_id=None)').computed, 2)
  assert.equal(namesIn('x'.repeat(500_001)).isCut, true)
})

test('attack: no text of a DAG makes the reading of it fail or go on for ever', () => {
  const part = fc.constantFrom(
    '"""',
    "'''",
    '"',
    "'",
    '\\',
    '\n',
    '#',
    'conn_id',
    '=',
    '(',
    '{{',
    'conn.',
    'x',
    ' ',
    '\u{1f600}',
  )
  fc.assert(fc.property(fc.array(part, { maxLength: 60 }), (parts) => void namesIn(parts.join(''))))

  // Looked at from each quote anew, these would take hours.
  for (const hostile of ['\\"""', '\\"', "'''\\'", '"""\\', 'conn_id="', '{{ conn.'])
    assert.ok(namesIn(`"""${hostile.repeat(100_000)}`).named.length <= 2_000)
})

test('what is a secret is told from what is not: by mask, by name, in an address, by its form', async () => {
  const signal = new AbortController().signal
  const looking = {
    clock: systemClock,
    fingerprint: (value: Secret<Buffer> | Secret) => ({
      alg: 'hmac-sha256' as const,
      keyId: '0'.repeat(12),
      value: value.reveal().toString(),
    }),
  }
  const met = async (name: string, text: string) => {
    const { places, masked, fingerprints } = await secretsIn(looking, name, text, signal)
    return [places, masked, fingerprints.map(({ value }) => value)]
  }

  assert.deepEqual(await met('region', 'eu'), [[], [], []])
  assert.deepEqual(await met('api_token', '***'), [['api_token'], ['api_token'], []])
  assert.deepEqual(await met('api_token', 's3cret'), [['api_token'], [], ['s3cret']])
  assert.deepEqual(await met('token_url', 'https://login.example'), [[], [], []])
  assert.deepEqual(await met('queue', 'amqp://robot:p%40ss@q.example/x'), [['queue (address)'], [], ['p@ss']])
  assert.deepEqual(await met('mail', 'mailto:ann@company.example'), [[], [], []])
  assert.deepEqual(await met('all', '{"a":{"password":"one","user":"u"},"tokens":["two"],"b":"***"}'), [
    ['all b', 'all a password', 'all tokens 0'],
    ['all b'],
    ['one', 'two'],
  ])
  const token = ['glpat', 'x7Kq2Lw9Zt4Rv8Np3Ys6'].join('-')
  assert.deepEqual((await harmless(looking, 'description', `use ${token}`, signal)).text, '(holds a secret)')
  const { text, met: inHost } = await harmless(looking, 'host', 'https://robot:pw-1@api.example/v1', signal)
  assert.deepEqual([text, inHost.fingerprints.map(({ value }) => value)], ['https://api.example/v1', ['pw-1']])
  assert.equal((await harmless(looking, 'host', 'db.example:5432', signal)).text, 'db.example:5432')
})
