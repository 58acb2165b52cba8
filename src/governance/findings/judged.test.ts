import assert from 'node:assert/strict'
import { test } from 'node:test'
import { known } from '../../connectors/connector.ts'
import { linkObserved } from '../../inventory/resolution/links.ts'
import { newId } from '../../kernel/random.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { toyPrincipal } from '../../../test/support/toy-source.ts'
import { CLUSTER, credential, estate, grant, key, people, reference, resource } from '../graph/graph.fixture.ts'
import { lookWhenDue } from '../graph/look.ts'
import { applyDue } from './apply.ts'
import { FindingQuery } from './contract.ts'
import { evaluateFindings } from './evaluate.ts'
import { findingFixed } from './events.ts'
import type { CredentialFacts } from './facts/facts.ts'
import { findingResource, listFindings } from './lists.ts'
import { loadCredentialFacts } from './facts/credentials.ts'
import { found } from './rule.ts'

const signal = new AbortController().signal
const FIRST = '00000000-0000-0000-0000-000000000000'
const workload = (name: string) => toyPrincipal(name, { name, type: 'workload' })
const person = (name: string) => toyPrincipal(name, { name, type: 'human' })

type Estate = Awaited<ReturnType<typeof estate>>

/** Rule and subject of all that is open. */
async function foundIn({ w }: Estate) {
  w.clock.advance(60)
  await evaluateFindings(w.db, w.needs, signal)
  const { items } = await listFindings(w.db, w.clock, FindingQuery.parse({ limit: 200 }))
  return items.map(({ rule, subject, severity }) => `${rule} ${subject.name} ${severity}`)
}
const of = (all: readonly string[], rule: string) => all.filter((each) => each.startsWith(`${rule} `))

const linked = async ({ w, idOf }: Estate, identity: { id: string; kind: 'human' | 'workload' }, name: string) => {
  const observed = await idOf(name)
  const permit = w.permit('inventory.link', identity, { type: 'Identity', id: identity.id })
  await w.run((tx) => linkObserved(tx, w.needs, permit, { observed, reason: 'seen in its deployment' }))
}

async function anIdentity(e: Estate, name: string, more: object = {}) {
  const founder = await e.w.founder()
  const { id } = await e.w.workload(name, founder, more)
  return { id, kind: 'workload' as const }
}

async function lookedAt({ w }: Estate) {
  w.clock.advance(3600)
  const needs = { clock: w.clock, connection: w.database.server, before: async () => undefined }
  await lookWhenDue(w.db, needs, signal)
}

test('an identity that comes to tier 0 by what stands is found with its way, and is clear once a step is taken away', async (t) => {
  const e = await estate(t)
  const identity = await anIdentity(e, 'billing')
  await e.tell([...people('app'), CLUSTER, grant('app', 'cluster', 'SUPERUSER', 'admin')])
  await linked(e, identity, 'app')

  assert.deepEqual(of(await foundIn(e), 'reaches-tier-zero'), [])
  await lookedAt(e)
  const [before] = of(await foundIn(e), 'reaches-tier-zero')
  await e.tell([...people('app'), CLUSTER])
  const missed = of(await foundIn(e), 'reaches-tier-zero')
  await e.tell([...people('app'), CLUSTER])
  await lookedAt(e)

  assert.equal(before, 'reaches-tier-zero billing high')
  assert.equal(missed.length, 1)
  assert.deepEqual(of(await foundIn(e), 'reaches-tier-zero'), [])
})

test('what comes to tier 0 at a source and is nobody of the record is found, until it is somebody', async (t) => {
  const e = await estate(t)
  const identity = await anIdentity(e, 'billing')
  const builtIn = toyPrincipal('postgres', { name: 'postgres', facts: { isBuiltIn: true } })
  const group = toyPrincipal('admins', { name: 'admins', type: 'group' })
  const everybody = [...people('root', 'app'), builtIn, group, CLUSTER]
  const rights = ['root', 'postgres', 'admins'].map((name) => grant(name, 'cluster', 'SUPERUSER', 'admin'))
  await e.tell([...everybody, ...rights, grant('app', 'cluster', 'CONNECT', 'read')])
  const named = async () => of(await foundIn(e), 'unclaimed-administrator')

  const unlooked = await named()
  await lookedAt(e)
  const before = await named()
  const { items } = await listFindings(e.w.db, e.w.clock, FindingQuery.parse({ rule: 'unclaimed-administrator' }))
  const { attributes } = await findingResource(e.w.db, items[0]?.id ?? '')
  await linked(e, identity, 'root')

  assert.deepEqual([unlooked, before], [[], ['unclaimed-administrator root high']])
  assert.ok(items[0]?.subject.source && 'ownerTeam' in attributes)
  assert.deepEqual(await named(), [])
})

test('what several workers find at once is opened once, with one entry', async (t) => {
  const e = await estate(t)
  await e.tell([...people('app'), credential('password', 'app')])
  const [subject] = await loadCredentialFacts(e.w.db, { after: FIRST, limit: 1, now: e.w.clock.now() })
  const judged = (of: CredentialFacts) => ({
    rule: 'weak-authentication',
    kind: 'credential' as const,
    subject: of,
    verdict: found('high', of.readAt, ['it is weak']),
  })
  const due = [{ judged: judged(subject ?? assert.fail('nothing was read')), step: { does: 'open' as const } }]

  const counts = await Promise.all([1, 2, 3].map(() => applyDue(e.w.db, e.w.needs, due)))

  assert.equal(
    counts.reduce((sum, { opened }) => sum + opened, 0),
    1,
  )
  const entries = await e.w.db.selectFrom('ledgerEntry').select('id').where('kind', '=', 'finding.opened').execute()
  assert.equal(entries.length, 1)
})

test('what is found on a credential is found on the identity that it is linked to, by no account', async (t) => {
  const e = await estate(t)
  const identity = await anIdentity(e, 'billing')
  await e.tell([...people('app'), credential('password', 'app', { expiresAt: known('never') })])
  const lasting = async () => {
    await foundIn(e)
    const { items } = await listFindings(e.w.db, e.w.clock, FindingQuery.parse({ rule: 'long-lived' }))
    return items.map(({ identityId }) => identityId)
  }

  assert.deepEqual(await lasting(), [null])
  await linked(e, identity, 'app')
  // Nothing else of it is different.
  assert.deepEqual(await lasting(), [identity.id])
})

test('a token that a vendor holds is found until the vendor is in the record, and worse when it left', async (t) => {
  const e = await estate(t)
  const app = toyPrincipal('reports', { name: 'reports', type: 'app', tags: { vendor: 'acme' } })
  await e.tell([app, credential('refresh', 'reports', { type: 'oauth-grant', heldBy: known('third-party') })])

  const unknown = of(await foundIn(e), 'vendor-held')
  const identity = await anIdentity(e, 'acme-reports', { vendor: 'acme', profile: 'integration' })
  const registered = of(await foundIn(e), 'vendor-held')
  const gone = await e.w.run(async (tx) => {
    const cause = await aCause(e, tx)
    return tx
      .updateTable('identity')
      .set({ state: 'suspended', cause })
      .where('id', '=', identity.id)
      .executeTakeFirst()
  })

  assert.deepEqual(unknown, ['vendor-held refresh medium'])
  assert.deepEqual(registered, [])
  assert.equal(gone.numUpdatedRows, 1n)
  assert.deepEqual(of(await foundIn(e), 'vendor-held'), ['vendor-held refresh critical'])
})

test('one secret of a person and a job is found, by the fingerprint and by what keeps it, and not where it is of one of them', async (t) => {
  const e = await estate(t)
  const shared = key('shared')
  await e.tell([
    person('ada'),
    workload('backup'),
    workload('report'),
    credential('key of ada', 'ada', { type: 'ssh-key' }, [shared]),
    credential('key of backup', 'backup', { type: 'ssh-key' }, [shared]),
    credential('own key', 'ada', { type: 'ssh-key' }, [key('own')]),
    credential('token of ada', 'ada', { type: 'token' }, [key('token')]),
    reference('report', key('token')),
  ])

  assert.deepEqual(
    of(await foundIn(e), 'person-and-job').toSorted(),
    ['key of ada', 'key of backup', 'token of ada'].map((name) => `person-and-job ${name} medium`),
  )
})

test('a secret in the settings of a job is outside of the store only where there is one, and it is not in it', async (t) => {
  const e = await estate(t)
  const told = [
    workload('api'),
    credential('in the open', 'api', {}, [key('open')]),
    credential('handed over', 'api', {}, [key('kept')]),
    reference('api', 'in the open'),
    reference('api', 'handed over'),
  ]
  await e.tell(told)
  const without = of(await foundIn(e), 'outside-store')
  await e.tell([...told, credential('kept', 'api', { heldBy: known('vault') }, [key('kept')])])

  assert.deepEqual(without, [])
  assert.deepEqual(of(await foundIn(e), 'outside-store'), ['outside-store in the open medium'])
})

test('attack: a role by a star that is bound to everybody is critical; what a cluster gave its own parts is not found', async (t) => {
  const e = await estate(t)
  const role = (name: string, isBuiltIn: boolean) => toyPrincipal(name, { name, type: 'role', facts: { isBuiltIn } })
  const rule = (of: string) => grant(of, 'all', '*', 'admin', { facts: { isWildcard: true } })
  const bound = (who: string, to: string) => grant(who, to, 'BOUND ClusterRole', 'use')
  const group = (name: string) => toyPrincipal(name, { name, type: 'group' })
  const all = resource('all', 'kubernetes-resource')
  await e.tell([
    ...['mine', 'open', 'unused'].flatMap((name) => [role(name, false), rule(name)]),
    role('cluster-admin', true),
    rule('cluster-admin'),
    all,
    group('system:masters'),
    group('system:authenticated'),
    workload('shop/api'),
    bound('shop/api', 'mine'),
    bound('system:masters', 'cluster-admin'),
    bound('system:authenticated', 'open'),
  ])

  assert.deepEqual(of(await foundIn(e), 'wildcard-right').toSorted(), [
    'wildcard-right mine: all high',
    'wildcard-right open: all critical',
    'wildcard-right unused: all low',
  ])

  const [mine] = (await listFindings(e.w.db, e.w.clock, FindingQuery.parse({ rule: 'wildcard-right' }))).items
  assert.ok((await findingResource(e.w.db, mine?.id ?? '')).attributes['ownerTeam'], 'its source is answered for')
})

test('a policy with a star is held by who has it, and one of its own by whom it stands at, within a boundary or not', async (t) => {
  const e = await estate(t)
  const rule = { facts: { isWildcard: true } }
  await e.tell([
    resource('*', 'aws-resource'),
    toyPrincipal('AdministratorAccess', { name: 'AdministratorAccess', type: 'role', facts: { isBuiltIn: true } }),
    toyPrincipal('Unheld', { name: 'Unheld', type: 'role', facts: { isBuiltIn: true } }),
    toyPrincipal('deploy', { name: 'deploy', type: 'role', facts: { boundary: 'arn:aws:iam::1:policy/bound' } }),
    ...['AdministratorAccess', 'Unheld'].map((name) => grant(name, '*', '*', 'admin', rule)),
    grant('deploy', '*', 's3:*', 'write', { ...rule, id: { kind: 'inline-statement', id: 'deploy/s3' } }),
    grant('deploy', 'AdministratorAccess', 'POLICY', 'use'),
  ])

  assert.deepEqual(of(await foundIn(e), 'wildcard-right').toSorted(), [
    'wildcard-right AdministratorAccess: * high',
    'wildcard-right deploy: * medium',
  ])
  const { items } = await listFindings(e.w.db, e.w.clock, FindingQuery.parse({ rule: 'wildcard-right' }))
  for (const { evidence } of items) assert.ok(evidence.includes('it is held by deploy (within a boundary)'))
})

test('a break-glass login that a job keeps is critical', async (t) => {
  const e = await estate(t)
  const glass = await e.w.person('glass', { profile: 'break-glass' })
  await e.tell([
    ...people('emergency'),
    workload('nightly'),
    credential('sealed', 'emergency', {}, [key('sealed')]),
    reference('nightly', 'sealed'),
  ])
  assert.deepEqual(of(await foundIn(e), 'break-glass-automated'), [])
  await linked(e, { id: glass.id, kind: 'human' }, 'emergency')

  assert.deepEqual(of(await foundIn(e), 'break-glass-automated'), ['break-glass-automated glass critical'])
})

async function aCause({ w }: Estate, tx: Parameters<Parameters<Estate['w']['run']>[0]>[0]) {
  const resource = { type: 'Finding', id: newId(w.clock, w.needs.random) }
  return w.needs.ledger.record(tx, {
    event: findingFixed,
    actor: SYSTEM,
    resource,
    outcome: 'done',
    facts: { rule: 'orphaned' },
  })
}

test('our own rule of trust that takes any branch is found, and so is what comes to tier 0 by it', async (t) => {
  const e = await estate(t)
  const identity = await anIdentity(e, 'deployer')
  await e.tell([...people('app'), CLUSTER, grant('app', 'cluster', 'SUPERUSER', 'admin')])
  await linked(e, identity, 'app')
  const id = newId(e.w.clock, e.w.needs.random)
  await e.w.run(async (tx) => {
    const cause = await aCause(e, tx)
    await tx
      .insertInto('trustRule')
      .values({
        id,
        name: 'any-branch',
        identityId: identity.id,
        preset: 'github-actions',
        issuer: 'https://token.actions.githubusercontent.com',
        audience: 'reeve',
        subject: JSON.stringify({ startsWith: 'repo:acme/shop:' }),
        claims: '[]',
        isBound: true,
        ttlSeconds: 600,
        createdBy: identity.id,
        createdAt: e.w.clock.now(),
        cause,
      })
      .execute()
  })
  await lookedAt(e)

  const all = await foundIn(e)
  const combined = of(await foundIn(e), 'open-door-to-tier-zero')
  await e.w.run(async (tx) => {
    const cause = await aCause(e, tx)
    await tx.updateTable('trustRule').set({ state: 'retired', cause }).where('id', '=', id).execute()
  })
  const after = await foundIn(e)

  assert.equal(of(all, 'loose-trust-rule').length, 1)
  assert.deepEqual(combined, ['open-door-to-tier-zero deployer critical'])
  assert.deepEqual(of(after, 'loose-trust-rule'), [])
})
