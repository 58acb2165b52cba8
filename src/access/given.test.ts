import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessWorld, granted, refusalOf } from '../../test/support/access-world.ts'
import { retireAccount } from '../catalog/catalog.ts'
import { openHooks } from '../server/hooks.ts'
import { loadGrant, loadRequest, previewAccess } from './access.ts'
import { RequestAccess } from './contract.ts'

test('an account that is retired ends the grants on it and carries no new one', async (t) => {
  const w = await accessWorld(t)
  const { dave, alice, app, run, ask, needs, db } = w
  const [live, waiting] = [granted(await ask(dave, { actions: ['postgres.read'] })), await ask(dave)]
  const { onAccountRetired } = openHooks(w.clock, needs.ledger)
  const permit = w.permit('account.retire', alice, { type: 'Account', id: app.id })

  await run((tx) => retireAccount(tx, { ...needs, onAccountRetired }, permit, { reason: 'nobody uses it' }))

  assert.equal((await loadGrant(db, live))?.endReason, 'account-retired')
  assert.equal(await refusalOf(ask(dave, { actions: ['postgres.read'] })), 'purpose-does-not-cover')
  assert.equal(await refusalOf(w.approve(alice, waiting)), 'bound-changed')
  assert.equal((await loadRequest(db, waiting.id))?.grantId, null)
})

test('a request and its preview say what was asked for beside what the policies allow of it', async (t) => {
  const { dave, ask, permit, access, app, caller, db } = await accessWorld(t)
  const input = RequestAccess.parse({
    target: 'orders',
    account: 'app',
    actions: ['postgres.read'],
    purpose: 'fix',
    ttlSeconds: 8 * 3600,
  })
  const on = { type: 'Account', id: app.id }

  const preview = await previewAccess(db, access, permit('access.preview', dave, on), { caller: caller(dave), input })
  const request = await ask(dave, { actions: ['postgres.read'], ttlSeconds: 8 * 3600 })

  for (const { askedTtlSeconds, ttlSeconds } of [preview, request])
    assert.deepEqual([askedTtlSeconds, ttlSeconds], [8 * 3600, 3600])
})
