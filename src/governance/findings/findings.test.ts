import assert from 'node:assert/strict'
import { test } from 'node:test'
import { join } from 'node:path'
import { inventoryWorld, type InventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { known, unknown, type Observation } from '../../connectors/connector.ts'
import { ownerLost } from '../../identities/events.ts'
import { loseOwner } from '../../identities/identities.ts'
import { conflict } from '../../kernel/problem.ts'
import { transact } from '../../kernel/db.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { encodeCursor } from '../../kernel/http/cursor.ts'
import { readStandard } from '../standard.ts'
import { standingBy } from '../standing.ts'
import { FindingQuery, type Finding } from './contract.ts'
import { acceptFinding, reopenFinding } from './decide.ts'
import { evaluateFindings, evaluateFindingsWhenDue } from './evaluate.ts'
import { findingFixed } from './events.ts'
import { findingResource, listFindings, openOn, readFinding } from './lists.ts'

const signal = new AbortController().signal
const NOTHING = unknown('unsupported')

function password(of: string, more: object = {}): Observation {
  return {
    kind: 'credential',
    id: { kind: 'password', id: of },
    principal: known({ kind: 'toy', id: of }),
    type: 'password',
    name: `password of ${of}`,
    state: known('active'),
    createdAt: NOTHING,
    rotatedAt: NOTHING,
    expiresAt: known('never'),
    fingerprints: NOTHING,
    scopes: known([]),
    bindings: known([]),
    strength: known('deprecated'),
    heldBy: NOTHING,
    ...more,
  }
}

const all = async (i: InventoryWorld, query: object = {}) =>
  (await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ limit: 200, ...query }))).items
const evaluate = (i: InventoryWorld) => evaluateFindings(i.w.db, i.w.needs, signal)
const only = (found: readonly Finding[], rule: string) =>
  found.find((each) => each.rule === rule) ?? assert.fail(`no ${rule} among ${found.map((each) => each.rule).join()}`)
const causes = async (i: InventoryWorld) => (await i.w.kinds()).length

/** A source with one weak password. */
async function weakSource(t: Parameters<typeof inventoryWorld>[0]) {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', [[toyPrincipal('app')]])
  toy.scopes.set('passwords', [[password('app')]])
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  return { i, toy, collect: () => i.collect(source) }
}

test('a second look changes nothing, and says how each rule fared', async (t) => {
  const { i } = await weakSource(t)
  const { pass, coverage, ...first } = await evaluate(i)
  const before = await causes(i)

  const { pass: _again, coverage: _same, ...second } = await evaluate(i)

  assert.deepEqual(first, { opened: 2, reopened: 0, restated: 0, fixed: 0 })
  assert.deepEqual([coverage.sources, coverage.isWhole], [1, true])
  assert.deepEqual(second, { opened: 0, reopened: 0, restated: 0, fixed: 0 })
  assert.equal(await causes(i), before)
  const look = pass.looks.find(({ rule }) => rule === 'shared-credential')
  assert.deepEqual(
    [look?.judged, look?.found, look?.unknown, Object.keys(look?.why ?? {})],
    [1, 0, 1, ['the source gives nothing to recognise the secret by']],
  )
})

test('a list has the worst first, is paged, and carries what was not seen', async (t) => {
  const { i, toy, collect } = await weakSource(t)
  toy.scopes.set('passwords', [[password('app'), password('key', { strength: known('weak'), expiresAt: NOTHING })]])
  await collect()
  await evaluate(i)

  const first = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ limit: 1 }))
  const rest = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ cursor: first.nextCursor }))
  const detail = await readFinding(i.w.db, first.items[0]?.id ?? '')

  assert.deepEqual([first.items[0]?.severity, first.items[0]?.rule], ['high', 'weak-authentication'])
  assert.deepEqual(
    rest.items.map(({ severity }) => severity),
    ['medium', 'medium'],
  )
  assert.equal(first.coverage.isWhole, true)
  assert.ok(first.pass?.endedAt)
  assert.deepEqual(detail.frameworks['nist-csf-2.0'], ['PR.AA-03'])
  assert.deepEqual(
    detail.history.map(({ kind }) => kind),
    ['finding.opened'],
  )
  assert.deepEqual((await all(i, { severity: 'critical' })).length, 0)
})

test('a permission that is lost at the source fixes nothing; a later complete reading does', async (t) => {
  const { i, toy, collect } = await weakSource(t)
  await evaluate(i)
  i.w.clock.advance(60)
  // The attack: who has the weak password takes away the right to see it.
  toy.scopes.set('passwords', [[password('app', { strength: known('strong') })]])
  toy.report = (scope) =>
    scope === 'passwords'
      ? { status: 'denied', missing: [{ what: 'passwords', why: 'no right', permission: 'see them' }] }
      : { status: 'complete', missing: [] }
  await collect()

  assert.equal((await evaluate(i)).fixed, 0)
  assert.equal(only(await all(i), 'weak-authentication').state, 'open')

  i.w.clock.advance(60)
  toy.report = () => ({ status: 'complete', missing: [] })
  await collect()
  await evaluate(i)
  const fixed = only(await all(i, { state: 'fixed' }), 'weak-authentication')
  assert.ok(fixed.fixedAt && fixed.fixedAt > fixed.foundAt)

  i.w.clock.advance(60)
  toy.scopes.set('passwords', [[password('app')]])
  await collect()
  await evaluate(i)
  const again = only(await all(i), 'weak-authentication')
  assert.deepEqual([again.id, again.state, again.reopenedBecause], [fixed.id, 'reopened', 'it was found again'])
})

test('what is missed once is not fixed; what two complete readings lack is', async (t) => {
  const { i, toy, collect } = await weakSource(t)
  await evaluate(i)
  toy.scopes.set('passwords', [[]])

  i.w.clock.advance(60)
  await collect()
  assert.equal((await evaluate(i)).fixed, 0)
  i.w.clock.advance(60)
  await collect()
  assert.equal((await evaluate(i)).fixed, 2)
})

test('an acceptance names a person, a reason and an end, and ends by itself', async (t) => {
  const { i } = await weakSource(t)
  const carol = await i.w.person('carol')
  await evaluate(i)
  const { id } = only(await all(i), 'weak-authentication')
  const accept = () =>
    transact(i.w.db, (tx) =>
      acceptFinding(tx, i.w.needs, i.w.permit('finding.accept', carol, { type: 'Finding', id }), {
        reason: 'replaced next week',
        days: 7,
      }),
    )

  const accepted = await accept()
  assert.deepEqual(
    [accepted.state, accepted.acceptedById, accepted.acceptedBecause],
    ['accepted', carol.id, 'replaced next week'],
  )
  await assert.rejects(accept, (error) => conflict.is(error))
  i.w.clock.advance(6 * 86_400)
  assert.equal((await evaluate(i)).reopened, 0)
  i.w.clock.advance(2 * 86_400)
  assert.equal((await evaluate(i)).reopened, 1)

  await accept()
  const reopen = () =>
    transact(i.w.db, (tx) =>
      reopenFinding(tx, i.w.needs, i.w.permit('finding.reopen', carol, { type: 'Finding', id }), {
        reason: 'it is used from outside',
      }),
    )
  assert.deepEqual([(await reopen()).state, (await readFinding(i.w.db, id)).acceptedById], ['reopened', null])
  await assert.rejects(reopen, (error) => conflict.is(error))
})

test('policies are told who answers for what a finding is on', async (t) => {
  const i = await inventoryWorld(t)
  const alice = await i.w.person('alice')
  const job = await i.w.workload('job', alice)
  const target = await i.w.target('db')
  await i.w.run(async (tx) => {
    await loseOwner(tx, i.w.needs, i.w.permit('identity.lose-owner', alice, job), { reason: 'left the company' })
  })
  await i.w.account(target, 'app', {})
  await evaluate(i)

  const { id } = only(await all(i, { identity: 'job' }), 'orphaned')
  const { attributes } = await findingResource(i.w.db, id)
  assert.deepEqual([attributes['rule'], attributes['severity']], ['orphaned', job.tier <= 1 ? 1 : 2])
  assert.ok(Array.isArray(attributes['tiedIds']) && attributes['tiedIds'].includes(alice.id))
  assert.deepEqual(
    (await openOn(i.w.db, job.id)).map(({ rule }) => rule),
    ['orphaned'],
  )
})

test('what is open on who acts counts in its risk, and what was accepted does not', async (t) => {
  const i = await inventoryWorld(t)
  const { db, clock } = i.w
  const alice = await i.w.person('alice')
  const job = await i.w.workload('job', alice)
  await i.w.run((tx) =>
    loseOwner(tx, i.w.needs, i.w.permit('identity.lose-owner', alice, job), { reason: 'left the company' }),
  )
  await evaluate(i)
  const standing = standingBy(await readStandard(join(import.meta.dirname, '../../../policies/standard.json')))
  const findings = async () => (await standing(db, await i.w.reload(job), { tier: 2, now: clock.now() }))?.findings
  assert.deepEqual(await findings(), ['orphaned'])

  const carol = await i.w.person('carol')
  const { id } = only(await all(i), 'orphaned')
  const permit = i.w.permit('finding.accept', carol, { type: 'Finding', id })
  await i.w.run((tx) => acceptFinding(tx, i.w.needs, permit, { reason: 'retired next week', days: 7 }))
  assert.deepEqual(await findings(), [])
})

test('a made-up place in the list breaks nothing', async (t) => {
  const { i } = await weakSource(t)
  await evaluate(i)
  const at = (severity: number) => all(i, { cursor: encodeCursor([severity, '00000000-0000-7000-8000-000000000000']) })

  assert.deepEqual([(await at(-9e15)).length, (await at(9e15)).length], [2, 0])
})

test('rights, membership and a claim come from the catalog, and a combination of what was found', async (t) => {
  const i = await inventoryWorld(t)
  const alice = await i.w.person('alice')
  const job = await i.w.workload('job', alice)
  await i.w.target('db')
  const toy = toySource()
  const role = (name: string, facts: object) => ({ ...toyPrincipal(name, { facts }), name }) as Observation
  toy.scopes.set('people', [
    [
      role('dba', { isSuperuser: true, canCreateRole: true, canLogIn: false }),
      role('app', { isSuperuser: false, canCreateRole: false, canLogIn: true, memberOf: ['dba'] }),
      role('stray', { isSuperuser: false, canCreateRole: false, canLogIn: true }),
    ],
  ])
  toy.scopes.set('passwords', [[password('app')]])
  await i.collect(await i.source(toy.connector, {}, { target: 'db' }))
  await i.w.run(async (tx) => {
    const entry = await i.w.needs.ledger.record(tx, {
      event: ownerLost,
      actor: SYSTEM,
      resource: { type: 'Identity', id: job.id },
      subjectId: job.id,
      outcome: 'done',
      facts: { ownerId: alice.id, reason: 'left the company' },
    })
    await tx.updateTable('account').set({ identityId: job.id, cause: entry }).where('name', '=', 'app').execute()
    await tx.updateTable('identity').set({ ownerState: 'lost', cause: entry }).where('id', '=', job.id).execute()
  })

  await evaluate(i)
  const on = new Set((await openOn(i.w.db, job.id)).map(({ rule }) => rule))
  assert.deepEqual([...on].sort(), [
    'abandoned-administrator',
    'guessable-administrator',
    'long-lived',
    'orphaned',
    'standing-privilege',
    'weak-authentication',
  ])
  const strays = (await all(i, { rule: 'out-of-band-account' })).map(({ subject }) => subject.name)
  assert.deepEqual(strays, ['stray@db'])
})

test('unused is only said over a window without a hole, and a use that no session explains is told', async (t) => {
  const i = await inventoryWorld(t)
  const { clock } = i.w
  const alice = await i.w.person('alice')
  const job = await i.w.workload('job', alice)
  await i.w.target('db')
  const toy = toySource()
  const ofTarget = (name: string) =>
    toyPrincipal(name, { name, facts: { isSuperuser: name === 'root', canCreateRole: false, canLogIn: true } })
  const days = (count: number) => new Date(clock.now().getTime() + count * 86_400_000)
  toy.scopes.set('people', [['quiet', 'watched', 'root'].map(ofTarget)])
  const source = await i.source(toy.connector, {}, { target: 'db' })
  await i.collect(source)
  clock.advance(100 * 86_400)
  const window = (of: string, from: number, to: number, gaps: [Date, Date][] = []): Observation => ({
    kind: 'usage-window',
    subject: { kind: 'toy', id: of },
    semantics: 'auth',
    sees: 'every-use',
    from: days(from),
    to: days(to),
    gaps,
  })
  toy.feeds.add('log')
  toy.scopes.set('log', [
    [
      window('watched', -100, 0),
      window('quiet', -100, 0, [[days(-50), days(-49)]]),
      window('root', -100, 0),
      {
        kind: 'usage',
        subject: { kind: 'toy', id: 'root' },
        semantics: 'auth',
        at: days(-3),
        count: 1,
        from: { agent: 'psql', address: '10.9.9.9' },
        actor: NOTHING,
      },
    ],
  ])
  await i.collect(source)
  await i.w.run(async (tx) => {
    const cause = await i.w.needs.ledger.record(tx, {
      event: ownerLost,
      actor: SYSTEM,
      resource: { type: 'Identity', id: job.id },
      subjectId: job.id,
      outcome: 'done',
      facts: { ownerId: alice.id, reason: 'left the company' },
    })
    await tx
      .updateTable('account')
      .set({ identityId: job.id, cause })
      .where('name', 'in', ['root', 'quiet', 'watched'])
      .execute()
  })

  await evaluate(i)
  const named = async (rule: string) => (await all(i, { rule })).map(({ subject }) => subject.name)
  assert.deepEqual(await named('stale-account'), ['watched@db'])
  assert.deepEqual(await named('unbrokered-privilege'), ['root@db'])
  assert.deepEqual(await named('human-use'), ['root@db'])
})

test('who looked lately leaves it, one pass goes on at a time, and one that is broken off is given back', async (t) => {
  const { i } = await weakSource(t)
  i.w.clock.advance(1)
  await evaluateFindingsWhenDue(i.w.db, i.w.needs, signal)
  assert.equal((await all(i)).length, 2)
  const ended = async () => (await listFindings(i.w.db, i.w.clock, FindingQuery.parse({}))).pass?.endedAt
  const first = await ended()

  i.w.clock.advance(60)
  await evaluateFindingsWhenDue(i.w.db, i.w.needs, signal)
  assert.deepEqual(await ended(), first)
  i.w.clock.advance(900)
  await evaluateFindingsWhenDue(i.w.db, i.w.needs, signal)
  assert.notDeepEqual(await ended(), first)

  const before = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({}))
  const stopped = AbortSignal.abort(new Error('this node stops'))
  await assert.rejects(evaluateFindings(i.w.db, i.w.needs, stopped), /this node stops/)
  assert.deepEqual((await listFindings(i.w.db, i.w.clock, FindingQuery.parse({}))).pass, before.pass)
  await evaluate(i)
  await i.w.db.updateTable('findingPass').set({ endedAt: null }).execute()
  await assert.rejects(evaluate(i), (error) => conflict.is(error))
  await evaluateFindingsWhenDue(i.w.db, i.w.needs, signal)
  assert.equal(await ended(), null)
  i.w.clock.advance(3600)
  await evaluate(i)
})

test('the database refuses an acceptance without an end, and a move that is none', async (t) => {
  const { i } = await weakSource(t)
  await evaluate(i)
  const { id } = only(await all(i), 'weak-authentication')
  const { cause } = await i.w.db.selectFrom('finding').select('cause').where('id', '=', id).executeTakeFirstOrThrow()
  const set = (values: object) =>
    i.w.run(async (tx) => {
      const entry = await i.w.needs.ledger.record(tx, {
        event: findingFixed,
        actor: SYSTEM,
        resource: { type: 'Finding', id },
        outcome: 'done',
        facts: { rule: 'weak-authentication' },
      })
      await tx
        .updateTable('finding')
        .set({ cause: entry, ...values })
        .where('id', '=', id)
        .execute()
    })

  await assert.rejects(set({ state: 'accepted' }), /accepted_says_by_whom_why_and_until/)
  await assert.rejects(set({ state: 'reopened', reopenedBecause: 'a jump' }), /does not go from open to reopened/)
  await assert.rejects(set({ evidence: '[]', cause }), /entry of its own transaction/)
})
