import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lifecycleWorld } from '../../test/support/lifecycle-world.ts'
import { PutDeposit } from '../credentials/custody/contract.ts'
import { putDeposit } from '../credentials/custody/deposits.ts'
import { revealDeposit } from '../credentials/custody/open.ts'
import type { Identity } from '../identities/contract.ts'
import { actOf } from '../identities/identities.ts'
import { sealUnder } from '../kernel/seal.ts'
import { Secret } from '../kernel/secret.ts'
import { ensureCase } from './cases.ts'
import { readCase } from './reads.ts'

test('whoever saw a shared secret and leaves: it is owed until another value was put by somebody else', async (t) => {
  const w = await lifecycleWorld(t)
  const custody = { ...w.lifecycle, seal: sealUnder(new Secret(Buffer.alloc(32, 1))), hasTeam: () => true }
  const dan = await w.person('dan')
  const put = async (name: string, value: string, who: Identity) => {
    const seen = await w.db.selectFrom('deposit').select('id').where('name', '=', name).executeTakeFirst()
    const permit = w.permit('deposit.put', who, { type: 'Deposit', id: seen?.id ?? name })
    const input = PutDeposit.parse({ ownerTeam: 'payments', purpose: 'pays', value })
    return w.run((tx) => putDeposit(tx, custody, permit, { ...input, name }))
  }
  const shared = await put('shared', 'first', w.alice)
  await put('unseen', 'other', w.alice)
  const permit = w.permit('deposit.reveal', dan, { type: 'Deposit', id: shared.id })
  await revealDeposit(w.db, custody, permit, { version: undefined, reason: 'the vendor asks' })

  const act = actOf(w.permit('case.open', w.carol, dan))
  const opening = { identityId: dan.id, reason: 'person', detail: 'left', soakDays: 0 } as const
  const { id } = await w.run((tx) => ensureCase(tx, w.lifecycle, act, opening))
  const owed = async () =>
    (await readCase(w.db, id, w.clock.now())).obligations
      .filter(({ kind }) => kind === 'deposit')
      .map(({ label, isDead }) => [label, isDead])
  await w.carryOn()
  assert.deepEqual(await owed(), [['shared', false]])

  // A value that the leaver put is one that the leaver knows.
  w.clock.advance(60)
  await put('shared', 'by the leaver', dan)
  await w.carryOn()
  assert.deepEqual(await owed(), [['shared', false]])

  await put('shared', 'by another', w.alice)
  w.clock.advance(60)
  await w.carryOn()
  assert.deepEqual(await owed(), [['shared', true]])
})
