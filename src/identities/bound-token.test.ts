import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { world, type World } from '../../test/support/world.ts'
import { readPublicKey } from '../kernel/crypto.ts'
import { newKeyPair } from '../kernel/key-pair.ts'
import { EnrolIdentity, IssueToken, RedeemEnrolment, type Identity } from './contract.ts'
import {
  authenticate,
  enrolIdentity,
  ensureFounderEnrolment,
  issueToken,
  loadIdentity,
  redeemEnrolment,
} from './identities.ts'

const hash = (publicKey: string) =>
  createHash('sha256')
    .update(readPublicKey(publicKey)?.spki ?? '')
    .digest('hex')

test('a token that is bound to a key proves nothing without that key (RFC 8705 §3)', async (t) => {
  const w = await world(t)
  const link = await ensureFounderEnrolment(w.db, w.needs)
  const [own, other] = await Promise.all([newKeyPair(), newKeyPair()])
  const input = RedeemEnrolment.parse({ secret: link?.secret.reveal(), name: 'ada', publicKey: own.publicKey })

  const { token } = await w.run((tx) => redeemEnrolment(tx, w.needs, input))

  assert.equal(await authenticate(w.db, w.needs.clock, token), undefined)
  assert.equal(await authenticate(w.db, w.needs.clock, token, hash(other.publicKey)), undefined)
  const caller = await authenticate(w.db, w.needs.clock, token, hash(own.publicKey))
  assert.equal(caller?.proof, 'bound-token')
})

test('what is no P-256 key binds nothing, and the link stays good', async (t) => {
  const w = await world(t)
  const link = await ensureFounderEnrolment(w.db, w.needs)
  const secret = link?.secret.reveal() ?? ''

  for (const publicKey of ['no key', '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----']) {
    await assert.rejects(
      w.run((tx) => redeemEnrolment(tx, w.needs, { secret, name: 'ada', label: 'x', publicKey })),
      {
        slug: 'invalid-input',
      },
    )
  }

  const issued = await w.run((tx) => redeemEnrolment(tx, w.needs, { secret, name: 'ada', label: 'x' }))
  assert.ok(issued.token)
})

/** Ada, who enrolled with a key, as a caller who shows it. */
async function boundFounder(w: World) {
  const link = await ensureFounderEnrolment(w.db, w.needs)
  const { publicKey } = await newKeyPair()
  const input = RedeemEnrolment.parse({ secret: link?.secret.reveal(), name: 'ada', publicKey })
  const { token } = await w.run((tx) => redeemEnrolment(tx, w.needs, input))
  const caller = await authenticate(w.db, w.needs.clock, token, hash(publicKey))
  const ada = caller && (await loadIdentity(w.db, caller.id))
  assert.ok(caller && ada)
  const issue = (whom: Identity, more: { publicKey?: string } = {}) => {
    const issuing = { caller, input: IssueToken.parse({ label: 'further', ...more }) }
    return w.run((tx) => issueToken(tx, w.needs, w.permit('token.issue', ada, whom), issuing))
  }
  return { ada, caller, publicKey, issue }
}

test('attack: a token that is bound to a key gives no further one that is not', async (t) => {
  const w = await world(t)
  const { ada, publicKey, issue } = await boundFounder(w)
  const other = await newKeyPair()

  const [same, another] = [await issue(ada), await issue(ada, { publicKey: other.publicKey })]

  for (const [{ token }, key] of [
    [same, publicKey],
    [another, other.publicKey],
  ] as const) {
    assert.equal(await authenticate(w.db, w.needs.clock, token), undefined)
    assert.equal((await authenticate(w.db, w.needs.clock, token, hash(key)))?.proof, 'bound-token')
  }
  assert.equal(await authenticate(w.db, w.needs.clock, another.token, hash(publicKey)), undefined)
})

test('what somebody with a key issues for a workload is bound to a key of the workload', async (t) => {
  const w = await world(t)
  const { ada, issue } = await boundFounder(w)
  const job = await w.workload('job', ada)
  const its = await newKeyPair()

  await assert.rejects(issue(job), { slug: 'key-needed' })
  const { token } = await issue(job, { publicKey: its.publicKey })

  assert.equal((await authenticate(w.db, w.needs.clock, token, hash(its.publicKey)))?.proof, 'bound-token')
})

test('who has a bare token may bind the next one', async (t) => {
  const w = await world(t)
  const alice = await w.person('alice')
  const { publicKey } = await newKeyPair()
  const caller = { proof: 'token', proofId: alice.id } as const
  const input = IssueToken.parse({ label: 'laptop', publicKey })

  const permit = w.permit('token.issue', alice, alice)
  const { token } = await w.run((tx) => issueToken(tx, w.needs, permit, { caller, input }))

  assert.equal(await authenticate(w.db, w.needs.clock, token), undefined)
  assert.equal((await authenticate(w.db, w.needs.clock, token, hash(publicKey)))?.proof, 'bound-token')
})

test('attack: a link that somebody with a key makes for themselves is no way to a token without one', async (t) => {
  const w = await world(t)
  const { ada, caller } = await boundFounder(w)
  w.clock.advance(1)
  const enrolling = { caller, input: EnrolIdentity.parse({}) }
  const link = await w.run((tx) => enrolIdentity(tx, w.needs, w.permit('identity.enrol', ada, ada), enrolling))
  const redeem = (more: { publicKey?: string }) => {
    const input = RedeemEnrolment.parse({ secret: link.secret.reveal(), ...more })
    return w.run((tx) => redeemEnrolment(tx, w.needs, input))
  }

  await assert.rejects(redeem({}), { slug: 'key-needed' })
  const { publicKey } = await newKeyPair()
  const { token } = await redeem({ publicKey })

  assert.equal(await authenticate(w.db, w.needs.clock, token), undefined)
  assert.equal((await authenticate(w.db, w.needs.clock, token, hash(publicKey)))?.proof, 'bound-token')
})
