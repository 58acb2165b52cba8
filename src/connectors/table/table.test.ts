import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { fingerprintsUnder } from '../../kernel/fingerprint.ts'
import { Secret } from '../../kernel/secret.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import type { Observation, ScopeReport } from '../connector.ts'
import { tableConnector } from './connector.ts'
import { CsvInvalid, csvRecords } from './csv.ts'

type Ends = Pick<TestContext, 'after'>
const fingerprints = fingerprintsUnder(new Secret(Buffer.alloc(32, 9)))
const SECRET = 'correct horse battery staple'

function fileOf(t: Ends, name: string, text: string | Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-table-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

const quoted = (values: readonly string[]) => values.map((value) => `"${value.replaceAll('"', '""')}"`).join(',')

const ROWS = [
  {
    kind: 'principal',
    id: 'login',
    type: 'service',
    state: { column: 'status', active: ['on'] },
    createdAt: 'made',
    tags: ['team'],
  },
  { kind: 'credential', id: 'key', principal: 'login', type: 'api-key', expiresAt: 'ends', secret: 'value' },
  { kind: 'grant', principal: 'login', on: 'system', privilege: 'role', level: 'write' },
]
const HEADING = ['login', 'status', 'made', 'team', 'key', 'ends', 'value', 'system', 'role']

async function reading(settings: unknown) {
  const signal = new AbortController().signal
  const parsed = tableConnector.settings.parse(settings)
  await using source = await tableConnector.open(
    {
      settings: parsed,
      credential: undefined,
      clock: systemClock,
      fingerprint: (value) => fingerprints.of(value),
      http: sourceHttpTo(tableConnector.address(parsed), systemClock),
      ours: async () => new Set(),
      custody: () => Buffer.of(),
    },
    signal,
  )
  const told: Observation[] = []
  const pages = source.read('rows', {}, signal)
  let report: ScopeReport | Error
  try {
    for (;;) {
      const next = await pages.next()
      if (next.done) {
        report = next.value
        break
      }
      told.push(...next.value.observations)
    }
  } catch (error) {
    assert.ok(error instanceof Error)
    report = error
  }
  const of = <K extends Observation['kind']>(kind: K) =>
    told.filter((each): each is Extract<Observation, { kind: K }> => each.kind === kind)
  return { told, report, principals: of('principal'), credentials: of('credential'), grants: of('grant') }
}

async function bed(t: Ends): Promise<Bed> {
  const rows = Array.from({ length: 700 }, (_, at) =>
    quoted([
      `svc-${at}`,
      'on',
      '2026-01-02',
      'pay',
      `k-${at}`,
      'never',
      at === 0 ? SECRET : '',
      `sys-${at % 9}`,
      'operator',
    ]),
  )
  const path = fileOf(t, 'accounts.csv', [HEADING.join(','), ...rows].join('\r\n'))
  return {
    connector: tableConnector,
    settings: { path, format: 'csv', rows: ROWS },
    whole: ['rows'],
    secrets: [SECRET],
    async lose() {
      writeFileSync(path, [HEADING.join(','), ...rows.slice(1)].join('\n'))
      return 'rows'
    },
    async plant() {
      const names = ['=cmd|calc', '@sum', '\u001b[31mred', 'two\nlines', '\u202egnp', 'x'.repeat(900), 'a"b']
      const planted = names.map((name) => quoted([`hostile ${name}`, 'on', '', '', '', '', '', '', '']))
      writeFileSync(path, [HEADING.join(','), ...rows, ...planted].join('\n'))
      return { table: 'observed_principal', count: names.length, like: 'hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance: ${story}`, async (t) => run(t, await bed(t)))
}

test('a row is what the settings say its columns mean, and what is empty is unknown', async (t) => {
  const path = fileOf(
    t,
    'a.csv',
    [
      HEADING.join(','),
      `app,on,2026-01-02,pay,k1,2027-01-01T00:00:00+02:00, ${SECRET} ,shop,"op, all"`,
      'app,on,2026-01-02,pay,k2,01/02/2027,,shop,audit',
      'old,off,,,,,,,',
    ].join('\n'),
  )
  const { principals, credentials, grants, report } = await reading({ path, format: 'csv', rows: ROWS })

  assert.deepEqual(
    principals.map(({ id, state, createdAt, tags }) => [id.id, state, createdAt.known, tags]),
    [
      ['app', { known: true, value: 'active' }, true, { team: 'pay' }],
      ['old', { known: true, value: 'disabled' }, false, {}],
    ],
  )
  const [first, second] = credentials
  assert.deepEqual(first?.expiresAt, { known: true, value: new Date('2026-12-31T22:00:00Z') })
  assert.deepEqual(first?.fingerprints, { known: true, value: [fingerprints.of(new Secret(SECRET))] })
  assert.deepEqual([second?.expiresAt, second?.fingerprints.known], [{ known: false, why: 'failed' }, false])
  assert.deepEqual(
    grants.map(({ privilege }) => privilege),
    ['op, all', 'audit'],
  )
  // A row without a key and a system says nothing of those; it is no damage where it says something else.
  assert.deepEqual(report, { status: 'complete', missing: [] })
})

test('rows of another form, or that nothing names, make it partial: nothing is taken for gone', async (t) => {
  const path = fileOf(t, 'a.csv', `login,status\napp,on\ntorn\n,on\n`)
  const { principals, report } = await reading({ path, format: 'csv', rows: [{ kind: 'principal', id: 'login' }] })

  assert.equal(principals.length, 1)
  assert.ok(!(report instanceof Error))
  assert.equal(report.status, 'partial')
  assert.deepEqual(
    report.missing.map(({ what }) => what),
    ['1 rows', '1 rows'],
  )
})

test('attack: two names that differ only in bytes that are no UTF-8 are not taken for one', async (t) => {
  const text = Buffer.concat([
    Buffer.from('login,on\na'),
    Buffer.of(0xe8),
    Buffer.from(',x\na'),
    Buffer.of(0xe9, 0x2c, 0x78, 0x0a),
  ])
  const rows = [
    { kind: 'principal', id: 'login' },
    { kind: 'grant', principal: 'login', on: 'on', privilege: 'on', level: 'use' },
  ]
  const { principals, report } = await reading({ path: fileOf(t, 'a.csv', text), format: 'csv', rows })

  assert.equal(principals.length, 0)
  assert.ok(!(report instanceof Error))
  assert.deepEqual(
    [report.status, report.missing],
    ['partial', [{ what: '2 rows', why: 'what names them is not UTF-8' }]],
  )
})

test('a heading that was renamed, text that is no CSV or JSON, and a file that is not there are said', async (t) => {
  const rows = [{ kind: 'principal', id: 'login' }]
  const said = async (text: string, format: 'csv' | 'json') => {
    const { report } = await reading({ path: fileOf(t, 'a', text), format, rows })
    return report instanceof Error ? report.message : report.status
  }

  assert.match(await said('user\napp', 'csv'), /column/)
  assert.match(await said('login\n"app', 'csv'), /never closed/)
  assert.match(await said('login,login\na,b', 'csv'), /one heading/)
  assert.match(await said(`login\n${'x'.repeat(70_000)}`, 'csv'), /longer/)
  assert.match(await said('[{"login":"a"}', 'json'), /JSON/)
  assert.match(await said('no', 'json'), /JSON/)
  const { report } = await reading({ path: '/nowhere/at/all', format: 'csv', rows })
  assert.match(report instanceof Error ? report.message : '', /not there/)
})

test('of JSON columns are paths, and what stands above its objects is none', async (t) => {
  const path = fileOf(t, 'a.json', JSON.stringify({ data: [{ user: { login: 'app' }, n: 7 }, { user: 'text' }] }))
  const { principals, report } = await reading({
    path,
    format: 'json',
    list: 'data',
    rows: [{ kind: 'principal', id: 'user.login', facts: ['n', '__proto__', 'toString'] }],
  })

  assert.deepEqual(
    principals.map(({ id, facts }) => [id.id, facts]),
    [['app', { n: '7' }]],
  )
  assert.ok(!(report instanceof Error) && report.status === 'partial')
})

test('an export of SCIM tells users, groups and who is in them', async (t) => {
  const users = [
    {
      id: 'u1',
      userName: 'ana',
      active: false,
      emails: [{ value: 'ana@orders.dev' }],
      meta: { created: '2026-01-02T03:04:05Z' },
      password: SECRET,
    },
    { id: 'g1', displayName: 'admins', members: [{ value: 'u1' }, { value: 'u1' }] },
    { id: 'x' },
  ]
  const path = fileOf(t, 'scim.json', JSON.stringify({ totalResults: 3, Resources: users }))
  const { told, principals, grants, report } = await reading({ path, format: 'scim' })

  assert.deepEqual(
    principals.map(({ name, type, state }) => [name, type, state.known && state.value]),
    [
      ['ana', 'account', 'disabled'],
      ['admins', 'group', 'active'],
    ],
  )
  assert.deepEqual(
    grants.map(({ principal, on }) => [principal.id, on.id]),
    [['u1', 'g1']],
  )
  assert.ok(!JSON.stringify(told).includes(SECRET))
  assert.ok(!(report instanceof Error) && report.status === 'partial')
})

test('a hundred thousand rows are read page by page', async (t) => {
  const rows = Array.from({ length: 100_000 }, (_, at) => `app-${at}`)
  const path = fileOf(t, 'big.csv', ['login', ...rows].join('\n'))
  const i = await inventoryWorld(t)
  const settings = { path, format: 'csv', rows: [{ kind: 'principal', id: 'login' }] }
  const { outcome } = await i.collect(await i.source(tableConnector, settings))

  assert.equal(outcome, 'complete')
  assert.equal(await i.count('observed_principal'), 100_000)
})

test('whatever the fields are and wherever the bytes are cut, they are read as they were written', async () => {
  const field = fc.oneof(fc.string(), fc.constantFrom('"', ',', '\n', '\r\n', '', '=1+1', '""'))
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { maxLength: 6 }),
      fc.integer({ min: 1, max: 7 }),
      async (records, size) => {
        const text = records.map(quoted).join('\r\n')
        const cut = async function* () {
          for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size)
        }
        assert.deepEqual(await Array.fromAsync(csvRecords(cut(), ',')), records)
      },
    ),
  )
})

test('whatever text is given for CSV, it is read or refused, and bounded', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', 'a', ' ') }), async (text) => {
      const whole = async function* () {
        yield text
      }
      try {
        const records = await Array.fromAsync(csvRecords(whole(), ','))
        assert.ok(records.flat().join('').length <= text.length)
      } catch (error) {
        assert.ok(error instanceof CsvInvalid)
      }
    }),
  )
})

test('settings that do not say what columns mean, or say it of SCIM, are refused', () => {
  for (const settings of [
    { path: '/a', format: 'csv' },
    { path: '/a', format: 'scim', rows: [{ kind: 'principal', id: 'x' }] },
    { path: 'a', format: 'scim' },
    { path: '/a', format: 'csv', rows: [{ kind: 'usage', id: 'x' }] },
    { path: '/a', format: 'csv', separator: 'x', rows: [{ kind: 'principal', id: 'x' }] },
  ])
    assert.equal(tableConnector.settings.safeParse(settings).success, false, JSON.stringify(settings))
})
