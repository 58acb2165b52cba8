/**
 * The plane behind every gateway: proof → grant → subscription → reserved use → lease. The order is the rule (2): a gateway hears of ends
 * before the grant is read under its lock, so no end falls between. Whatever fails on the way gives back what was reserved.
 *
 * The trade: a use whose reservation was committed while the connection to the database broke is held until this node stops. It errs on
 * the safe side: fewer uses, never more.
 */
import { decideUse, factsNow, proveGrant, useGrant, type GrantFacts, type Subscription } from '../access/access.ts'
import { USE_REFUSALS } from '../access/contract.ts'
import { leaseFor, ticketOfLocalSecret, type IssuedLease } from '../credentials/credentials.ts'
import { leaseImpossible, leaseRefused, leaseUnavailable } from '../credentials/contract.ts'
import { transact } from '../kernel/db.ts'
import type { Problem } from '../kernel/problem.ts'
import { HeldAdmission } from './admission.ts'
import { Arrivals } from './arrivals.ts'
import { ClassTable, type SessionTerms } from './class-table.ts'
import { endingOf } from './endings.ts'
import { reachGateway } from './fault-points.ts'
import { Refused, type Admission, type Asked, type Plane } from './gateway.ts'
import type { HostNeeds } from './needs.ts'
import { ReservedUse } from './reserved-use.ts'

export { openCancels, type Cancels } from './cancels.ts'

const DRAIN_MS = 5_000
/** The plane of one gateway. `protocol` is what its sessions are called by. */
export function openPlane(needs: HostNeeds, protocol: string): Plane {
  const arrivals = new Arrivals(needs.access.clock)
  return {
    clock: needs.access.clock,
    random: needs.access.random,
    log: needs.log.child({ gateway: protocol }),
    tls: needs.tls,
    drainMs: needs.drainMs ?? DRAIN_MS,
    async admit(asked, signal) {
      signal.throwIfAborted()
      using arrival = arrivals.enter(asked)
      const mark = needs.secondLook.mark()
      const facts = await prove(needs, asked)
      if (facts.target.protocol !== protocol) throw wrongGateway(facts, protocol)
      const admission = await reserve(needs, { facts, mark, protocol, clientAddress: asked.clientAddress }, signal)
      arrival.succeeded()
      return admission
    },
    passCancel: (request) => needs.cancels.pass(protocol, request),
    onCancel: (heard) => needs.cancels.subscribe(protocol, heard),
  }
}

async function prove(needs: HostNeeds, asked: Asked): Promise<GrantFacts> {
  const { proof, clientAddress, target, account } = asked
  const shown = { address: clientAddress, targetName: target, accountName: account }
  // The fixed secret of an application that cannot reload stands for a ticket of the grant it has now.
  const ticket =
    proof.kind === 'ticket'
      ? await ticketOfLocalSecret(needs.db, needs.credentials, { ...shown, secret: proof.secret })
      : undefined
  const proving = { ...shown, proof: ticket ? { kind: 'ticket' as const, secret: ticket } : proof }
  const proven = await proveGrant(needs.db, needs.access, proving)
  if (proven.kind === 'refused') throw new Refused(proven.refusal.code, proven.refusal.sentence)
  return proven.facts
}

type Reserving = {
  readonly facts: GrantFacts
  readonly mark: number
  readonly protocol: string
  readonly clientAddress: string
}

async function reserve(needs: HostNeeds, reserving: Reserving, signal: AbortSignal): Promise<Admission> {
  const { facts, clientAddress } = reserving
  const { grant, target } = facts
  await using held = new AsyncDisposableStack()
  const watching = { expiresAt: grant.expiresAt, onControlLoss: target.onControlLoss }
  const subscription = held.use(needs.ends.subscribe(grant.id, watching))
  await reachGateway('gateway.subscribed')
  // Of the moment before the proof was looked up: what changed since was perhaps not seen.
  const epoch = epochOf(needs, Math.min(reserving.mark, needs.secondLook.heardOf(target.id, grant.id)))
  const missed = needs.secondLook.missed()
  const taken = await transact(needs.db, (tx) =>
    useGrant(tx, needs.access, { facts, address: clientAddress, nodeId: needs.nodeId }),
  )
  if (taken.kind === 'refused') throw refusedUse(taken.problem)
  const use = held.use(new ReservedUse(needs, taken.value.id, grant.id))
  needs.secondLook.used(grant.id, reserving.mark, taken.value.terms)
  await reachGateway('gateway.use-reserved')
  const table = tableFor(needs, reserving, { epoch, missed, ...taken.value })
  const lease = await leaseOf(needs, facts, subscription, signal)
  await reachGateway('gateway.lease-ready')
  // Whoever went away meanwhile takes nothing along.
  signal.throwIfAborted()
  if (subscription.ended.aborted) throw new Refused('over', endingOf(subscription.ending()).sentence)
  const kept = held.move()
  return new HeldAdmission(needs, {
    facts,
    use,
    table,
    subscription,
    upstream: { user: lease.user, password: lease.secret, ...(lease.others && { others: lease.others }) },
    gateway: reserving.protocol,
    clientAddress,
    release: () => kept.disposeAsync(),
  })
}

function tableFor(
  needs: HostNeeds,
  { facts }: Reserving,
  decided: { readonly epoch: string; readonly missed: number; readonly expiresAt: Date; readonly terms: SessionTerms },
): ClassTable {
  const { access, db } = needs
  const { actions } = facts.grant
  return new ClassTable(
    {
      clock: access.clock,
      epoch: () => epochOf(needs, needs.secondLook.heardOf(facts.target.id, facts.grant.id)),
      missed: () => needs.secondLook.missed(),
      decide: () => transact(db, async (tx) => decideUse(tx, access, await factsNow(tx, facts))),
      uncovered: (action) => uncovered(facts, action),
    },
    {
      actions,
      terms: decided.terms,
      epoch: decided.epoch,
      missed: decided.missed,
      expiresInMs: decided.expiresAt.getTime() - access.clock.now().getTime(),
    },
  )
}

/** What a session was decided under: the policies, and its target and grant as they were heard of last. */
function epochOf({ access }: HostNeeds, heardOf: number): string {
  return `${access.decisions.epoch()} ${heardOf}`
}

/** What to type to be allowed this. */
function uncovered({ grant, target, account }: GrantFacts, action: string): string {
  return (
    `The grant covers ${grant.actions.join(', ')} and not ${action}. Request it: ` +
    `reeve access request --target ${target.name} --account ${account.name} --action ${action} --purpose ${grant.purpose}`
  )
}

async function leaseOf(
  needs: HostNeeds,
  { grant }: GrantFacts,
  subscription: Subscription,
  signal: AbortSignal,
): Promise<IssuedLease> {
  try {
    return await leaseFor(needs.db, needs.credentials, grant, AbortSignal.any([signal, subscription.ended]))
  } catch (error) {
    signal.throwIfAborted()
    if (subscription.ended.aborted) throw new Refused('over', endingOf(subscription.ending()).sentence)
    if (leaseRefused.is(error)) throw new Refused('over', error.message, { cause: error })
    if (leaseImpossible.is(error) || leaseUnavailable.is(error)) {
      throw new Refused('lease', error.message, { cause: error })
    }
    throw error
  }
}

function refusedUse(problem: Problem): Refused {
  const code = USE_REFUSALS.find((known) => known === problem.facts['code']) ?? 'not-now'
  return new Refused(code, problem.message, { cause: problem })
}

function wrongGateway({ target }: GrantFacts, protocol: string): Refused {
  return new Refused(
    'unknown',
    `The target ${target.name} is reached through the ${target.protocol} gateway, not this ${protocol} one.`,
  )
}
