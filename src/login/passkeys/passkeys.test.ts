import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { refusalOf } from '../../../test/support/access-world.ts'
import { changeWorld } from '../../../test/support/change-world.ts'
import { world } from '../../../test/support/world.ts'
import type { Identity } from '../../identities/contract.ts'
import { enrolIdentity, ensureFounderEnrolment, suspendIdentity } from '../../identities/identities.ts'
import { softAuthenticator, type Authenticator, type Told } from '../../../test/support/authenticator.ts'
import { agreementTo, finishAdding } from './add.ts'
import { removePasskey } from './manage.ts'
import { beginAdding, beginEnrolment, finishEnrolment } from './register.ts'
import { beginSignIn, signIn } from './sign-in.ts'

const ORIGIN = 'https://reeve.example'
const CLIENT = { address: '10.0.0.1', agent: 'a test' }

async function passkeyWorld(t: Pick<TestContext, 'after'>) {
  const w = await changeWorld(t)
  const { db, clock, access } = w
  const { random, ledger, decisions } = access
  const terms = { sessionSeconds: 3600, idleSeconds: 600 }
  const passkeys = { db, clock, random, ledger, decisions, issuer: () => ORIGIN, ...terms }
  const link = async (who: Identity, by: Identity) => {
    const caller = { proof: 'token', proofId: '00000000-0000-7000-8000-000000000001' } as const
    const made = await w.run((tx) =>
      enrolIdentity(tx, w.needs, w.permit('identity.enrol', by, who), { caller, input: { ttlSeconds: 600 } }),
    )
    return made.secret.reveal()
  }
  const enrolBy = async (secret: string, device: Authenticator, told?: Told) => {
    const { ceremony, options } = await beginEnrolment(passkeys, { secret })
    return finishEnrolment(passkeys, { secret, ceremony, response: device.create(options, told), label: 'laptop' })
  }
  const enrolled = async (who: Identity, device = softAuthenticator(ORIGIN)) => {
    await enrolBy(await link(who, w.founder), device)
    return device
  }
  const enter = async (device: Authenticator, told?: Told) => {
    const { ceremony, options } = await beginSignIn(passkeys)
    return signIn(passkeys, { ceremony, response: device.get(options, told), client: CLIENT })
  }
  const codeOf = (call: Promise<unknown>) => refusalOf(call)
  return { ...w, passkeys, link, enrolBy, enrolled, enter, codeOf }
}

test('a one-time link becomes a passkey, by which its person logs in', async (t) => {
  const w = await passkeyWorld(t)
  const device = softAuthenticator(ORIGIN)
  const secret = await w.link(w.alice, w.founder)

  const made = await w.enrolBy(secret, device, { isBackupEligible: true, isBackedUp: true })
  const { session, setCookie } = await w.enter(device, { isBackupEligible: true, isBackedUp: true })

  assert.deepEqual([made.identityId, made.isBackupEligible, made.isBackedUp], [w.alice.id, true, true])
  assert.deepEqual([session.identityId, session.method, session.acr], [w.alice.id, 'passkey', 'phr'])
  assert.match(setCookie, /^__Host-/)
  assert.equal(await w.codeOf(w.enrolBy(secret, softAuthenticator(ORIGIN))), 'enrolment-invalid', 'a link works once')
  assert.deepEqual((await w.kinds()).slice(-3), ['passkey.registered', 'passkey.used', 'login-session.opened'])
})

test('attack: what an authenticator made for another site, challenge, page or nobody in particular proves nothing', async (t) => {
  const w = await passkeyWorld(t)
  const device = await w.enrolled(w.alice)
  const tries: [string, Told][] = [
    ['mismatch', { origin: 'https://reeve.example.evil.test' }],
    ['mismatch', { rpId: 'evil.test' }],
    ['mismatch', { challenge: Buffer.alloc(32, 1).toString('base64url') }],
    ['mismatch', { type: 'webauthn.create' }],
    ['mismatch', { crossOrigin: true }],
    ['mismatch', { isBackupEligible: true }],
    ['unverified', { isVerified: false }],
  ]

  for (const [code, told] of tries) {
    assert.equal(await w.codeOf(w.enter(device, told)), `passkey-refused ${code}`, JSON.stringify(told))
  }
  const fresh = softAuthenticator(ORIGIN)
  for (const [code, told] of tries.filter(([, { isBackupEligible }]) => !isBackupEligible)) {
    const type = told.type === undefined ? {} : { type: 'webauthn.get' }
    const secret = await w.link(w.dave, w.founder)
    assert.equal(await w.codeOf(w.enrolBy(secret, fresh, { ...told, ...type })), `passkey-refused ${code}`)
  }
  const forged = softAuthenticator(ORIGIN)
  const { ceremony, options } = await beginSignIn(w.passkeys)
  const response = { ...forged.get(options), id: device.id }
  assert.equal(await w.codeOf(signIn(w.passkeys, { ceremony, response, client: CLIENT })), 'passkey-refused mismatch')
  assert.equal(await w.codeOf(w.enter(forged)), 'passkey-refused unknown')
})

test('attack: an answer is taken once, on whichever node, and two at the same moment are one', async (t) => {
  const w = await passkeyWorld(t)
  const device = await w.enrolled(w.alice)
  const { ceremony, options } = await beginSignIn(w.passkeys)
  const response = device.get(options)
  const again = () => w.codeOf(signIn(w.passkeys, { ceremony, response, client: CLIENT }))

  const both = await Promise.all([again(), again()])

  assert.deepEqual(both.toSorted(), ['nothing', 'passkey-refused over'])
  assert.equal(await again(), 'passkey-refused over')
  const other = await beginSignIn(w.passkeys)
  w.clock.advance(301)
  const late = signIn(w.passkeys, { ceremony: other.ceremony, response: device.get(other.options), client: CLIENT })
  assert.equal(await w.codeOf(late), 'passkey-refused over')
})

test('attack: a copy of a passkey is told by its counter, which goes into the ledger', async (t) => {
  const w = await passkeyWorld(t)
  const device = await w.enrolled(w.alice)
  const copy = device.copy()
  await w.enter(device)
  await w.enter(device)

  assert.equal(await w.codeOf(w.enter(copy)), 'passkey-refused copied')

  assert.equal((await w.kinds()).at(-1), 'passkey.refused')
  const still = softAuthenticator(ORIGIN, false)
  await w.enrolled(w.bob, still)
  await w.enter(still)
  await w.enter(still)
})

test('attack: the passkey of somebody who was stopped, or one that was removed, opens nothing', async (t) => {
  const w = await passkeyWorld(t)
  const [hers, his] = [await w.enrolled(w.alice), await w.enrolled(w.bob)]
  await w.run((tx) =>
    suspendIdentity(tx, w.needs, w.permit('identity.suspend', w.founder, w.alice), { reason: 'the test says so' }),
  )
  const row = await w.db.selectFrom('passkey').select('id').where('identityId', '=', w.bob.id).executeTakeFirstOrThrow()
  await w.run((tx) =>
    removePasskey(tx, w.passkeys, w.permit('passkey.remove', w.carol, { type: 'Passkey', id: row.id })),
  )

  assert.equal(await w.codeOf(w.enter(hers)), 'passkey-refused unknown')
  assert.equal(await w.codeOf(w.enter(his)), 'passkey-refused unknown')
})

test('attack: whoever copied a bearer token comes to no passkey by a link of their own making', async (t) => {
  const w = await passkeyWorld(t)
  const secret = await w.link(w.alice, w.alice)

  assert.equal(await w.codeOf(beginEnrolment(w.passkeys, { secret })), 'key-needed')

  assert.equal(await w.db.selectFrom('passkey').select('id').executeTakeFirst(), undefined)
})

test('a further passkey is one that an older one agreed to, and exactly that one', async (t) => {
  const w = await passkeyWorld(t)
  const device = await w.enrolled(w.alice)
  const others = await w.enrolled(w.bob)
  const add = async (by: Authenticator, swapped = false, reused?: string) => {
    const second = softAuthenticator(ORIGIN)
    const { ceremony, options } = await beginAdding(w.passkeys, w.alice)
    const response = second.create(options)
    const shown = swapped ? softAuthenticator(ORIGIN).create(options) : response
    const challenge = agreementTo(reused ?? ceremony, response.response.attestationObject).toString('base64url')
    const agreement = by.get({ challenge })
    return finishAdding(w.passkeys, { personId: w.alice.id, ceremony, response: shown, label: 'key', agreement })
  }

  assert.equal(await w.codeOf(add(others)), 'passkey-refused not-theirs')
  assert.equal(await w.codeOf(add(device, true)), 'passkey-refused mismatch')
  assert.equal(await w.codeOf(add(device, false, 'another ceremony')), 'passkey-refused mismatch')
  assert.equal((await add(device)).identityId, w.alice.id)
})

test('a person keeps their last passkey, and is told what to do; security takes it', async (t) => {
  const w = await passkeyWorld(t)
  await w.enrolled(w.alice)
  const row = await w.db.selectFrom('passkey').select('id').executeTakeFirstOrThrow()
  const remove = (who: Identity) =>
    w.run((tx) => removePasskey(tx, w.passkeys, w.permit('passkey.remove', who, { type: 'Passkey', id: row.id })))

  await assert.rejects(remove(w.alice), /Add another one first/)
  assert.equal(await w.codeOf(remove(w.alice)), 'last-passkey')
  assert.notEqual((await remove(w.carol)).removedAt, null)
  assert.equal(await w.codeOf(remove(w.carol)), 'conflict')
})

test('the founder may begin with a passkey, and there is one founder', async (t) => {
  const { db, clock, needs } = await world(t)
  const { random, ledger } = needs
  const passkeys = { db, clock, random, ledger, issuer: () => ORIGIN }
  const link = await ensureFounderEnrolment(db, needs)
  assert.ok(link)
  const secret = link.secret.reveal()
  const { ceremony, options } = await beginEnrolment(passkeys, { secret, name: 'fay' })

  const response = softAuthenticator(ORIGIN).create(options)
  const { identityId } = await finishEnrolment(passkeys, { secret, name: 'fay', ceremony, response, label: 'key' })

  const found = await db
    .selectFrom('identity')
    .select(['name', 'isFounder', 'state'])
    .where('id', '=', identityId)
    .execute()
  assert.deepEqual(found, [{ name: 'fay', isFounder: true, state: 'active' }])
  assert.equal(await ensureFounderEnrolment(db, needs), undefined)
})
