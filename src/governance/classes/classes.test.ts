import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { known, unknown, type Observation } from '../../connectors/connector.ts'
import { lookAtGraph } from '../graph/look.ts'
import { listClasses } from './classify.ts'
import { ClassQuery } from './contract.ts'
import { CLASS_RULES, classOf, type ClassFacts } from './rules.ts'

const NOTHING: ClassFacts = {
  type: 'account',
  interactive: null,
  environment: null,
  identityKind: null,
  identityProfile: null,
  hows: [],
  consumers: [],
  holders: [],
  credentials: [],
  usedByPerson: false,
  usedByProgram: false,
  isPublic: null,
  isWildcard: false,
  isAutonomous: null,
  administers: false,
  hops: null,
  isLookedAt: false,
  service: null,
}

test('of what nothing is known, nothing is said, and everything is named as unknown', () => {
  assert.deepEqual(classOf(NOTHING), {
    kind: null,
    profile: null,
    tier: null,
    traits: [],
    evidence: [],
    unknown: ['kind', 'profile', 'tier', 'interactive', 'autonomous', 'exposed', 'embedded'],
  })
})

for (const [what, facts, kind, profile, tier, traits] of [
  [
    'a person',
    { type: 'human', interactive: true, environment: 'production', isLookedAt: true },
    'human',
    'person',
    2,
    ['interactive'],
  ],
  ['an agent', { type: 'agent', environment: 'test', isLookedAt: true }, 'agent', 'agent', 3, ['autonomous']],
  ['a device that reaches tier 0', { type: 'device', hops: 4 }, 'machine', 'device', 0, []],
  [
    'a job with a secret of the pipeline',
    { interactive: false, consumers: ['pipeline'], hows: ['ci-secret'] },
    'workload',
    'pipeline',
    null,
    [],
  ],
  [
    'an application of a vendor',
    { type: 'app', holders: ['third-party'], credentials: ['oauth-grant'] },
    'workload',
    'integration',
    null,
    [],
  ],
  [
    'a service whose password is in code',
    { type: 'service', hows: ['code'], administers: true, environment: 'production', isLookedAt: true },
    'workload',
    'service',
    1,
    ['embedded'],
  ],
  [
    'an account that a person uses by hand',
    { usedByPerson: true, consumers: ['job'] },
    null,
    'service',
    null,
    ['interactive'],
  ],
  [
    'what the record knows better',
    { type: 'service', identityKind: 'agent', identityProfile: 'remediation-bot' },
    'agent',
    'remediation-bot',
    null,
    [],
  ],
  ['what trusts a whole issuer', { type: 'workload', isWildcard: true }, 'workload', 'service', null, ['exposed']],
] as const) {
  test(`${what} is classed by its facts, each with its evidence`, () => {
    const judged = classOf({ ...NOTHING, ...facts })

    assert.deepEqual([judged.kind, judged.profile, judged.tier, judged.traits], [kind, profile, tier, traits])
    const said =
      [judged.kind, judged.profile, judged.tier].filter((value) => value !== null).length + judged.traits.length
    assert.equal(judged.evidence.length, said)
  })
}

test('no two rules share an id, and each says why', () => {
  assert.equal(new Set(CLASS_RULES.map(({ id }) => id)).size, CLASS_RULES.length)
  for (const { why } of CLASS_RULES) assert.ok(why.length > 8)
})

test('principals are classed out of what was told, and a name says nothing', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const NOT = unknown('unsupported')
  const told: Observation[] = [
    toyPrincipal('root', { name: 'root-admin-prod', interactive: NOT }),
    toyPrincipal('app', { type: 'service', tags: { app: 'billing' } }),
    toyPrincipal('boss', { type: 'human' }),
    toyPrincipal('team', { type: 'group' }),
    {
      kind: 'resource',
      id: { kind: 'toy', id: 'cluster' },
      type: 'postgres-cluster',
      name: 'cluster',
      environment: NOT,
      sensitivity: NOT,
    },
    {
      kind: 'grant',
      id: { kind: 'right', id: 'boss' },
      principal: { kind: 'toy', id: 'boss' },
      on: { kind: 'toy', id: 'cluster' },
      privilege: 'SUPERUSER',
      level: 'admin',
      grantable: NOT,
      grantedBy: NOT,
      expiresAt: known('never'),
    },
  ]
  toy.scopes.set('all', [told])
  await i.collect(await i.source(toy.connector, {}))
  const list = async () => (await listClasses(i.w.db, i.w.clock, ClassQuery.parse({ limit: 50 }))).items
  const before = await list()
  assert.ok(before.every(({ tier }) => tier === null))

  await i.w.db.insertInto('graphPass').values({ beganAt: i.w.clock.now(), endedAt: i.w.clock.now() }).execute()
  await lookAtGraph({ clock: i.w.clock, connection: i.w.database.server }, new AbortController().signal)
  const items = await list()

  assert.deepEqual(
    items
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, kind, profile, tier, businessService }) => [name, kind, profile, tier, businessService]),
    [
      ['root-admin-prod', null, null, 2, null],
      ['toy app', 'workload', 'service', 2, 'billing'],
      ['toy boss', 'human', 'person', 0, null],
    ],
  )
})
