import assert from 'node:assert/strict'
import { test } from 'node:test'
import { permitFor } from '../../test/support/permit.ts'
import { rulesWorld } from '../../test/support/rules-world.ts'
import { suspendIdentity, teamsAsOf } from '../identities/identities.ts'
import { refeed } from '../policy/policy.ts'
import { membersOfGroups } from './feed.ts'
import type { LifecycleNeeds } from './needs.ts'
import { changeGroup, createGroup, lockGroup } from './scim/groups.ts'
import { changeUser, createUser, lockUser } from './scim/users.ts'

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

/** A provider with a user in a group of four eyes. */
async function fedWorld(t: Parameters<typeof rulesWorld>[0]) {
  const w = await rulesWorld(t, { teams: TEAMS })
  const entra = await w.workload('entra', w.alice, { kind: 'machine', profile: 'integration' })
  const needs: LifecycleNeeds = {
    ...w.needs,
    ...w.access,
    soakDays: 14,
    providers: new Set(['entra']),
    senders: new Set(),
    origin: () => 'https://reeve.example',
    onGroupsChanged: async () => {},
    onMoved: async () => {},
  }
  const as = <A extends string>(action: A) =>
    permitFor(action, { type: 'Machine', id: entra.id }, { type: 'Provider', id: entra.id })
  const user = (userName: string) => w.run((tx) => createUser(tx, needs, as('scim-user.create'), { userName }))
  const joan = await user('joan')
  const group = await w.run((tx) =>
    createGroup(tx, needs, as('scim-group.create'), { displayName: 'dba', members: [{ value: joan.id }] }),
  )
  const setMembers = (...ids: string[]) =>
    w.run(async (tx) =>
      changeGroup(tx, needs, as('scim-group.change'), {
        row: await lockGroup(tx, entra.id, group.id),
        next: { displayName: 'dba', members: ids.map((value) => ({ value })) },
      }),
    )
  const setActive = (id: string, active: boolean) =>
    w.run(async (tx) =>
      changeUser(tx, needs, as('scim-user.change'), {
        row: await lockUser(tx, entra.id, id),
        next: { userName: 'joan', active },
      }),
    )
  const feed = { db: w.db, teams: w.teams, groups: membersOfGroups }
  const follows = `${TEXT}  dba: {follows: {provider: entra, group: ${group.id}}}\n`
  /** Who is of dba: as this node has it, and as a transaction sees it. */
  const members = async () => [w.teams.membersOf('dba'), (await w.run((tx) => teamsAsOf(tx, w.teams))).membersOf('dba')]
  return { w, entra, needs, joan, user, setMembers, setActive, feed, follows, members }
}

test('a group gives nothing until an approved version says that a team follows it; from then on joins and leaves count from their commit', async (t) => {
  const { w, joan, user, setMembers, setActive, feed, follows, members } = await fedWorld(t)
  const version = await w.propose(w.founder, 'team', { text: follows })
  assert.deepEqual(await members(), [[], []])
  const change = await w.put(w.founder, 'team.activate', { params: { version: version.id } })
  const { preview } = await w.detail(w.carol, change)
  assert.ok(
    preview.some((line) => /^dba follows the group .* of entra: who is in it is in the team$/.test(line)),
    preview.join('\n'),
  )
  await w.say(w.carol, change)
  await w.on(w.founder, 'change.apply', { params: { change: change.id } })
  assert.deepEqual(await members(), [['joan'], ['joan']])

  const jack = await user('jack')
  await setMembers(joan.id, jack.id)
  assert.deepEqual(await members(), [['joan'], ['jack', 'joan']], 'a transaction knows before this node heard of it')
  assert.equal(await refeed(feed, w.ruleKinds.teams), true)
  assert.deepEqual(await members(), [
    ['jack', 'joan'],
    ['jack', 'joan'],
  ])

  await setMembers(jack.id)
  assert.deepEqual((await members())[1], ['jack'])
  await setMembers(joan.id, jack.id)
  await setActive(joan.id, false)
  assert.deepEqual((await members())[1], ['jack'], 'who left is in no team')
})

test('attack: a provider that was stopped feeds no team, and another provider’s group is not the one that was approved', async (t) => {
  const { w, entra, needs, feed, follows, members } = await fedWorld(t)
  const other = await w.workload('okta', w.alice, { kind: 'machine', profile: 'integration' })
  const take = async (text: string) => {
    const version = await w.propose(w.founder, 'team', { text })
    const change = await w.put(w.founder, 'team.activate', { params: { version: version.id } })
    await w.say(w.carol, change)
    await w.on(w.founder, 'change.apply', { params: { change: change.id } })
  }
  await take(follows.replace('provider: entra', 'provider: okta'))
  assert.deepEqual(await members(), [[], []], 'the id of a group of another provider is nobody’s')
  await take(follows)
  assert.deepEqual(await members(), [['joan'], ['joan']])

  await w.run((tx) =>
    suspendIdentity(tx, needs, w.permit('identity.suspend', w.carol, entra), { reason: 'it was taken over' }),
  )

  assert.deepEqual((await members())[1], [])
  await refeed(feed, w.ruleKinds.teams)
  assert.deepEqual((await members())[0], [])
  assert.equal(other.state, 'active')
})
