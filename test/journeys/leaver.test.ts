import assert from 'node:assert/strict'
import { request } from 'node:https'
import { test } from 'node:test'
import pg from 'pg'
import { withKey } from '../../demo/database-client.ts'
import { redeem, TEAMS } from '../../demo/people.ts'
import { applyChange, approveChange, approveRequest, Change, requestAccess } from '../../src/access/contract.ts'
import { registerAccount } from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { listRotations, readRotation } from '../../src/credentials/contract.ts'
import { attestOwner, enrolIdentity, readIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { clientConfig } from '../../src/kernel/db.ts'
import { linkProvisionedUser, listCases, readCase } from '../../src/lifecycle/contract.ts'
import { listSessions } from '../../src/sessions/contract.ts'
import { eventually } from '../support/eventually.ts'
import { installation, type Installation } from '../support/installation.ts'

const SHARED = 'the-password-everybody-knew'
const JSON_TYPE = 'application/scim+json'

/** What an identity provider sends. */
async function scim(site: Installation, by: Client, method: string, path: string, body: unknown) {
  const text = JSON.stringify(body)
  return new Promise<{ status: number; body: { id: string; active: boolean } }>((resolve, reject) => {
    const headers = { 'content-type': JSON_TYPE, authorization: `Bearer ${by.connection.token?.reveal()}` }
    const asked = request(`${site.server.api.url}/scim/v2/${path}`, {
      method,
      headers,
      ca: site.server.authority.certificate,
    })
    asked.on('response', (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString('utf8')) }),
      )
    })
    asked.on('error', reject)
    asked.end(text)
  })
}

async function provider({ server, cast: { ada, carol } }: Installation): Promise<Client> {
  const input = { kind: 'machine', name: 'entra', profile: 'integration', owner: 'carol' } as const
  await ada.ask(registerIdentity, { input })
  await carol.ask(attestOwner, { params: { identity: 'entra' } })
  return redeem(server, (await ada.ask(enrolIdentity, { params: { identity: 'entra' }, input: {} })).secret)
}

async function enter(site: Installation, user: string, password: string): Promise<string> {
  const { cluster } = site.production
  const client = new pg.Client({ ...clientConfig(cluster.connection()), user, password })
  try {
    await client.connect()
    await client.end()
    return 'let in'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

test('whoever leaves is out of everything: sessions and grants end, what they owned is nobody’s, and what they shared is another secret', async (t) => {
  const lifecycle = { senders: [], providers: ['entra'], soakDays: 0 }
  const site = await installation(t, { more: { teams: TEAMS, lifecycle } })
  const { cast, door, production } = site
  const { ada, bob, carol, erin } = cast
  const admin = new pg.Client(clientConfig(production.cluster.connection()))
  await admin.connect()
  await admin.query(`create role shared_batch login password '${SHARED}'`)
  await admin.query('grant shared_batch to reeve_provisioner with admin option')
  await admin.end()
  // Carol types the secret; Bob only ever acts by it.
  const shared = { name: 'shared_batch', mode: 'static', databases: ['shop'], password: SHARED } as const
  await carol.ask(registerAccount, { params: { target: 'shop-db' }, input: shared })
  const entra = await provider(site)
  const made = await scim(site, entra, 'POST', 'Users', {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'],
    userName: 'bob@example.org',
    active: true,
  })
  assert.equal(made.status, 201)
  const link = { params: { user: made.body.id }, input: { identity: 'bob', reason: 'is the same person' } }
  const change = Change.parse(await ada.call(linkProvisionedUser, { ...link, requestApproval: 'was here before' }))
  await erin.ask(approveChange, { params: { change: change.id }, input: { boundSha256: change.boundSha256 } })
  await ada.ask(applyChange, { params: { change: change.id } })
  const wanted = {
    target: 'shop-db',
    account: 'shared_batch',
    actions: ['postgres.read'],
    purpose: 'shop-operations',
    reason: 'The nightly batch is looked at.',
  }
  const asked = await bob.ask(requestAccess, { input: wanted })
  const { id: requestId, boundSha256 } = asked
  const grantId =
    asked.grantId ??
    (await carol.ask(approveRequest, { params: { request: requestId }, input: { boundSha256 } })).grantId ??
    assert.fail('nothing was granted')
  const session = await withKey(bob, door, grantId)
  t.after(() => session.end())
  assert.equal((await session.query('select 1 as one')).rows[0]?.one, 1)
  assert.equal(await enter(site, 'shared_batch', SHARED), 'let in')

  const left = await scim(site, entra, 'PATCH', `Users/${made.body.id}`, {
    schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
    Operations: [{ op: 'replace', path: 'active', value: false }],
  })

  assert.deepEqual([left.status, left.body.active], [200, false])
  assert.equal((await carol.ask(readIdentity, { params: { identity: 'bob' } })).state !== 'active', true)
  await assert.rejects(bob.ask(listRotations, {}), 'their token is worth nothing')
  await eventually(async () => {
    const { items } = await erin.ask(listSessions, { query: { limit: 50 } })
    const own = items.filter((each) => each.grantId === grantId)
    return own.length > 0 && own.every((each) => each.endedAt !== null) ? own : undefined
  })
  await assert.rejects(session.query('select 1'))
  const cases = (await erin.ask(listCases, { query: { limit: 50 } })).items
  const reasons = cases.map(({ identityName, reason }) => `${identityName} ${reason}`).toSorted()
  assert.deepEqual(reasons, ['bob leaver', 'shop-migrations owner-lost'])
  const own = cases.find(({ identityName }) => identityName === 'bob')?.id ?? assert.fail('there is no case')

  const closed = await eventually(async () => {
    const found = await erin.ask(readCase, { params: { case: own } })
    return found.state === 'closed' ? found : undefined
  })
  const login = closed.obligations.find(({ kind }) => kind === 'login')
  assert.deepEqual(
    [login?.label, login?.isDead, login?.evidence],
    ['shop-db/shared_batch', true, 'rotated, and the old secret is proven dead'],
  )
  const rotations = (await carol.ask(listRotations, { query: { target: 'shop-db', limit: 50 } })).items
  const [rotation] = rotations.filter(({ principal }) => principal === 'shared_batch')
  assert.deepEqual([rotation?.occasion, rotation?.state], ['owner-left', 'dead'])
  const { evidence } = await carol.ask(readRotation, { params: { rotation: rotation?.id ?? '' } })
  assert.match(JSON.stringify(evidence), /28P01/)
  assert.equal(await enter(site, 'shared_batch', SHARED), '28P01')
})
