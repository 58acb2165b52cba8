import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { z } from 'zod'
import {
  approvePurpose,
  proposePurpose,
  registerAccount,
  registerTarget,
  syncActions,
  type CatalogNeeds,
  type SeenAccount,
} from '../../src/catalog/catalog.ts'
import {
  ProposePurpose,
  RegisterAccount,
  RegisterTarget,
  type AccountDetail,
  type OfferedAction,
  type Purpose,
  type Target,
} from '../../src/catalog/contract.ts'
import { RegisterIdentity, type Identity } from '../../src/identities/contract.ts'
import { ownerAttested } from '../../src/identities/events.ts'
import {
  activateIdentity,
  ensureFounderEnrolment,
  loadIdentity,
  openTeams,
  redeemEnrolment,
  registerIdentity,
  subjectRef,
  type IdentityNeeds,
  type TeamsMap,
} from '../../src/identities/identities.ts'
import { transact, type Db, type Tx } from '../../src/kernel/db.ts'
import type { EntityRef, Permit } from '../../src/kernel/permit.ts'
import { systemRandom } from '../../src/kernel/random.ts'
import { sealUnder } from '../../src/kernel/seal.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { openLedger } from '../../src/ledger/ledger.ts'
import { freshDatabase, type TestDatabase } from './database.ts'
import { handClock, type HandClock } from './hand-clock.ts'
import { permitFor } from './permit.ts'

/** Who is in which team, unless a test says otherwise. */
export const TEAMS: TeamsMap = {
  administrators: { members: ['founder'] },
  security: { members: ['carol'] },
  payments: { members: ['alice', 'bob'] },
}

/** The actions a PostgreSQL gateway brings, as far as tests need them. */
export const ACTIONS: readonly OfferedAction[] = [
  action('postgres.read', 'read', 2),
  action('postgres.write', 'change', 2),
  action('postgres.schema', 'change', 1),
  action('postgres.privilege', 'admin', 1),
]

function action(name: string, kind: OfferedAction['class'], tier: number): OfferedAction {
  return { name, protocol: 'postgres', class: kind, tier, summary: `what ${name} covers`, obligations: {} }
}

const INSTALLATION = { type: 'Installation', id: 'installation' }

/** What the tests' protocol holds in a target's settings. */
const Settings = z.strictObject({ host: z.string(), port: z.int() })

export type Ended = { readonly identityId: string; readonly reason: string; readonly cause: number }

export type WorldNeeds = IdentityNeeds & CatalogNeeds & { readonly clock: HandClock }

/** Builders over one fresh database. Each takes only what the test is about. */
export type World = {
  readonly db: Db
  readonly database: TestDatabase
  readonly clock: HandClock
  readonly needs: WorldNeeds
  /** What the hooks were told, in order. */
  readonly ended: Ended[]
  readonly endedPurposes: string[]
  readonly retiredTargets: string[]
  readonly retiredAccounts: string[]
  /** What the next survey finds; an error is thrown. */
  readonly survey: (found: readonly SeenAccount[] | Error) => void
  /** In one transaction. */
  readonly run: <T>(write: (tx: Tx) => Promise<T>) => Promise<T>
  /** A permit for `who` on a thing, or on the installation. */
  readonly permit: <A extends string>(
    action: A,
    who: Pick<Identity, 'id' | 'kind'>,
    on?: EntityRef | Pick<Identity, 'id'>,
  ) => Permit<A>
  /** The first person, by the real enrolment. */
  readonly founder: () => Promise<Identity>
  /** An active person. */
  readonly person: (name: string, more?: Partial<z.input<typeof RegisterIdentity>>) => Promise<Identity>
  /** An active workload with an attested owner. */
  readonly workload: (
    name: string,
    owner: Identity,
    more?: Partial<z.input<typeof RegisterIdentity>>,
  ) => Promise<Identity>
  readonly agent: (name: string, owner: Identity, more?: Partial<z.input<typeof RegisterIdentity>>) => Promise<Identity>
  readonly target: (name: string, more?: Partial<z.input<typeof RegisterTarget>>) => Promise<Target>
  readonly account: (
    target: Target,
    name: string,
    more?: Partial<z.input<typeof RegisterAccount>>,
  ) => Promise<AccountDetail>
  /** A purpose of `payments` that `approver` approved. */
  readonly purpose: (
    name: string,
    by: { proposer: Identity; approver: Identity; targets: readonly Target[] },
    more?: Partial<z.input<typeof ProposePurpose>>,
  ) => Promise<Purpose>
  readonly reload: (identity: Pick<Identity, 'id'>) => Promise<Identity>
  /** Kinds of all causes so far, oldest first. */
  readonly kinds: () => Promise<string[]>
}

export async function world(
  t: Pick<TestContext, 'after'>,
  options: { teams?: TeamsMap; max?: number } = {},
): Promise<World> {
  const database = await freshDatabase(t, options)
  const { db } = database
  const clock = handClock()
  const seal = sealUnder(new Secret(randomBytes(32)))
  const ended: Ended[] = []
  const endedPurposes: string[] = []
  const retiredTargets: string[] = []
  const retiredAccounts: string[] = []
  let found: readonly SeenAccount[] | Error = []
  const needs: WorldNeeds = {
    clock,
    random: systemRandom,
    seal,
    ledger: openLedger({ clock, random: systemRandom, seal }),
    teams: await openTeams(options.teams ?? TEAMS),
    protocols: new Map([['postgres', { settings: Settings }]]),
    onIdentityEnded: async (_tx, each) => void ended.push(each),
    onPurposeEnded: async (_tx, each) => void endedPurposes.push(each.purposeId),
    onTargetRetired: async (_tx, each) => void retiredTargets.push(each.targetId),
    onAccountRetired: async (_tx, each) => void retiredAccounts.push(each.accountId),
    survey: async () => {
      if (found instanceof Error) throw found
      return found
    },
  }
  const run: World['run'] = (write) => transact(db, write)
  const permit: World['permit'] = (name, who, on = INSTALLATION) =>
    permitFor(name, subjectRef(who), 'type' in on ? on : { type: 'Identity', id: on.id }, { evaluatedAt: clock.now() })
  const somebody = { id: '00000000-0000-7000-8000-00000000dead', kind: 'human' } as const
  await run((tx) => syncActions(tx, needs.ledger, ACTIONS))
  return {
    db,
    database,
    clock,
    needs,
    ended,
    endedPurposes,
    retiredTargets,
    retiredAccounts,
    survey: (next) => {
      found = next
    },
    run,
    permit,
    ...identityBuilders({ db, needs, run, permit }, somebody),
    ...catalogBuilders({ needs, run, permit }, somebody),
    async kinds() {
      const rows = await db.selectFrom('ledgerEntry').select('kind').orderBy('id').execute()
      return rows.map((row) => row.kind)
    },
  }
}

type Basis = Pick<World, 'db' | 'needs' | 'run' | 'permit'>
type Somebody = Pick<Identity, 'id' | 'kind'>

function identityBuilders(
  { db, needs, run, permit }: Basis,
  somebody: Somebody,
): Pick<World, 'founder' | 'person' | 'workload' | 'agent' | 'reload'> {
  const reload: World['reload'] = async ({ id }) => {
    const found = await loadIdentity(db, id)
    if (!found) throw new Error('no such identity')
    return found
  }
  const register = async (input: z.input<typeof RegisterIdentity>, by: Somebody = somebody) => {
    const parsed = RegisterIdentity.decode(input)
    return run((tx) => registerIdentity(tx, needs, permit('identity.register', by), parsed))
  }
  const activate = (identity: Identity) =>
    run((tx) => activateIdentity(tx, needs, permit('identity.activate', somebody, identity)))
  /** As if its owner had accepted: what attestation refuses has tests of its own. */
  const owned = async (registered: Identity, owner: Identity) => {
    const active = await activate(registered)
    await run(async (tx) => {
      const cause = await needs.ledger.record(tx, {
        event: ownerAttested,
        actor: { id: owner.id, kind: owner.kind },
        resource: { type: 'Identity', id: active.id },
        outcome: 'done',
        facts: { ownerId: owner.id, proposedBy: null, isBootstrap: false },
      })
      await tx
        .updateTable('identity')
        .set({ ownerState: 'attested', ownerProposedBy: null, cause, version: active.version + 1 })
        .where('id', '=', active.id)
        .execute()
    })
    return reload(active)
  }
  return {
    reload,
    async founder() {
      const link = await ensureFounderEnrolment(db, needs)
      if (!link) throw new Error('there is a founder already')
      const input = { secret: link.secret.reveal(), label: 'first', name: 'founder' }
      const { identityId } = await run((tx) => redeemEnrolment(tx, needs, input))
      return reload({ id: identityId })
    },
    person: async (name, more) => activate(await register({ kind: 'human', name, profile: 'person', ...more })),
    workload: async (name, owner, more) => {
      const input = { kind: 'workload', name, profile: 'pipeline', ownerTeam: 'payments', owner: owner.id } as const
      return owned(await register({ ...input, ...more }, owner), owner)
    },
    agent: async (name, owner, more) => {
      const input = { kind: 'agent', name, profile: 'agent', owner: owner.id, sponsor: owner.id } as const
      return owned(await register({ ...input, ownerTeam: 'payments', ...more }, owner), owner)
    },
  }
}

function catalogBuilders(
  { needs, run, permit }: Omit<Basis, 'db'>,
  somebody: Somebody,
): Pick<World, 'target' | 'account' | 'purpose'> {
  return {
    async target(name, more) {
      const input = RegisterTarget.decode({
        name,
        protocol: 'postgres',
        environment: 'production',
        ownerTeam: 'payments',
        settings: { host: '127.0.0.1', port: 5432 },
        ...more,
      })
      return run((tx) => registerTarget(tx, needs, permit('target.register', somebody), input))
    },
    async account(target, name, more) {
      const input = RegisterAccount.decode({ name, mode: 'lease', roles: { 'postgres.read': 'readers' }, ...more })
      const on = { type: 'Target', id: target.id }
      return run((tx) => registerAccount(tx, needs, permit('account.register', somebody, on), input))
    },
    async purpose(name, { proposer, approver, targets }, more) {
      const input = ProposePurpose.decode({
        name,
        statement: 'what it is for',
        ownerTeam: 'payments',
        targets: targets.map((target) => target.id),
        actions: ['postgres.read', 'postgres.write'],
        expiresAt: new Date(needs.clock.now().getTime() + 86_400_000).toISOString(),
        ...more,
      })
      const { id } = await run((tx) => proposePurpose(tx, needs, permit('purpose.propose', proposer), input))
      return run((tx) => approvePurpose(tx, needs, permit('purpose.approve', approver, { type: 'Purpose', id })))
    },
  }
}
