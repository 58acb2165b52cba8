import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { accessWorld, granted, refusalOf, type AccessWorld } from '../../test/support/access-world.ts'
import type { Identity } from '../identities/contract.ts'
import { sha256 } from '../kernel/crypto.ts'
import type { Caller } from '../kernel/http/route.ts'
import { issueKey, issueTicket } from './access.ts'

const READING = { actions: ['postgres.read'] }
const PROOFS = ['token', 'bound-token', 'mtls'] as const

/** The grant of who asked with `proof`, and what issuing for it takes. */
async function issuing(t: TestContext, proof: Caller['proof'] = 'token') {
  const world = await accessWorld(t)
  const grantOf = async (who: Identity) => granted(await world.ask(who, READING, proof))
  return { world, grantId: await grantOf(world.dave), grantOf }
}

function issueKeyOf(
  { run, access, permit }: AccessWorld,
  who: Identity,
  grantId: string,
  more: { proof?: Caller['proof']; key?: string; isSingleUse?: boolean } = {},
) {
  const { proof = 'token', key = randomUUID(), isSingleUse = false } = more
  const permitted = permit('key.issue', who, { type: 'Grant', id: grantId })
  return run((tx) => issueKey(tx, access, permitted, { proof, spkiSha256: sha256(key), isSingleUse }))
}

for (const needed of PROOFS) {
  test(`attack: a proof weaker than the ${needed} that a grant was given for gets neither ticket nor key`, async (t) => {
    const { world, grantId } = await issuing(t, needed)
    const { run, access, permit, dave } = world
    const on = { type: 'Grant', id: grantId }
    const isEnough = (proof: (typeof PROOFS)[number]) => PROOFS.indexOf(proof) >= PROOFS.indexOf(needed)

    for (const proof of PROOFS) {
      const ticket = run((tx) =>
        issueTicket(tx, access, permit('ticket.issue', dave, on), { proof, isSingleUse: false }),
      )
      const key = issueKeyOf(world, dave, grantId, { proof })

      const expected = isEnough(proof) ? 'nothing' : 'proof-too-weak'
      assert.deepEqual(await Promise.all([ticket, key].map(refusalOf)), [expected, expected], proof)
    }
  })
}

test('a key that is bound to its grant already is the same proof when it is issued again', async (t) => {
  const { world, grantId } = await issuing(t)
  const key = randomUUID()

  const all = await Promise.all([1, 2, 3].map(() => issueKeyOf(world, world.dave, grantId, { key })))

  assert.equal(new Set(all.map(({ id }) => id)).size, 1)
  assert.equal((await world.kinds()).filter((kind) => kind === 'key.issued').length, 1)
})

test('a key that proves something else is refused, and the answer does not say what', async (t) => {
  const { world, grantId, grantOf } = await issuing(t)
  const other = await grantOf(world.carol)
  const key = randomUUID()
  await issueKeyOf(world, world.dave, grantId, { key })

  const ofAnother = issueKeyOf(world, world.carol, other, { key }).catch((error: Error) => error.message)
  const otherwise = issueKeyOf(world, world.dave, grantId, { key, isSingleUse: true })

  assert.equal(await ofAnother, 'This key proves something else already: make a new one for each grant.')
  assert.equal(await refusalOf(otherwise), 'key-taken')
  assert.equal(await refusalOf(issueKeyOf(world, world.carol, other, { key })), 'key-taken')
})
