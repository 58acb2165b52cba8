import assert from 'node:assert/strict'
import { test } from 'node:test'
import { refusalOf } from '../../../test/support/access-world.ts'
import { changeWorld, type ChangeWorld } from '../../../test/support/change-world.ts'
import type { Identity } from '../../identities/contract.ts'
import { issueToken } from '../../identities/identities.ts'
import { transact } from '../../kernel/db.ts'
import { expireChanges } from './changes.ts'
import type { Change } from './contract.ts'
import { changeWithdrawn } from './events.ts'
import { listChanges } from './records.ts'

/** Orders is a production target of payments: Alice and Bob. Calling it staging would waive every gate on it. */
const DEMOTE = { params: { target: 'orders' }, input: { environment: 'staging' } }
const UPDATE = 'target.update'

async function approve(w: ChangeWorld, who: Identity, change: Change, boundSha256 = change.boundSha256) {
  return w.on(who, 'change.approve', { params: { change: change.id }, input: { boundSha256 } })
}

async function approved(w: ChangeWorld, wired: typeof DEMOTE = DEMOTE): Promise<Change> {
  const change = await w.put(w.alice, UPDATE, wired)
  await approve(w, w.bob, change)
  assert.equal(await w.stateOf(change), 'approved')
  return change
}

async function environmentOf(w: ChangeWorld): Promise<string> {
  const row = await w.db
    .selectFrom('target')
    .select('environment')
    .where('name', '=', 'orders')
    .executeTakeFirstOrThrow()
  return row.environment
}

test('a call that others have to approve waits for them, and then runs once, in the transaction that spends the approval', async (t) => {
  const w = await changeWorld(t)
  const change = await w.put(w.alice, UPDATE, DEMOTE)
  assert.equal(change.state, 'pending')
  assert.deepEqual(change.input, { environment: 'staging' })
  assert.deepEqual(change.obligations.approval, ['1 of owner(target) or 1 of security'])
  assert.equal(await refusalOf(w.repeat(w.alice, change, UPDATE, DEMOTE)), 'change-not-approved')
  await approve(w, w.bob, change)

  await w.repeat(w.alice, change, UPDATE, DEMOTE)

  assert.equal(await environmentOf(w), 'staging')
  assert.equal(await w.stateOf(change), 'used')
  const entries = await w.db.selectFrom('ledgerEntry').select(['kind', 'xid']).orderBy('id', 'desc').limit(2).execute()
  assert.deepEqual(
    entries.map(({ kind }) => kind),
    ['target.updated', 'change.used'],
  )
  assert.equal(entries[0]?.xid, entries[1]?.xid)
})

test('change.apply runs the call as it was kept, secrets in it and all', async (t) => {
  const w = await changeWorld(t)
  const provisioner = { user: 'reeve', password: 'correct horse battery staple' }
  const wired = { params: { target: 'orders' }, input: { environment: 'staging', provisioner, exceptionReason: 'why' } }
  const change = await w.put(w.alice, UPDATE, wired)
  await approve(w, w.bob, change)

  const applied = await w.on(w.alice, 'change.apply', { params: { change: change.id } })

  assert.equal(await environmentOf(w), 'staging')
  const { sealedProvisioner } = await w.db
    .selectFrom('target')
    .select('sealedProvisioner')
    .where('name', '=', 'orders')
    .executeTakeFirstOrThrow()
  assert.ok(sealedProvisioner)
  assert.doesNotMatch(JSON.stringify(applied), /correct horse/)
})

test('attack: what is secret in a call is in no row, entry or answer in the clear, and is gone when the change is over', async (t) => {
  const w = await changeWorld(t)
  const input = { provisioner: { user: 'reeve', password: 'hunter22hunter22' }, exceptionReason: 'my private why' }
  const change = await w.put(w.alice, UPDATE, { params: { target: 'orders' }, input })
  const read = (who: Identity) => w.on(who, 'change.read', { params: { change: change.id } })

  const seen = JSON.stringify([change, await read(w.bob), await read(w.dave)])
  const rows = await w.db.selectFrom('change').selectAll().execute()
  const leaves = await w.db.selectFrom('ledgerEntry').select('leaf').execute()
  const kept = JSON.stringify(rows) + leaves.map(({ leaf }) => leaf.toString()).join()

  assert.doesNotMatch(seen + kept, /hunter22/)
  assert.doesNotMatch(kept + JSON.stringify(await read(w.dave)), /my private why/)
  assert.match(JSON.stringify(await read(w.bob)), /my private why/, 'approvers are told what is personal')
  assert.deepEqual(change.hidden, ['provisioner.user', 'provisioner.password', 'exceptionReason'])
  await w.on(w.alice, 'change.withdraw', { params: { change: change.id } })
  const { sealedInput } = await w.db.selectFrom('change').select('sealedInput').executeTakeFirstOrThrow()
  assert.equal(sealedInput, null)
})

test('attack: nobody approves what they asked for, in any identity of theirs, nor what is about them', async (t) => {
  const teams = {
    payments: { members: ['alice', 'alice-admin', 'bob'] },
    security: { members: ['carol', 'dave'] },
    administrators: { members: ['founder'] },
  }
  const w = await changeWorld(t, { teams })
  const second = await w.further('alice-admin', w.alice)
  const change = await w.put(w.alice, UPDATE, DEMOTE)

  assert.equal(await refusalOf(approve(w, w.alice, change)), 'not-permitted')
  assert.equal(await refusalOf(approve(w, second, change)), 'self-approval')
  const issuing = { caller: w.caller(w.dave), input: { label: 'own', ttlSeconds: 60 } }
  await w.run((tx) => issueToken(tx, w.needs, w.permit('token.issue', w.dave, w.dave), issuing))
  const link = await w.put(w.founder, 'identity.enrol', { params: { identity: 'dave' }, input: {} })
  assert.deepEqual(link.obligations.approval, ['1 of security'])
  assert.equal(await refusalOf(approve(w, w.dave, link)), 'not-permitted')

  assert.equal(await w.stateOf(change), 'pending')
  assert.equal(await w.stateOf(link), 'pending')
  await approve(w, w.carol, link)
  assert.equal(await w.stateOf(link), 'approved')
})

test('attack: an approval is of the very call: another body, target or operation voids it', async (t) => {
  const w = await changeWorld(t)
  await w.target('ledgers')
  const others = [
    [UPDATE, { ...DEMOTE, input: { environment: 'test' } }],
    [UPDATE, { ...DEMOTE, input: { environment: 'staging', ownerTeam: 'security' } }],
    [UPDATE, { ...DEMOTE, params: { target: 'ledgers' } }],
    ['target.retire', { params: { target: 'orders' }, input: { reason: 'gone' } }],
  ] as const
  for (const [operation, wired] of others) {
    const change = await approved(w)

    assert.equal(await refusalOf(w.repeat(w.alice, change, operation, wired)), 'bound-changed')

    assert.equal(await w.stateOf(change), 'void')
    assert.equal(await refusalOf(w.repeat(w.alice, change, UPDATE, DEMOTE)), 'change-over')
  }
  assert.equal(await environmentOf(w), 'production')
})

test('attack: an approval is used once, also by two at the same moment', async (t) => {
  const w = await changeWorld(t)
  const change = await approved(w)

  const ends = await Promise.all([1, 2, 3, 4].map(() => refusalOf(w.repeat(w.alice, change, UPDATE, DEMOTE))))

  assert.equal(ends.filter((end) => end === 'nothing').length, 1, ends.join())
  const updates = (await w.kinds()).filter((kind) => kind === 'target.updated')
  assert.equal(updates.length, 1)
  assert.equal(await refusalOf(w.repeat(w.alice, change, UPDATE, DEMOTE)), 'change-over')
})

test('attack: nobody else applies it, the approver and the founder included', async (t) => {
  const w = await changeWorld(t)
  const change = await approved(w)

  for (const who of [w.bob, w.founder]) {
    assert.equal(await refusalOf(w.repeat(who, change, UPDATE, DEMOTE)), 'not-permitted', who.name)
    assert.equal(await refusalOf(w.on(who, 'change.apply', { params: { change: change.id } })), 'not-permitted')
  }

  assert.equal(await environmentOf(w), 'production')
  assert.equal(await w.stateOf(change), 'approved')
})

test('a policy that decided and was edited since voids the change; one that did not leaves it be', async (t) => {
  const w = await changeWorld(t)
  await w.target('ledgers')
  const elsewhere = { ...DEMOTE, params: { target: 'ledgers' } }
  const [change, other] = [await approved(w), await approved(w, elsewhere)]

  await w.setPolicies((text) => text.replace('@ttl("8h")', '@ttl("7h")'))
  await w.repeat(w.alice, change, UPDATE, DEMOTE)
  await w.setPolicies((text) =>
    text.replace('@why("administrators, the founder and the owner team change', '@why("they change'),
  )

  assert.equal(await refusalOf(w.repeat(w.alice, other, UPDATE, elsewhere)), 'bound-changed')
  assert.deepEqual([await w.stateOf(change), await w.stateOf(other)], ['used', 'void'])
})

test('attack: what is approved for a target as it was is not for the target as it is', async (t) => {
  const w = await changeWorld(t)
  const first = await approved(w)
  const second = await approved(w)
  await w.repeat(w.alice, first, UPDATE, DEMOTE)

  assert.equal(await refusalOf(w.repeat(w.alice, second, UPDATE, DEMOTE)), 'bound-changed')
})

test('who left the team, or may act no more, has not approved', async (t) => {
  const w = await changeWorld(t)
  const change = await approved(w)
  await w.setTeams({ security: { members: ['carol'] }, payments: { members: ['alice'] } })

  assert.equal(await refusalOf(w.repeat(w.alice, change, UPDATE, DEMOTE)), 'bound-changed')

  assert.equal(await w.stateOf(change), 'void')
  assert.equal(await environmentOf(w), 'production')
})

test('attack: a hash that is not of what stands there approves nothing, and nobody speaks twice', async (t) => {
  const w = await changeWorld(t)
  await w.setPolicies((text) =>
    text.replace('@approval("1 of owner(target) or 1 of security")', '@approval("2 of payments")'),
  )
  const teams = { payments: { members: ['alice', 'bob', 'dave'] }, security: { members: ['carol'] } }
  await w.setTeams(teams)
  const change = await w.put(w.alice, UPDATE, DEMOTE)

  assert.equal(await refusalOf(approve(w, w.bob, change, 'f'.repeat(64))), 'bound-changed')
  await approve(w, w.bob, change)
  assert.equal(await refusalOf(approve(w, w.bob, change)), 'already-approved')
  assert.equal(await w.stateOf(change), 'pending')
  await approve(w, w.dave, change)

  assert.equal(await w.stateOf(change), 'approved')
})

test('a gate that nobody could open is refused at once, and says who would have to exist', async (t) => {
  const w = await changeWorld(t, { teams: { payments: { members: ['alice'] }, security: { members: ['ghost'] } } })

  await assert.rejects(w.put(w.alice, UPDATE, DEMOTE), (error) => {
    assert.match(
      error instanceof Error ? error.message : '',
      /there would have to be 1 more of owner\(target\), the team payments, or 1 more of security/,
    )
    return true
  })

  assert.deepEqual(await w.db.selectFrom('change').select('id').execute(), [])
})

test('what no policy permits is not put before anybody', async (t) => {
  const w = await changeWorld(t)

  assert.equal(await refusalOf(w.put(w.dave, UPDATE, DEMOTE)), 'not-permitted')
  assert.deepEqual(await w.db.selectFrom('change').select('id').execute(), [])
})

test('time ends what nobody decided on, and what was approved and not applied, swept or not', async (t) => {
  const w = await changeWorld(t)
  const [pending, open] = [await w.put(w.alice, UPDATE, DEMOTE), await approved(w)]
  w.clock.advance(9 * 3600)

  assert.equal(await refusalOf(approve(w, w.bob, pending)), 'change-over')
  assert.equal(await refusalOf(w.repeat(w.alice, open, UPDATE, DEMOTE)), 'change-over')

  assert.equal(await transact(w.db, (tx) => expireChanges(tx, w.changes)), false)
  assert.deepEqual([await w.stateOf(pending), await w.stateOf(open)], ['expired', 'expired'])
})

test('an approver who says no ends it, even when others had said yes', async (t) => {
  const w = await changeWorld(t)
  const change = await approved(w)

  await w.on(w.carol, 'change.deny', { params: { change: change.id }, input: { comment: 'not today' } })

  assert.equal(await refusalOf(w.repeat(w.alice, change, UPDATE, DEMOTE)), 'change-over')
  assert.equal(await w.stateOf(change), 'denied')
})

test('an operation that fails leaves the approval unspent, for its own transaction carried it', async (t) => {
  const w = await changeWorld(t)
  const change = await w.put(w.alice, UPDATE, { ...DEMOTE, input: { ownerTeam: 'payments', settings: { host: 1 } } })
  await approve(w, w.bob, change)

  assert.equal(await refusalOf(w.on(w.alice, 'change.apply', { params: { change: change.id } })), 'invalid-input')

  assert.equal(await w.stateOf(change), 'approved')
})

test('attack: rows of a change do not go back, and nobody writes an approval of their own beside the code', async (t) => {
  const w = await changeWorld(t)
  const change = await approved(w)
  const { id } = change
  const boundSha256 = Buffer.from(change.boundSha256, 'hex')
  const attack = (kind: 'reopen' | 'rewrite' | 'approve own') =>
    w.run(async (tx) => {
      const cause = await w.needs.ledger.record(tx, {
        event: changeWithdrawn,
        actor: { id: w.alice.id, kind: 'human' },
        resource: { type: 'Change', id },
        outcome: 'done',
        facts: {},
      })
      const mine = {
        changeId: id,
        approverId: w.alice.id,
        verdict: 'approve',
        boundSha256,
        at: new Date(),
        cause,
      } as const
      if (kind === 'approve own') await tx.insertInto('changeApproval').values(mine).execute()
      const set = {
        reopen: { state: 'pending', decidedAt: null },
        rewrite: { params: '{"target":"ledgers"}' },
      } as const
      if (kind !== 'approve own') {
        await tx
          .updateTable('change')
          .set({ ...set[kind], cause })
          .where('id', '=', id)
          .execute()
      }
    })

  await assert.rejects(attack('reopen'), { code: 'RV006' })
  await assert.rejects(attack('rewrite'), { code: 'RV006' })
  await assert.rejects(attack('approve own'), { code: 'RV007' })
})

test('the inbox has what waits for somebody, and nothing of their own', async (t) => {
  const w = await changeWorld(t)
  const change = await w.put(w.alice, UPDATE, DEMOTE)
  const inbox = async (who: Identity) =>
    (await listChanges(w.changes, who, { view: 'inbox', limit: 10 })).items.map(({ id }) => id)

  assert.deepEqual(await inbox(w.bob), [change.id])
  assert.deepEqual(await inbox(w.carol), [change.id])
  assert.deepEqual(await inbox(w.alice), [])
  assert.deepEqual(await inbox(w.dave), [])
})

test('attack: nobody buries their approvers: an identity has so many changes open and no more', async (t) => {
  const w = await changeWorld(t)
  const first = await w.put(w.alice, UPDATE, DEMOTE)
  for (let count = 1; count < 50; count += 1) await w.put(w.alice, UPDATE, DEMOTE)

  assert.equal(await refusalOf(w.put(w.alice, UPDATE, DEMOTE)), 'too-many-changes')
  await w.put(w.bob, UPDATE, DEMOTE)
  await w.on(w.alice, 'change.withdraw', { params: { change: first.id } })

  assert.equal((await w.put(w.alice, UPDATE, DEMOTE)).state, 'pending')
})
