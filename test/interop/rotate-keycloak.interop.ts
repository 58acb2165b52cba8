import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { ROTATION_FAULT_POINTS } from '../../src/credentials/rotation/fault-points.ts'
import { freshDatabase, type TestDatabase } from '../support/database.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { ORDINARY_POINTS, standing } from '../support/rotation-place.ts'
import { administer, startKeycloak } from './peers/keycloak.ts'

// Keycloak with its feature client-secret-rotation: clients of a realm with the policy, and one of a realm without.
const cleaning = cleaningOfFile()
const STANDING = 'standing secret & =+%'
const OWNER = { user: 'reeve', password: 'the secret of reeve there' }
const CONFIDENTIAL = { publicClient: false, standardFlowEnabled: true, redirectUris: ['https://app.example/*'] }
let url = ''
let home: TestDatabase

before(async () => {
  url = await startKeycloak(cleaning, { features: ['client-secret-rotation'] })
  for (const realm of ['company', 'plain']) {
    const reeve = { clientId: OWNER.user, secret: OWNER.password, publicClient: false, serviceAccountsEnabled: true }
    const clientRoles = { 'realm-management': ['manage-clients'] }
    await administer(url, '/realms', {
      realm,
      enabled: true,
      sslRequired: 'none',
      clients: [{ ...reeve, fullScopeAllowed: true, standardFlowEnabled: false }],
      users: [{ username: 'service-account-reeve', enabled: true, serviceAccountClientId: 'reeve', clientRoles }],
    })
  }
  const configuration = {
    'expiration-period': 2_592_000,
    'rotated-expiration-period': 172_800,
    'remaining-rotation-period': 864_000,
  }
  const profiles = [{ name: 'rotation', executors: [{ executor: 'secret-rotation', configuration }] }]
  const conditions = [{ condition: 'client-access-type', configuration: { type: ['confidential'] } }]
  const policies = [{ name: 'rotation', enabled: true, conditions, profiles: ['rotation'] }]
  await administer(url, '/realms/company/client-policies/profiles', { profiles }, 'PUT')
  await administer(url, '/realms/company/client-policies/policies', { policies }, 'PUT')
  home = await freshDatabase(cleaning)
})
after(() => cleaning.now())

let names = 0

async function keeping({ realm = 'company', way = 'retain-old', name = `app-${(names += 1)}` } = {}) {
  await administer(url, `/realms/${realm}/clients`, {
    clientId: name,
    secret: STANDING,
    ...CONFIDENTIAL,
    attributes: { owner: 'payments' },
  })
  const settings = { server: url, realm, plaintext: true }
  const account = { name, password: STANDING }
  const here = await standing(home, { protocol: 'keycloak', settings, provisioner: OWNER, account })
  if (way === 'retain-old') await here.configure({ strategy: 'retain-old' })
  return { ...here, at: (secret: string) => statusOf(realm, name, secret), shown: () => shownOf(realm, name) }
}

/** As the application itself would prove itself: 200 by its secret, 401 otherwise. */
async function statusOf(realm: string, client: string, secret: string): Promise<number> {
  const body = new URLSearchParams({ token: 'x', client_id: client, client_secret: secret })
  const answer = await fetch(`${url}/realms/${realm}/protocol/openid-connect/token/introspect`, {
    method: 'POST',
    body,
  })
  return answer.status
}

const Shown = z.array(z.looseObject({ id: z.string(), attributes: z.record(z.string(), z.string()) }))

async function shownOf(realm: string, client: string) {
  const [first] = Shown.parse(await administer(url, `/realms/${realm}/clients?clientId=${encodeURIComponent(client)}`))
  assert.ok(first)
  return first
}

test('both secrets are let in until a person says who took the new one, and the one before is proven dead then', async () => {
  const { start, settle, read, kept, declare, withdraw, clock, at, shown } = await keeping()
  const before = await shown()
  await declare('billing', '192.0.2.1')
  const id = await start()

  await settle()

  const waiting = await read(id)
  assert.deepEqual([waiting.state, waiting.lastError], ['distributed', null])
  assert.match(waiting.waitsFor ?? '', /withdraw billing/)
  const now = await kept()
  assert.deepEqual([await at(now.password), await at(STANDING), await at('wrong')], [200, 200, 401])
  await withdraw('billing')
  clock.ahead(400)
  await settle()

  const dead = await read(id)
  assert.deepEqual([dead.state, dead.lastError], ['dead', null])
  assert.equal(Object(dead.evidence).openedWithTheOld, 'goes on')
  assert.deepEqual([await at(now.password), await at(STANDING)], [200, 401])
  const { attributes, redirectUris } = await shown()
  assert.deepEqual([attributes['owner'], redirectUris], ['payments', before['redirectUris']])
  assert.equal(attributes['reeve.rotation'], id)
  assert.equal(attributes['client.secret.rotated'], undefined)

  const again = await start()
  await withdrawn()
  assert.equal((await read(again)).state, 'dead')
  assert.equal(await at(now.password), 401)

  async function withdrawn() {
    await settle()
    clock.ahead(400)
    await settle()
  }
})

for (const point of ORDINARY_POINTS(ROTATION_FAULT_POINTS)) {
  test(`killed at ${point}: one that works is known at any time, and another process brings it to its end`, async () => {
    const { start, settle, read, kept, dieAt, clock, at } = await keeping()
    const id = await start()

    assert.equal(await dieAt(point), 'SIGKILL')

    assert.equal(await at((await kept()).password), 200)
    clock.ahead(90)
    await settle()
    const { state, lastError } = await read(id)
    assert.deepEqual([state, lastError], ['dead', null])
    assert.deepEqual([await at((await kept()).password), await at(STANDING)], [200, 401])
  })
}

for (const point of ['rotation.disabled-upstream', 'rotation.undone-upstream'] as const) {
  test(`backed out of, killed at ${point}: the old one is the only one again`, async () => {
    const { start, settle, read, kept, dieAt, declare, abort, clock, at } = await keeping()
    const isEarly = point === 'rotation.undone-upstream'
    if (isEarly) await declare('billing', '192.0.2.1')
    const id = await start()
    if (isEarly) await settle()
    else assert.equal(await dieAt(point), 'SIGKILL')
    const given = await kept()
    await abort(id)
    if (isEarly) assert.equal(await dieAt(point, 90), 'SIGKILL')
    clock.ahead(400)

    await settle()

    const { state, lastError } = await read(id)
    assert.deepEqual([state, lastError], ['aborted', null])
    assert.deepEqual([await at(STANDING), await at(given.password)], [200, 401])
  })
}

test('a process that died after Keycloak made another one, before ours took its place, loses none', async () => {
  const { start, settle, read, kept, at, shown } = await keeping()
  const id = await start()
  const { id: client } = await shown()
  // What such a process leaves: the policy has seen the client, and Keycloak made another one that nobody keeps.
  await administer(
    url,
    `/realms/company/clients/${client}`,
    { clientId: (await kept()).user, attributes: { owner: 'payments' } },
    'PUT',
  )
  await administer(url, `/realms/company/clients/${client}/client-secret`, {})
  assert.equal(await at(STANDING), 200)

  await settle()

  assert.deepEqual([(await read(id)).state, (await read(id)).lastError], ['dead', null])
  assert.deepEqual([await at((await kept()).password), await at(STANDING)], [200, 401])
})

test('attack: without the policy nothing is made, so nobody is cut off, and it says what to switch on', async () => {
  const { start, settle, read, at } = await keeping({ realm: 'plain' })
  const id = await start()

  await settle()

  const open = await read(id)
  assert.equal(open.state, 'planned')
  assert.match(open.lastError ?? '', /switch on client-secret-rotation/)
  assert.equal(await at(STANDING), 200)
})

test('attack: what somebody else made or retained there is not overwritten', async () => {
  const first = await keeping()
  const { id: client } = await first.shown()
  await administer(
    url,
    `/realms/company/clients/${client}`,
    { clientId: first.name, attributes: { owner: 'x' } },
    'PUT',
  )
  await administer(url, `/realms/company/clients/${client}/client-secret`, {})
  await administer(url, `/realms/company/clients/${client}`, { clientId: first.name, secret: 'of a person' }, 'PUT')
  await administer(url, `/realms/company/clients/${client}/client-secret`, {})
  const id = await first.start()
  await first.settle()
  const open = await first.read(id)
  assert.equal(open.state, 'planned')
  assert.match(open.lastError ?? '', /somebody gave app-\d+ another secret/)
  assert.equal(await first.at('of a person'), 200)
})

test('attack: a record that was restored from a backup ends nothing that lives', async () => {
  const { start, settle, read, dieAt, clock, at, shown, name } = await keeping()
  const id = await start()
  assert.equal(await dieAt('rotation.adopted'), 'SIGKILL')
  const { id: client } = await shown()
  const attributes = { 'reeve.rotation': 'ffffffff-ffff-7fff-bfff-ffffffffffff' }
  await administer(
    url,
    `/realms/company/clients/${client}`,
    { clientId: name, secret: 'of a later rotation', attributes },
    'PUT',
  )
  clock.ahead(90)

  await settle()

  assert.equal((await read(id)).state, 'superseded')
  assert.equal(await at('of a later rotation'), 200)
  // It was the one before there, and still is.
  assert.equal(await at(STANDING), 200)
})

test('attack: hostile names reach no other client, and a client is cut over without the policy', async () => {
  for (const name of ['app&clientId=reeve', '../clients', 'a/b?x=%2F', 'reeve%00']) {
    const account = { name, password: STANDING }
    const settings = { server: url, realm: 'plain', plaintext: true }
    const here = await standing(home, { protocol: 'keycloak', settings, provisioner: OWNER, account })
    const id = await here.start()
    await here.settle()
    assert.equal((await here.read(id)).state, 'planned')
    assert.match((await here.read(id)).lastError ?? '', /there is no such client|refused it|something unexpected/)
  }
  const { start, settle, read, kept, at } = await keeping({ realm: 'plain', way: 'cut-over', name: 'a b/ü?&c' })
  const id = await start({ endSessions: true })
  await settle()
  const dead = await read(id)
  assert.deepEqual([dead.state, dead.lastError], ['dead', null])
  assert.equal(Object(dead.evidence).openedWithTheOld, 'goes on')
  assert.deepEqual([await at((await kept()).password), await at(STANDING)], [200, 401])
})

test('the provisioner of the realm is cut over by itself, and goes on by its new secret', async () => {
  const { start, settle, read, kept } = await keeping({ realm: 'plain', way: 'cut-over' })
  const id = await start({ provisioner: true })
  await settle()
  assert.deepEqual([(await read(id)).state, (await read(id)).lastError], ['dead', null])
  const now = await kept('provisioner')
  assert.deepEqual(
    [await statusOf('plain', 'reeve', now.password), await statusOf('plain', 'reeve', OWNER.password)],
    [200, 401],
  )
  const next = await start()
  await settle()
  assert.equal((await read(next)).state, 'dead')
})
