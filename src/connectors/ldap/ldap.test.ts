import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { createServer } from 'node:tls'
import fc from 'fast-check'
import { certificateOf, pemKey } from '../../../test/support/certificates.ts'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import { Observation, SlowDown, type Page, type ScopeReport } from '../connector.ts'
import { ldapConnector } from './connector.ts'
import { letIn } from './descriptor.ts'
import { openSession } from './session.ts'
import { LdapSourceSettings } from './settings.ts'
import { stubDirectory, type StubAnswer, type StubAsk, type StubEntry } from './stub.fixture.ts'

const BASE = 'dc=shop,dc=example'
const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
const person = (n: number, more: StubEntry['values'] = {}): StubEntry => ({
  dn: `uid=p${n},${BASE}`,
  values: { entryUUID: [uuid(n)], objectClass: ['person'], uid: [`p${n}`], ...more },
})
const ROOT: StubEntry = { dn: BASE, values: { entryUUID: [uuid(0)] } }

type Told = {
  readonly told: readonly Observation[]
  readonly report: ScopeReport | undefined
  readonly error: unknown
  readonly stub: Awaited<ReturnType<typeof stubDirectory>>
}

/** Reads one scope of a directory that answers searches of the whole as it is given; what is above them it answers as it must. */
async function reading(
  t: Pick<TestContext, 'after'>,
  answer: (ask: StubAsk) => StubAnswer | undefined,
  more: { readonly scope?: string; readonly onPage?: () => unknown; readonly signal?: AbortSignal } = {},
): Promise<Told> {
  const { scope = 'accounts', onPage, signal = new AbortController().signal } = more
  const stub = await stubDirectory(t, (ask) => {
    if (ask.base === '') return { entries: [{ dn: '', values: { namingContexts: [BASE] } }] }
    if (ask.base === BASE && ask.scope === 0) return { entries: [ROOT] }
    return answer(ask)
  })
  const settings = { url: stub.url, plaintext: true }
  const told: Observation[] = []
  let report: ScopeReport | undefined
  let error: unknown
  try {
    await using source = await ldapConnector.open(
      {
        settings: ldapConnector.settings.parse(settings),
        credential: new Secret(JSON.stringify({ user: 'cn=reader', password: 'only for this test' })),
        clock: systemClock,
        fingerprint: () => ({ alg: 'hmac-sha256', keyId: '0'.repeat(12), value: '0'.repeat(64) }),
        http: sourceHttpTo('http://127.0.0.1:1', systemClock),
        ours: async () => new Set(),
        custody: () => Buffer.of(),
      },
      signal,
    )
    const pages: AsyncGenerator<Page, ScopeReport> = source.read(scope, {}, signal)
    for (;;) {
      const next = await pages.next()
      if (next.done) {
        report = next.value
        break
      }
      told.push(...next.value.observations)
      onPage?.()
    }
  } catch (thrown) {
    error = thrown
  }
  return { told, report, error, stub }
}

const names = ({ told }: Told) => told.flatMap((each) => (each.kind === 'principal' ? [each.name] : []))

test('attack: values of controls, of no UTF-8, of ten megabytes, under names of the language are told and tamed', async (t) => {
  const huge = Buffer.alloc(10 * 1024 * 1024, 'x')
  const read = await reading(t, () => ({
    entries: [
      person(1, { description: ['\u001b[31mred\u0000\u202e'], displayName: [Buffer.from([0xff, 0xfe, 0xc0, 0x80])] }),
      person(2, { description: [huge], mail: [huge.subarray(0, 100_000)] }),
      person(3, { __proto__: ['x'], constructor: ['y'], toString: ['z'], userAccountControl: ['9'.repeat(400)] }),
      { dn: Buffer.from([0xff, 0x00, 0x3d, 0x28]), values: { objectGUID: [Buffer.alloc(15, 1)], uid: ['short id'] } },
    ],
  }))

  assert.equal(read.error, undefined)
  assert.deepEqual(names(read), ['p1', 'p2', 'p3'])
  const kept = JSON.stringify(read.told.map((each) => Observation.parse(each)))
  assert.ok(kept.length < 20_000)
  // oxlint-disable-next-line no-control-regex -- these must not be there
  assert.doesNotMatch(kept, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/)
  assert.equal(read.report?.status, 'partial')
  assert.match(read.report?.missing[0]?.why ?? '', /no id that stays/)
})

test('attack: a page without entries is not taken for the last one, whatever the library makes of it', async (t) => {
  const pages: Record<string, StubAnswer> = {
    '': { entries: [person(1)], cookie: Buffer.from('a') },
    a: { cookie: Buffer.from('b') },
    b: { references: ['ldap://elsewhere.example/x'], cookie: Buffer.from('c') },
    c: { entries: [person(2)], cookie: Buffer.alloc(0) },
  }
  const read = await reading(t, ({ cookie }) => pages[cookie.toString()])

  assert.deepEqual(names(read), ['p1', 'p2'])
  assert.match(read.report?.missing[0]?.why ?? '', /referrals are not followed/)
})

test('attack: pages that go round, stay empty or come without end are ended with a sentence', async (t) => {
  const circle = await reading(t, ({ cookie }) => ({
    entries: [person(1 + (cookie[0] ?? 0))],
    cookie: Buffer.from([((cookie[0] ?? 0) + 1) % 3]),
  }))
  const empty = await reading(t, () => ({ cookie: Buffer.from('more') }))

  assert.match(String(circle.error), /the same pages again and again/)
  assert.match(String(empty.error), /empty pages without end/)
})

test('attack: referrals lead nowhere, in a result or as the result; nobody else is asked', async (t) => {
  const other = await stubDirectory(t, () => ({ entries: [] }))
  const loop = await reading(t, () => ({
    references: Array.from({ length: 500 }, () => `${other.url}/${BASE}??sub`),
  }))
  const whole = await reading(t, () => ({ code: 10 }))

  assert.equal(loop.report?.status, 'partial')
  assert.ok(whole.error instanceof Error)
  assert.equal(other.lines(), 0)
})

test('attack: a server that stops in mid-page, speaks nonsense, or announces gigabytes ends the reading and nothing else', async (t) => {
  const first = { entries: [person(1)], cookie: Buffer.from('a') }
  const answers = (then: StubAnswer) => (ask: StubAsk) => (ask.cookie.length === 0 ? first : then)
  const cut = await reading(t, answers({ entries: [person(2), person(3)], breaks: true }))
  const nonsense = await reading(t, answers({ raw: Buffer.from('HTTP/1.1 200 OK\r\n\r\n') }))
  const endless = await reading(t, answers({ raw: Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 2, 1, 1, 0x64]) }))
  const flood = await reading(
    t,
    answers({
      raw: Buffer.concat(Array.from({ length: 40_000 }, () => Buffer.from([0x30, 5, 2, 1, 99, 0x73, 0]))),
      breaks: true,
    }),
  )

  for (const read of [cut, nonsense, endless, flood]) {
    assert.equal(read.report, undefined)
    assert.ok(read.error instanceof Error)
    assert.deepEqual(names(read), ['p1'])
  }
  assert.match(String(nonsense.error), /does not speak LDAP/)
  assert.match(String(endless.error), /larger than any directory has/)
  assert.match(String(flood.error), /more messages at once/)
})

test('attack: a server that says nothing more is left when the reading is cancelled', async (t) => {
  const stop = new AbortController()
  const read = await reading(
    t,
    ({ cookie }) => (cookie.length === 0 ? { entries: [person(1)], cookie: Buffer.from('a') } : undefined),
    {
      signal: stop.signal,
      onPage: () => setImmediate(() => stop.abort(new Error('enough'))),
    },
  )

  assert.match(String(read.error), /enough/)
})

test('attack: a name that looks like a filter or a path stays a name, and a group that is in itself is told once', async (t) => {
  const dn = `cn=*)(objectClass=*)\\29(|(a=b,${BASE}`
  const group: StubEntry = {
    dn,
    values: { entryUUID: [uuid(9)], objectClass: ['group'], cn: ['*)('], 'member;range=0-1': [dn, `uid=p1,${BASE}`] },
  }
  const read = await reading(
    t,
    ({ base }) =>
      base === dn
        ? { entries: [{ dn, values: { 'member;range=2-*': ['(|(uid=*))', dn] } }] }
        : { entries: [group, person(1)] },
    { scope: 'groups' },
  )
  const member = read.told.filter(({ kind }) => kind === 'grant')

  assert.equal(read.error, undefined)
  const asked = read.stub.asked.find(({ base }) => base === dn)
  assert.ok(asked?.bytes.includes('objectClass') && !asked.bytes.subarray(dn.length + 4).includes('*)('))
  assert.equal(member.length, 3)
})

test('attack: no bytes make a descriptor of access fail, and only what it lets in is told', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => void letIn(Buffer.from(bytes))))
  assert.equal(letIn(Buffer.from([1, ...Buffer.alloc(30, 5)])), undefined)
  const one = Buffer.from('010100000000000512000000', 'hex')
  const ace = (type: number) => Buffer.concat([Buffer.from([type, 0, 8 + one.length, 0, 255, 1, 15, 0]), one])
  const list = (...aces: Buffer[]) => {
    const head = Buffer.alloc(20)
    head.set([1, 0, 4, 0x80])
    head.writeUInt32LE(20, 16)
    return Buffer.concat([head, Buffer.from([2, 0, 8, 0, aces.length, 0, 0, 0]), ...aces])
  }
  assert.deepEqual(letIn(list(ace(0), ace(0))), ['S-1-5-18'])
  assert.deepEqual(letIn(list(ace(1))), [])
  assert.equal(letIn(list(ace(0)).subarray(0, -1)), undefined)
})

test('attack: values that come in pieces, under options or in other syntaxes are told as far as they go, and that there are more is said', async (t) => {
  const spns = Array.from({ length: 3 }, (_, n) => `HTTP/h${n}`)
  const odd = person(2, {
    'uid;lang-de': ['other'],
    createTimestamp: ['20260230000000Z', 'x'],
    pwdChangedTime: ['99991231235960Z'],
    shadowExpire: ['-99999999999'],
    accountExpires: ['9223372036854775806'],
  })
  const read = await reading(t, () => ({ entries: [person(1, { 'servicePrincipalName;range=0-2': spns }), odd] }))

  assert.equal(read.error, undefined)
  const principals = read.told.flatMap((each) => (each.kind === 'principal' ? [each] : []))
  assert.deepEqual([principals[0]?.facts?.['servicePrincipals'], principals[0]?.type], [spns, 'service'])
  assert.deepEqual([principals[1]?.name, principals[1]?.createdAt?.known], ['p2', false])
  assert.deepEqual([read.report?.status, read.report?.missing[0]?.what], ['partial', 'further values of 1 entries'])
})

test('attack: a server that is busy is given time, and one that cannot be entered over TLS gets no login', async (t) => {
  const busy = await reading(t, () => ({ code: 51 }))
  assert.ok(busy.error instanceof SlowDown)
  const issuer = certificateOf({ subject: 'Root', isAuthority: true })
  const by = { subject: 'Root', key: issuer.key }
  const shown = {
    'another name': certificateOf({ subject: 'x', names: ['other.example'], issuer: by }),
    expired: certificateOf({ subject: 'x', names: ['localhost'], issuer: by, notAfter: new Date('2021-01-01') }),
    'another authority': certificateOf({ subject: 'x', names: ['localhost'] }),
  }
  const session = { user: 'cn=reader', password: 'only for this test' }
  const enter = (url: string) =>
    openSession(LdapSourceSettings.parse({ url, authorities: issuer.pem }), session, new AbortController().signal)
  for (const [what, { pem, key }] of Object.entries(shown)) {
    let bytes = 0
    const server = createServer({ cert: pem, key: pemKey(key) }, (socket) => {
      socket.on('error', () => undefined).on('data', (chunk) => (bytes += chunk.length))
    })
    server.on('tlsClientError', () => undefined).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.after(() => server.close())
    const { port } = Object(server.address())
    await assert.rejects(enter(`ldaps://localhost:${port}`), /cannot be entered over TLS/, what)
    assert.equal(bytes, 0, what)
  }
  const plain = await stubDirectory(t, () => ({ entries: [] }))
  await assert.rejects(enter(plain.url.replace('127.0.0.1', 'localhost')), /cannot be entered over TLS/)
})
