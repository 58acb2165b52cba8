import assert from 'node:assert/strict'
import { cp, appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { withKey } from '../../demo/database-client.ts'
import {
  applyChange,
  approveChange,
  approveRequest,
  Change,
  listHolds,
  readFriction,
  readHold,
  refuseHold,
  releaseHold,
  requestAccess,
} from '../../src/access/contract.ts'
import { setTargetMode } from '../../src/catalog/contract.ts'
import { listEntries } from '../../src/ledger/contract.ts'
import { eventually } from '../support/eventually.ts'
import { installation } from '../support/installation.ts'

const HELD = `
@id("production-is-not-destroyed-alone")
@why("what destroys in production is released by another of the owner team")
@hold("destructive by 1 of owner(target)")
permit (principal is Reeve::Person, action in Reeve::Action::"privileged.change", resource)
when { resource.environment == "production" && context.requestKind == "ordinary" }
when { context has purpose && context.purpose.approved && context.purpose.covers };
`

const WRITE = {
  target: 'shop-db',
  account: 'app',
  actions: ['postgres.read', 'postgres.write'],
  purpose: 'shop-operations',
  reason: 'Old orders are to be removed.',
}

test('what destroys waits for a colleague; a target that observes lets through what its roles allow, and says what that was', async (t) => {
  const policies = await mkdtemp(join(tmpdir(), 'reeve-held-'))
  t.after(() => rm(policies, { recursive: true, force: true }))
  await cp(join(import.meta.dirname, '../../policies'), policies, { recursive: true })
  await appendFile(join(policies, 'default.cedar'), HELD)
  const { cast, door } = await installation(t, { policies })
  const { ada, bob, carol, erin } = cast
  const approved = async () => {
    const { id, boundSha256, obligations } = await bob.ask(requestAccess, { input: WRITE })
    assert.deepEqual(obligations.hold, ['destructive by 1 of owner(target)'])
    const { grantId } = await carol.ask(approveRequest, { params: { request: id }, input: { boundSha256 } })
    return grantId ?? assert.fail('nothing was granted')
  }
  const waiting = () =>
    eventually(async () => (await carol.ask(listHolds, { query: { view: 'inbox' } })).items.find(Boolean))
  const client = await withKey(bob, door, await approved())
  t.after(() => client.end())
  const notices: string[] = []
  client.on('notice', ({ message }) => notices.push(message ?? ''))

  const wiped = client.query('delete from shop.orders')
  const held = await waiting()
  assert.deepEqual([held?.statement, held?.label, held?.subject], ['delete from shop.orders', 'DELETE', 'bob'])
  const params = { hold: held?.id ?? '' }
  assert.deepEqual((await bob.ask(listHolds, { query: { view: 'inbox' } })).items, [])
  const seen = await carol.ask(readHold, { params })
  assert.match(seen.missing.join(), /1 more of owner\(target\)/)
  assert.match(notices.join(), new RegExp(`This operation is destructive and waits .* reeve hold read ${params.hold}`))
  await carol.ask(releaseHold, { params, input: { boundSha256: seen.boundSha256 } })
  assert.equal((await wiped).rowCount, 100)
  assert.equal((await carol.ask(readHold, { params })).state, 'used')

  const dropped = client.query('truncate shop.orders')
  const second = { hold: (await waiting())?.id ?? '' }
  const lost = assert.rejects(dropped, { code: '42501', message: /A person refused it: not today/ })
  await carol.ask(refuseHold, { params: second, input: { comment: 'not today' } })
  await lost
  assert.equal((await client.query('select 1 as one')).rows[0]?.one, 1)

  const loosen = { params: { target: 'shop-db' }, input: { mode: 'warn', was: 'enforce', reason: 'it is migrated' } }
  const change = Change.parse(await ada.call(setTargetMode, { ...loosen, requestApproval: 'it is migrated' }))
  const { id, boundSha256 } = change
  await carol.ask(approveChange, { params: { change: id }, input: { boundSha256 } })
  await ada.ask(applyChange, { params: { change: id } })
  await eventually(() =>
    client.query('delete from shop.orders').then(
      () => true,
      // For a moment the session is decided again.
      () => undefined,
    ),
  )
  assert.match(
    notices.at(-1) ?? '',
    /This target only warns; it would have been refused: A destructive operation waits/,
  )
  // Its mode is no right at the target: the role of the lease is a writer's and no more.
  await assert.rejects(client.query('create table shop.mine (id int)'), { code: '42501', message: /permission denied/ })
  await client.end()

  const report = await eventually(async () => {
    const found = await bob.ask(readFriction, { params: { target: 'shop-db' } })
    return found.items.some((item) => item.wouldRefuse > 0) ? found : undefined
  })
  const write = report?.items.find((item) => item.action === 'postgres.write')
  assert.deepEqual([write?.held, write?.heldInVain, write?.waited, report?.mode], [2, 1, 1, 'warn'])
  const { items: entries } = await erin.ask(listEntries, { query: { limit: 200 } })
  const kinds = entries.map(({ kind }) => kind).filter((kind) => /^hold\.|mode-set/.test(kind))
  assert.deepEqual(
    new Set(kinds),
    new Set(['hold.made', 'hold.released', 'hold.used', 'hold.refused', 'target.mode-set']),
  )
})
