import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { accessWorld, granted, refusalOf, type AccessWorld } from '../../test/support/access-world.ts'
import { claimAccount } from '../catalog/catalog.ts'
import type { Identity } from '../identities/contract.ts'
import { listRequests, loadRequestDetail } from './read.ts'

/** The application, the database it stands on, and the credentials it uses are three teams'; security is a fourth. */
const TEAMS = {
  administrators: { members: ['founder'] },
  security: { members: ['carol'] },
  payments: { members: ['alice', 'bob'] },
  shop: { members: ['sam', 'sue'] },
  nhi: { members: ['nina'] },
}
/** A workload changes production when those who own the database and those who keep its login agree. */
const RULE = `
@id("workload-changes-with-its-keepers")
@why("a workload changes production when the owner team and the keepers of its login agree")
@approval("1 of owner(target) and 1 of nhi")
@ttl("10m")
@record("full")
permit (principal is Reeve::Workload, action in Reeve::Action::"privileged.change", resource)
when { resource.environment == "production" && context has purpose && context.purpose.approved && context.purpose.covers };
`

/** Whose inbox holds it. */
async function inboxes(w: AccessWorld, people: readonly Identity[], id: string): Promise<string[]> {
  const found: string[] = []
  for (const who of people) {
    const { items } = await listRequests(w.db, { teams: w.access.teams, now: w.clock.now() }, w.caller(who), {
      view: 'inbox',
      limit: 50,
    })
    if (items.some((item) => item.id === id)) found.push(who.name)
  }
  return found
}

test('a request goes along its path, not the org chart: the database’s team and the keepers of the login decide, each sees only what is theirs, and the grant names them all', async (t) => {
  const w = await accessWorld(t, { teams: TEAMS, policies: (shipped) => `${shipped}\n${RULE}` })
  const [sam, sue, nina] = [await w.person('sam'), await w.person('sue'), await w.person('nina')]
  const app = await w.workload('shop-app', sam, { ownerTeam: 'shop', profile: 'service' })
  const keeper = await w.workload('shop-vault', nina, { ownerTeam: 'nhi', profile: 'service' })
  await w.run((tx) =>
    claimAccount(tx, w.needs, w.permit('account.claim', nina, { type: 'Account', id: w.app.id }), {
      identity: keeper.name,
    }),
  )

  const request = await w.ask(app, { ticket: 'OPS-7' }, 'mtls')

  assert.equal(request.state, 'pending')
  const everybody = [w.alice, w.bob, w.carol, w.dave, sam, sue, nina]
  assert.deepEqual(await inboxes(w, everybody, request.id), ['alice', 'bob', 'nina'])
  const detail = await loadRequestDetail(w.db, w.access.teams, request.id)
  assert.deepEqual(detail?.decisionPath, {
    controlOwner: 'payments',
    approverTeams: ['nhi', 'payments'],
    operator: 'shop-app',
  })
  assert.notEqual(await refusalOf(w.approve(sam, request)), 'nothing', 'who owns the workload is tied to it')
  assert.equal((await w.approve(w.alice, request)).state, 'pending', 'the owner of the database alone is not enough')
  assert.deepEqual(await inboxes(w, everybody, request.id), ['bob', 'nina'])

  const grantId = granted(await w.approve(nina, request))

  const { rows } = await sql<{ leaf: Buffer }>`
    select e.leaf from access_grant g join ledger_entry e on e.id = g.cause where g.id = ${grantId}`.execute(w.db)
  const { facts } = JSON.parse(rows[0]?.leaf.toString() ?? '{}') as { facts: Record<string, unknown> }
  assert.deepEqual(
    [facts['controlOwner'], facts['approverTeams'], facts['subjectId'], facts['accountId']],
    ['payments', ['nhi', 'payments'], app.id, w.app.id],
  )
  assert.deepEqual(new Set(facts['approvers'] as string[]), new Set([w.alice.id, nina.id]))
})

test('attack: a colleague of who owns the workload is no approver of what it asks, on any part of the path', async (t) => {
  const w = await accessWorld(t, { teams: TEAMS, policies: (shipped) => `${shipped}\n${RULE}` })
  const [sam, sue, nina] = [await w.person('sam'), await w.person('sue'), await w.person('nina')]
  const app = await w.workload('shop-app', sam, { ownerTeam: 'shop', profile: 'service' })
  const request = await w.ask(app, { ticket: 'OPS-7' }, 'mtls')

  for (const who of [sue, w.carol, w.dave]) {
    const end = await refusalOf(w.approve(who, request).then((said) => assert.equal(said.state, 'pending')))
    assert.ok(['nothing', 'self-approval', 'not-permitted'].includes(end), end)
  }
  assert.equal((await w.approve(nina, request)).state, 'pending')
  assert.equal((await w.approve(w.bob, request)).state, 'granted')
})
