import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { world } from '../../test/support/world.ts'
import { openTeams, parseTeams, principalEntities, recordTeams, TeamsInvalid } from './identities.ts'

test('teams are read by member and by team', () => {
  const teams = parseTeams('teams: {payments: {members: [alice, bob]}, security: {members: [alice]}}', 'teams.yaml')

  assert.deepEqual(teams.teamsOf('alice'), ['payments', 'security'])
  assert.deepEqual(teams.membersOf('payments'), ['alice', 'bob'])
  assert.deepEqual(teams.teamsOf('constructor'), [])
  assert.equal(teams.has('__proto__'), false)
})

test('a file of teams with an unknown key, a name twice or a wrong name is refused by its place', () => {
  for (const [text, place] of [
    ['teams: {a: {members: []}, a: {members: []}}', /twice/],
    ['teams: {a: {members: [x, x]}}', /teams\.a: x stands there twice/],
    ['teams: {a: {members: [], owner: x}}', /teams\.a/],
    ['teams: {a: {members: []}}\nteam: {}', /team/],
    ['teams: {"a b": {members: []}}', /teams/],
    ['teams: {a: {member: [x]}}', /teams\.a/],
    ['teams: {a: {members: [x@y]}}', /teams\.a\.members\.0/],
    ['teams: [', /not YAML/],
    ['', /not valid/],
    ['teams: {a: &x {members: [b]}, c: *x}', /not YAML/],
  ] as const) {
    assert.throws(
      () => parseTeams(text, 'teams.yaml'),
      (error) => error instanceof TeamsInvalid && place.test(error.message),
      text,
    )
  }
})

test('the hash of teams does not depend on how the file is written', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), fc.uniqueArray(fc.stringMatching(/^[a-z]{1,5}$/))),
      async (map) => {
        const entries = Object.entries(map).map(([name, members]) => [name, { members }] as const)
        const mirrored = entries.map(([name, { members }]) => [name, { members: members.toReversed() }] as const)

        const one = await openTeams(Object.fromEntries(entries))
        const other = await openTeams(Object.fromEntries(mirrored.toReversed()))

        assert.equal(one.sha256, other.sha256)
      },
    ),
  )
})

test('the hash of the teams is entered when it changed and only then', async (t) => {
  const w = await world(t)
  const changed = await openTeams({ payments: { members: ['eve'] } })
  const load = (teams: typeof changed) => w.run((tx) => recordTeams(tx, w.needs, teams))

  const answers = [await load(w.needs.teams), await load(w.needs.teams), await load(changed), await load(w.needs.teams)]

  assert.deepEqual(answers, [true, false, true, true])
  assert.equal((await w.kinds()).filter((kind) => kind === 'teams.loaded').length, 3)
})

test('attack: a workload that took a name from the teams file is in no team', async (t) => {
  const w = await world(t)
  const carol = await w.person('carol')
  const fake = await w.workload('bob', carol)

  const [workload, ...teams] = await principalEntities(w.db, w.needs.teams, fake.id)

  assert.deepEqual(workload?.parents, [])
  assert.deepEqual(teams, [])
  const [person] = await principalEntities(w.db, w.needs.teams, carol.id)
  assert.deepEqual(person?.parents, [{ type: 'Team', id: 'security' }])
})
