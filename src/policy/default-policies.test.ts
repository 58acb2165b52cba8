import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { join } from 'node:path'
import { printApproval } from './approval-grammar.ts'
import { decide } from './decide.ts'
import { ON_OPERATIONS, ON_TARGETS } from './default-policies.fixture.ts'
import { linkTo, type Entity, type PolicyValue } from './entity.ts'
import { openCedarEngine } from './evaluate.ts'
import { loadPolicySet } from './policy-set.ts'

const NOW = new Date('2030-01-01T00:00:00Z')
const FOLDER = join(import.meta.dirname, '../../policies')
const CATALOG: Record<string, string> = {
  'postgres.read': 'privileged.read',
  'postgres.write': 'privileged.change',
  'postgres.schema': 'privileged.change',
  'postgres.privilege': 'privileged.admin',
  'postgres.superuser': 'privileged.admin',
  'postgres.program': 'privileged.admin',
  'postgres.listen': 'privileged.read',
}
const set = await loadPolicySet(
  FOLDER,
  Object.entries(CATALOG).map(([name, group]) => ({ name, groups: [group], resources: ['Target', 'Account'] })),
)
const engine = openCedarEngine(set)
after(() => engine[Symbol.dispose]())

type Attributes = Record<string, PolicyValue>

function identity(type: string, id: string, profile: string, more: Attributes = {}, teams: string[] = []): Entity {
  const attributes = { id, name: id, profile, tier: 2, state: 'active', ownerState: 'attested', proof: 'mtls', ...more }
  return { type, id, attributes, parents: teams.map((team) => ({ type: 'Team', id: team })) }
}

function person(id: string, teams: string[] = [], more: Attributes = {}): Entity {
  return identity('Person', id, 'person', { isFounder: false, proof: 'token', ...more }, teams)
}

const ann = person('ann')
const dora = person('dora', ['payments'])
const founder = person('fay', [], { isFounder: true })
const admin = person('adam', ['administrators'])
const guard = person('sue', ['security'])
const auditor = person('otto', ['auditors'])
const glass = person('glass', [], { profile: 'break-glass' })
const pipeline = identity('Workload', 'migrator', 'pipeline', { environment: 'production' })
const directory = identity('Machine', 'entra', 'integration', { proof: 'token' })
const device = identity('Machine', 'host-1', 'device', { environment: 'production' })
const bot = identity('Agent', 'bot', 'agent', { environment: 'production' })

function but(entity: Entity, more: Attributes): Entity {
  return { ...entity, attributes: { ...entity.attributes, ...more } }
}

function system(type: string, id: string, environment: string, tier = 1): Entity {
  const ownerTeam = linkTo('Team', 'payments')
  return { type, id, attributes: { id, name: id, kind: 'postgres', environment, sensitivity: 'high', tier, ownerTeam } }
}

const prod = system('Target', 'orders', 'production')
const staging = system('Target', 'orders-staging', 'staging')
const tier0 = system('Target', 'vault-db', 'production', 0)
const account = system('Account', 'app', 'production')

function record(type: string, more: Attributes = {}): Entity {
  const about = { id: 'r1', state: 'open', subjectId: 'ann', requestedBy: 'ann', environment: 'production' }
  return { type, id: 'r1', attributes: { ...about, ownerTeam: linkTo('Team', 'payments'), ...more } }
}

const grant = record('Grant')
const session = record('Session')
const request = record('AccessRequest', { approverTeams: [linkTo('Team', 'payments')] })
const hold = record('Hold', { approverTeams: [linkTo('Team', 'payments')] })
const change: Entity = {
  type: 'Change',
  id: 'c1',
  attributes: {
    id: 'c1',
    state: 'pending',
    operation: 'target.update',
    requestedBy: 'ann',
    tiedIds: ['ann'],
    approverTeams: [linkTo('Team', 'payments')],
  },
}
const installation: Entity = { type: 'Installation', id: 'here', attributes: { id: 'here' } }
const question: Entity = {
  type: 'Question',
  id: 'q',
  attributes: { id: 'q', subjectTypes: ['Person'], resourceTypes: ['Account'], actions: [], registered: false },
}
const ledger: Entity = { type: 'Ledger', id: 'ledger', attributes: { id: 'ledger' } }
const purpose: Entity = {
  type: 'Purpose',
  id: 'p1',
  attributes: {
    id: 'p1',
    name: 'p1',
    state: 'registered',
    requestedBy: 'ann',
    ownerTeams: [linkTo('Team', 'payments')],
  },
}

function identityRecord(id: string, kind: string, more: Attributes = {}): Entity {
  const attributes = {
    id,
    name: id,
    kind,
    profile: 'x',
    tier: 2,
    state: 'active',
    ownerState: 'attested',
    enrolled: true,
  }
  return { type: 'Identity', id, attributes: { ...attributes, ...more } }
}

const annRecord = identityRecord('ann', 'human')
const pipelineRecord = identityRecord('migrator', 'workload', { ownerTeam: linkTo('Team', 'payments') })
const botRecord = identityRecord('bot', 'agent')
const suggested = identityRecord('job', 'workload', { suggestedOwnerId: 'ann', ownerAssignedBy: 'adam' })

const signal: Entity = {
  type: 'Signal',
  id: 's1',
  attributes: {
    id: 's1',
    type: 'credential-compromise',
    about: 'identity',
    requestedBy: 'edr',
    subjectId: 'ann',
    registered: false,
  },
}

const IDENTITIES: Record<string, Entity> = {
  ann,
  dora,
  founder,
  admin,
  guard,
  auditor,
  glass,
  pipeline,
  directory,
  'directory half-owned': but(directory, { ownerState: 'suggested' }),
  device,
  bot,
  'ann as administrator': person('ann', ['administrators']),
  'ann suspended': but(ann, { state: 'suspended' }),
  'ann retired': but(ann, { state: 'retired' }),
  'ann by spiffe': but(ann, { proof: 'spiffe' }),
  'ann as service': but(ann, { profile: 'service' }),
  'pipeline discovered': but(pipeline, { state: 'discovered' }),
  'pipeline by token': but(pipeline, { proof: 'token' }),
  'pipeline by bound token': but(pipeline, { proof: 'bound-token' }),
  'pipeline ownerless': but(pipeline, { ownerState: 'lost' }),
  'pipeline half-owned': but(pipeline, { ownerState: 'suggested' }),
  'pipeline as person': but(pipeline, { profile: 'person' }),
  'pipeline of staging': but(pipeline, { environment: 'staging', proof: 'token' }),
  'device ownerless': but(device, { ownerState: 'none' }),
  'device by passkey': but(device, { proof: 'passkey' }),
  'bot as service': but(bot, { profile: 'service' }),
  'bot ownerless': but(bot, { ownerState: 'lost' }),
  'workload of payments': identity('Workload', 'w', 'service', {}, ['payments']),
  'agent of payments': identity('Agent', 'a', 'agent', {}, ['payments']),
  'glass of administrators': person('g', ['administrators'], { profile: 'break-glass' }),
}

const finding: Entity = {
  type: 'Finding',
  id: 'f1',
  attributes: {
    id: 'f1',
    rule: 'orphaned',
    state: 'open',
    severity: 1,
    tiedIds: ['ann'],
    ownerTeam: linkTo('Team', 'payments'),
  },
}

const source: Entity = {
  type: 'Source',
  id: 's1',
  attributes: { id: 's1', name: 'shop-cluster', kind: 'kubernetes', environment: 'production' },
}

const THINGS: Record<string, Entity> = {
  prod,
  staging,
  tier0,
  account,
  'account in review': but(account, { rotatedByIds: ['sue'] }),
  'account rotated by dora': but(account, { rotatedByIds: ['adam', 'dora'] }),
  deposit: {
    type: 'Deposit',
    id: 'licence',
    attributes: { id: 'licence', state: 'kept', ownerTeam: linkTo('Team', 'payments') },
  },
  rotation: {
    type: 'Rotation',
    id: 'r1',
    attributes: { id: 'r1', state: 'planned', environment: 'production', ownerTeam: linkTo('Team', 'payments') },
  },
  finding,
  'finding that guard answers for': but(finding, { tiedIds: ['sue'] }),
  'finding of security': but(finding, { ownerTeam: linkTo('Team', 'security') }),
  installation,
  ledger,
  grant,
  session,
  request,
  purpose,
  annRecord,
  pipelineRecord,
  botRecord,
  question,
  'registered question': but(question, { registered: true }),
  'policy set': { type: 'PolicySet', id: 'set', attributes: { id: 'set' } },
  'team list': { type: 'TeamList', id: 'teams', attributes: { id: 'teams', tiedIds: ['ann'] } },
  calendar: { type: 'Calendar', id: 'calendar', attributes: { id: 'calendar' } },
  catalog: { type: 'Catalog', id: 'catalog', attributes: { id: 'catalog' } },
  'passkey of ann': { type: 'Passkey', id: 'key', attributes: { id: 'key', subjectId: 'ann' } },
  'step-up of ann': { type: 'StepUp', id: 'up', attributes: { id: 'up', personId: 'ann', askerId: 'bot' } },
  'grant of pipeline': record('Grant', { subjectId: 'migrator' }),
  'session of bot for ann': but(session, { subjectId: 'bot', onBehalfOfId: 'ann' }),
  'request by dora': but(request, { requestedBy: 'dora' }),
  'request about dora': but(request, { subjectId: 'dora' }),
  'request for dora': but(request, { onBehalfOfId: 'dora' }),
  hold,
  'hold of dora': but(hold, { subjectId: 'dora' }),
  change,
  'change by dora': but(change, { requestedBy: 'dora' }),
  'change about dora': but(change, { tiedIds: ['ann', 'dora'] }),
  'purpose of dora': but(purpose, { requestedBy: 'dora' }),
  'purpose of founder': but(purpose, { requestedBy: 'fay' }),
  signal,
  'signal of pipeline': but(signal, { requestedBy: 'migrator', registered: true }),
  'signal about guard': but(signal, { subjectId: 'sue' }),
  provider: { type: 'Provider', id: 'entra', attributes: { id: 'entra', subjectId: 'entra', registered: true } },
  'unregistered provider': {
    type: 'Provider',
    id: 'entra',
    attributes: { id: 'entra', subjectId: 'entra', registered: false },
  },
  report: {
    type: 'LifecycleEvent',
    id: 'reported',
    attributes: { id: 'reported', type: 'job-finished', requestedBy: 'migrator', registered: true },
  },
  source,
  'source of pipeline': but(source, { delivererId: 'migrator' }),
  newcomer: identityRecord('new', 'human', { enrolled: false }),
  'job suggested to ann': suggested,
  'job suggested by ann': but(suggested, { ownerAssignedBy: 'ann' }),
}

/** What the standard says of who acts. */
function standing(missing: string[], onPath = true): Attributes {
  const meets = missing.length === 0
  return { standard: { version: '1', path: 'approved-and-stepped-up', onPath, meets, missing, unknown: [] } }
}

const ORDINARY = { channel: 'api', requestKind: 'ordinary', freeze: false, bootstrap: false, reasonGiven: true }
const CIRCUMSTANCES: Record<string, Attributes> = {
  purpose: { purpose: { id: 'p1', approved: true, covers: true } },
  'purpose not approved': { purpose: { id: 'p1', approved: false, covers: true } },
  'purpose elsewhere': { purpose: { id: 'p1', approved: true, covers: false } },
  ticket: { ticket: 'OPS-1' },
  window: { window: { id: 'w1', open: true } },
  'window shut': { window: { id: 'w1', open: false } },
  freeze: { freeze: true },
  bootstrap: { bootstrap: true },
  loosening: { loosens: true },
  tightening: { loosens: false },
  'tier 1': { tier: 1 },
  'tier 2': { tier: 2 },
  'tier 3': { tier: 3 },
  'break-glass': { requestKind: 'break-glass' },
  reported: { signals: ['credential-change', 'credential-compromise'] },
  'reported otherwise': { signals: ['device-compliance-change'] },
  'off path': standing(['own-path'], false),
  unbound: standing(['credential-bound']),
  unowned: standing(['owner-team']),
  urgent: { requestKind: 'urgent' },
  'risk 74': { risk: { score: 74, low: 40, high: 74, factors: ['target-tier'] } },
  'risk 75': { risk: { score: 75, low: 40, high: 75, factors: ['target-tier'] } },
}

function named<Value>(all: Record<string, Value>, name: string): Value {
  const value = all[name]
  if (value === undefined) throw new Error(`The table names ${name}, which the test does not know.`)
  return value
}

function ask(subjects: string, action: string, thing: string, circumstances: string) {
  const [subject, ...onBehalfOf] = subjects.split(' > ').map((name) => named(IDENTITIES, name))
  assert.ok(subject)
  const resource = named(THINGS, thing)
  const words = circumstances.split(', ').filter((word) => word !== '')
  const context = Object.assign({}, ORDINARY, ...words.map((word) => named(CIRCUMSTANCES, word)))
  return decide(
    engine,
    { subject, onBehalfOf, action: { name: action }, resource, context },
    { decisionId: 'd', epoch: '1', now: NOW, entities: [subject, ...onBehalfOf, resource] },
  )
}

function rowsOf(table: string): string[][] {
  return table
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
}

for (const [title, table] of [
  ['the shipped policies on targets', ON_TARGETS],
  ['the shipped policies on operations', ON_OPERATIONS],
] as const) {
  test(title, async (t) => {
    for (const [claim = '', subjects = '', action = '', thing = '', circumstances = '', expected = ''] of rowsOf(
      table,
    )) {
      await t.test(claim, () => {
        const decision = ask(subjects, action, thing, circumstances)
        const ids = decision.policies.map(({ id }) => id).sort()
        assert.equal([decision.decision ? 'yes' : 'no', ...ids].join(' '), expected)
        assert.deepEqual(decision.errors, [])
        assert.ok(decision.reasons.length > 0)
      })
    }
  })
}

test('what is owed for a permitted act', () => {
  const owed = (...asked: Parameters<typeof ask>) => {
    const { approval, ttlSeconds, uses, recording, reasonRequired } = ask(...asked).obligations
    return [approval.map(printApproval).join(), ttlSeconds, uses, recording, reasonRequired]
  }

  assert.deepEqual(owed('ann', 'postgres.read', 'prod', 'purpose'), ['', 3600, null, 'full', false])
  assert.deepEqual(owed('ann', 'postgres.superuser', 'prod', 'purpose'), [
    '1 of owner(target)',
    3600,
    null,
    'full',
    true,
  ])
  assert.deepEqual(owed('pipeline', 'postgres.schema', 'prod', 'purpose, ticket, window'), [
    '',
    1800,
    null,
    'full',
    false,
  ])
  assert.deepEqual(owed('bot > ann', 'postgres.write', 'prod', 'purpose, ticket'), [
    '1 of owner(target)',
    1800,
    1,
    'full',
    true,
  ])
  assert.deepEqual(owed('glass', 'postgres.superuser', 'prod', 'break-glass'), ['', 3600, null, 'full', true])
  assert.deepEqual(owed('admin', 'token.issue', 'annRecord', ''), ['1 of security', null, null, 'none', true])
  assert.deepEqual(owed('dora', 'target.update', 'prod', ''), [
    '1 of owner(target) or 1 of security',
    null,
    null,
    'none',
    true,
  ])
})

test('every shipped policy decides a row of these tables, says why, and raises no warning', () => {
  const decided = [...rowsOf(ON_TARGETS), ...rowsOf(ON_OPERATIONS)].flatMap((row) => row[5]?.split(' ') ?? [])

  const untested = [...set.policies.keys()].filter((id) => !decided.includes(id))

  assert.deepEqual(untested, [])
  assert.deepEqual(set.warnings, [])
  for (const policy of set.policies.values()) assert.ok(policy.why, policy.id)
})

test('an action that a later gateway adds to a group is decided without a new policy', async () => {
  const shell = { name: 'ssh.root', groups: ['privileged.admin'], resources: ['Target', 'Account'] }
  using later = openCedarEngine(await loadPolicySet(FOLDER, [shell]))
  const context = { ...ORDINARY, ...CIRCUMSTANCES['purpose'], now: NOW }

  const answer = later.evaluate({ principal: ann, action: 'ssh.root', resource: prod, context, entities: [ann, prod] })

  assert.deepEqual(
    answer.determining.map(({ id }) => id),
    ['person-changes-production'],
  )
})
