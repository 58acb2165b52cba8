import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lifecycleWorld, WEBHOOK_SECRET, type LifecycleWorld } from '../../test/support/lifecycle-world.ts'
import type { Identity } from '../identities/contract.ts'
import { issueToken } from '../identities/identities.ts'
import { hmacSha256 } from '../kernel/crypto.ts'
import { Problem } from '../kernel/problem.ts'
import type { ReportEvent } from './contract.ts'
import { reportEvent } from './report.ts'
import { readVendor, revokeVendor } from './vendor.ts'

const DAY_SECONDS = 86_400
const BECAUSE = { reason: 'the forge says so' }

async function stateOf(w: LifecycleWorld, id: string): Promise<string> {
  const row = await w.db
    .selectFrom('lifecycleCase')
    .select(['state', 'heldBecause'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  return row.heldBecause === null ? row.state : `${row.state}, held`
}

function report(w: LifecycleWorld, input: Omit<ReportEvent, 'occurredAt'> & { occurredAt?: Date }, by = w.entra) {
  const permit = w.permit('lifecycle-event.report', by, { type: 'LifecycleEvent', id: 'reported' })
  return w.run((tx) => reportEvent(tx, w.lifecycle, permit, { occurredAt: w.clock.now(), ...input }))
}

test('a finished job and a closed ticket end their grants; a report that comes again changes nothing', async (t) => {
  const w = await lifecycleWorld(t)
  const ofJob = await w.ask(w.dave, { actions: ['postgres.read'], task: 'job-17' })
  const ofTicket = await w.ask(w.bob, { actions: ['postgres.read'], ticket: 'OPS-1' })
  const other = await w.ask(w.bob, { actions: ['postgres.read'] })
  const reasonOf = async (id: string) =>
    (await w.db.selectFrom('accessGrant').select('endReason').where('requestId', '=', id).executeTakeFirstOrThrow())
      .endReason

  const first = await report(w, { eventId: 'e1', type: 'job-finished', task: 'job-17' })
  await report(w, { eventId: 'e2', type: 'ticket-closed', ticket: 'OPS-1' })

  assert.equal(first.outcome.endedGrants.length, 1)
  assert.deepEqual(
    [await reasonOf(ofJob.id), await reasonOf(ofTicket.id), await reasonOf(other.id)],
    ['done', 'done', null],
  )
  const before = await w.kinds()
  const again = await report(w, { eventId: 'e1', type: 'job-finished', task: 'job-17' })
  assert.deepEqual([again.id, again.outcome], [first.id, first.outcome])
  assert.deepEqual(await w.kinds(), before)
  await assert.rejects(
    report(w, { eventId: 'e1', type: 'job-finished', task: 'job-18' }),
    (error) => error instanceof Problem && error.slug === 'conflict',
  )
  await assert.rejects(
    report(w, { eventId: 'e3', type: 'job-finished' }),
    (error) => error instanceof Problem && error.slug === 'invalid-input',
  )
})

test('a deployment that is gone opens a case for its identity, and no report stops a person', async (t) => {
  const w = await lifecycleWorld(t)
  const job = await w.workload('nightly', w.alice)
  const { outcome } = await report(w, { eventId: 'd1', type: 'deployment-gone', identity: 'nightly' })
  await w.carryOn()

  assert.equal(await stateOf(w, outcome.cases[0] ?? ''), 'soaking')
  assert.equal((await w.reload(job)).state, 'suspended')
  await assert.rejects(
    report(w, { eventId: 'd2', type: 'deployment-gone', identity: 'carol' }),
    (error) => error instanceof Problem && error.slug === 'invalid-input',
  )
  const future = new Date(w.clock.now().getTime() + DAY_SECONDS * 1000)
  await assert.rejects(
    report(w, { eventId: 'd3', type: 'deployment-gone', identity: 'nightly', occurredAt: future }),
    Problem,
  )
})

test('a repository that is archived sends on their way the identities that only it lets in', async (t) => {
  const w = await lifecycleWorld(t)
  const [only, shared] = [await w.workload('only', w.alice), await w.workload('shared', w.alice)]
  const rule = (name: string, identity: Identity, repository: string) =>
    w.run(async (tx) => {
      const { ownerAttested } = await import('../identities/events.ts')
      const cause = await w.needs.ledger.record(tx, {
        event: ownerAttested,
        actor: { id: null, kind: 'system' },
        resource: { type: 'TrustRule', id: identity.id },
        outcome: 'done',
        facts: { ownerId: w.alice.id, proposedBy: null, isBootstrap: false },
      })
      const { newId, systemRandom } = await import('../kernel/random.ts')
      await tx
        .insertInto('trustRule')
        .values({
          id: newId(w.clock, systemRandom),
          name,
          identityId: identity.id,
          preset: 'github-actions',
          issuer: 'https://forge.example',
          audience: 'reeve',
          subject: JSON.stringify({ is: `repo:${repository}:ref:refs/heads/main` }),
          claims: '{}',
          isBound: false,
          ttlSeconds: 900,
          createdBy: w.alice.id,
          createdAt: w.clock.now(),
          cause,
        })
        .execute()
    })
  await rule('r1', only, 'acme/shop')
  await rule('r2', shared, 'acme/shop')
  await rule('r3', shared, 'acme/other')

  const { outcome } = await report(w, { eventId: 'r', type: 'repository-archived', repository: 'acme/shop' })
  const near = await report(w, { eventId: 'r2', type: 'repository-archived', repository: 'acme/sho' })

  const cases = await w.db.selectFrom('lifecycleCase').select('identityId').execute()
  assert.deepEqual([outcome.cases.length, near.outcome.cases.length, cases], [1, 0, [{ identityId: only.id }]])
})

test('all that a vendor holds ends in one act, which says what is not proven dead', async (t) => {
  const w = await lifecycleWorld(t)
  const bots = [
    await w.workload('acme-bot', w.alice, { vendor: 'acme' }),
    await w.workload('acme-sync', w.alice, { vendor: 'acme' }),
  ]
  const own = await w.workload('nightly', w.alice)
  const [bot] = bots
  assert.ok(bot)
  const bearer = { caller: { proof: 'token', proofId: bot.id }, input: { label: 'ci', ttlSeconds: 3600 } } as const
  await w.run((tx) => issueToken(tx, w.lifecycle, w.permit('token.issue', w.alice, bot), bearer))

  const said = await w.run((tx) =>
    revokeVendor(tx, w.lifecycle, w.permit('vendor.revoke', w.carol), { vendor: 'acme', ...BECAUSE }),
  )

  assert.deepEqual(
    said.identities.map(({ state }) => state),
    ['suspended', 'suspended'],
  )
  assert.deepEqual(
    said.open.map(({ kind }) => kind),
    ['token'],
  )
  assert.equal(said.isOver, false)
  assert.equal((await w.reload(own)).state, 'active')
  await w.carryOn()
  const later = await readVendor(w.db, 'acme', w.clock.now())
  assert.deepEqual([later.isOver, later.open], [true, []])
  await assert.rejects(
    w.run((tx) => revokeVendor(tx, w.lifecycle, w.permit('vendor.revoke', w.carol), { vendor: 'nobody', ...BECAUSE })),
    Problem,
  )
})

function signed(
  w: LifecycleWorld,
  body: string,
  { id = 'evt_1', at = Math.floor(w.clock.now().getTime() / 1000), secret = WEBHOOK_SECRET } = {},
) {
  const signature = hmacSha256(Buffer.from(secret), `${id}.${at}.${body}`).toString('base64')
  return { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': `v1,${signature}` }
}

test('attack: a webhook that is forged, altered, old, unsigned or of another sender changes nothing, and a copy is the same event', async (t) => {
  const w = await lifecycleWorld(t)
  await w.workload('forge', w.alice, { kind: 'machine', profile: 'integration' })
  await w.workload('nightly', w.alice)
  const body = JSON.stringify({ type: 'deployment-gone', identity: 'nightly', occurredAt: w.clock.now().toISOString() })
  const old = Math.floor(w.clock.now().getTime() / 1000) - 301
  const forged: [string, Record<string, string>, string][] = [
    ['forge', signed(w, body, { secret: 'another-secret-of-nobody-at-all' }), body],
    ['forge', signed(w, body), body.replace('nightly', 'entra')],
    ['forge', signed(w, body, { at: old }), body],
    ['forge', { ...signed(w, body), 'webhook-id': 'evt_2' }, body],
    ['forge', { ...signed(w, body), 'webhook-timestamp': 'NaN' }, body],
    ['forge', {}, body],
    ['entra', signed(w, body), body],
    ['nobody', signed(w, body), body],
    ['../forge', signed(w, body), body],
  ]
  for (const [sender, headers, text] of forged) {
    await assert.rejects(
      w.webhook(sender, headers, text),
      (error) => error instanceof Problem && error.slug === 'unauthenticated',
    )
  }
  assert.deepEqual(await w.db.selectFrom('lifecycleCase').select('id').execute(), [])

  const first = await w.webhook('forge', signed(w, body), body)
  const copy = await w.webhook('forge', signed(w, body), body)

  assert.deepEqual([first.status, first.body.id], [201, copy.body.id])
  assert.equal((await w.db.selectFrom('lifecycleCase').select('id').execute()).length, 1)
})
