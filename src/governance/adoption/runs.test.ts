import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { toyPrincipal } from '../../../test/support/toy-source.ts'
import { known, resource, unknown, type Observation } from '../../connectors/connector.ts'
import { linkObserved } from '../../inventory/resolution/links.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { lookAtGraph } from '../graph/look.ts'
import { walkToTier0 } from '../graph/paths.ts'
import { attestOwners } from '../owners/candidates.ts'
import { AttestOwners } from '../owners/contract.ts'
import { AdoptionRule, type AdoptionRun } from './contract.ts'
import { BATCH, continueAdoption, listRuns, startAdoption, undoAdoption } from './runs.ts'
import { adoptionScene as scene, idOf, service } from './scene.fixture.ts'

/** Acts by a rule, each batch decided by itself. */
function byRule(s: Awaited<ReturnType<typeof scene>>) {
  const { w, founder } = s
  return {
    start: (rule: object = {}) =>
      w.run((tx) => startAdoption(tx, w.needs, w.permit('adoption.start', founder), AdoptionRule.parse(rule))),
    go: (id: string) => w.run((tx) => continueAdoption(tx, w.needs, w.permit('adoption.continue', founder), id)),
    undo: (id: string) =>
      w.run((tx) =>
        undoAdoption(tx, w.needs, w.permit('adoption.undo', founder), { id, reason: 'the rule was too wide' }),
      ),
    entries: async () => (await w.kinds()).filter((kind) => /^(adoption|identity\.disc|identity\.ret)/.test(kind)),
  }
}

test('an adoption by a rule goes on in batches of one entry each, breaks off and goes on, and is taken back but for what somebody answers for', async (t) => {
  const s = await scene(t)
  const { w } = s
  const act = byRule(s)
  const many = Array.from({ length: BATCH + 20 }, (_, n) => service(`job ${n}`, { tags: { owner: 'alice' } }))
  await s.tell('toy:home', [[...many, toyPrincipal('eve', { type: 'human' }), toyPrincipal('what')]])
  const owned = () => s.i.count('account', 'identity_id is not null')

  const first = await act.start({ type: 'service' })
  const halfway = await owned()
  const last = await act.go(first.id)

  assert.deepEqual(
    [first.state, first.ofAbout, first.lookedAt, first.adopted, halfway],
    ['running', BATCH + 20, BATCH, BATCH, BATCH],
  )
  assert.deepEqual(
    [last.state, last.lookedAt, last.adopted, await owned()],
    ['done', BATCH + 20, BATCH + 20, BATCH + 20],
  )
  assert.deepEqual(await act.entries(), ['adoption.batch-adopted', 'adoption.batch-adopted'])
  assert.deepEqual(await s.resolve(), { made: 0, ended: 0 })
  assert.deepEqual(await act.go(first.id), last)
  // Each row says which entry made it, and the entry names it.
  const loose = await sql<{ count: number }>`
    select count(*)::int as count from adoption d join identity i on i.id = d.identity_id join ledger_entry e on e.id = d.cause
     where i.cause <> d.cause or i.state <> 'discovered' or i.owner_id is not null
        or position(d.thing_id || '=' || i.id in convert_from(e.leaf, 'UTF8')) = 0`.execute(w.db)
  assert.equal(loose.rows[0]?.count, 0)

  await s.evaluate()
  const one = await w.db.selectFrom('adoption').select('identityId').limit(1).executeTakeFirstOrThrow()
  await w.run((tx) =>
    attestOwners(tx, w.needs, w.permit('owner.attest', s.alice), AttestOwners.parse({ identities: [one.identityId] })),
  )
  const back = await act.undo(first.id)
  const done = await act.undo(first.id)

  assert.deepEqual([back.state, back.undone, done.state, done.undone], ['undoing', BATCH, 'undone', BATCH + 19])
  assert.equal(await owned(), 1)
  assert.equal(await s.i.count('record_link', `state = 'active'`), 1)
  assert.equal(await s.i.count('identity', `state = 'retired'`), BATCH + 19)
  await assert.rejects(act.undo(first.id), (error) => conflict.is(error))
  await assert.rejects(act.go(first.id), (error) => conflict.is(error))
  await assert.rejects(act.undo('00000000-0000-7000-8000-000000000000'), (error) => notFound.is(error))
  // It can come again, under names that nobody had.
  const again = await act.start({ type: 'service' })
  assert.deepEqual([again.ofAbout, again.adopted], [BATCH + 19, BATCH])
})

test('a rule narrows by what the facts and the record say; what no fact says is not meant, and nothing is claimed twice', async (t) => {
  const s = await scene(t)
  const { w } = s
  const act = byRule(s)
  const made = { createdBy: known({ kind: 'toy', id: 'maker' }) }
  await s.tell('toy:home', [
    [
      toyPrincipal('maker', { name: 'maker', type: 'human' }),
      service('made', { name: 'made', ...made }),
      service('loose', { name: 'loose' }),
      toyPrincipal('bot', { name: 'bot', type: 'agent', ...made }),
      toyPrincipal('what', { name: 'what' }),
    ],
  ])
  await s.tell('toy:other', [[service('elsewhere', { name: 'elsewhere' })]])
  const names = async (id: string) =>
    (
      await sql<{ name: string }>`
        select p.name from adoption d join observed_principal p on p.id = d.thing_id where d.run_id = ${id} order by 1`.execute(
        w.db,
      )
    ).rows.map(({ name }) => name)
  const counts = ({ state, ofAbout, adopted, unmatched }: AdoptionRun) => [state, ofAbout, adopted, unmatched]

  assert.deepEqual(counts(await act.start({ answeredFor: true })), ['done', 0, 0, 0])
  await w.run((tx) =>
    linkObserved(tx, w.needs, w.permit('inventory.link', s.founder, { type: 'Identity', id: s.bob.id }), {
      observed: idOf('toy:home', 'maker'),
      reason: 'it is him',
    }),
  )
  const dry = await s.adopt({ every: true, answeredFor: true, ofKind: 'agent', dryRun: true })
  const answered = await act.start({ answeredFor: true, ofKind: 'agent' })
  const elsewhere = await act.start({ source: 'source-2', ofTrait: 'exposed' })
  const team = await act.start({ ownerTeam: 'security', ofKind: 'workload' })

  assert.deepEqual([dry.items.map(({ principal }) => principal), dry.unmatched], [['bot'], 1])
  assert.deepEqual([counts(answered), await names(answered.id)], [['done', 2, 1, 1], ['bot']])
  assert.deepEqual(counts(elsewhere), ['done', 1, 0, 1])
  assert.deepEqual(await names(team.id), ['loose', 'made'])
  await assert.rejects(act.start({ source: 'nowhere' }), (error) => notFound.is(error))
  const { items } = await listRuns(w.db, w.clock, { limit: 50 })
  assert.deepEqual(
    items.map(({ adopted }) => adopted).toSorted((a, b) => a - b),
    [0, 0, 1, 2],
  )
  assert.ok(items.every(({ by, rule }) => by === s.founder.name && rule.source !== 'nowhere'))
})

test('attack: what takes the name of a claimed account is not lost between what is claimed and what is not, and what was adopted leads on', async (t) => {
  const s = await scene(t)
  const { w } = s
  const act = byRule(s)
  const needs = { clock: w.clock, connection: w.database.server }
  const look = () => lookAtGraph(needs, new AbortController().signal)
  const wayOf = async (identityId: string) => (await walkToTier0(w.db, identityId))?.map(({ kind }) => kind)
  const cluster = (authority: string) => [
    resource({ id: { kind: 'toy', id: `cluster ${authority}` }, type: 'postgres-cluster', name: 'cluster' }),
    grantOf('boss', `cluster ${authority}`),
  ]
  await s.tell('toy:home', [[service('app', { name: 'app' })]])
  const first = await act.start({})
  await s.tell('toy:home', [[service('boss', { name: 'app' }), ...cluster('home')]])
  await s.tell('toy:other', [[service('boss', { name: 'boss' }), ...cluster('other')]])
  await s.resolve()
  const second = await act.start({})
  await look()
  const of = async (runId: string) =>
    await w.db.selectFrom('adoption').select(['identityId', 'thingId']).where('runId', '=', runId).execute()

  // It has the rights of the cluster and the name of a harmless one, which it does not become by that.
  const [harmless] = await of(first.id)
  assert.deepEqual(await wayOf(harmless?.identityId ?? ''), undefined)
  assert.deepEqual(
    second.left.map(({ why, count }) => `${why} ${count}`),
    ['shares-a-name 1'],
  )
  // Of a source that is no target there is no account, and the identity comes to tier 0 all the same.
  const [adopted] = await of(second.id)
  assert.equal(adopted?.thingId, idOf('toy:other', 'boss'))
  assert.deepEqual(await wayOf(adopted.identityId), ['linked', 'superuser'])
  const named = await s.adopt({ principals: [idOf('toy:home', 'boss')] })
  assert.deepEqual(
    named.items.map(({ accounts }) => accounts),
    [0],
  )
})

function grantOf(principal: string, on: string): Observation {
  const nothing = unknown('unsupported')
  return {
    kind: 'grant',
    id: { kind: 'right', id: `${principal} ${on}` },
    principal: { kind: 'toy', id: principal },
    on: { kind: 'toy', id: on },
    privilege: 'SUPERUSER',
    level: 'admin',
    grantable: nothing,
    grantedBy: nothing,
    expiresAt: known('never'),
  }
}
