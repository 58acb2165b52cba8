import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attestOwner, enrolIdentity, redeemEnrolment, registerIdentity } from '../../src/identities/contract.ts'
import { revokeVendor } from '../../src/lifecycle/contract.ts'
import { eventually } from '../support/eventually.ts'
import { quickFolder } from '../support/quick-folder.ts'
import { sendTo } from '../support/token-world.ts'
import { untilDead, type FaultNode } from './node.ts'
import { found, type Plant } from './plant.ts'
import { checkpointOf, proveCauses, proveTold } from './proofs.ts'
import { failureOf } from './story.ts'

const SCIM = 'urn:ietf:params:scim:'
const USER = `${SCIM}schemas:core:2.0:User`
const PATCH = `${SCIM}api:messages:2.0:PatchOp`
const BULK = `${SCIM}api:messages:2.0:BulkRequest`
const LEAVES = { schemas: [PATCH], Operations: [{ op: 'replace', path: 'active', value: false }] }
/** Every change here has an entry, so these are the two moments of each: it is written and not committed, and it is committed and nobody told. */
const MOMENTS = [['ledger.recorded'], ['ledger.recorded', 'kernel.committed']] as const
const BULK_USERS = 6
const BULK_TRIES = 5
/** The next node takes over each time, and the last one brings all of them to their end. */
const DEATHS = 4

/** What is done, what is left to do, and that nothing was done by half. */
async function standing(plant: Plant) {
  return plant.look(async (db) => {
    const cases = await db
      .selectFrom('lifecycleCase')
      .innerJoin('identity', 'identity.id', 'lifecycleCase.identityId')
      .select([
        'lifecycleCase.id',
        'lifecycleCase.state',
        'identity.state as identity',
        'identity.vendor',
        'heldBecause',
      ])
      .execute()
    const entries = await db
      .selectFrom('ledgerEntry')
      .select(['kind', 'leaf', 'resourceId'])
      .where('kind', 'like', 'case.%')
      .execute()
    for (const { id, state, identity } of cases) {
      const own = entries.filter(({ resourceId }) => resourceId === id)
      assert.equal(own.filter(({ kind }) => kind === 'case.opened').length, 1)
      const steps = own
        .filter(({ kind }) => kind === 'case.moved')
        .map(({ leaf }) => JSON.parse(leaf.toString()).facts.to)
      assert.equal(new Set(steps).size, steps.length, `a step was taken twice: ${steps.join(', ')}`)
      if (state !== 'opened') assert.equal(steps.includes('suspended'), true)
      if (state !== 'opened') assert.notEqual(identity, 'active')
      if (state === 'closed') assert.equal(identity, 'retired')
      assert.equal(own.filter(({ kind }) => kind === 'case.closed').length, state === 'closed' ? 1 : 0)
    }
    const users = await db.selectFrom('identity').select(['name', 'state']).where('kind', '=', 'human').execute()
    const vendor = await db.selectFrom('identity').select('state').where('vendor', '=', 'acme').execute()
    return { cases, users, vendor: vendor.map(({ state }) => state) }
  })
}

test('a node is killed while people come and go, and a vendor goes', async (t) => {
  const lifecycle = { providers: ['entra'], soakDays: 0 }
  const { plant, first } = await found(t, quickFolder('reeve-faults-'), { lifecycle })
  let node: FaultNode = first
  let token = ''
  {
    using ada = plant.as('ada', node)
    using bob = plant.as('bob', node)
    const input = { kind: 'machine', name: 'entra', profile: 'integration', owner: 'bob', ownerTeam: 'shop' } as const
    await ada.ask(registerIdentity, { input })
    await bob.ask(attestOwner, { params: { identity: 'entra' } })
    const { secret } = await ada.ask(enrolIdentity, { params: { identity: 'entra' }, input: {} })
    token = (await ada.ask(redeemEnrolment, { input: { secret } })).token
    for (const name of ['acme-sync', 'acme-export', 'acme-batch']) {
      const of = { kind: 'workload', name, profile: 'integration', owner: 'bob', ownerTeam: 'shop', vendor: 'acme' }
      await ada.ask(registerIdentity, { input: of })
      await bob.ask(attestOwner, { params: { identity: name } })
    }
  }
  const scim = (method: string, path: string, body: unknown) => {
    const headers = { 'content-type': 'application/scim+json', authorization: `Bearer ${token}` }
    return sendTo(node.url, node.authority, `/scim/v2/${path}`, { method, headers, body: JSON.stringify(body) })
  }
  const user = (userName: string) => ({ schemas: [USER], userName, active: true })
  const find = async (userName: string): Promise<{ id: string; active: boolean } | undefined> => {
    const found = await scim('GET', `Users?filter=${encodeURIComponent(`userName eq "${userName}"`)}`, undefined)
    return found.json.Resources[0]
  }
  const dying = async (arm: readonly string[], call: () => Promise<unknown>) => {
    await node.order({ arm })
    const said = await failureOf(call())
    await untilDead(node, `it did not die at ${arm.join(', then ')}: ${said}`)
    node = await plant.start()
  }

  for (const [at, arm] of MOMENTS.entries()) {
    await t.test(
      `killed at ${arm.join(', then ')} of a joiner: there whole or not at all, and asked again there once`,
      async () => {
        const checkpoint = await checkpointOf(plant, node)
        const name = `joiner-${at}@example.org`
        await dying(arm, () => scim('POST', 'Users', user(name)))

        const there = await find(name)
        if (arm.length === 1) assert.equal(there, undefined)
        const again = await scim('POST', 'Users', user(name))
        assert.equal(again.status, there ? 409 : 201)
        assert.equal((await find(name))?.active, true)
        await proveTold(plant, node, [], checkpoint)
      },
    )

    await t.test(`killed at ${arm.join(', then ')} of a leaver: still in, or stopped with a case`, async () => {
      const { id = '' } = (await find(`joiner-${at}@example.org`)) ?? {}
      const before = (await standing(plant)).cases.length
      await dying(arm, () => scim('PATCH', `Users/${id}`, LEAVES))

      const { cases } = await standing(plant)
      if (arm.length === 1) assert.equal(cases.length, before)
      assert.equal((await scim('PATCH', `Users/${id}`, LEAVES)).status, 200)
      assert.equal((await standing(plant)).cases.length, before + 1)
    })

    await t.test(
      `killed at ${arm.join(', then ')} in the middle of many operations: each was done or was not, and the rest is done again`,
      async () => {
        const names = Array.from({ length: BULK_USERS }, (_, of) => `many-${at}-${of}@example.org`)
        const post = (name: string) => ({ method: 'POST', bulkId: name, path: '/Users', data: user(name) })
        const sent = { schemas: [BULK], Operations: names.map(post) }
        // In the third of them.
        const third = [
          ...Array.from({ length: 4 }, () => ['ledger.recorded', 'kernel.committed'])
            .slice(0, 2)
            .flat(),
          ...arm,
        ]
        let made = 0
        // Entries of cases that go on count as well: a node that died of those before it did anything is asked again.
        for (let tries = 0; made === 0 && tries < BULK_TRIES; tries += 1) {
          await dying(third, () => scim('POST', 'Bulk', sent))
          made = (await Promise.all(names.map(find))).filter((each) => each !== undefined).length
        }
        assert.ok(made >= 1 && made < BULK_USERS, `${made} are there`)
        const again = await scim('POST', 'Bulk', sent)
        const statuses = again.json.Operations.map(({ status }: { status: string }) => status)
        assert.equal(statuses.filter((status: string) => status === '409').length, made)
        assert.equal(statuses.filter((status: string) => status === '201').length, BULK_USERS - made)
      },
    )
  }

  for (const arm of MOMENTS) {
    await t.test(`killed at ${arm.join(', then ')} while a vendor is revoked: all of it or nothing`, async () => {
      const revoke = async () => {
        using erin = plant.as('erin', node)
        const given = { params: { vendor: 'acme' }, input: { reason: 'the contract is over' } }
        return await erin.ask(revokeVendor, given)
      }
      await dying(arm, revoke)

      const stopped = (await standing(plant)).vendor.filter(
        (state) => state !== 'registered' && state !== 'active',
      ).length
      assert.ok(stopped === 0 || stopped === 3, `${stopped} of 3 are stopped`)
      await revoke()
      const { cases } = await standing(plant)
      assert.equal(cases.filter(({ vendor }) => vendor === 'acme').length, 3)
    })
  }

  await t.test('killed at each step of the cases: each is taken once, and all are closed in the end', async () => {
    for (let deaths = 0; deaths < DEATHS; deaths += 1) {
      await node.order({ arm: MOMENTS[deaths % MOMENTS.length] ?? [] })
      assert.equal(await node.died, 'SIGKILL')
      node = await plant.start()
      await standing(plant)
    }
    const cases = await eventually(async () => {
      const { cases: all } = await standing(plant)
      return all.every(({ state }) => state === 'closed') ? all : undefined
    })
    assert.equal(cases.length, 5)
  })
  assert.ok((await proveCauses(plant)) > 10)
  await node.kill('SIGTERM')
})
