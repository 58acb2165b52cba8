import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessWorld, granted } from '../../test/support/access-world.ts'
import { unusedGrants, whyNoMore } from './unused.ts'

/** Ten minutes after the clock of tests begins. */
const NIGHT = `
@id("not-at-night")
@why("nobody works at night")
forbid (principal, action in Reeve::Action::"privileged", resource)
when { context.now > datetime("2030-01-01T00:10:00Z") };`

test('a grant that nobody uses outlives the hours in which it is not used, and not the rule that gave it', async (t) => {
  const w = await accessWorld(t, { policies: (shipped) => `${shipped}${NIGHT}` })
  const grantId = granted(await w.ask(w.dave, { actions: ['postgres.read'], ttlSeconds: 3600 }))
  const why = () => w.run((tx) => whyNoMore(tx, w.access, grantId))
  w.clock.advance(1800)
  assert.deepEqual([await unusedGrants(w.db, { kind: 'all', id: '' }), await why()], [[grantId], []])

  await w.setPolicies((shipped) => shipped.replaceAll('context.purpose.covers', 'context.purpose.covers && false'))

  assert.notDeepEqual(await why(), [])
})
