import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { z } from 'zod'
import {
  approveRequest,
  emptyCalendar,
  endGrantsOf,
  issueTicket,
  noStanding,
  proveGrant,
  requestAccess,
  useGrant,
  type AccessNeeds,
  type Calendar,
  type EndedGrant,
  type Outcome,
  type StandingOf,
  type Use,
} from '../../src/access/access.ts'
import { RequestAccess, type AccessRequest } from '../../src/access/contract.ts'
import type { Account, Purpose, Target } from '../../src/catalog/contract.ts'
import { RegisterIdentity, type Identity } from '../../src/identities/contract.ts'
import {
  activateIdentity,
  liveTeams,
  openTeams,
  registerIdentity,
  type LiveTeams,
  type TeamsMap,
} from '../../src/identities/identities.ts'
import type { Caller } from '../../src/kernel/http/route.ts'
import { Problem } from '../../src/kernel/problem.ts'
import type { Secret } from '../../src/kernel/secret.ts'
import {
  buildPolicySet,
  buildSchema,
  liveCalendar,
  liveEngine,
  openCedarEngine,
  openDecisionPoint,
  type Engine,
  type LiveCalendar,
  type LiveEngine,
} from '../../src/policy/policy.ts'
import { readActions } from '../../src/policy/policy-set.ts'
import { ACTIONS, TEAMS, world, type World } from './world.ts'

const POLICIES = join(import.meta.dirname, '..', '..', 'policies')

export type Ticket = { readonly id: string; readonly grantId: string; readonly secret: Secret }

/** A world in which access can be asked for: target `orders`, account `app`, purpose `fix`, and people to decide. */
export type AccessWorld = World & {
  readonly access: AccessNeeds
  readonly orders: Target
  readonly app: Account
  readonly fix: Purpose
  /** In payments, the team that owns the target. */
  readonly alice: Identity
  readonly bob: Identity
  /** In security. */
  readonly carol: Identity
  /** In no team. */
  readonly dave: Identity
  /** What the hook of ended grants was told. */
  readonly endedGrants: { grantId: string; reason: string }[]
  readonly teams: LiveTeams
  readonly calendar: LiveCalendar
  readonly setTeams: (teams: TeamsMap) => Promise<void>
  /** Swaps the policies for the shipped ones as `edit` leaves them. */
  readonly setPolicies: (edit: (shipped: string) => string) => Promise<void>
  readonly setCalendar: (calendar: Calendar) => void
  /** What decides; `setPolicies` swaps it. */
  readonly engine: LiveEngine
  /** A further identity of a person. */
  readonly further: (name: string, of: Identity) => Promise<Identity>
  readonly caller: (who: Identity, proof?: Caller['proof']) => Caller
  readonly ask: (
    who: Identity,
    input?: Partial<z.input<typeof RequestAccess>>,
    proof?: Caller['proof'],
  ) => Promise<AccessRequest>
  readonly approve: (who: Identity, request: AccessRequest, boundSha256?: string) => Promise<AccessRequest>
  readonly ticket: (grantId: string, isSingleUse?: boolean) => Promise<Ticket>
  /** Proves and reserves, as a gateway does. */
  readonly use: (ticket: Ticket, address?: string) => Promise<Use>
  readonly endOf: (identity: Identity, reason: 'identity-suspended' | 'identity-retired') => Promise<EndedGrant[]>
}

export async function accessWorld(
  t: Pick<TestContext, 'after'>,
  options: { teams?: TeamsMap; max?: number; policies?: (shipped: string) => string; standing?: StandingOf } = {},
): Promise<AccessWorld> {
  const base = await world(t, { teams: options.teams ?? TEAMS, ...(options.max && { max: options.max }) })
  const { clock, needs, run, permit } = base
  const teams = liveTeams(needs.teams)
  const calendar = liveCalendar(emptyCalendar)
  const shipped = await readFile(join(POLICIES, 'default.cedar'), 'utf8')
  const engine = liveEngine(await engineOf((options.policies ?? ((text) => text))(shipped)))
  t.after(() => engine[Symbol.dispose]())
  const endedGrants: { grantId: string; reason: string }[] = []
  const access: AccessNeeds = {
    clock,
    random: needs.random,
    ledger: needs.ledger,
    teams,
    calendar,
    decisions: openDecisionPoint({ engine, teams, clock, random: needs.random }),
    standing: options.standing ?? noStanding,
    holdsOf: () => ['destructive', 'any'],
    onGrantEnded: [async (_tx, { grantId, reason }) => void endedGrants.push({ grantId, reason })],
  }
  const [alice, bob, carol, dave] = [
    await base.person('alice'),
    await base.person('bob'),
    await base.person('carol'),
    await base.person('dave'),
  ]
  const orders = await base.target('orders')
  const app = await base.account(orders, 'app', { roles: { 'postgres.read': 'readers', 'postgres.write': 'writers' } })
  const fix = await base.purpose('fix', { proposer: bob, approver: alice, targets: [orders] })
  const node = randomUUID()
  const caller: AccessWorld['caller'] = (who, proof = 'token') => ({
    id: who.id,
    name: who.name,
    kind: who.kind,
    proof,
    proofId: randomUUID(),
  })
  const one: AccessWorld = {
    ...base,
    access,
    orders,
    app,
    fix,
    alice,
    bob,
    carol,
    dave,
    endedGrants,
    teams,
    calendar,
    setTeams: async (next) => teams.swap(await openTeams(next)),
    setPolicies: async (edit) => engine.swap(await engineOf(edit(shipped))),
    engine,
    setCalendar: (next) => calendar.swap(next),
    async further(name, of) {
      const input = RegisterIdentity.decode({ kind: 'human', name, profile: 'person', owner: of.name })
      const second = await run((tx) => registerIdentity(tx, needs, permit('identity.register', of), input))
      return run((tx) => activateIdentity(tx, needs, permit('identity.activate', of, second)))
    },
    caller,
    async ask(who, input, proof) {
      const parsed = RequestAccess.parse({
        target: 'orders',
        account: 'app',
        actions: ['postgres.write'],
        purpose: 'fix',
        reason: 'an order is stuck',
        ...input,
      })
      const asking = permit('access.request', who, { type: 'Account', id: app.id })
      const making = { caller: caller(who, proof), input: parsed }
      return settled(await run((tx) => requestAccess(tx, access, asking, making)))
    },
    async approve(who, request, boundSha256 = request.boundSha256) {
      const deciding = permit('access.approve', who, { type: 'AccessRequest', id: request.id })
      return settled(await run((tx) => approveRequest(tx, access, deciding, { boundSha256 })))
    },
    async ticket(grantId, isSingleUse = false) {
      const issuing = permit('ticket.issue', dave, { type: 'Grant', id: grantId })
      const issued = await run((tx) => issueTicket(tx, access, issuing, { proof: 'token', isSingleUse }))
      return { id: issued.id, grantId, secret: issued.ticket }
    },
    async use({ secret }, address = '10.0.0.7') {
      const proof = { kind: 'ticket', secret } as const
      const proven = await proveGrant(base.db, access, { proof, address, targetName: 'orders', accountName: 'app' })
      if (proven.kind === 'refused') throw new Refusal(proven.refusal.code, proven.refusal.sentence)
      return settled(await run((tx) => useGrant(tx, access, { facts: proven.facts, address, nodeId: node })))
    },
    endOf: ({ id }, reason) => run((tx) => endGrantsOf(tx, access, { identityId: id }, { reason })),
  }
  return one
}

/** A proof that was refused before anything was reserved. */
export class Refusal extends Error {
  readonly code: string

  constructor(code: string, sentence: string) {
    super(sentence)
    this.code = code
  }
}

/** How a call was refused: the problem's slug, with the code of a use. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return 'nothing'
  } catch (error) {
    if (error instanceof Refusal) return `use-refused ${error.code}`
    if (!(error instanceof Problem)) throw error
    return typeof error.facts['code'] === 'string' ? `${error.slug} ${error.facts['code']}` : error.slug
  }
}

export function settled<T>(outcome: Outcome<T>): T {
  if (outcome.kind === 'refused') throw outcome.problem
  return outcome.value
}

/** The id of the grant a request became. */
export function granted(request: AccessRequest): string {
  if (request.grantId === null) throw new Error(`the request is ${request.state}`)
  return request.grantId
}

/** Validating the policies takes longer than the rest of a world: what a text makes never changes, so its file of tests makes it once. */
const engines = new Map<string, Promise<Engine>>()

function engineOf(text: string): Promise<Engine> {
  const known = engines.get(text) ?? openedOn(text)
  engines.set(text, known)
  return known
}

async function openedOn(text: string): Promise<Engine> {
  const own = await readActions(join(POLICIES, 'actions.json'))
  const catalog = ACTIONS.map(({ name, class: kind }) => ({
    name,
    groups: [`privileged.${kind}`],
    resources: ['Target', 'Account'],
  }))
  const schema = buildSchema(await readFile(join(POLICIES, 'schema.cedarschema'), 'utf8'), [...own, ...catalog])
  const engine = openCedarEngine(buildPolicySet([{ name: 'default.cedar', text }], schema))
  // Whoever is done with it leaves it open for the next world.
  return { ...engine, [Symbol.dispose]: () => undefined }
}
