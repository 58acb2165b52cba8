import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { world, type World } from '../../../test/support/world.ts'
import type { Identity } from '../../identities/contract.ts'
import { clientConfig } from '../../kernel/db.ts'
import { Problem } from '../../kernel/problem.ts'
import { PutDeposit, type Deposit } from './contract.ts'
import { putDeposit, retireDeposit } from './deposits.ts'
import { exportDeposit, revealDeposit } from './open.ts'
import { list, read } from './records.ts'

const VALUE = 'sk-live-of-the-test-9f2c1d'
const WHY = 'the vendor asks for it'

type Here = World & {
  readonly alice: Identity
  readonly put: (name: string, value?: string, more?: object) => Promise<Deposit>
  readonly reveal: (deposit: Deposit, version?: number, who?: Identity) => Promise<string>
  readonly custody: Parameters<typeof revealDeposit>[1]
}

async function custodyWorld(t: TestContext): Promise<Here> {
  const w = await world(t)
  const alice = await w.person('alice')
  const custody = { ...w.needs, hasTeam: (name: string) => ['payments', 'security'].includes(name) }
  return {
    ...w,
    alice,
    custody,
    async put(name, value = VALUE, more = {}) {
      const seen = await w.db.selectFrom('deposit').select('id').where('name', '=', name).executeTakeFirst()
      const input = PutDeposit.parse({ ownerTeam: 'payments', purpose: 'pays', value, ...more })
      const permit = w.permit('deposit.put', alice, { type: 'Deposit', id: seen?.id ?? name })
      return w.run((tx) => putDeposit(tx, custody, permit, { ...input, name }))
    },
    async reveal({ id }, version, who = alice) {
      const permit = w.permit('deposit.reveal', who, { type: 'Deposit', id })
      return (await revealDeposit(w.db, custody, permit, { version, reason: WHY })).value
    },
  }
}

async function asOwner(w: World, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(clientConfig(w.database.owner))
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) ({ rows } = await client.query<Record<string, unknown>>(statement))
    return rows
  } finally {
    await client.end()
  }
}

const is = (slug: string) => (error: unknown) => error instanceof Problem && error.slug === slug

test('a value comes back as it was put, each version by itself, and the ledger and the record say who knows it', async (t) => {
  const w = await custodyWorld(t)
  await w.put('licence', 'first')
  const second = await w.put('licence', Buffer.from([0xff, 0, 1]).toString('base64'), { encoding: 'base64' })
  assert.equal(second.version, 2)

  assert.equal(await w.reveal(second), Buffer.from([0xff, 0, 1]).toString('base64'))
  assert.equal(await w.reveal(second, 1), 'first')

  const { versions, knownBy } = await read(w.db, 'licence')
  assert.deepEqual(
    versions.map(({ number, sizeBytes }) => [number, sizeBytes]),
    [
      [2, 3],
      [1, 5],
    ],
  )
  assert.deepEqual(knownBy.map(({ identityName, version, how }) => `${identityName} ${version} ${how}`).toSorted(), [
    'alice 1 put',
    'alice 1 revealed',
    'alice 2 put',
    'alice 2 revealed',
  ])
  assert.deepEqual(
    (await w.kinds()).filter((kind) => kind.startsWith('deposit.')),
    ['deposit.put', 'deposit.put', 'deposit.revealed', 'deposit.revealed'],
  )
  assert.equal((await list(w.db, { limit: 10 })).items.length, 1)
})

test('attack: in a backup, that is in every row of every table, no value stands in any spelling', async (t) => {
  const w = await custodyWorld(t)
  const deposit = await w.put('licence')
  await w.reveal(deposit)
  const spellings = [VALUE, Buffer.from(VALUE).toString('base64'), Buffer.from(VALUE).toString('hex')]
  const tables = await asOwner(
    w,
    `select c.oid::regclass::text as name from pg_class c where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace`,
  )
  let rows = 0

  for (const { name } of tables) {
    for (const { row } of await asOwner(w, `select t::text as row from ${String(name)} t`)) {
      rows += 1
      const text = String(row)
      // Bytes print as hexadecimal; what stands inside of them is looked at as text too.
      const inside = text.replaceAll(/\\x([0-9a-f]+)/g, (_, hex: string) => Buffer.from(hex, 'hex').toString('latin1'))
      for (const spelling of spellings) assert.ok(!text.includes(spelling) && !inside.includes(spelling), String(name))
    }
  }
  assert.ok(rows > 10)
})

test('attack: a value that was changed, moved to another row or put back as a later version opens nowhere, and is entered', async (t) => {
  const w = await custodyWorld(t)
  const [a, b] = [await w.put('one', 'of one'), await w.put('two', 'of two')]
  const a2 = await w.put('one', 'of one, later')
  const off = 'alter table deposit_version disable trigger user'
  const on = 'alter table deposit_version enable trigger user'
  const valueOf = (id: string, number: number) =>
    `(select sealed_value from deposit_version where deposit_id = '${id}' and number = ${number})`
  const plant = (id: string, number: number, value: string) =>
    asOwner(
      w,
      off,
      `update deposit_version set sealed_value = ${value} where deposit_id = '${id}' and number = ${number}`,
      on,
    )

  await plant(b.id, 1, valueOf(a.id, 1))
  await assert.rejects(w.reveal(b), is('custody-broken'))
  await plant(a.id, 2, valueOf(a.id, 1))
  await assert.rejects(w.reveal(a2), is('custody-broken'))
  assert.equal(await w.reveal(a2, 1), 'of one')
  await plant(
    a.id,
    1,
    `set_byte(sealed_value, length(sealed_value) - 1, 255 - get_byte(sealed_value, length(sealed_value) - 1))`,
  )
  await assert.rejects(w.reveal(a2, 1), is('custody-broken'))
  await plant(a.id, 1, `'\\x01'`)
  await assert.rejects(w.reveal(a2, 1), is('custody-broken'))

  assert.equal((await w.kinds()).filter((kind) => kind === 'deposit.broken').length, 4)
  assert.equal((await w.kinds()).filter((kind) => kind === 'deposit.revealed').length, 1)
})

test('attack: who was permitted to make a deposit does not get into one that another team made meanwhile', async (t) => {
  const w = await custodyWorld(t)
  const input = PutDeposit.parse({ ownerTeam: 'security', purpose: 'pays', value: 'theirs' })
  const early = w.permit('deposit.put', w.alice, { type: 'Deposit', id: 'licence' })
  await w.put('licence')

  await assert.rejects(
    w.run((tx) => putDeposit(tx, w.custody, early, { ...input, name: 'licence' })),
    is('conflict'),
  )
  await assert.rejects(w.put('licence', 'x', { ownerTeam: 'security' }), is('invalid-input'))
  await assert.rejects(w.put('other', 'x', { ownerTeam: 'nobody' }), is('invalid-input'))
  await assert.rejects(w.put('other', 'not base64!', { encoding: 'base64' }), is('invalid-input'))
})

test('what was retired is gone with its key: nothing reveals, exports or replaces it', async (t) => {
  const w = await custodyWorld(t)
  const deposit = await w.put('licence')
  await w.put('licence', 'later')
  const permit = w.permit('deposit.retire', w.alice, { type: 'Deposit', id: deposit.id })

  const { state } = await w.run((tx) => retireDeposit(tx, w.custody, permit, WHY))

  assert.equal(state, 'retired')
  const rows = await w.db.selectFrom('depositVersion').select(['sealedValue', 'destroyedAt']).execute()
  assert.deepEqual(
    rows.map(({ sealedValue, destroyedAt }) => [sealedValue, destroyedAt !== null]),
    [
      [null, true],
      [null, true],
    ],
  )
  await assert.rejects(w.reveal(deposit), is('conflict'))
  await assert.rejects(w.put('licence', 'again'), is('conflict'))
  await assert.rejects(
    w.db
      .updateTable('depositVersion')
      .set({ sealedValue: Buffer.of(1), destroyedAt: null })
      .execute(),
    /a version of a deposit stays|needs an entry/,
  )
})

test('attack: what cannot be sealed to is refused, and no export holds the value', async (t) => {
  const w = await custodyWorld(t)
  const { id } = await w.put('licence')
  const permit = w.permit('deposit.export', w.alice, { type: 'Deposit', id })
  const seal = (recipient: string) => exportDeposit(w.db, w.custody, permit, { recipient })
  const pem = (type: 'x25519' | 'ed25519') =>
    (type === 'x25519' ? generateKeyPairSync('x25519') : generateKeyPairSync('ed25519')).publicKey
      .export({ type: 'spki', format: 'pem' })
      .toString()

  // RFC 7748 §6.1: to these points everybody has the same secret.
  const small = [Buffer.alloc(32), Buffer.concat([Buffer.of(1), Buffer.alloc(31)])]
  for (const key of [
    pem('ed25519'),
    'no key of any kind, in no spelling at all',
    ...small.map((raw) => raw.toString('base64')),
  ]) {
    await assert.rejects(seal(key), is('invalid-input'), key)
  }
  const sealed = await seal(pem('x25519'))
  assert.ok(!JSON.stringify(sealed).includes(VALUE))
  assert.ok(!Buffer.from(sealed.ciphertext, 'base64').toString('latin1').includes(VALUE))
  assert.deepEqual([sealed.version, sealed.aad], [1, 'licence:1'])
  assert.equal((await read(w.db, 'licence')).knownBy[0]?.how, 'exported')
})
