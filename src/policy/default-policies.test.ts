import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { join } from 'node:path'
import { printApproval } from './approval-grammar.ts'
import { decide } from './decide.ts'
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
const installation: Entity = { type: 'Installation', id: 'here', attributes: { id: 'here' } }
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
const suggested = identityRecord('job', 'workload', { suggestedOwnerId: 'ann', ownerAssignedBy: 'adam' })

const IDENTITIES: Record<string, Entity> = {
  ann,
  dora,
  founder,
  admin,
  guard,
  auditor,
  glass,
  pipeline,
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

const THINGS: Record<string, Entity> = {
  prod,
  staging,
  tier0,
  account,
  installation,
  ledger,
  grant,
  session,
  request,
  purpose,
  annRecord,
  pipelineRecord,
  'grant of pipeline': record('Grant', { subjectId: 'migrator' }),
  'session of bot for ann': but(session, { subjectId: 'bot', onBehalfOfId: 'ann' }),
  'request by dora': but(request, { requestedBy: 'dora' }),
  'request about dora': but(request, { subjectId: 'dora' }),
  'request for dora': but(request, { onBehalfOfId: 'dora' }),
  'purpose of dora': but(purpose, { requestedBy: 'dora' }),
  'purpose of founder': but(purpose, { requestedBy: 'fay' }),
  newcomer: identityRecord('new', 'human', { enrolled: false }),
  'job suggested to ann': suggested,
  'job suggested by ann': but(suggested, { ownerAssignedBy: 'ann' }),
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
  'break-glass': { requestKind: 'break-glass' },
  urgent: { requestKind: 'urgent' },
}

// claim | subject, and after > whom it acts for | action | resource | circumstances | answer and determining policies
const ON_TARGETS = `
nothing stands in production, not even reading | ann | postgres.read | prod | | no
nor does membership of the owner team | dora | postgres.read | prod | | no
nor is the founder special on targets | founder | postgres.superuser | prod | | no
nor is the account a way around the target | ann | postgres.write | account | | no
a person reads production for a purpose | ann | postgres.read | prod | purpose | yes person-reads-production
listening is reading | ann | postgres.listen | account | purpose | yes person-reads-production
a purpose that is not approved is none | ann | postgres.read | prod | purpose not approved | no
a purpose that does not cover it is none | ann | postgres.read | prod | purpose elsewhere | no
staging needs a purpose too | ann | postgres.read | staging | | no
staging is read with one | ann | postgres.read | staging | purpose | yes person-reads-outside-production
staging is changed without approval | ann | postgres.schema | staging | purpose | yes person-changes-outside-production
production is changed under approval | ann | postgres.write | prod | purpose | yes person-changes-production
and administered under approval | ann | postgres.superuser | account | purpose | yes person-changes-production
running programs is administering | ann | postgres.program | prod | purpose | yes person-changes-production
a ticket and a window are no purpose | ann | postgres.write | prod | ticket, window | no
a freeze stops people | ann | postgres.write | prod | purpose, freeze | no forbid-change-in-freeze
a freeze stops workloads | pipeline | postgres.schema | prod | purpose, ticket, window, freeze | no forbid-change-in-freeze
a freeze does not stop reading | ann | postgres.read | prod | purpose, freeze | yes person-reads-production
a suspended person does nothing | ann suspended | postgres.read | prod | purpose | no forbid-inactive
nor a retired one | ann retired | postgres.read | staging | purpose | no forbid-inactive
nor a workload only discovered | pipeline discovered | postgres.read | prod | purpose | no forbid-inactive
a pipeline migrates | pipeline | postgres.schema | prod | purpose, ticket, window | yes workload-changes-production
and administers | pipeline | postgres.privilege | prod | purpose, ticket, window | yes workload-changes-production
but not at tier 0 | pipeline | postgres.superuser | tier0 | purpose, ticket, window | no
not without a ticket | pipeline | postgres.schema | prod | purpose, window | no
not without a window | pipeline | postgres.schema | prod | purpose, ticket | no
not in a shut window | pipeline | postgres.schema | prod | purpose, ticket, window shut | no
not without a purpose | pipeline | postgres.schema | prod | ticket, window | no
not with a bare token | pipeline by token | postgres.schema | prod | purpose, ticket, window | no
not even reading with a bare token | pipeline by token | postgres.read | prod | purpose | no
a bound token is a proof | pipeline by bound token | postgres.read | prod | purpose | yes workload-reads-production
nobody answers for it | pipeline ownerless | postgres.read | prod | purpose | no forbid-ownerless-workload
nobody ever did | device ownerless | postgres.read | staging | purpose | no forbid-ownerless-machine
a suggested owner is not enough in production | pipeline half-owned | postgres.read | prod | purpose | no
a staging workload stays out | pipeline of staging | postgres.read | prod | purpose | no forbid-other-environment
a workload acts in staging | pipeline of staging | postgres.schema | staging | purpose | yes workload-acts-outside-production
a machine reads | device | postgres.read | prod | purpose | yes machine-reads
a machine does not change | device | postgres.write | prod | purpose, ticket, window | no
a person on the path of workloads | ann by spiffe | postgres.read | prod | purpose | no forbid-person-as-machine
a person governed as a service | ann as service | postgres.read | prod | purpose | no forbid-person-as-machine
a workload governed as a person | pipeline as person | postgres.read | prod | purpose | no forbid-workload-as-person
a machine with a passkey | device by passkey | postgres.read | prod | purpose | no forbid-machine-as-person
an agent governed as a service | bot as service > ann | postgres.read | prod | purpose | no forbid-agent-as-person
an agent for nobody | bot | postgres.read | prod | purpose | no
an agent for a person | bot > ann | postgres.read | prod | purpose | yes agent-reads-production person-reads-production
an agent for a suspended person | bot > ann suspended | postgres.read | prod | purpose | no forbid-inactive
an agent for a workload | bot > pipeline | postgres.read | prod | purpose | no
an agent without an owner | bot ownerless > ann | postgres.read | prod | purpose | no forbid-ownerless-agent
an agent changes | bot > ann | postgres.write | prod | purpose, ticket | yes agent-changes-production person-changes-production
an agent never administers | bot > ann | postgres.superuser | prod | purpose, ticket, window | no
an agent reads staging | bot > ann | postgres.read | staging | purpose | yes agent-acts-outside-production person-reads-outside-production
break-glass on its path | glass | postgres.superuser | prod | break-glass, freeze | yes break-glass
break-glass on the ordinary path | glass | postgres.read | prod | purpose | no forbid-break-glass-on-ordinary-path
a person on the path of break-glass | ann | postgres.read | prod | purpose, break-glass | no forbid-break-glass-by-others
automation on that path | pipeline | postgres.read | prod | purpose, break-glass | no forbid-break-glass-by-others
an unknown kind of request | ann | postgres.read | prod | purpose, urgent | no`
const ON_OPERATIONS = `
a person reads the inventory | ann | target.read | prod | | yes person-reads-records
a workload does not | pipeline | target.read | prod | | no
a workload reads its own grant | pipeline | grant.read | grant of pipeline | | yes identity-reads-own-records
and no other | pipeline | grant.read | grant | | no
and itself | pipeline | identity.read | pipelineRecord | | yes identity-reads-own-records
a suspended person reads nothing | ann suspended | target.read | prod | | no forbid-inactive
recordings are not for everybody | ann | session.play | session | | no
nor for the owner team | dora | session.play | session | | no
nor for administrators | admin | ledger.export | ledger | | no
auditors export the ledger | auditor | ledger.export | ledger | | yes evidence-is-read-by-its-keepers
security opens the values of a recording | guard | session.reveal | session | | yes security-reveals-values
security follows a session | guard | session.follow | session | | yes evidence-is-read-by-its-keepers
auditors stop nothing | auditor | grant.revoke | grant | | no
anyone asks | pipeline | access.request | prod | | yes anyone-asks
anyone registers a purpose | ann | purpose.propose | installation | | yes anyone-asks
the ownerless do not ask | pipeline ownerless | access.request | prod | | no forbid-ownerless-workload
the subject uses its grant | ann | ticket.issue | grant | | yes own-grants-are-used-by-their-subject
nobody else uses it | dora | ticket.issue | grant | | no
not even the founder | founder | ticket.issue | grant | | no
the requester withdraws | dora | access.withdraw | request by dora | | yes requester-withdraws
the owner team approves | dora | access.approve | request | | yes approver-decides
others do not | admin | access.approve | request | | no
nobody approves their own request | dora | access.approve | request by dora | | no forbid-deciding-own-request
nor what is about them | dora | access.approve | request about dora | | no forbid-deciding-own-request
nor what an agent does for them | dora | access.approve | request for dora | | no forbid-deciding-own-request
a workload approves nothing | workload of payments | access.approve | request | | no
an agent approves nothing for an approver | agent of payments > dora | access.approve | request | | no
who owns the targets approves the purpose | dora | purpose.approve | purpose | | yes owner-team-approves-purpose
not who registered it | dora | purpose.approve | purpose of dora | | no forbid-approving-own-purpose
alone, the founder does | founder | purpose.approve | purpose of founder | bootstrap | yes founder-approves-purpose
but not once there are two | founder | purpose.approve | purpose of founder | | no forbid-approving-own-purpose
security revokes | guard | grant.revoke | grant | | yes guardians-stop
the owner team revokes | dora | grant.revoke | grant | | yes owner-team-stops
the subject revokes | ann | grant.revoke | grant | | yes subject-stops-own
the person behind an agent ends its session | ann | session.end | session of bot for ann | | yes subject-stops-own
a stranger does not | auditor | session.end | session | | no
a freeze does not hinder stopping | guard | identity.suspend | annRecord | freeze | yes guardians-stop
a stranger does not suspend | ann | identity.suspend | pipelineRecord | | no
the founder enrols | founder | identity.register | installation | | yes administrators-create-identities
a person does not | ann | identity.register | installation | | no
an administrator assigns an owner | admin | identity.assign-owner | pipelineRecord | | yes administrators-manage-identities
an administrator does not manage themselves | ann as administrator | identity.update | annRecord | | no
the owner team manages its workload | dora | identity.update | pipelineRecord | | yes owner-team-manages-its-machines
whom it is suggested to accepts | ann | identity.attest-owner | job suggested to ann | | yes suggested-owner-attests
nobody else does | admin | identity.attest-owner | job suggested to ann | | no
and not who suggested it | ann | identity.attest-owner | job suggested by ann | | no
a first credential | admin | token.issue | newcomer | | yes first-credential
one's own | ann | token.issue | annRecord | | yes own-credential
a workload does not renew itself | pipeline | token.issue | pipelineRecord | | no
another person's takes approval | admin | token.issue | annRecord | | yes credential-of-another-person
security does not take it alone | guard | token.issue | annRecord | | no
the owner team renews its workload's | dora | token.issue | pipelineRecord | | yes credential-of-a-machine
administrators register targets | admin | target.register | installation | | yes administrators-register
not anyone | dora | target.register | installation | | no
the owner team registers accounts | dora | account.register | prod | | yes owner-team-registers-accounts
a target is changed under approval | dora | target.update | prod | | yes target-changes-are-approved
even by the founder | founder | target.update | prod | | yes target-changes-are-approved
but at first, alone | founder | target.update | prod | bootstrap | yes founder-changes-targets-alone
break-glass administers nothing | glass of administrators | identity.register | installation | | no forbid-break-glass-operations
break-glass asks | glass | access.request | prod | | yes anyone-asks`

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
