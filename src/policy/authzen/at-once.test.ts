import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PurposeFacts } from '../../catalog/facts.ts'
import { openTeams } from '../../identities/identities.ts'
import type { Db } from '../../kernel/db.ts'
import type { Soon } from '../../kernel/soon.ts'
import type { Fact } from '../../ledger/ledger.ts'
import { openCompiledEngine } from '../compiled/engine.ts'
import { liveEngine } from '../live-engine.ts'
import { loadPolicySet } from '../policy-set.ts'
import type { RecordFacts } from '../record-facts.ts'
import type { AskedQuestion } from './asked.ts'
import { evaluate, type EvaluateNeeds } from './evaluate.ts'

const ID = (last: number) => `00000000-0000-7000-8000-00000000000${last}`
const AT = new Date('2026-11-22T10:00:00.000Z')
const ANN = {
  id: ID(1),
  kind: 'human',
  name: 'ann',
  profile: 'person',
  tier: 2,
  state: 'active',
  environment: 'production',
  ownerState: 'none',
  isFounder: false,
} as const
const PRODUCTION = {
  id: ID(2),
  name: 'prod',
  protocol: 'postgres',
  environment: 'production',
  sensitivity: 1,
  ownerTeam: 'shop',
  state: 'active',
} as const
const ACCOUNT = { id: ID(3), targetId: ID(2), name: 'app', tier: 1, state: 'active' } as const
const PURPOSE: PurposeFacts = {
  id: ID(4),
  name: 'reporting',
  state: 'approved',
  actions: ['postgres.read'],
  targets: [ID(2)],
  expiresAt: new Date('2027-01-01T00:00:00.000Z'),
}
const READ = {
  name: 'postgres.read',
  protocol: 'postgres',
  class: 'read',
  tier: 2,
  tierElsewhere: null,
  enforcement: 'gateway',
  deciders: { own: 'pam', hold: 'iam', live: 'nhi' },
  summary: 'Reads',
  obligations: { reason: '' },
} as const

const set = await loadPolicySet(join(import.meta.dirname, '../../../policies'), [
  { name: 'postgres.read', groups: ['privileged.read'], resources: ['Target', 'Account'] },
])
const teams = await openTeams({ shop: { members: ['ann'] } })
const engine = liveEngine(await openCompiledEngine(set))

type Way = <T>(value: T) => Soon<T>
const atOnce: Way = (value) => value
const later: Way = async (value) => value

function record(way: Way, isBroken: boolean): RecordFacts {
  const found = <T extends object>(value: T, ...keys: string[]) => {
    const wanted = keys.pop()
    if (isBroken && wanted === 'prod') throw new Error('a secret of ours: swordfish')
    return way(wanted !== undefined && keys.includes(wanted) ? value : undefined)
  }
  return {
    identity: (id) => found(ANN, ANN.id, id),
    identityNamed: (name) => found(ANN, ANN.name, name),
    proven: () => way(undefined),
    isBootstrap: () => way(false),
    target: (id) => found(PRODUCTION, PRODUCTION.id, id),
    targetNamed: (name) => found(PRODUCTION, PRODUCTION.name, name),
    account: (id) => found(ACCOUNT, ACCOUNT.id, id),
    accountNamed: (targetId, name) => found(ACCOUNT, `${ID(2)} app`, `${targetId} ${name}`),
    purpose: (nameOrId) => found(PURPOSE, PURPOSE.name, PURPOSE.id, nameOrId),
    action: (name) => found({ ...READ, deciders: { ...READ.deciders } } as never, 'postgres.read', name),
  }
}

/** Nothing here is read from rows: whoever tries fails, and that is a denial. */
const NO_ROWS = new Proxy({ isTransaction: false } as Db, {
  get: (of, name) => {
    if (name in of) return Reflect.get(of, name)
    throw new Error('rows were read')
  },
})

function needsOf(way: Way, isBroken: boolean, entered: Fact<never>[]): EvaluateNeeds {
  return {
    engine,
    teams,
    record: record(way, isBroken),
    clock: { now: () => new Date(AT), monotonicMs: () => 0 },
    random: { bytes: (size) => Buffer.alloc(size, 7) },
    situation: ({ environment }) => ({ freeze: environment === 'none', window: { id: 'w', open: true } }),
    ledger: {
      observe: async (fact) => {
        entered.push(fact as unknown as Fact<never>)
      },
    },
    fingerprint: (text) => `print of ${text.length}`,
    entries: 'privileged',
    drafts: true,
    requestable: () => undefined,
  }
}

const ACTOR = { kind: 'workload', id: ID(9) } as const
const question: fc.Arbitrary<AskedQuestion> = fc.record(
  {
    subject: fc.record({
      type: fc.constantFrom('user', 'user', 'user', 'identity', 'workload', 'nothing', 'Target'),
      id: fc.constantFrom('ann', 'ann', ANN.id, 'nobody', ID(8)),
    }),
    action: fc.record({ name: fc.constantFrom('target.read', 'postgres.read', 'no.such') }),
    resource: fc.record({
      type: fc.constantFrom('target', 'target', 'account', 'account', 'user', 'Ledger', 'Purpose', 'nothing'),
      id: fc.constantFrom(
        'prod',
        'prod',
        'app@prod',
        'app@prod',
        'app@nowhere',
        'app',
        PRODUCTION.id,
        ACCOUNT.id,
        'ann',
        'installation',
      ),
    }),
    context: fc.record(
      {
        purpose: fc.constantFrom('reporting', PURPOSE.id, 'none', 7),
        reason: fc.constantFrom('a reason', ' '),
        ticket: fc.constantFrom('OPS-1', 1),
        on_behalf_of: fc.constantFrom({ type: 'user', id: 'ann' }, { type: 'user', id: 'nobody' }, 'ann', null),
        supported_obligations: fc.constantFrom(['urn:reeve:obligation:record', 'urn:reeve:obligation:max-duration']),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ['subject', 'action', 'resource'] },
)

const READS: AskedQuestion = {
  subject: { type: 'user', id: 'ann' },
  action: { name: 'target.read' },
  resource: { type: 'target', id: 'prod' },
}
const READS_FOR_A_PURPOSE: AskedQuestion = {
  subject: { type: 'user', id: 'ann' },
  action: { name: 'postgres.read' },
  resource: { type: 'account', id: 'app@prod' },
  context: {
    purpose: 'reporting',
    reason: 'a reason',
    supported_obligations: ['urn:reeve:obligation:record', 'urn:reeve:obligation:max-duration'],
  },
}

test('what is remembered is answered at once, and the same as what has to be waited for', async () => {
  const seen = { permits: 0, atOnce: 0, entries: 0 }
  await fc.assert(
    fc.asyncProperty(question, fc.boolean(), async (asked, isBroken) => {
      const entries: Record<'now' | 'late', Fact<never>[]> = { now: [], late: [] }
      const now = evaluate(NO_ROWS, needsOf(atOnce, isBroken, entries.now), ACTOR, asked)
      const late = await evaluate(NO_ROWS, needsOf(later, isBroken, entries.late), ACTOR, asked)
      assert.deepEqual(await now, late)
      assert.deepEqual(entries.now, entries.late)
      assert.ok(!JSON.stringify(late).includes('swordfish'))
      if (!(now instanceof Promise)) seen.atOnce += 1
      if (late.decision) seen.permits += 1
      seen.entries += entries.now.length
    }),
    { numRuns: 2_000, examples: [READS, READS_FOR_A_PURPOSE].map((asked) => [asked, false]) },
  )
  assert.ok(seen.atOnce > 100 && seen.permits >= 2 && seen.entries > 100, JSON.stringify(seen))
})
