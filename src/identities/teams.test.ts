import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { world } from '../../test/support/world.ts'
import { sha256 } from '../kernel/crypto.ts'
import { openTeams, principalEntities, recordTeams } from './identities.ts'
import { joining, teamsDifference } from './teams-difference.ts'
import { liveTeams } from './teams-live.ts'
import { parseTeams, readTeams, TeamsInvalid } from './teams.ts'

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
    ['teams: {a: {members: [x, x]}}', /1:26: teams\.a\.members\.1: x stands there twice/],
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

test('who is on call is a member at a time: always, each week, or in a span, its end not included', () => {
  const teams = parseTeams(
    `teams:
       dba:
         members: [alice, bob, carol]
         on_call:
           - alice
           - {person: bob, days: [tue], from: '22:00', to: '06:00'}
           - {person: carol, since: 2030-01-01T00:00:00Z, until: 2030-01-02T00:00:00Z}`,
    'teams.yaml',
  )
  const onCall = (at: string) => teams.onCall('dba', new Date(at))

  assert.deepEqual(onCall('2030-01-01T23:00:00Z'), ['alice', 'bob', 'carol'])
  assert.deepEqual(onCall('2030-01-02T05:59:00Z'), ['alice', 'bob'])
  assert.deepEqual(onCall('2030-01-02T06:00:00Z'), ['alice'])
  assert.deepEqual(teams.onCall('security', new Date('2030-01-01T23:00:00Z')), [])
})

test('somebody on call who is no member, a turn that ends before it begins, and an unknown key are refused', () => {
  for (const [turn, place] of [
    ['mallory', /1:43: teams\.dba\.on_call\.0: mallory is not a member/],
    ['{person: alice, since: 2030-01-02T00:00:00Z, until: 2030-01-01T00:00:00Z}', /teams\.dba\.on_call/],
    ['{person: alice, day: [mon]}', /teams\.dba\.on_call/],
    ['{person: alice, from: "25:00"}', /teams\.dba\.on_call/],
  ] as const) {
    const text = `teams: {dba: {members: [alice], on_call: [${turn}]}}`
    assert.throws(
      () => parseTeams(text, 'teams.yaml'),
      (error) => error instanceof TeamsInvalid && place.test(error.message),
      turn,
    )
  }
})

test('the turns of a team are part of its hash, in any order; a team without turns has the hash it always had', async () => {
  const hashOf = async (on_call?: string[]) =>
    (await openTeams({ dba: { members: ['a', 'b'], ...(on_call && { on_call }) } })).sha256

  assert.equal(await hashOf(['a', 'b']), await hashOf(['b', 'a']))
  assert.notEqual(await hashOf(['a']), await hashOf())
  assert.equal(await hashOf([]), await hashOf())
  assert.equal(await hashOf(), sha256('[["dba",["a","b"]]]').toString('hex'))
})

test('what other teams would change is said in words', () => {
  const before = readTeams(
    'teams: {dba: {members: [alice], on_call: [alice]}, payments: {members: [carol, dan]}, old: {members: []}}',
    'before',
  )
  const after = readTeams(
    `teams:
       dba: {members: [alice, bob], on_call: [{person: bob, days: [sat, sun], from: '08:00', to: '20:00'}]}
       payments: {members: [dan]}
       fresh: {members: [bob, erin]}`,
    'after',
  )

  assert.deepEqual(teamsDifference(before, after), [
    'bob joins dba',
    'dba: bob, sat sun, 08:00 to 20:00 is on call',
    'dba: alice is on call no more',
    'team fresh is new',
    'bob joins fresh',
    'erin joins fresh',
    'team old is gone',
    'carol leaves payments',
  ])
  assert.deepEqual(teamsDifference(before, before), [])
  assert.deepEqual(joining(before, after), ['bob', 'erin'])
})

test('whoever holds the live teams asks the ones that count now, and is told when others do', async () => {
  const live = liveTeams(await openTeams({ dba: { members: ['alice'] } }))
  const teamsOf = (name: string) => live.teamsOf(name)
  let told = 0
  const listening = live.onChanged(() => (told += 1))

  live.swap(await openTeams({ dba: { members: ['bob'] } }))
  live.swap(await openTeams({ dba: { members: ['bob'] } }))

  assert.deepEqual([teamsOf('alice'), teamsOf('bob'), live.membersOf('dba')], [[], ['dba'], ['bob']])
  assert.equal(live.sha256, (await openTeams({ dba: { members: ['bob'] } })).sha256)
  assert.equal(told, 1)
  listening[Symbol.dispose]()
  live.swap(await openTeams({}))
  assert.equal(told, 1)
})
