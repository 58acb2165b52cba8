import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { world } from '../../test/support/world.ts'
import { readPublicKey } from '../kernel/crypto.ts'
import { newKeyPair } from '../kernel/key-pair.ts'
import { RedeemEnrolment } from './contract.ts'
import { authenticate, ensureFounderEnrolment, redeemEnrolment } from './identities.ts'

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
