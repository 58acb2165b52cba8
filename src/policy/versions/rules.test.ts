import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { granted, refusalOf } from '../../../test/support/access-world.ts'
import { eventually } from '../../../test/support/eventually.ts'
import { permitFor } from '../../../test/support/permit.ts'
import { kindsOf, rulesOf, rulesWorld, SHIPPED_TEXT, type RulesWorld } from '../../../test/support/rules-world.ts'
import { openSecondLook } from '../../access/access.ts'
import { changeWithdrawn } from '../../access/changes/events.ts'
import { liveTeams, openTeams, subjectRef } from '../../identities/identities.ts'
import { transact } from '../../kernel/db.ts'
import { silentLog } from '../../kernel/log.ts'
import { Problem } from '../../kernel/problem.ts'
import { openLiveRules } from './live.ts'
import { loadActive } from './records.ts'
import { filesOf } from './routes.ts'
import { activateStep, ensureShipped, stepTo, storeVersion } from './store.ts'

/** Carol and Bob are of security, so one of them approves what the other asks for, or gets. */
const TEAMS = {
  administrators: { members: ['founder'] },
  security: { members: ['carol', 'bob'] },
  payments: { members: ['alice', 'bob'] },
}
const TEXT = `teams:
  administrators: {members: [founder]}
  security: {members: [carol, bob]}
  payments: {members: [alice, bob]}
`
const WITHOUT_BOB = TEXT.replace('[alice, bob]', '[alice]')
const FREEZE =
  'freezes: {year-end: {environments: [production], from: 2020-01-01T00:00:00Z, until: 2099-01-01T00:00:00Z}}'

async function activeOf(w: RulesWorld, kind: 'teams' | 'calendar' | 'catalog'): Promise<string | undefined> {
  return (await loadActive(w.db, kind))?.versionId
}

test('teams are proposed as a whole, put before security in words, and count at once; one command takes them back', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const first = await activeOf(w, 'teams')
  const version = await w.propose(w.founder, 'team', { text: `${TEXT}  dba: {members: [dave]}\n` })
  assert.deepEqual(w.teams.teamsOf('dave'), [])
  const put = () => w.put(w.founder, 'team.activate', { params: { version: version.id } })
  assert.equal(await refusalOf(w.on(w.founder, 'team.activate', { params: { version: version.id } })), 'approval-owed')
  const change = await put()
  const { preview, simulation, obligations } = await w.detail(w.carol, change)
  assert.deepEqual(preview.slice(1), ['team dba is new', 'dave joins dba'])
  assert.match(preview[0] ?? '', /^from [0-9a-f]{64} to [0-9a-f]{64}, over calendar 1, catalog 1, policies 1, teams 1$/)
  assert.deepEqual(simulation.slice(0, 2), [
    'over the last 7 days of recorded decisions:',
    '0 decisions would change: 0 would be refused, 0 permitted, 0 would owe something else.',
  ])
  assert.deepEqual(obligations.approval, ['1 of security'])
  const entry = await w.db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', 'change.requested')
    .executeTakeFirst()
  assert.match(entry?.leaf.toString() ?? '', /0 decisions would change/)

  await w.say(w.carol, change)
  await w.on(w.founder, 'change.apply', { params: { change: change.id } })

  assert.deepEqual(w.teams.teamsOf('dave'), ['dba'])
  assert.equal(await activeOf(w, 'teams'), version.id)
  assert.equal(w.taken(), 1)
  assert.deepEqual((await w.kinds()).slice(-2), ['change.used', 'teams.activated'])
  const read = (await w.on(w.dave, 'team.read', { params: { version: first ?? '' } })) as { difference: string[] }
  assert.deepEqual(read.difference, ['team dba is gone', 'dave leaves dba'])
  await w.revert('team')
  assert.deepEqual(w.teams.teamsOf('dave'), [])
  assert.equal(await activeOf(w, 'teams'), first)
  assert.equal(await refusalOf(w.put(w.founder, 'team.revert', {})), 'nothing-before')
})

test('attack: nobody gets into an approval group alone, approves what they proposed, or what brings them in', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const joins = async (text: string, proposer = w.founder) => {
    const version = await w.propose(proposer, 'team', { text })
    return w.put(w.founder, 'team.activate', { params: { version: version.id } })
  }
  const carolJoins = await joins(TEXT.replace('[alice, bob]', '[alice, bob, carol]'))
  const daveJoins = await joins(TEXT.replace('[carol, bob]', '[carol, bob, dave]'))
  const ofBob = await joins(TEXT.replace('[founder]', '[founder, alice]'), w.bob)

  assert.notEqual(await refusalOf(w.say(w.carol, carolJoins)), 'nothing')
  assert.equal(await refusalOf(w.say(w.dave, daveJoins)), 'not-permitted')
  assert.notEqual(await refusalOf(w.say(w.bob, ofBob)), 'nothing')
  assert.equal(await refusalOf(w.propose(w.dave, 'team', { text: TEXT })), 'not-permitted')
  assert.equal(await refusalOf(w.propose(w.alice, 'team', { text: TEXT })), 'not-permitted')
  assert.equal(
    await refusalOf(w.on(w.bob, 'team.activate', { params: { version: ofBob.resource.id } })),
    'approval-owed',
  )
  assert.deepEqual([w.teams.teamsOf('dave'), w.teams.teamsOf('carol')], [[], ['security']])
  await assert.rejects(
    sql`insert into change_approval (change_id, approver_id, verdict, bound_sha256, at, cause)
        select id, ${w.carol.id}::uuid, 'approve', bound_sha256, now(), cause from change where id = ${carolJoins.id}`.execute(
      w.db,
    ),
  )

  await w.say(w.bob, carolJoins)
  await w.on(w.founder, 'change.apply', { params: { change: carolJoins.id } })
  assert.deepEqual(w.teams.teamsOf('carol'), ['payments', 'security'])
})

test('attack: teams under which nobody could take them back, or the policies, are not put before anybody', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })

  for (const text of ['teams: {}', TEXT.replace('[carol, bob]', '[]'), TEXT.replace('[carol, bob]', '[founder]')]) {
    const version = await w.propose(w.founder, 'team', { text })
    const put = w.put(w.founder, 'team.activate', { params: { version: version.id } })
    assert.equal(await refusalOf(put), 'rules-lock-out', text)
  }
})

test('a document that is not valid is refused whole, each fault with its line and column', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const faultsOf = async (noun: 'team' | 'calendar' | 'catalog', text: string) => {
    const refused = await w.propose(w.founder, noun, { text }).catch((error: unknown) => error)
    assert.ok(refused instanceof Problem)
    assert.equal(refused.slug, 'document-invalid')
    const faults = refused.facts['faults'] as { line: number; column: number; path: string; message: string }[]
    return faults.map(({ line, column, path, message }) => `${line}:${column} ${path} ${message}`)
  }

  assert.deepEqual(await faultsOf('team', 'teams:\n  dba:\n    members: [alice, alice]\n'), [
    '3:22 teams.dba.members.1 alice stands there twice',
  ])
  assert.match((await faultsOf('team', 'teams:\n  dba: [alice]\n')).join(), /^2:8 teams\.dba/)
  assert.match(
    (await faultsOf('calendar', 'freezes:\n  x: {from: 2030-01-02T00:00:00Z, until: 2030-01-01T00:00:00Z}')).join(),
    /^2:6 freezes\.x until is after from/,
  )
  assert.deepEqual(await faultsOf('catalog', 'actions:\n  postgres.reed: {tier: 1}\n'), [
    '2:18 actions.postgres.reed the catalog has no such action',
  ])
  assert.match(
    (await faultsOf('catalog', 'actions:\n  postgres.read:\n    obligations: {aproval: 1 of dba}\n')).join(),
    /^3:18 actions\.postgres\.read\.obligations @aproval: unknown annotation/,
  )
  assert.match(
    (await faultsOf('catalog', 'actions:\n  postgres.read: {tier: 2, tierElsewhere: 1}\n')).join(),
    /more sensitive outside production/,
  )
})

test('attack: who left a team counts for no grant from the commit on, also on a node that has not heard of it', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const request = await w.ask(w.dave)
  assert.equal(request.state, 'pending')

  await activateElsewhere(t, w, WITHOUT_BOB)
  assert.deepEqual(w.teams.teamsOf('bob'), ['payments', 'security'], 'this node has not heard')
  const said = await w.approve(w.bob, request)
  assert.equal(said.state, 'pending')
  const after = await w.approve(w.alice, request)
  assert.equal(after.state, 'granted')

  const { grantId } = after
  const { rows } = await sql<{ leaf: Buffer }>`
    select e.leaf from access_grant g join ledger_entry e on e.id = g.cause where g.id = ${grantId}`.execute(w.db)
  assert.match(rows[0]?.leaf.toString() ?? '', new RegExp(w.alice.id))
  assert.doesNotMatch(rows[0]?.leaf.toString() ?? '', new RegExp(w.bob.id))
})

test('attack: an approval of a change is worth nothing once who gave it left the team', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const change = await w.put(w.alice, 'target.update', {
    params: { target: 'orders' },
    input: { businessService: 'till' },
  })
  await w.say(w.bob, change)
  assert.equal(await w.stateOf(change), 'approved')
  const gone = TEXT.replace('[alice, bob]', '[alice]').replace('[carol, bob]', '[carol]')

  await w.activate('team', await w.propose(w.founder, 'team', { text: gone }))

  assert.equal(await refusalOf(w.on(w.alice, 'change.apply', { params: { change: change.id } })), 'bound-changed')
  assert.equal(await w.stateOf(change), 'void')
})

function activating(w: RulesWorld, id: string) {
  const policyEpoch = w.engine.current().set.sha256
  return permitFor('team.activate', subjectRef(w.founder), { type: 'TeamList', id }, { policyEpoch })
}

/** Another node lets other teams count; this one hears nothing of it. */
async function activateElsewhere(t: Parameters<typeof rulesWorld>[0], w: RulesWorld, text: string): Promise<void> {
  const teams = liveTeams(await openTeams(TEAMS))
  const kind = kindsOf({ ...w, teams }).teams
  const needs = rulesOf(w)
  const live = await openLiveRules(needs, kind, [])
  t.after(() => live[Symbol.asyncDispose]())
  const from = await loadActive(w.db, 'teams')
  assert.ok(from)
  const files = filesOf(kind, text)
  const made = await kind.make(files)
  await transact(w.db, async (tx) => {
    const proposing = w.permit('team.propose', w.founder)
    const { id } = await storeVersion(tx, needs, kind, proposing, { files, made })
    const step = stepTo(from, { id, made })
    await activateStep(tx, needs, kind, { live, permit: activating(w, id), step })
  })
}

test('a session that stood on a membership is decided again when others count, and ends', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const own = `@id("own-team-only") @why("only the owner team acts here")
forbid (principal, action in Reeve::Action::"privileged", resource) unless { resource has ownerTeam && principal in resource.ownerTeam };`
  const files = [{ name: 'default.cedar', text: `${SHIPPED_TEXT}\n${own}` }]
  await w.activate('policy', await w.propose(w.founder, 'policy', { files }))
  const grantId = granted(await w.ask(w.bob, { actions: ['postgres.read'] }))
  await w.use(await w.ticket(grantId))
  const { nodeId } = await w.db
    .selectFrom('grantUse')
    .select('nodeId')
    .where('grantId', '=', grantId)
    .executeTakeFirstOrThrow()
  const look = openSecondLook({ db: w.db, access: w.access, nodeId, clock: w.clock, log: silentLog })
  t.after(() => look[Symbol.asyncDispose]())
  const before = w.taken()

  await w.activate('team', await w.propose(w.founder, 'team', { text: WITHOUT_BOB }))
  assert.equal(w.taken(), before + 1, 'the composition root tells the second look')
  look.heard()

  const ended = await eventually(async () => {
    const row = await w.db.selectFrom('accessGrant').select(['endReason']).where('id', '=', grantId).executeTakeFirst()
    return row?.endReason ?? undefined
  })
  assert.equal(ended, 'policy-changed')
})

test('what was asked for over other rules is void, whatever kind they are: its simulation was of another world', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const version = await w.propose(w.founder, 'team', { text: WITHOUT_BOB })
  const change = await w.put(w.founder, 'team.activate', { params: { version: version.id } })
  await w.say(w.carol, change)

  await w.activate('calendar', await w.propose(w.founder, 'calendar', { text: FREEZE }))

  assert.equal(await refusalOf(w.on(w.founder, 'change.apply', { params: { change: change.id } })), 'bound-changed')
  assert.deepEqual(w.teams.membersOf('payments'), ['alice', 'bob'])
})

test('attack: what was simulated is part of what was approved, and the row does not let it be rewritten', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const version = await w.propose(w.founder, 'team', { text: WITHOUT_BOB })
  const change = await w.put(w.founder, 'team.activate', { params: { version: version.id } })

  const rewriting = w.run(async (tx) => {
    const actor = { id: w.founder.id, kind: 'human' } as const
    const entry = { event: changeWithdrawn, actor, resource: change.resource, outcome: 'done', facts: {} } as const
    const cause = await w.needs.ledger.record(tx, entry)
    await sql`update change set simulation = '{}', version = version + 1, cause = ${cause} where id = ${change.id}`.execute(
      tx,
    )
  })
  await assert.rejects(rewriting, { code: 'RV006' })
})

test('a freeze is activated under approval and holds from then on; one command lifts it', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const isFrozen = () => w.access.calendar.isFrozen({ target: 'orders', environment: 'production' }, w.clock.now())
  const version = await w.propose(w.founder, 'calendar', { text: FREEZE })
  const change = await w.put(w.founder, 'calendar.activate', { params: { version: version.id } })
  const { preview, simulation } = await w.detail(w.carol, change)
  assert.deepEqual(preview.slice(1), [
    'freeze year-end is new: from 2020-01-01T00:00:00.000Z until 2099-01-01T00:00:00.000Z, at all of production',
  ])
  assert.ok(simulation.includes('A freeze that is new counts as if it had been in force all the time.'))
  assert.equal(isFrozen(), false)

  await w.say(w.carol, change)
  await w.on(w.founder, 'change.apply', { params: { change: change.id } })

  assert.equal(isFrozen(), true)
  assert.equal(await refusalOf(w.ask(w.dave)), 'not-permitted')
  await w.revert('calendar')
  assert.equal(isFrozen(), false)
  assert.equal((await w.ask(w.dave)).state, 'pending')
})

test('the catalog is overridden under approval, which says what gets less sensitive; the way back restores what is shipped', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const text = 'actions: {postgres.read: {tier: 3, obligations: {approval: 1 of security}}}'
  const version = await w.propose(w.founder, 'catalog', { text })
  const change = await w.put(w.founder, 'catalog.activate', { params: { version: version.id } })
  const { preview } = await w.detail(w.carol, change)
  assert.deepEqual(preview.slice(1), [
    'postgres.read: tier 2 in production becomes 3, which is less sensitive',
    'postgres.read: tier 2 elsewhere becomes 3, which is less sensitive',
    'postgres.read: it always owes @approval("1 of security"); it owed nothing',
  ])
  const entry = async () =>
    w.db.selectFrom('privilegedAction').select(['tier']).where('name', '=', 'postgres.read').executeTakeFirstOrThrow()
  assert.equal((await w.ask(w.dave, { actions: ['postgres.read'] })).state, 'granted')

  await w.say(w.carol, change)
  await w.on(w.founder, 'change.apply', { params: { change: change.id } })

  assert.equal((await entry()).tier, 3)
  assert.equal((await w.ask(w.dave, { actions: ['postgres.read'] })).state, 'pending')
  await w.revert('catalog')
  assert.equal((await entry()).tier, 2)
  assert.equal((await w.ask(w.dave, { actions: ['postgres.read'] })).state, 'granted')
})

test('attack: a node that cannot read the teams that hold denies everything, whatever the policies say, until it can', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const ask = () => refusalOf(w.on(w.founder, 'team.list', {}))
  assert.equal(await ask(), 'nothing')
  const store = async (text: string) => {
    const from = await loadActive(w.db, 'teams')
    const kind = w.ruleKinds.teams
    const made = await kind.make(filesOf(kind, WITHOUT_BOB))
    await transact(w.db, async (tx) => {
      const files = filesOf(kind, text)
      const { id } = await storeVersion(tx, w.rules, kind, w.permit('team.propose', w.founder), { files, made })
      assert.ok(from)
      const live = { seq: () => from.seq }
      const step = stepTo(from, { id, made })
      await activateStep(tx, w.rules, kind, { live, permit: activating(w, id), step })
    })
    await w.live.teams.refresh()
  }

  // A later release writes teams in a form that this one does not know.
  await store('teams: {security: {members: [carol], leads: [carol]}}')

  assert.equal(w.live.teams.isLoaded(), false)
  assert.equal(await ask(), 'not-permitted')
  await store(TEXT)
  assert.equal(w.live.teams.isLoaded(), true)
  assert.equal(await ask(), 'nothing')
})

test('files of a later start take the place of what the first said only as long as that was nothing', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS })
  const kind = w.ruleKinds.calendar
  const start = async (text: string) => {
    await transact(w.db, (tx) => ensureShipped(tx, w.rules, kind, filesOf(kind, text)))
    await w.live.calendar.refresh()
  }
  const isFrozen = () => w.access.calendar.isFrozen({ target: 'orders', environment: 'production' }, w.clock.now())

  await start(FREEZE)
  assert.equal(isFrozen(), true)
  await start('windows: {always: {}}')

  assert.equal(isFrozen(), true)
  const follows = (text: string) => w.ruleKinds.teams.mayFollow({ files: filesOf(w.ruleKinds.teams, text) })
  assert.deepEqual([follows('teams: {}\n'), follows(TEXT)], [true, false])
})

test('where teams are pinned to files, versions are refused with a sentence that says so', async (t) => {
  const w = await rulesWorld(t, { teams: TEAMS, isPinned: true })

  await assert.rejects(w.propose(w.founder, 'team', { text: TEXT }), /`pinned` in the configuration names teams/)
  assert.equal(await refusalOf(w.put(w.founder, 'team.revert', {})), 'rules-pinned')
})
