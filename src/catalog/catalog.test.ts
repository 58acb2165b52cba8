import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ACTIONS, world, type World } from '../../test/support/world.ts'
import type { Identity } from '../identities/contract.ts'
import { classificationOf } from '../kernel/event.ts'
import { violatedConstraint } from '../kernel/db.ts'
import { conflict, invalidInput, nameTaken, notFound } from '../kernel/problem.ts'
import {
  approvePurpose,
  catalogEvents,
  claimAccount,
  endPurpose,
  findTarget,
  listAccounts,
  listTargets,
  loadAccount,
  loadActions,
  proposePurpose,
  purposeCovers,
  recordSeen,
  retireAccount,
  retireTarget,
  rolesOf,
  surveyTarget,
  syncActions,
  updateTarget,
} from './catalog.ts'
import { actionsCatalogued } from './events.ts'
import {
  ActionEntry,
  AccountQuery,
  continuesAtTier0,
  ownPurpose,
  ProposePurpose,
  Target,
  TargetQuery,
  targetUnreachable,
  UpdateTarget,
} from './contract.ts'

const REASON = { reason: 'it is over' }
const ref = (type: string, { id }: { id: string }) => ({ type, id })

function update(w: World, by: Identity, target: Target, change: Parameters<typeof UpdateTarget.decode>[0]) {
  const permit = w.permit('target.update', by, ref('Target', target))
  return w.run((tx) => updateTarget(tx, w.needs, permit, UpdateTarget.decode(change)))
}

function propose(w: World, by: Identity, targets: readonly string[], more: object = {}) {
  const input = ProposePurpose.decode({
    name: 'month-end',
    statement: 'closing the month',
    ownerTeam: 'payments',
    targets: [...targets],
    actions: ['postgres.read'],
    expiresAt: '2030-02-01T00:00:00Z',
    ...more,
  })
  return w.run((tx) => proposePurpose(tx, w.needs, w.permit('purpose.propose', by), input))
}

function approve(w: World, by: Identity, purpose: { id: string }) {
  return w.run((tx) => approvePurpose(tx, w.needs, w.permit('purpose.approve', by, ref('Purpose', purpose))))
}

test('every field of an event is classified', () => {
  for (const { kind, facts } of catalogEvents) {
    for (const [field, schema] of Object.entries(facts.shape)) {
      assert.notEqual(classificationOf(schema), 'secret', `${kind}.${field}`)
    }
  }
})

test('the catalog takes what gateways bring, once, and enters what changed', async (t) => {
  const w = await world(t)
  const [first] = ACTIONS
  assert.ok(first)
  const stricter = { ...first, obligations: { record: 'full', ttl: '5m' } }
  const sync = (actions: typeof ACTIONS) => w.run((tx) => syncActions(tx, w.needs.ledger, actions))

  assert.deepEqual(await sync(ACTIONS), [])
  assert.deepEqual(await sync([stricter]), [first.name])
  assert.deepEqual(await sync([{ ...stricter, obligations: { ttl: '5m', record: 'full' } }]), [])

  assert.deepEqual(await loadActions(w.db, [first.name, 'no.such-action']), [ActionEntry.parse(stricter)])
  assert.equal((await w.kinds()).filter((kind) => kind === 'action.catalogued').length, 2)
})

test('attack: the login of a target is in no answer, no entry and no row as it is', async (t) => {
  const w = await world(t)
  const password = 'correct-horse-battery'

  const target = await w.target('orders', { provisioner: { user: 'reeve', password } })
  await w.account(target, 'legacy', { mode: 'static', password })

  const row = await w.db.selectFrom('target').selectAll().executeTakeFirstOrThrow()
  const account = await w.db.selectFrom('account').selectAll().executeTakeFirstOrThrow()
  const leaves = await w.db.selectFrom('ledgerEntry').select('leaf').execute()
  assert.deepEqual(Object.keys(target).sort(), Object.keys(Target.shape).sort())
  assert.ok(row.sealedProvisioner && !row.sealedProvisioner.includes(password))
  assert.ok(account.sealedCredential && !account.sealedCredential.includes(password))
  for (const { leaf } of leaves) assert.ok(!leaf.includes(password))
  const opened = w.needs.seal.open(row.sealedProvisioner, `target.sealed_provisioner:${target.id}`)
  assert.deepEqual(JSON.parse(opened.reveal().toString()), { user: 'reeve', password })
  assert.throws(() =>
    w.needs.seal.open(account.sealedCredential ?? Buffer.of(), `account.sealed_credential:${target.id}`),
  )
})

test('attack: who may change an address does not get the login sent there', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const target = await w.target('orders', { provisioner: { user: 'reeve', password: 'secret' } })
  const bare = await w.target('bare')
  const fixed = await w.target('fixed')
  await w.account(fixed, 'legacy', { mode: 'static', password: 'secret' })
  const mine = { host: 'mine.example', port: 5432 }

  for (const each of [target, fixed]) {
    await assert.rejects(update(w, founder, each, { settings: mine }), (error) => invalidInput.is(error))
  }

  const same = { port: 5432, host: '127.0.0.1' }
  assert.equal((await update(w, founder, target, { settings: same })).version, 2, 'the same address in another order')
  const again = { settings: mine, provisioner: { user: 'reeve', password: 'another' } }
  assert.deepEqual((await update(w, founder, target, again)).settings, mine)
  assert.deepEqual((await update(w, founder, bare, { settings: mine })).settings, mine)
})

test('settings are those of the protocol, teams and names are checked', async (t) => {
  const w = await world(t)
  await w.target('orders')
  const isInvalid = (error: unknown) => invalidInput.is(error)

  await assert.rejects(w.target('a', { settings: { host: 'x' } }), isInvalid)
  await assert.rejects(w.target('a', { settings: { host: 'x', port: 1, password: 'y' } }), isInvalid)
  await assert.rejects(w.target('a', { protocol: 'telnet' }), isInvalid)
  await assert.rejects(w.target('a', { ownerTeam: 'nobodies' }), isInvalid)
  await assert.rejects(w.target('orders'), (error) => nameTaken.is(error))
  await assert.rejects(findTarget(w.db, 'nowhere'), (error) => notFound.is(error))
})

test('sessions go on without control only by a declared exception, and never at tier 0', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const vault = await w.target('vault', { sensitivity: 0 })
  const loose = { onControlLoss: 'continue', exceptionReason: 'trading hours' } as const

  await assert.rejects(update(w, founder, vault, loose), (error) => continuesAtTier0.is(error))
  await assert.rejects(w.target('t0', { sensitivity: 0, ...loose }), (error) => continuesAtTier0.is(error))
  await assert.rejects(w.target('t1', { onRecorderLoss: 'continue' }), (error) => invalidInput.is(error))
  const ticker = await w.target('ticker', loose)
  await assert.rejects(update(w, founder, ticker, { sensitivity: 0 }), (error) => continuesAtTier0.is(error))

  assert.equal(ticker.onControlLoss, 'continue')
  assert.equal((await w.kinds()).filter((kind) => kind === 'target.exception-declared').length, 1)
  const direct = w.run(async (tx) => {
    const cause = await w.needs.ledger.record(tx, {
      event: actionsCatalogued,
      actor: { id: null, kind: 'system' },
      resource: ref('Target', vault),
      outcome: 'done',
      facts: { names: [], sha256: '' },
    })
    await tx.updateTable('target').set({ onRecorderLoss: 'continue', cause }).where('id', '=', vault.id).execute()
  })
  await assert.rejects(direct, (error) => violatedConstraint(error) === 'nothing_continues_at_tier_0')
})

test('a target that is retired tells the hook, once, and takes no more accounts', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const target = await w.target('orders')
  const retire = () =>
    w.run((tx) => retireTarget(tx, w.needs, w.permit('target.retire', founder, ref('Target', target)), REASON))

  const both = await Promise.allSettled([retire(), retire()])

  assert.deepEqual(both.map((each) => each.status).sort(), ['fulfilled', 'rejected'])
  assert.deepEqual(w.retiredTargets, [target.id])
  await assert.rejects(w.account(target, 'app'), (error) => conflict.is(error))
  const active = TargetQuery.parse({ state: 'active' })
  assert.deepEqual((await listTargets(w.db, active)).items, [])
})

test('an account that is retired tells the hook, once, and is claimed by nobody and registered no more', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const target = await w.target('orders')
  const app = await w.account(target, 'app')
  await w.run((tx) => recordSeen(tx, w.needs, target.id, [{ name: 'batch', attributes: {} }]))
  const seen = await loadAccount(w.db, target.id, 'batch')
  assert.ok(seen)
  const retire = (account: { id: string }) =>
    w.run((tx) => retireAccount(tx, w.needs, w.permit('account.retire', founder, ref('Account', account)), REASON))
  const isConflict = (error: unknown) => conflict.is(error)

  const both = await Promise.allSettled([retire(app), retire(app)])

  assert.deepEqual(both.map((each) => each.status).sort(), ['fulfilled', 'rejected'])
  assert.deepEqual(w.retiredAccounts, [app.id])
  assert.equal((await w.kinds()).filter((kind) => kind === 'account.retired').length, 1)
  assert.equal((await loadAccount(w.db, target.id, 'app'))?.state, 'retired')
  const claiming = w.permit('account.claim', founder, ref('Account', app))
  await assert.rejects(
    w.run((tx) => claimAccount(tx, w.needs, claiming, { identity: founder.name })),
    isConflict,
  )
  await assert.rejects(w.account(target, 'app'), (error) => nameTaken.is(error))
  await assert.rejects(retire(seen), isConflict, 'one that was only seen is not ours to end')
})

test('an account maps actions of its protocol to group roles', async (t) => {
  const w = await world(t)
  const target = await w.target('orders')

  const account = await w.account(target, 'app', { roles: { 'postgres.read': 'readers', 'postgres.schema': 'ddl' } })

  assert.deepEqual(
    await rolesOf(w.db, account.id),
    new Map([
      ['postgres.read', 'readers'],
      ['postgres.schema', 'ddl'],
    ]),
  )
  await assert.rejects(w.account(target, 'app'), (error) => nameTaken.is(error))
  await assert.rejects(w.account(target, 'b', { roles: { 'ssh.exec': 'x' } }), (error) => invalidInput.is(error))
  await assert.rejects(w.account(target, 'b', { mode: 'static' }), (error) => invalidInput.is(error))
  await assert.rejects(w.account(target, 'b', { password: 'x' }), (error) => invalidInput.is(error))
})

test('a survey keeps what stands at a target; a superuser is tier 0 whatever is asked', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const target = await w.target('orders')
  await w.account(target, 'app')
  const permit = w.permit('target.survey', founder, ref('Target', target))
  const survey = () => surveyTarget(w.db, w.needs, permit, new AbortController().signal)
  w.survey([
    { name: 'app', attributes: { isSuperuser: true } },
    {
      name: 'root',
      attributes: { isSuperuser: true, passwordNeverExpires: true, memberOf: ['ops'], lastSeenAt: null },
    },
    { name: 'batch', attributes: { validUntil: '2031-01-01T00:00:00Z' } },
  ])

  const first = await survey()
  const again = await survey()
  const root = await w.account(target, 'root', { tier: 3 })

  assert.deepEqual(
    [first, again],
    [
      { seen: 3, added: 2, unclaimed: 3 },
      { seen: 3, added: 0, unclaimed: 3 },
    ],
  )
  assert.equal((await loadAccount(w.db, target.id, 'app'))?.mode, 'lease')
  assert.equal((await loadAccount(w.db, target.id, 'app'))?.tier, 0)
  assert.equal(root.tier, 0)
  assert.equal(root.attributes.passwordNeverExpires, true)
  const seen = (await listAccounts(w.db, target.id, AccountQuery.parse({ mode: 'seen' }))).items
  assert.deepEqual(
    seen.map((each) => each.name),
    ['batch'],
  )
})

test('a reading that fails is entered as failed and changes no account', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const target = await w.target('orders')
  await w.run((tx) => recordSeen(tx, w.needs, target.id, [{ name: 'batch', attributes: {} }]))
  const before = await loadAccount(w.db, target.id, 'batch')
  w.survey(new Error('password authentication failed for "reeve" with s3cret'))
  w.clock.advance(60)

  const permit = w.permit('target.survey', founder, ref('Target', target))
  await assert.rejects(surveyTarget(w.db, w.needs, permit, new AbortController().signal), (error: Error) => {
    assert.ok(!error.message.includes('s3cret'))
    return targetUnreachable.is(error)
  })

  assert.deepEqual(await loadAccount(w.db, target.id, 'batch'), before)
  const last = await w.db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow()
  assert.equal(JSON.parse(last.leaf.toString()).outcome, 'failed')
})

test('an account is claimed for an identity and is then no finding', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const job = await w.workload('job', alice)
  const target = await w.target('orders')
  const account = await w.account(target, 'app')
  const claim = (identity: string) =>
    w.run((tx) => claimAccount(tx, w.needs, w.permit('account.claim', founder, ref('Account', account)), { identity }))

  const claimed = await claim('job')

  assert.equal(claimed.identityId, job.id)
  await assert.rejects(claim('ghost'), (error) => notFound.is(error))
  assert.deepEqual((await listAccounts(w.db, target.id, AccountQuery.parse({ claimed: 'no' }))).items, [])
  assert.equal((await listAccounts(w.db, target.id, AccountQuery.parse({ claimed: 'yes' }))).items.length, 1)
})

test('a purpose covers its targets and actions once approved, until it is over or ended', async (t) => {
  const w = await world(t)
  const alice = await w.person('alice')
  const bob = await w.person('bob')
  const orders = await w.target('orders')
  const other = await w.target('other')
  const covers = (id: string, target = orders, actions = ['postgres.read']) =>
    purposeCovers(w.db, id, target.id, actions, w.clock.now())
  const purpose = await propose(w, alice, ['orders'])
  assert.equal(await covers(purpose.id), false, 'only proposed')

  const approved = await approve(w, bob, purpose)

  assert.deepEqual(approved.targets, [orders.id])
  assert.equal(approved.approvedBy, bob.id)
  assert.equal(await covers(purpose.id), true)
  assert.equal(await covers(purpose.id, other), false)
  assert.equal(await covers(purpose.id, orders, ['postgres.read', 'postgres.write']), false)
  assert.equal(await covers(purpose.id, orders, []), false)
  const end = w.permit('purpose.end', bob, ref('Purpose', purpose))
  await w.run((tx) => endPurpose(tx, w.needs, end, REASON))
  assert.equal(await covers(purpose.id), false)
  assert.deepEqual(w.endedPurposes, [purpose.id])
  await assert.rejects(
    w.run((tx) => endPurpose(tx, w.needs, end, REASON)),
    (error) => conflict.is(error),
  )
  const short = await propose(w, alice, ['orders'], { name: 'short', expiresAt: '2030-01-01T00:01:00Z' })
  await approve(w, bob, short)
  w.clock.advance(60)
  assert.equal(await covers(short.id), false, 'over by itself')
})

test('attack: nobody approves a purpose they proposed, themselves or by a workload that is theirs', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const job = await w.workload('job', alice)
  await w.target('orders')
  const own = await propose(w, alice, ['orders'])
  const puppet = await propose(w, job, ['orders'], { name: 'puppet' })

  for (const [by, purpose] of [
    [alice, own],
    [alice, puppet],
    [job, own],
  ] as const) {
    await assert.rejects(approve(w, by, purpose), (error) => ownPurpose.is(error))
  }

  assert.equal((await approve(w, founder, own)).state, 'approved')
})

test('of two people who approve at once one does, and an ended or expired purpose is approved by nobody', async (t) => {
  const w = await world(t)
  const alice = await w.person('alice')
  const bob = await w.person('bob')
  const carol = await w.person('carol')
  await w.target('orders')
  const purpose = await propose(w, alice, ['orders'])

  const both = await Promise.allSettled([approve(w, bob, purpose), approve(w, carol, purpose)])

  assert.deepEqual(both.map((each) => each.status).sort(), ['fulfilled', 'rejected'])
  const late = await propose(w, alice, ['orders'], { name: 'late', expiresAt: '2030-01-01T00:01:00Z' })
  w.clock.advance(60)
  await assert.rejects(approve(w, bob, late), (error) => conflict.is(error))
})

test('a purpose names what is there', async (t) => {
  const w = await world(t)
  const alice = await w.person('alice')
  await w.target('orders')

  await assert.rejects(propose(w, alice, ['ghost']), (error) => notFound.is(error))
  await assert.rejects(propose(w, alice, ['orders'], { actions: ['ssh.exec'] }), (error) => invalidInput.is(error))
  await assert.rejects(propose(w, alice, ['orders'], { expiresAt: '2029-01-01T00:00:00Z' }), (error) =>
    invalidInput.is(error),
  )
  await propose(w, alice, ['orders'])
  await assert.rejects(propose(w, alice, ['orders']), (error) => nameTaken.is(error))
})
