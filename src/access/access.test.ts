import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessWorld, granted, refusalOf } from '../../test/support/access-world.ts'
import { transact } from '../kernel/db.ts'
import { denyRequest, endGrantsOf, loadRequest, previewAccess, revokeGrant, withdrawRequest } from './access.ts'
import { accessWithdrawn, RequestAccess } from './contract.ts'
import { parseCalendar } from '../policy/policy.ts'
import { loadRequestDetail } from './read.ts'

const OPEN_ALWAYS = parseCalendar('windows: {always: {environments: [production]}}')

test('a person reads production for an approved purpose at once, within what the policies allow', async (t) => {
  const { dave, ask, db } = await accessWorld(t)

  const request = await ask(dave, { actions: ['postgres.read'], ttlSeconds: 7200 })

  assert.equal(request.state, 'granted')
  assert.equal(request.ttlSeconds, 3600)
  const grant = await db.selectFrom('accessGrant').selectAll().where('id', '=', granted(request)).executeTakeFirst()
  assert.equal(grant?.recording, 'full')
  assert.deepEqual(grant?.endedAt, null)
})

test('a change of production waits for a person of the owner team, whose approval makes the grant in its transaction', async (t) => {
  const { dave, alice, ask, approve, kinds } = await accessWorld(t)
  const request = await ask(dave)
  assert.equal(request.state, 'pending')
  assert.deepEqual(request.obligations.approval, ['1 of owner(target)'])

  const approved = await approve(alice, request)

  assert.equal(approved.state, 'granted')
  assert.ok(approved.grantId)
  assert.deepEqual((await kinds()).slice(-3), ['access.requested', 'access.approved', 'grant.made'])
})

test('a preview says what would be decided and binds what the request then binds', async (t) => {
  const { dave, access, permit, app, db, caller, ask } = await accessWorld(t)
  const input = RequestAccess.parse({
    target: 'orders',
    account: 'app',
    actions: ['postgres.write', 'postgres.schema'],
    purpose: 'fix',
    reason: 'an order is stuck',
  })
  const on = { type: 'Account', id: app.id }

  const refused = await previewAccess(db, access, permit('access.preview', dave, on), { caller: caller(dave), input })
  const covered = { ...input, actions: ['postgres.write'] }
  const preview = await previewAccess(db, access, permit('access.preview', dave, on), {
    caller: caller(dave),
    input: covered,
  })
  const request = await ask(dave)

  assert.equal(refused.outcome, 'refused')
  assert.match(refused.reasons.join(), /does not name postgres.schema/)
  assert.deepEqual(refused.parserEnforced, ['postgres.schema'])
  assert.equal(preview.outcome, 'pending')
  assert.deepEqual(preview.missing, ['1 more of owner(target), the team payments'])
  assert.deepEqual(preview.parserEnforced, [])
  assert.equal(preview.boundSha256, request.boundSha256)
})

test('a request shows the path it is decided on: who owns the control, who approves, who acts', async (t) => {
  const { dave, ask, db, access } = await accessWorld(t)
  const request = await ask(dave)

  const detail = await loadRequestDetail(db, access.teams, request.id)

  assert.deepEqual(detail?.decisionPath, { controlOwner: 'payments', approverTeams: ['payments'], operator: 'dave' })
})

test('nobody approves what they asked for, though they are of the owner team', async (t) => {
  const { alice, ask, approve, db } = await accessWorld(t)
  const request = await ask(alice)

  assert.equal(await refusalOf(approve(alice, request)), 'self-approval')

  assert.equal((await loadRequest(db, request.id))?.state, 'pending')
})

test('a further identity of the person who asked approves nothing either', async (t) => {
  const teams = { payments: { members: ['alice', 'bob', 'alice-admin'] }, security: { members: ['carol'] } }
  const { alice, further, ask, approve } = await accessWorld(t, { teams })
  const second = await further('alice-admin', alice)
  const request = await ask(alice)

  assert.equal(await refusalOf(approve(second, request)), 'self-approval')
})

test('the owner and the sponsor of a workload or agent do not approve what it asks for', async (t) => {
  const world = await accessWorld(t)
  const { alice, bob, agent, ask, approve } = world
  const robot = await agent('robot', alice, { environment: 'production' })
  await world.setPolicies((text) =>
    text
      .replace('@id("agent-reads-production")', '@id("agent-reads-production") @approval("1 of payments")')
      .replaceAll('["bound-token",', '["token", "bound-token",'),
  )
  const request = await ask(robot, { actions: ['postgres.read'], onBehalfOf: 'alice' })
  assert.equal(request.state, 'pending')

  assert.equal(await refusalOf(approve(alice, request)), 'self-approval')

  assert.equal((await approve(bob, request)).state, 'granted')
})

test('who set a request off does not approve it', async (t) => {
  const { dave, alice, bob, ask, approve } = await accessWorld(t)
  const request = await ask(dave, { triggeredBy: 'alice' })

  assert.equal(await refusalOf(approve(alice, request)), 'self-approval')
  assert.equal((await approve(bob, request)).state, 'granted')
})

test('one person counts once, in whichever identities they come', async (t) => {
  const teams = { payments: { members: ['alice', 'bob', 'alice-admin'] }, security: { members: ['carol'] } }
  const world = await accessWorld(t, {
    teams,
    policies: (text) => text.replaceAll('"1 of owner(target)"', '"2 of owner(target)"'),
  })
  const { dave, alice, bob, ask, approve } = world
  const second = await world.further('alice-admin', alice)
  const request = await ask(dave)
  assert.equal((await approve(alice, request)).state, 'pending')

  assert.equal(await refusalOf(approve(alice, request)), 'already-approved')
  assert.equal(await refusalOf(approve(second, request)), 'already-approved')

  assert.equal((await approve(bob, request)).state, 'granted')
})

test('an approval of something else than was asked for is refused', async (t) => {
  const { dave, alice, ask, approve } = await accessWorld(t)
  const [small, large] = [await ask(dave, { ttlSeconds: 60 }), await ask(dave, { ttlSeconds: 3600 })]

  assert.equal(await refusalOf(approve(alice, large, small.boundSha256)), 'bound-changed')
})

test('an edit of the policy that decided voids the request; an edit of another does not', async (t) => {
  const { dave, alice, ask, approve, setPolicies, db } = await accessWorld(t)
  const other = await ask(dave)
  await setPolicies((text) => text.replace('@why("an identity reads what is about itself")', '@why("its own")'))
  assert.equal((await approve(alice, other)).state, 'granted')
  const request = await ask(dave)
  await setPolicies((text) =>
    text.replace('@id("person-changes-production")', '@id("person-changes-production") @step_up("mfa")'),
  )

  assert.equal(await refusalOf(approve(alice, request)), 'bound-changed')

  const after = await loadRequest(db, request.id)
  assert.equal(after?.state, 'void')
  assert.equal(after?.grantId, null)
  assert.match(after?.refusal ?? '', /mfa/)
})

test('a target that was pointed elsewhere after the request voids it', async (t) => {
  const { dave, alice, ask, approve, orders, run, needs } = await accessWorld(t)
  const request = await ask(dave)
  await run(async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: accessWithdrawn,
      actor: { id: alice.id, kind: 'human' },
      resource: { type: 'Target', id: orders.id },
      outcome: 'done',
      facts: {},
    })
    await tx
      .updateTable('target')
      .set({ settings: JSON.stringify({ host: '10.6.6.6', port: 5432 }), version: orders.version + 1, cause })
      .where('id', '=', orders.id)
      .execute()
  })

  assert.equal(await refusalOf(approve(alice, request)), 'bound-changed')
})

test('an approval by somebody who left the team before the grant does not count', async (t) => {
  const world = await accessWorld(t, {
    policies: (text) => text.replaceAll('"1 of owner(target)"', '"2 of owner(target)"'),
  })
  const { dave, alice, bob, carol, ask, approve, setTeams, db } = world
  const request = await ask(dave)
  await approve(alice, request)

  await setTeams({ payments: { members: ['bob', 'carol'] }, security: { members: [] } })

  assert.equal((await approve(bob, request)).state, 'pending')
  assert.equal((await approve(carol, request)).state, 'granted')
  const entries = await db.selectFrom('ledgerEntry').select('leaf').where('kind', '=', 'grant.made').execute()
  const { facts } = JSON.parse(String(entries[0]?.leaf))
  assert.deepEqual(facts.approvers.toSorted(), [bob.id, carol.id].sort())
})

test('a request whose purpose ended is not granted', async (t) => {
  const { dave, alice, ask, approve, fix, clock } = await accessWorld(t)
  const request = await ask(dave)
  clock.advance((fix.expiresAt.getTime() - clock.now().getTime()) / 1000 - 60)
  assert.equal(await refusalOf(approve(alice, request)), 'request-not-pending')

  const late = await ask(dave)
  clock.advance(60)

  assert.equal(await refusalOf(approve(alice, late)), 'bound-changed')
})

test('a purpose that does not cover the target or the action is refused, and the refusal is an entry', async (t) => {
  const { dave, ask, kinds } = await accessWorld(t)

  assert.equal(await refusalOf(ask(dave, { actions: ['postgres.privilege'] })), 'purpose-does-not-cover')

  assert.equal((await kinds()).at(-1), 'access.refused')
})

test('a gate that nobody could open stays shut and says who would have to exist', async (t) => {
  const { alice, ask } = await accessWorld(t, { teams: { payments: { members: ['alice'] } } })

  const asked = ask(alice)

  assert.equal(await refusalOf(asked), 'no-possible-approver')
  await assert.rejects(ask(alice), /1 more of owner\(target\), the team payments/)
})

test('what is owed beside approvals is asked for before anybody is bothered', async (t) => {
  const { dave, ask } = await accessWorld(t)

  assert.equal(await refusalOf(ask(dave, { reason: undefined })), 'obligations-owed')
})

test('a workload changes production without a person, under a ticket and in its window only', async (t) => {
  const world = await accessWorld(t, {
    policies: (text) => text.replaceAll('["bound-token",', '["token", "bound-token",'),
  })
  const { alice, workload, ask, setCalendar } = world
  const pipeline = await workload('pipeline', alice)

  assert.equal(await refusalOf(ask(pipeline, { ticket: 'OPS-1' })), 'not-permitted')
  setCalendar(OPEN_ALWAYS)
  assert.equal(await refusalOf(ask(pipeline)), 'not-permitted')

  const request = await ask(pipeline, { ticket: 'OPS-1' })
  assert.equal(request.state, 'granted')
})

test('a workload with nothing but a bare token is refused production', async (t) => {
  const { alice, workload, ask, setCalendar } = await accessWorld(t)
  setCalendar(OPEN_ALWAYS)
  const pipeline = await workload('pipeline', alice)

  assert.equal(await refusalOf(ask(pipeline, { ticket: 'OPS-1' })), 'not-permitted')
})

test('an agent asks for nobody but its sponsor, and a person hands tasks to agents only', async (t) => {
  const { alice, bob, agent, workload, ask } = await accessWorld(t)
  const robot = await agent('robot', alice)
  await workload('pipeline', alice)

  assert.equal(await refusalOf(ask(robot, { onBehalfOf: 'bob' })), 'not-delegated')
  assert.equal(await refusalOf(ask(bob, { onBehalfOf: 'alice' })), 'not-delegated')
  assert.equal(await refusalOf(ask(bob, { agent: 'pipeline' })), 'not-delegated')
  assert.equal(await refusalOf(ask(robot, { agent: 'robot' })), 'not-delegated')
})

test('the rights of an agent are an intersection: what its person may not do it may not do', async (t) => {
  const relaxed = (text: string) => text.replaceAll('["bound-token",', '["token", "bound-token",')
  const world = await accessWorld(t, { policies: relaxed })
  const { alice, agent, ask, setPolicies } = world
  const robot = await agent('robot', alice)
  const both = await ask(robot, { actions: ['postgres.read'], onBehalfOf: 'alice' })
  assert.equal(both.state, 'granted')
  const ticket = await world.ticket(granted(both))

  await setPolicies(
    (text) =>
      `${relaxed(text)} @id("not-alice") forbid (principal, action in Reeve::Action::"privileged", resource) when { principal.name == "alice" };`,
  )

  assert.equal(await refusalOf(ask(robot, { actions: ['postgres.read'], onBehalfOf: 'alice' })), 'not-permitted')
  assert.equal(await refusalOf(world.use(ticket)), 'use-refused not-now', 'nor at the moment of use')
})

test('when the person is suspended every task of theirs ends', async (t) => {
  const relaxed = (text: string) => text.replaceAll('["bound-token",', '["token", "bound-token",')
  const world = await accessWorld(t, { policies: relaxed })
  const robot = await world.agent('robot', world.alice)
  const request = await world.ask(robot, { actions: ['postgres.read'], onBehalfOf: 'alice' })
  const own = await world.ask(world.alice, { actions: ['postgres.read'] })
  const other = await world.ask(world.dave, { actions: ['postgres.read'] })

  const ended = await world.endOf(world.alice, 'identity-suspended')

  assert.deepEqual(ended.map((end) => end.id).sort(), [granted(request), granted(own)].sort())
  const live = await world.db.selectFrom('accessGrant').select('id').where('endedAt', 'is', null).execute()
  assert.deepEqual(live, [{ id: granted(other) }])
})

test('a grant cannot slip past a suspension that runs at the same time', async (t) => {
  const world = await accessWorld(t, { max: 16 })
  const { dave, db, access, ask, needs } = world
  const reading = { actions: ['postgres.read'] }
  const suspend = transact(db, async (tx) => {
    const row = await tx
      .selectFrom('identity')
      .selectAll()
      .where('id', '=', dave.id)
      .forUpdate()
      .executeTakeFirstOrThrow()
    const cause = await needs.ledger.record(tx, {
      event: accessWithdrawn,
      actor: { id: dave.id, kind: 'human' },
      resource: { type: 'Identity', id: dave.id },
      outcome: 'done',
      facts: {},
    })
    await tx
      .updateTable('identity')
      .set({ state: 'suspended', version: row.version + 1, cause })
      .where('id', '=', dave.id)
      .execute()
    return endGrantsOf(tx, access, { identityId: dave.id }, { reason: 'identity-suspended' })
  })

  await Promise.allSettled([suspend, ...Array.from({ length: 8 }, () => ask(dave, reading))])

  const live = await db.selectFrom('accessGrant').select('id').where('endedAt', 'is', null).execute()
  assert.deepEqual(live, [])
})

test('a denial ends the request; nobody approves after it', async (t) => {
  const { dave, alice, bob, ask, approve, permit, access, run } = await accessWorld(t)
  const request = await ask(dave)
  const on = { type: 'AccessRequest', id: request.id }
  const denied = await run((tx) => denyRequest(tx, access, permit('access.deny', alice, on), { comment: 'not today' }))

  assert.equal(denied.state, 'denied')
  assert.equal(await refusalOf(approve(bob, request)), 'request-not-pending')
})

test('who asked takes a request back', async (t) => {
  const { dave, alice, ask, approve, permit, access, run } = await accessWorld(t)
  const request = await ask(dave)
  const on = { type: 'AccessRequest', id: request.id }

  const withdrawn = await run((tx) => withdrawRequest(tx, access, permit('access.withdraw', dave, on)))

  assert.equal(withdrawn.state, 'withdrawn')
  assert.equal(await refusalOf(approve(alice, request)), 'request-not-pending')
})

test('a revoked grant says why, tells what hangs on it, and is revoked once', async (t) => {
  const { dave, alice, ask, permit, access, run, endedGrants } = await accessWorld(t)
  const grantId = granted(await ask(dave, { actions: ['postgres.read'] }))
  const revoking = permit('grant.revoke', alice, { type: 'Grant', id: grantId })

  const revoked = await run((tx) => revokeGrant(tx, access, revoking, { reason: 'left the team' }))

  assert.equal(revoked.endReason, 'revoked')
  assert.equal(revoked.endedById, alice.id)
  assert.deepEqual(endedGrants, [{ grantId, reason: 'revoked' }])
  assert.equal(await refusalOf(run((tx) => revokeGrant(tx, access, revoking, { reason: 'again' }))), 'grant-over')
})

test('the database itself refuses an approval of one’s own request and a second decision', async (t) => {
  const { dave, ask, approve, alice, run, needs } = await accessWorld(t)
  const request = await ask(dave)
  const attack = (verb: 'approve own' | 'reopen') =>
    run(async (tx) => {
      const cause = await needs.ledger.record(tx, {
        event: accessWithdrawn,
        actor: { id: dave.id, kind: 'human' },
        resource: { type: 'AccessRequest', id: request.id },
        outcome: 'done',
        facts: {},
      })
      const bound = Buffer.from(request.boundSha256, 'hex')
      if (verb === 'approve own') {
        const row = {
          requestId: request.id,
          approverId: dave.id,
          verdict: 'approve',
          boundSha256: bound,
          at: new Date(),
          cause,
        } as const
        await tx.insertInto('requestApproval').values(row).execute()
      } else
        await tx
          .updateTable('accessRequest')
          .set({ state: 'pending', decidedAt: null, cause })
          .where('id', '=', request.id)
          .execute()
    })

  await assert.rejects(attack('approve own'), { code: 'RV007' })
  await approve(alice, request)
  await assert.rejects(attack('reopen'), { code: 'RV006' })
})
