import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { addNode, type Granted } from '../../test/support/granted.ts'
import { until } from '../../test/support/gateway.ts'
import {
  asking,
  changing,
  close,
  ending,
  givenCalm,
  idle,
  inSession,
  NEVER,
  reasonOfEnd,
} from '../../test/support/in-session.ts'
import { rawClient } from '../../test/support/ledger.ts'
import { permitFor } from '../../test/support/permit.ts'
import type { PlaneWorld } from '../../test/support/plane-world.ts'
import { toyGateway } from '../../test/support/toy-gateway.ts'
import { updateTarget } from '../catalog/targets.ts'
import type { UpdateTarget } from '../catalog/contract.ts'
import { Refused, type Admission } from '../gateways/gateway.ts'
import { assignOwner } from '../identities/ownership.ts'
import { updateIdentity } from '../identities/lifecycle.ts'
import { transact } from '../kernel/db.ts'
import { onReach } from '../kernel/fault.ts'
import { openLog, silentLog } from '../kernel/log.ts'
import { openCedarEngine } from '../policy/policy.ts'
import { openSecondLook } from './second-look.ts'

const ADMIN = { type: 'Person', id: '00000000-0000-7000-8000-00000000dead' }

/** As the API's own command does it. */
function change(w: PlaneWorld, granted: Granted, changed: UpdateTarget): Promise<unknown> {
  const needs = {
    ...w.needs.access,
    seal: w.needs.sessions.seal,
    protocols: new Map(),
    survey: async () => [],
    onPurposeEnded: async () => undefined,
    onTargetRetired: async () => undefined,
    onAccountRetired: async () => undefined,
  }
  const permit = permitFor('target.update', ADMIN, { type: 'Target', id: granted.targetId })
  return transact(w.db, (tx) => updateTarget(tx, needs, permit, changed))
}

test('an idle session under a rule for other environments ends when its target becomes production', async (t) => {
  const w = await inSession(t)
  const granted = await changing(w)
  const admission = await idle(w, granted)

  await change(w, granted, { environment: 'production' })

  assert.deepEqual(await ending(admission), {
    reason: 'policy-changed',
    sentence: 'The policies permit this grant no more.',
  })
  assert.equal(await reasonOfEnd(w, granted), 'policy-changed')
  const { leaf } = await w.db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', 'grant.ended')
    .where('grantId', '=', granted.grantId)
    .executeTakeFirstOrThrow()
  assert.match(JSON.stringify(JSON.parse(leaf.toString()).facts.reasons), /approv/i)
  await assert.rejects(w.plane.admit(asking(granted), NEVER), { name: 'Refused', code: 'over' })
  await close(admission)
})

test('a connection that is still being made ends with the grant too', async (t) => {
  const w = await inSession(t)
  const granted = await changing(w)
  const admission = await w.plane.admit(asking(granted), NEVER)

  await change(w, granted, { environment: 'production' })

  await ending(admission)
  await assert.rejects(admission.begin(), { name: 'Refused', code: 'over' })
  await close(admission)
})

test('what changes in an identity ends its sessions: its environment, and the owner who vouched for it', async (t) => {
  const w = await inSession(t)
  const moved = await changing(w, { environment: 'production', actions: ['toy.read'] })
  const unowned = await changing(w, { environment: 'production', actions: ['toy.read'] })
  await asWorkload(t, w, unowned)
  const [first, second] = [await idle(w, moved), await idle(w, unowned)]
  const needs = { ...w.needs.access, onIdentityEnded: async () => undefined }
  const permit = <A extends string>(action: A, id: string) =>
    permitFor(action, { type: 'Person', id: moved.subjectId }, { type: 'Identity', id })

  await transact(w.db, (tx) =>
    updateIdentity(tx, needs, permit('identity.update', moved.subjectId), { environment: 'staging' }),
  )
  await transact(w.db, (tx) =>
    assignOwner(tx, needs, permit('identity.assign-owner', unowned.subjectId), {
      owner: moved.subjectId,
      evidence: 'asked for',
    }),
  )

  assert.equal((await ending(first)).reason, 'policy-changed')
  assert.equal((await ending(second)).reason, 'policy-changed')
  await close(first, second)
})

test('a session goes on when the change leaves it permitted, also one that has used up its grant', async (t) => {
  const w = await inSession(t)
  const [kept, witness] = [await changing(w, { maxUses: 1 }), await changing(w)]
  const [first, second] = [await idle(w, kept), await idle(w, witness)]

  await change(w, kept, { sensitivity: 3 })
  // Looked at in their order: when this one is over, the other one was decided.
  await change(w, witness, { environment: 'production' })
  await ending(second)

  assert.equal(first.ended.aborted, false)
  assert.equal(await reasonOfEnd(w, kept), null)
  await close(first, second)
})

test('a grant that nobody uses is left to the decision of its next use', async (t) => {
  const w = await inSession(t)
  const [unused, witness] = [await changing(w), await changing(w)]
  const session = await idle(w, witness)

  await change(w, unused, { environment: 'production' })
  await change(w, witness, { environment: 'production' })
  await ending(session)

  assert.equal(await reasonOfEnd(w, unused), null)
  await assert.rejects(w.plane.admit(asking(unused), NEVER), { name: 'Refused', code: 'not-now' })
  await close(session)
})

test('on a node that works a grant that nobody uses ends when the record would not give it any more, and for nothing that passes', async (t) => {
  const bound = `@id("not-over-1") @why("nothing goes on over a risk of 1")
    forbid (principal, action in Reeve::Action::"privileged", resource)
    when { context has risk && context.risk.score > 1 };`
  const w = await inSession(t, bound)
  const [first, risky, last] = [await changing(w), await changing(w), await changing(w)]
  // Given when it was calm: by now the risk of each is over the bound.
  for (const granted of [first, risky, last]) await givenCalm(t, w, granted)
  const { db, access, nodeId } = w.needs
  const needs = { db, access, nodeId, clock: access.clock, log: silentLog }
  const look = openSecondLook({ ...needs, looksAtUnused: true })
  t.after(() => look[Symbol.asyncDispose]())
  await assert.rejects(w.plane.admit(asking(risky), NEVER), { name: 'Refused', code: 'not-now' })

  await change(w, first, { environment: 'production' })
  await change(w, last, { environment: 'production' })
  look.heard()

  await until(async () => (await reasonOfEnd(w, last)) === 'policy-changed', 'the last of them is not looked at')
  assert.deepEqual([await reasonOfEnd(w, first), await reasonOfEnd(w, risky)], ['policy-changed', null])
})

test('a use that was decided on what its target was before is decided again', async (t) => {
  const w = await inSession(t)
  for (const point of ['gateway.subscribed', 'access.use-reserved', 'gateway.use-reserved', 'gateway.lease-ready']) {
    const granted = await changing(w)
    const marker = await changing(w)
    const other = await idle(w, marker)
    let done: Promise<unknown> | undefined
    using _hook = onReach(async (label) => {
      if (label !== point || done) return
      done = change(w, granted, { environment: 'production' })
      await done
      // The hint of it has been heard, and everything it was looked for in, before the connection goes on.
      await change(w, marker, { environment: 'production' })
      await ending(other)
    })

    const result = await idle(w, granted).catch((error: unknown) => error)

    if (result instanceof Error) assert.ok(result instanceof Refused, `${point}: ${result.stack}`)
    else {
      assert.equal((await ending(result as Admission)).reason, 'policy-changed', point)
      await close(result as Admission)
    }
    assert.ok(done, point)
    await until(async () => (await reasonOfEnd(w, granted)) === 'policy-changed', point)
    await close(other)
  }
})

test('no interleaving of a connection with the change of its target leaves a session that goes on', async (t) => {
  const w = await inSession(t)
  for (let round = 0; round < 15; round += 1) {
    const granted = await changing(w)
    const [outcome] = await Promise.all([
      idle(w, granted).catch((error: unknown) => error),
      change(w, granted, { environment: 'production' }),
    ])

    if (outcome instanceof Error) assert.ok(outcome instanceof Refused, outcome.stack)
    else {
      await ending(outcome as Admission)
      await close(outcome as Admission)
    }
  }
})

test('nothing is said of changes that policies do not see, or of things that no live grant stands on', async (t) => {
  const w = await inSession(t)
  const [live, over] = [await changing(w), await changing(w)]
  await w.revoke(over.grantId)
  const client = await rawClient(t, w.database.owner)
  const heard: string[] = []
  client.on('notification', ({ payload }) => heard.push(payload ?? ''))
  await client.query('listen reeve_end')

  await change(w, live, { businessService: 'another' })
  await change(w, live, { environment: 'staging' })
  await change(w, over, { environment: 'production' })
  await change(w, live, { sensitivity: 2 })
  await until(() => heard.length > 0)

  assert.deepEqual(heard, [`target:${live.targetId}`])
})

test('hints that were missed while the stream was broken are made up for by a look at everything in use here', async (t) => {
  const w = await inSession(t)
  const [mine, elsewhere] = [await changing(w), await changing(w)]
  const [first, second] = [await idle(w, mine), await idle(w, elsewhere)]
  const dba = await rawClient(t, w.database.owner)
  await dba.query('set session_replication_role = replica')
  // Another node's business.
  const other = await addNode(w.db)
  await dba.query(`update grant_use set node_id = $2 where grant_id = $1`, [elsewhere.grantId, other])
  // No trigger, so no hint.
  await dba.query(`update target set environment = 'production'`)

  w.secondLook.heard()

  assert.equal((await ending(first)).reason, 'policy-changed')
  assert.equal(second.ended.aborted, false)
  await close(first, second)
})

test('an idle session ends when policies come that do not permit it, and one that they permit goes on', async (t) => {
  const w = await inSession(t)
  // Looked at in the order of their ids: when the later one is over, the earlier one was decided.
  const [kept, granted] = [await changing(w, { actions: ['toy.read'] }), await changing(w)]
  const [first, second] = [await idle(w, granted), await idle(w, kept)]

  w.engine.swap(openCedarEngine(await w.declare(toyGateway().actions.filter(({ name }) => name === 'toy.read'))))

  assert.equal((await ending(first)).reason, 'policy-changed')
  assert.equal(second.ended.aborted, false)
  await close(first, second)
})

test('a grant in use that cannot be decided again ends when the bound is over, and not before', async (t) => {
  const w = await inSession(t)
  const granted = await changing(w)
  const session = await idle(w, granted)
  let nowMs = 0
  const warned: string[] = []
  const decisions = {
    ...w.needs.access.decisions,
    decideEach: () => Promise.reject(new Error('the engine is broken')),
  }
  const look = openSecondLook({
    db: w.db,
    access: { ...w.needs.access, decisions },
    nodeId: w.needs.nodeId,
    clock: { monotonicMs: () => nowMs },
    log: openLog('warn', { write: (line) => void warned.push(line) }),
  })
  t.after(() => look[Symbol.asyncDispose]())

  look.heard(`target:${granted.targetId}`)
  await until(() => warned.length > 1)
  assert.equal(session.ended.aborted, false)
  nowMs = 15_000

  assert.equal((await ending(session)).reason, 'policy-changed')
  await close(session)
})

test('what is no hint of a change is passed over', async (t) => {
  const w = await inSession(t)
  const look = openSecondLook({
    db: w.db,
    access: w.needs.access,
    nodeId: w.needs.nodeId,
    clock: w.needs.access.clock,
    log: silentLog,
  })
  t.after(() => look[Symbol.asyncDispose]())
  const before = look.mark()

  for (const hint of ['', 'target', 'target:', 'session:1', 'all', 'all:1', 'grant:1', 'cancel:postgres:1:AAAA'])
    look.heard(hint)

  assert.equal(look.mark(), before)
})

/** The subject as a service with an attested owner, under a rule that asks for one. */
async function asWorkload(t: TestContext, w: PlaneWorld, { subjectId }: Granted): Promise<void> {
  const dba = await rawClient(t, w.database.owner)
  await dba.query('set session_replication_role = replica')
  await dba.query(`update identity set kind = 'workload', profile = 'service' where id = $1`, [subjectId])
}
