import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lifecycleWorld, type LifecycleWorld } from '../../../test/support/lifecycle-world.ts'
import type { Identity } from '../../identities/contract.ts'
import { loadIdentityByName } from '../../identities/identities.ts'
import { ENTERPRISE, USER } from './schema.ts'

const PATCH = 'urn:ietf:params:scim:api:messages:2.0:PatchOp'

function user(userName: string, more: Record<string, unknown> = {}) {
  return { schemas: [USER], userName, externalId: `ext-${userName}`, active: true, ...more }
}

function patch(...Operations: unknown[]) {
  return { schemas: [PATCH], Operations }
}

async function personOf(w: LifecycleWorld, userId: string): Promise<Identity> {
  const row = await w.db
    .selectFrom('provisionedUser')
    .select('identityId')
    .where('id', '=', userId)
    .executeTakeFirstOrThrow()
  return w.reload({ id: row.identityId })
}

test('a joiner may act and has nothing: no credential, no team, no grant, and a name that no team knows', async (t) => {
  const teams = {
    administrators: { members: ['founder'] },
    security: { members: ['carol', 'mallory'] },
    payments: { members: ['alice', 'bob'] },
  }
  const w = await lifecycleWorld(t, { teams })

  const made = await w.scim(
    w.entra,
    'POST',
    'Users',
    user('Mallory@example.org', { displayName: 'Mallory M', roles: [{ value: 'admin' }] }),
  )
  const again = await w.scim(w.entra, 'POST', 'Users', user('alice@example.org'))

  assert.equal(made.status, 201)
  assert.equal(made.headers['etag'], 'W/"1"')
  assert.equal(made.headers['location'], `https://reeve.example/scim/v2/Users/${made.body.id}`)
  assert.equal(made.body.roles, undefined)
  const [mallory, other] = [await personOf(w, made.body.id), await personOf(w, again.body.id)]
  assert.deepEqual(
    [mallory.name, mallory.state, mallory.displayName, mallory.isFounder],
    ['mallory-2', 'active', 'Mallory M', false],
  )
  assert.deepEqual(w.teams.teamsOf(mallory.name), [])
  // An address is never who somebody is: Alice was here before.
  assert.notEqual(other.id, w.alice.id)
  assert.deepEqual(await w.db.selectFrom('apiToken').select('id').where('identityId', '=', mallory.id).execute(), [])
  const kinds = await w.kinds()
  assert.ok(kinds.includes('provisioned-user.created'))
  const { leaf } = await w.db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', 'provisioned-user.created')
    .executeTakeFirstOrThrow()
  assert.ok(!leaf.toString().includes('example.org'), 'an entry holds no address')
  assert.ok(leaf.toString().includes(w.entra.id), 'it says which integration did it')
})

test('a leaver is stopped in the same transaction, with grants and what they owned, and is back only by the same way', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: made } = await w.scim(w.entra, 'POST', 'Users', user('joan'))
  const joan = await personOf(w, made.id)
  const job = await w.workload('nightly', joan)
  const held = await w.ask(joan, { actions: ['postgres.read'] })

  const off = patch({ op: 'Replace', path: 'active', value: 'False' })
  const left = await w.scim(w.entra, 'PATCH', `Users/${made.id}`, off)

  assert.deepEqual([left.status, left.body.active], [200, false])
  assert.equal((await w.reload(joan)).state, 'suspended')
  assert.equal((await w.reload(job)).ownerState, 'lost')
  const grant = await w.db
    .selectFrom('accessGrant')
    .select('endReason')
    .where('requestId', '=', held.id)
    .executeTakeFirstOrThrow()
  assert.equal(grant.endReason, 'identity-suspended')
  const cases = await w.db
    .selectFrom('lifecycleCase')
    .select(['identityId', 'reason', 'state'])
    .orderBy('reason')
    .execute()
  assert.deepEqual(cases, [
    { identityId: joan.id, reason: 'leaver', state: 'suspended' },
    { identityId: job.id, reason: 'owner-lost', state: 'opened' },
  ])

  const back = await w.scim(w.entra, 'PATCH', `Users/${made.id}`, patch({ op: 'replace', value: { active: true } }))
  assert.equal(back.status, 200)
  assert.equal((await w.reload(joan)).state, 'active')
  assert.equal((await w.reload(job)).ownerState, 'lost', 'what was lost does not come back by itself')
})

test('attack: whom security stopped is not let act again by a provider that says inactive and active', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: made } = await w.scim(w.entra, 'POST', 'Users', user('joan'))
  const joan = await personOf(w, made.id)
  const { suspendIdentity } = await import('../../identities/identities.ts')
  await w.run((tx) =>
    suspendIdentity(tx, w.lifecycle, w.permit('identity.suspend', w.carol, joan), { reason: 'is being looked at' }),
  )

  await w.scim(w.entra, 'PATCH', `Users/${made.id}`, patch({ op: 'replace', path: 'active', value: false }))
  const back = await w.scim(w.entra, 'PATCH', `Users/${made.id}`, patch({ op: 'replace', path: 'active', value: true }))

  assert.equal(back.status, 409)
  assert.equal((await w.reload(joan)).state, 'suspended')
})

test('attack: a provider neither sees, changes nor takes over users of another, nor people it did not make', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: joan } = await w.scim(w.entra, 'POST', 'Users', user('joan'))
  const { body: jack } = await w.scim(w.okta, 'POST', 'Users', user('jack'))
  const { body: group } = await w.scim(w.entra, 'POST', 'Groups', { displayName: 'all', members: [{ value: joan.id }] })

  for (const [method, body] of [
    ['GET', undefined],
    ['PUT', user('joan')],
    ['PATCH', patch({ op: 'replace', path: 'active', value: false })],
    ['DELETE', undefined],
  ] as const) {
    assert.equal((await w.scim(w.okta, method, `Users/${joan.id}`, body)).status, 404, method)
    assert.equal((await w.scim(w.okta, method, `Groups/${group.id}`, body)).status, 404, method)
    assert.equal((await w.scim(w.okta, method, `Users/${w.alice.id}`, body)).status, 404, method)
  }
  const member = await w.scim(
    w.entra,
    'PATCH',
    `Groups/${group.id}`,
    patch({ op: 'add', path: 'members', value: [{ value: jack.id }] }),
  )
  assert.deepEqual([member.status, member.body.scimType], [400, 'invalidValue'])
  // The same name and number at another provider is somebody else.
  const same = await w.scim(w.okta, 'POST', 'Users', user('joan'))
  assert.equal(same.status, 201)
  assert.notEqual((await personOf(w, same.body.id)).id, (await personOf(w, joan.id)).id)
})

test('attack: another user’s userName or externalId is not taken, and a change of one’s own moves no link', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: joan } = await w.scim(w.entra, 'POST', 'Users', user('joan'))
  const { body: jack } = await w.scim(w.entra, 'POST', 'Users', user('jack'))
  const before = await personOf(w, jack.id)

  for (const value of [{ userName: 'JOAN' }, { externalId: 'ext-joan' }]) {
    const taken = await w.scim(w.entra, 'PATCH', `Users/${jack.id}`, patch({ op: 'replace', value }))
    assert.deepEqual([taken.status, taken.body.scimType], [409, 'uniqueness'])
  }
  const twice = await w.scim(w.entra, 'POST', 'Users', user('Joan', { externalId: 'other' }))
  assert.deepEqual([twice.status, twice.body.scimType, twice.body.status], [409, 'uniqueness', '409'])
  await w.scim(
    w.entra,
    'PATCH',
    `Users/${jack.id}`,
    patch({ op: 'replace', value: { userName: 'alice', externalId: w.alice.id, id: joan.id } }),
  )
  assert.equal((await personOf(w, jack.id)).id, before.id)
  assert.equal(
    (await w.scim(w.entra, 'PATCH', `Users/${jack.id}`, patch({ op: 'replace', path: 'id', value: joan.id }))).body
      .scimType,
    'mutability',
  )
})

test('attack: no PATCH makes anybody founder, owner, administrator or member of a team', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: joan } = await w.scim(w.entra, 'POST', 'Users', user('joan'))
  await w.scim(
    w.entra,
    'PATCH',
    `Users/${joan.id}`,
    patch(
      {
        op: 'add',
        value: {
          isFounder: true,
          roles: [{ value: 'administrators' }],
          groups: [{ value: 'administrators' }],
          profile: 'break-glass',
          tier: 0,
          ownerId: w.alice.id,
          'identity.isFounder': true,
        },
      },
      { op: 'replace', value: { entitlements: [{ value: 'security' }], userType: 'administrators' } },
    ),
  )
  await w.scim(w.entra, 'POST', 'Groups', { displayName: 'administrators', members: [{ value: joan.id }] })
  await w.scim(w.entra, 'POST', 'Groups', { displayName: 'security', members: [{ value: joan.id }] })

  const person = await personOf(w, joan.id)

  assert.deepEqual([person.isFounder, person.profile, person.tier, person.ownerId], [false, 'person', 2, null])
  assert.deepEqual(w.teams.teamsOf(person.name), [])
  const { body } = await w.scim(w.entra, 'GET', `Users/${joan.id}`)
  assert.deepEqual(body.groups.map((each: { display: string }) => each.display).sort(), ['administrators', 'security'])
  for (const path of ['groups', 'meta.version', 'schemas']) {
    const refused = await w.scim(w.entra, 'PATCH', `Users/${joan.id}`, patch({ op: 'replace', path, value: 'x' }))
    assert.equal(refused.body.scimType, 'mutability', path)
  }
  assert.equal(
    (await w.scim(w.entra, 'PATCH', `Users/${joan.id}`, patch({ op: 'add', path: 'isFounder', value: true }))).body
      .scimType,
    'invalidPath',
  )
})

test('attack: the founder is stopped by no provider, and the last person who can act by nobody', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: ada } = await w.scim(w.entra, 'POST', 'Users', user('ada'))
  const { linkProvisionedUser } = await import('./link.ts')
  const permit = w.permit('provisioned-user.link', w.ada, w.ada)
  await w.run((tx) =>
    linkProvisionedUser(tx, w.lifecycle, permit, { user: ada.id, identity: 'founder', reason: 'is the same person' }),
  )
  assert.equal((await personOf(w, ada.id)).id, w.ada.id)

  const refused = await w.scim(w.entra, 'DELETE', `Users/${ada.id}`)
  const alsoRefused = await w.scim(
    w.entra,
    'PATCH',
    `Users/${ada.id}`,
    patch({ op: 'replace', path: 'active', value: 'false' }),
  )

  assert.deepEqual([refused.status, alsoRefused.status], [409, 409])
  assert.equal((await w.reload(w.ada)).state, 'active')
  assert.equal((await loadIdentityByName(w.db, 'ada'))?.state, 'retired', 'the placeholder ended')
})

test('only a registered integration with an attested owner provisions, and not while the founder is alone', async (t) => {
  const w = await lifecycleWorld(t)
  const stranger = await w.workload('stranger', w.alice, { kind: 'machine', profile: 'integration' })
  const pipeline = await w.workload('pipeline', w.alice)

  for (const who of [stranger, pipeline, w.ada, w.carol]) {
    assert.equal((await w.scim(who, 'GET', 'Users')).status, 403, who.name)
    assert.equal((await w.scim(who, 'POST', 'Users', user('x'))).status, 403, who.name)
  }
  const { loseOwner } = await import('../../identities/identities.ts')
  await w.run((tx) =>
    loseOwner(tx, w.lifecycle, w.permit('identity.lose-owner', w.carol, w.okta), { reason: 'nobody is left' }),
  )
  assert.equal((await w.scim(w.okta, 'POST', 'Users', user('x'))).status, 403)
})

test('a mover attests again what they answer for, and is decided again', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: made } = await w.scim(
    w.entra,
    'POST',
    'Users',
    user('joan', { title: 'engineer', [ENTERPRISE]: { department: 'payments' } }),
  )
  const joan = await personOf(w, made.id)
  const job = await w.workload('nightly', joan)
  await w.scim(w.entra, 'PATCH', `Users/${made.id}`, patch({ op: 'replace', path: 'nickName', value: 'Jo' }))
  assert.equal((await w.reload(job)).ownerState, 'attested', 'a nickname is no move')

  await w.scim(
    w.entra,
    'PATCH',
    `Users/${made.id}`,
    patch({ op: 'Replace', path: `${ENTERPRISE}:department`, value: 'marketing' }),
  )

  const after = await w.reload(job)
  assert.deepEqual(
    [after.ownerState, after.ownerId, after.ownerEvidence, after.ownerProposedBy],
    ['suggested', joan.id, 'attested before its owner moved (department)', w.entra.id],
  )
  assert.ok(w.hints.includes(joan.id))
})

test('what was deleted keeps nothing personal, is 404 from then on, and its person is suspended and on the way out', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: made } = await w.scim(
    w.entra,
    'POST',
    'Users',
    user('joan', { emails: [{ value: 'joan@example.org' }] }),
  )
  const joan = await personOf(w, made.id)

  assert.equal((await w.scim(w.entra, 'DELETE', `Users/${made.id}`)).status, 204)

  assert.equal((await w.scim(w.entra, 'GET', `Users/${made.id}`)).status, 404)
  assert.equal((await w.scim(w.entra, 'DELETE', `Users/${made.id}`)).status, 404)
  const row = await w.db.selectFrom('provisionedUser').selectAll().where('id', '=', made.id).executeTakeFirstOrThrow()
  assert.deepEqual([row.userName, row.externalId, row.resource, row.isActive], [null, null, {}, false])
  assert.equal((await w.reload(joan)).state, 'suspended')
  const anew = await w.scim(w.entra, 'POST', 'Users', user('joan'))
  assert.equal(anew.status, 201)
  assert.notEqual((await personOf(w, anew.body.id)).id, joan.id, 'who comes back by POST starts with nothing')
})

test('lists are filtered, paged by number and by cursor, and projected; a cursor that was tampered with is refused', async (t) => {
  const w = await lifecycleWorld(t)
  for (let at = 0; at < 5; at += 1)
    await w.scim(w.entra, 'POST', 'Users', user(`user-${at}`, { title: at < 3 ? 'Engineer' : 'Lead' }))
  await w.scim(w.okta, 'POST', 'Users', user('elsewhere'))

  const all = await w.scim(w.entra, 'GET', 'Users?count=2&startIndex=2&attributes=userName')
  assert.deepEqual([all.body.totalResults, all.body.startIndex, all.body.itemsPerPage], [5, 2, 2])
  assert.deepEqual(Object.keys(all.body.Resources[0]).sort(), ['id', 'schemas', 'userName'])
  const some = await w.scim(
    w.entra,
    'GET',
    `Users?filter=${encodeURIComponent('title eq "engineer" and userName sw "USER"')}&count=2`,
  )
  assert.deepEqual([some.body.totalResults, some.body.Resources.length], [3, 2])
  const exact = await w.scim(w.entra, 'GET', `Users?filter=${encodeURIComponent('userName eq "USER-4"')}`)
  assert.equal(exact.body.Resources[0].userName, 'user-4')
  assert.equal((await w.scim(w.entra, 'GET', 'Users?count=0')).body.totalResults, 5)

  const names: string[] = []
  let cursor: string | undefined = ''
  while (cursor !== undefined) {
    const { body } = await w.scim(w.entra, 'GET', `Users?cursor=${cursor}&count=2`)
    names.push(...body.Resources.map((each: { userName: string }) => each.userName))
    cursor = body.nextCursor
  }
  assert.deepEqual(names.toSorted(), ['user-0', 'user-1', 'user-2', 'user-3', 'user-4'])
  const { body } = await w.scim(w.entra, 'GET', 'Users?cursor=&count=2')
  const good: string = body.nextCursor
  for (const bad of [
    `${good}A`,
    good.replace(/^./, (x) => (x === '0' ? '1' : '0')),
    'x',
    `${w.alice.id}.${good.split('.')[1]}`,
  ]) {
    const refused = await w.scim(w.entra, 'GET', `Users?cursor=${bad}&count=2`)
    assert.deepEqual([refused.status, refused.body.scimType], [400, 'invalidCursor'], bad)
  }
  assert.equal(
    (await w.scim(w.okta, 'GET', `Users?cursor=${good}`)).body.scimType,
    'invalidCursor',
    'nor is it good for another',
  )
})

test('who changes what another changed meanwhile is told so by the entity tag', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: made } = await w.scim(w.entra, 'POST', 'Users', user('joan'))
  const title = (value: string) => patch({ op: 'replace', path: 'title', value })

  const first = await w.scim(w.entra, 'PATCH', `Users/${made.id}`, title('a'), { 'if-match': made.meta.version })
  const late = await w.scim(w.entra, 'PATCH', `Users/${made.id}`, title('b'), { 'if-match': made.meta.version })
  const unchanged = await w.scim(w.entra, 'GET', `Users/${made.id}`, undefined, {
    'if-none-match': first.headers['etag'] ?? '',
  })

  assert.deepEqual([first.status, first.headers['etag'], late.status, unchanged.status], [200, 'W/"2"', 412, 304])
})
