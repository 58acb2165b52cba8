import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'kysely'
import { cleaningOfFile } from '../../test/support/installation.ts'
import { eventually } from '../../test/support/eventually.ts'
import { newTestKey, signed, tokenWorld, type TestKey, type TokenWorld } from '../../test/support/token-world.ts'
import { resumeIdentity, suspendIdentity, updateIdentity } from '../identities/contract.ts'
import type { FormAsked } from '../kernel/http/form.ts'
import { onReach } from '../kernel/fault.ts'
import { createTrustRule, retireTrustRule } from './contract.ts'
import { tokenDoor } from './endpoint.ts'
import { CLIENT_ASSERTION, GRANT_TYPES } from './grants.ts'
import type { TokenNeeds } from './needs.ts'

const NAMES = ['one', 'two', 'three'] as const
const cleaning = cleaningOfFile()
let w: TokenWorld
let needs: TokenNeeds
const keys = new Map<string, TestKey>()

before(async () => {
  w = await tokenWorld(cleaning)
  needs = w.server.domains.tokens.needs
  for (const name of NAMES) {
    const key = await newTestKey()
    keys.set(name, key)
    await w.workload(name, { tier: 3 })
    const { x = '', y = '' } = key.jwk
    const own = { keys: { keys: [{ kty: 'EC', crv: 'P-256', x, y }] }, isBound: false, ttlSeconds: 3600 }
    await w.ada.ask(createTrustRule, { params: { identity: name }, input: { name, preset: 'client-key', ...own } })
  }
})
after(() => cleaning.now())

const assertionOf = (name: string) => {
  const key = keys.get(name)
  assert.ok(key)
  return signed(key, { iss: name, sub: name, aud: w.issuer })
}

async function askedBy(name: string, assertion?: string): Promise<FormAsked> {
  const fields = new Map([
    ['grant_type', GRANT_TYPES.client],
    ['client_assertion_type', CLIENT_ASSERTION],
    ['client_assertion', assertion ?? (await assertionOf(name))],
  ])
  const presented = {
    bearer: undefined,
    certificate: undefined,
    keyCertificate: undefined,
    dpop: undefined,
    clientAddress: '127.0.0.1',
  }
  return { fields, lists: new Map(), isClear: true, presented, dpop: undefined, agent: '', hasAuthorization: false }
}

/** A key that is held by somebody who signs when the test says so. */
function slowSigner() {
  let open = Promise.withResolvers<void>()
  let asked = 0
  const ring: TokenNeeds['ring'] = {
    ...needs.ring,
    mint: async (claims) => {
      asked += 1
      await open.promise
      return needs.ring.mint(claims)
    },
  }
  return {
    door: tokenDoor({ ...needs, ring }),
    asked: () => asked,
    release: () => {
      open.resolve()
      open = Promise.withResolvers()
    },
  }
}

type Told = { readonly error?: string; readonly access_token?: string; readonly expires_in?: number }
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a test looks into answers
const told = ({ body }: { readonly body?: unknown }) => (body ?? {}) as Told

/** How many it was given, each with its entry, and none is entered that was not. */
async function tokensOf(name: string): Promise<number> {
  const rows = await needs.db
    .selectFrom('apiToken')
    .innerJoin('identity', 'identity.id', 'apiToken.identityId')
    .select(['apiToken.id', 'identity.id as identityId'])
    .where('identity.name', '=', name)
    .where('apiToken.label', '=', 'access token')
    .execute()
  const entries = await needs.db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', 'access-token.issued')
    .where('resourceId', '=', rows[0]?.identityId ?? null)
    .execute()
  const entered = entries.map(({ leaf }): string => JSON.parse(leaf.toString()).facts.tokenId)
  assert.deepEqual(new Set(entered), new Set(rows.map(({ id }) => id)))
  return rows.length
}

async function openTransactions(): Promise<number | undefined> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%'`.execute(
    needs.db,
  )
  return rows[0]?.count
}

test('while a key is slow to sign, no connection is taken, no row is locked, and nothing is entered', async () => {
  const { door, asked, release } = slowSigner()
  const before = await tokensOf('one')
  // More than there are connections.
  const answers = Promise.all(Array.from({ length: 24 }, async () => door.answer(await askedBy('one'))))
  await eventually(async () => asked() === 24 || undefined)

  // What the node does beside is over in a moment; a transaction of these would stay as long as the key.
  await eventually(async () => (await openTransactions()) === 0 || undefined)
  await w.ada.ask(updateIdentity, { params: { identity: 'one' }, input: { purpose: 'it can be changed meanwhile' } })
  assert.equal(await tokensOf('one'), before)
  release()

  const done = await answers
  assert.deepEqual(new Set(done.map(({ status }) => status)), new Set([200]))
  assert.equal(await tokensOf('one'), before + 24)
})

test('attack: who is suspended, or loses their rule, while a key signs gets no token, and nobody hears what was signed', async () => {
  const { door, asked, release } = slowSigner()
  const suspended = door.answer(await askedBy('one'))
  const ruled = door.answer(await askedBy('two'))
  await eventually(async () => asked() === 2 || undefined)
  const before = [await tokensOf('one'), await tokensOf('two')]

  await w.ada.ask(suspendIdentity, { params: { identity: 'one' }, input: { reason: 'it leaked' } })
  await w.ada.ask(retireTrustRule, { params: { rule: 'two' }, input: { reason: 'it leaked' } })
  release()

  assert.deepEqual([told(await suspended).error, told(await ruled).error], ['invalid_grant', 'invalid_grant'])
  assert.deepEqual([await tokensOf('one'), await tokensOf('two')], before)
  await w.ada.ask(resumeIdentity, { params: { identity: 'one' } })
})

test('attack: whose tier rises while a key signs gets no token of the lower tier', async () => {
  const { door, asked, release } = slowSigner()
  const answer = door.answer(await askedBy('three'))
  await eventually(async () => asked() === 1 || undefined)

  const { db } = needs
  await db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ id: number }>`
      insert into ledger_entry (xid, at, kind, leaf) values ('0', now(), 'test.changed', '{}') returning id`.execute(tx)
    await tx
      .updateTable('identity')
      .set({ tier: 2, cause: rows[0]?.id ?? 0 })
      .where('name', '=', 'three')
      .execute()
  })
  release()
  await eventually(async () => asked() === 2 || undefined)
  release()

  assert.equal(told(await answer).expires_in, 900)
})

test('a key that cannot be asked spends nothing: what was shown is good for the next try', async () => {
  const assertion = await assertionOf('one')
  const failing = { ...needs.ring, mint: () => Promise.reject(new Error('the token was pulled out')) }
  await assert.rejects(async () => tokenDoor({ ...needs, ring: failing }).answer(await askedBy('one', assertion)))

  const again = await tokenDoor(needs).answer(await askedBy('one', assertion))

  assert.equal(again.status, 200)
  assert.equal(told(await tokenDoor(needs).answer(await askedBy('one', assertion))).error, 'invalid_grant')
})

test('attack: one assertion, shown many times at once, among others, is worth one token, and the others get theirs', async () => {
  const door = tokenDoor(needs)
  const assertion = await assertionOf('one')
  const asked = await Promise.all(
    Array.from({ length: 16 }, (_, at) => (at % 2 === 0 ? askedBy('one', assertion) : askedBy('three'))),
  )
  const before = [await tokensOf('one'), await tokensOf('three')]

  const answers = await Promise.all(asked.map((each) => door.answer(each)))

  const good = answers.filter(({ status }) => status === 200)
  assert.equal(good.length, 9)
  assert.equal(new Set(good.map((each) => told(each).access_token)).size, 9)
  assert.deepEqual([await tokensOf('one'), await tokensOf('three')], [(before[0] ?? 0) + 1, (before[1] ?? 0) + 8])
})

test('those who ask at once share a transaction, and whoever stands on what somebody is changing keeps none of them waiting', async () => {
  const door = tokenDoor(needs)
  const changing = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const change = needs.db.transaction().execute(async (tx) => {
    await sql`select from identity where name = 'three' for update`.execute(tx)
    locked.resolve()
    await changing.promise
  })
  await locked.promise
  let entered = 0
  using _hook = onReach((label) => {
    if (label === 'token.entered') entered += 1
  })
  const waits = door.answer(await askedBy('three'))
  const others = await Promise.all(Array.from({ length: 12 }, () => askedBy('one')))

  const answers = await Promise.all(others.map((each) => door.answer(each)))

  assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
  assert.ok(entered < 12, `${entered} transactions for 12 tokens`)
  changing.resolve()
  await change
  assert.equal((await waits).status, 200)
})
