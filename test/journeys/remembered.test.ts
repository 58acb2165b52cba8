import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql, type RawBuilder } from 'kysely'
import { endPurpose } from '../../src/catalog/contract.ts'
import { listTokens, resumeIdentity, revokeToken, suspendIdentity } from '../../src/identities/contract.ts'
import { authzenWorld, READ, USE, type AuthzenWorld } from '../support/authzen-world.ts'
import { eventually } from '../support/eventually.ts'
import { cleaningOfFile } from '../support/installation.ts'

const cleaning = cleaningOfFile()
let here: AuthzenWorld

before(async () => {
  here = await authzenWorld(cleaning)
})

after(() => cleaning.now())

async function decisionOn(question: object): Promise<boolean> {
  const answer = await here.evaluate(question)
  assert.equal(answer.status, 200)
  return answer.json().decision
}

/** As another node commits it: nobody tells this one but the database. */
async function elsewhere(change: (cause: number) => RawBuilder<unknown>): Promise<void> {
  await here.server.ground.db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ id: number }>`
      insert into ledger_entry (xid, at, kind, leaf) values ('0', now(), 'test.changed', '{}') returning id`.execute(tx)
    const { numAffectedRows } = await change(rows[0]?.id ?? 0).execute(tx)
    assert.equal(numAffectedRows, 1n)
  })
}

const bobIs = (state: string) => (cause: number) =>
  sql`update identity set state = ${state}, cause = ${cause} where name = 'bob'`

async function until(question: object, decision: boolean): Promise<void> {
  await eventually(async () => (await decisionOn(question)) === decision || undefined)
}

test('attack: whom this node suspended is refused by its very next answer, however often', async () => {
  const bob = { params: { identity: 'bob' } }
  for (let round = 0; round < 10; round += 1) {
    assert.equal(await decisionOn(READ), true)
    await here.ada.ask(suspendIdentity, { ...bob, input: { reason: 'left the company' } })
    assert.equal(await decisionOn(READ), false)
    await here.ada.ask(resumeIdentity, bob)
  }
})

test('attack: whom another node suspended is refused as soon as the database says so', async () => {
  assert.equal(await decisionOn(READ), true)
  await elsewhere(bobIs('suspended'))
  await until(READ, false)
  await elsewhere(bobIs('active'))
  await until(READ, true)
})

test('attack: a node whose listener was ended does not go on by what it remembers', async () => {
  for (let round = 0; round < 3; round += 1) {
    await until(READ, true)
    const { rows } = await sql<{ ended: boolean }>`
      select pg_terminate_backend(pid) as ended from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and query ilike '%reeve_beat%'`.execute(
      here.server.ground.db,
    )
    assert.ok(rows.length > 0)
    await elsewhere(bobIs('suspended'))
    await until(READ, false)
    await elsewhere(bobIs('active'))
  }
  await until(READ, true)
})

test('attack: a target that another node made production is judged as that as soon as the database says so', async () => {
  const targetIs = (environment: string) => (cause: number) =>
    sql`update target set environment = ${environment}, cause = ${cause} where name = 'shop-db'`
  const judgedBy = async (policy: string) => {
    const answer = await here.evaluate(USE)
    return answer.json().context.policies.includes(policy) || undefined
  }
  assert.ok(await judgedBy('person-reads-outside-production'))
  await elsewhere(targetIs('production'))
  await eventually(() => judgedBy('person-reads-production'))
  await elsewhere(targetIs('staging'))
  await eventually(() => judgedBy('person-reads-outside-production'))
})

test('attack: a purpose that ended covers nothing in the very next answer', async () => {
  assert.equal(await decisionOn(USE), true)
  await here.ada.ask(endPurpose, { params: { purpose: 'care' }, input: { reason: 'it was enough' } })
  assert.equal(await decisionOn(USE), false)
})

test('attack: a token that was revoked proves nothing in the very next call', async () => {
  assert.equal(await decisionOn(READ), true)
  const { items } = await here.ada.ask(listTokens, { params: { identity: 'gate' }, query: { limit: 10 } })
  for (const { id } of items) await here.ada.ask(revokeToken, { params: { token: id } })
  assert.equal((await here.evaluate(READ)).status, 401)
})
