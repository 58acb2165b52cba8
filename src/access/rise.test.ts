import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { Granted } from '../../test/support/granted.ts'
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
import { until } from '../../test/support/gateway.ts'
import type { PlaneWorld } from '../../test/support/plane-world.ts'
import type { Admission } from '../gateways/gateway.ts'
import { transact } from '../kernel/db.ts'
import { silentLog } from '../kernel/log.ts'
import { openSecondLook } from './second-look.ts'
import type { ReceiveSignal } from './signals/contract.ts'
import { receiveSignal } from './signals/receive.ts'

const BOUND = `@id("not-over-80") @why("nothing goes on over a risk of 80")
  forbid (principal, action in Reeve::Action::"privileged", resource)
  when { context has risk && context.risk.score > 80 };`

/** What a sender reports of who holds a grant. */
async function report(w: PlaneWorld, { subjectId }: Granted, more: Partial<ReceiveSignal> = {}) {
  const sender = { type: 'Workload', id: '00000000-0000-7000-8000-00000000dead' }
  const { name, id } = await w.db
    .selectFrom('identity')
    .select(['name', 'id'])
    .where('name', 'like', 'owner-of-%')
    .where('id', '!=', (is) => is.selectFrom('identity').select('ownerId').where('identity.id', '=', subjectId))
    .executeTakeFirstOrThrow()
  const input: ReceiveSignal = {
    jti: randomUUID(),
    type: 'risk-level-change',
    about: 'identity',
    subject: subjectId,
    severity: 'critical',
    reason: 'seen at two places at once',
    occurredAt: w.needs.access.clock.now(),
    ...more,
  }
  const caller = { id, name, kind: 'workload', proof: 'mtls', proofId: id } as const
  const permit = permitFor('signal.receive', sender, { type: 'Signal', id: 'received' })
  return transact(w.db, (tx) => receiveSignal(tx, w.needs.access, permit, { caller, input }))
}

test('a session whose risk rises over what the policies allow ends, its client is told what rose, and later ones are fine', async (t) => {
  const w = await inSession(t, BOUND)
  const [granted, other] = [await changing(w), await changing(w)]
  await givenCalm(t, w, granted, 20)
  const [first, second] = [await idle(w, granted), await idle(w, other)]
  const { signal } = await report(w, granted, { severity: 'low' })
  await report(w, other, { severity: 'low' })
  assert.deepEqual([first.ended.aborted, second.ended.aborted], [false, false])

  await report(w, granted)

  const { reason, sentence } = await ending(first)
  assert.equal(reason, 'risk-rose')
  assert.match(
    sentence,
    /^The risk of this session rose over what its grant allows, with the reason: it was given at 20/,
  )
  assert.match(sentence, /signals: owner-of-\S+ reported risk-level-change of alice-/)
  assert.equal(second.ended.aborted, false)
  assert.equal(await reasonOfEnd(w, granted), 'risk-rose')
  assert.equal(signal.endedGrants, 0)
  const later = await idle(w, other)
  await close(first, second, later)
})

const HOLDS = `@id("risky-sessions-wait") @why("over a risk of 80 another person looks at each operation") @hold("any")
  permit (principal is Reeve::Person, action in Reeve::Action::"privileged", resource)
  when { context has purpose && context.purpose.approved && context.purpose.covers }
  when { context has risk && context.risk.score > 80 };`

test('attack: a session whose risk rises goes on with nothing that nobody else looked at, and without that when it falls', async (t) => {
  const w = await inSession(t, HOLDS)
  const [granted, other] = [await changing(w), await changing(w)]
  const [first, second] = [await w.plane.admit(asking(granted), NEVER), await w.plane.admit(asking(other), NEVER)]
  const [session, calm] = [await first.begin(), await second.begin()]
  assert.deepEqual([session.refusal('toy.write'), session.holding('any')], [undefined, undefined])

  const { signal } = await report(w, granted)

  await until(() => session.refusal('toy.write') !== undefined, 'what was decided before the risk rose still counts')
  await until(() => session.refusal('toy.write') === undefined)
  assert.deepEqual([session.holding('any'), session.holding('destructive')], ['held', 'held'])
  assert.equal(calm.holding('any'), undefined)
  const operation = { class: 'any', action: 'toy.write', label: 'WRITE', statement: 'write $1', forSeconds: 60 }
  // There is nobody else here who could release it, so it does not wait.
  assert.match(
    (await session.hold({ ...operation, onHeld: () => assert.fail('it waits') }, NEVER)) ?? '',
    /^This operation is of a session that is held, at a risk of \d+ of 100 \(.*signals: owner-of-\S+ reported.* was not released\. Nobody/,
  )

  const client = await rawClient(t, w.database.owner)
  await client.query('set session_replication_role = replica')
  await client.query('delete from signal where id = $1', [signal.id])
  w.secondLook.heard(`identity:${granted.subjectId}`)

  await until(() => session.refusal('toy.write') === undefined && session.holding('any') === undefined)
  assert.deepEqual([first.ended.aborted, second.ended.aborted], [false, false])
  await close(first, second)
})

test('what a signal ends by its type is told to the client, by the names of the record only', async (t) => {
  const w = await inSession(t)
  const [granted] = [await changing(w), await changing(w)]
  const session = await idle(w, granted)

  await report(w, granted, { type: 'credential-compromise', reason: 'a reason that nobody’s terminal shows' })

  const { reason, sentence } = await ending(session)
  assert.equal(reason, 'signal-received')
  assert.match(sentence, /owner-of-\S+ reported credential-compromise$/)
  await assert.rejects(w.plane.admit(asking(granted), NEVER), { name: 'Refused', code: 'over' })
  await close(session)
})

test('risk that rises with no record changing is seen by the round, which goes on where it was', async (t) => {
  const w = await inSession(t, BOUND)
  const all = [await changing(w), await changing(w), await changing(w)]
  const sessions: Admission[] = []
  for (const granted of all) {
    await givenCalm(t, w, granted, 20)
    sessions.push(await idle(w, granted))
  }
  // A signal nobody hinted at: as if its hint had been lost.
  const client = await rawClient(t, w.database.owner)
  await report(w, must(all[1]), { severity: 'low' })
  await client.query('set session_replication_role = replica')
  await client.query(`update signal set severity = 'critical' where identity_id = $1`, [must(all[1]).subjectId])
  let seconds = 0
  const look = openSecondLook({
    db: w.db,
    access: w.needs.access,
    nodeId: w.needs.nodeId,
    clock: { monotonicMs: () => (seconds += 1) * 1_000 },
    log: silentLog,
    riskSeconds: 1,
  })
  t.after(() => look[Symbol.asyncDispose]())

  assert.equal((await ending(must(sessions[1]))).reason, 'risk-rose')
  assert.deepEqual([sessions[0]?.ended.aborted, sessions[2]?.ended.aborted], [false, false])
  await close(...sessions)
})

function must<T>(value: T | undefined): T {
  assert.ok(value !== undefined)
  return value
}
