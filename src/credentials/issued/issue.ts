import {
  beginUse,
  issueTicket,
  lockLive,
  proveGrant,
  releaseUse,
  useGrant,
  type AccessNeeds,
} from '../../access/access.ts'
import { useRefused, type Grant } from '../../access/contract.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { Caller } from '../../kernel/http/route.ts'
import type { Permit } from '../../kernel/permit.ts'
import { newId } from '../../kernel/random.ts'
import type { Secret } from '../../kernel/secret.ts'
import { sleep } from '../../kernel/timer.ts'
import { actOf } from '../../identities/identities.ts'
import { announceIn, isTaken } from '../announce.ts'
import { applyLease } from '../apply.ts'
import { giveUp } from '../end-leases.ts'
import { reachLease } from '../fault-points.ts'
import type { CredentialNeeds } from '../needs.ts'
import { leaseImpossible, leaseRefused, leaseUnavailable } from '../problems.ts'
import { openSecret, siteFor } from '../site.ts'
import { termsOf, type LeasedAccount } from '../terms.ts'
import { LeaseFailure, NotWanted, type Applied } from '../writer.ts'
import type { HandedCredential } from './contract.ts'
import { credentialHandedOut } from './events.ts'
import { aboutOf, valuesOf, type HandedWriter } from './handed.ts'

export type IssuedNeeds = Omit<CredentialNeeds, 'writers'> &
  AccessNeeds & { readonly handed: readonly HandedWriter[]; readonly wake: () => void }

type Asking = {
  readonly proof: Caller['proof']
  readonly address: string
  readonly grant: Grant
  readonly wantsSignIn: boolean
}
type Issuing = Asking & { readonly writer: HandedWriter; readonly account: LeasedAccount }
type IssuePermit = Permit<'credential.issue'>

/** Another call for the same grant is waited for this long. */
const WAIT_MS = 20_000
const LOOK_MS = 50
/** Nobody is handed what runs out while they start to use it: a new one is made instead, if the grant lasts. */
const FRESH_SECONDS = 60

/**
 * The credential of the permit's grant, for its holder: the one there is, or a new one. Making one is an admission: a use is reserved and decided
 * as at a gateway, and it stays open until the credential has run out or is ended. Handing the same one out again is no further use, and is
 * entered all the same; who asks has to prove as much as the grant was given for, each time.
 */
export async function issueFor(
  db: Db,
  needs: IssuedNeeds,
  permit: IssuePermit,
  asking: Asking,
  signal: AbortSignal,
): Promise<HandedCredential> {
  const issuing = await issuingOf(db, needs, asking)
  const until = needs.clock.monotonicMs() + WAIT_MS
  while (needs.clock.monotonicMs() < until) {
    signal.throwIfAborted()
    const found = await standing(db, asking.grant.id)
    if (found === undefined) {
      const made = await make(db, needs, permit, issuing, signal)
      if (made) return withSignIn(db, needs, issuing, made, signal)
    } else if (found.state === 'issued') {
      if (isFresh(needs, asking.grant, found)) {
        const again = await transact(db, (tx) => handOutAgain(tx, needs, permit, issuing, found))
        return withSignIn(db, needs, issuing, again, signal)
      }
      await transact(db, (tx) => giveUp(tx, needs, [found.id], 'renewed'))
      needs.wake()
      continue
    }
    await sleep(LOOK_MS, signal)
  }
  throw unavailable(asking.grant, new LeaseFailure('another call has been waiting for the same credential'))
}

async function issuingOf(db: Db, needs: IssuedNeeds, asking: Asking): Promise<Issuing> {
  const { grant } = asking
  const account = await termsOf(db, grant)
  if (!account)
    throw impossible(grant, 'The account cannot be acted as: it is retired, or was only seen at the target.')
  const writer = needs.handed.find((each) => each.protocol === account.protocol)
  if (!writer) {
    throw impossible(grant, `${grant.target} is reached through a gateway or by a certificate: nothing is handed out.`)
  }
  if (writer.mode !== account.mode) {
    throw impossible(grant, `Accounts of ${account.protocol} targets are of mode ${writer.mode}, and this one is not.`)
  }
  if (account.terms.roles.length === 0) throw impossible(grant, 'None of the granted actions is in the catalog.')
  if (asking.wantsSignIn && !writer.signIn) throw impossible(grant, `${grant.target} has no console to sign in to.`)
  return { ...asking, writer, account }
}

type Standing = {
  readonly id: string
  readonly state: string
  readonly details: unknown
  readonly sealedSecret: Buffer | null
  readonly revocability: HandedCredential['revocability']
  readonly residualBefore: Date | null
  readonly validBefore: Date | null
}

function standing(db: Db, grantId: string): Promise<Standing | undefined> {
  return db
    .selectFrom('lease')
    .innerJoin('issuedCredential', 'issuedCredential.leaseId', 'lease.id')
    .select([
      'lease.id',
      'lease.state',
      'lease.details',
      'lease.sealedSecret',
      'lease.revocability',
      'lease.residualBefore',
      'issuedCredential.validBefore',
    ])
    .where('lease.grantId', '=', grantId)
    .where('lease.state', 'in', ['announced', 'issued'])
    .executeTakeFirst()
}

/** Whether it is still good for a while, or as good as the grant itself. */
function isFresh({ clock }: IssuedNeeds, grant: Grant, { validBefore }: Standing): boolean {
  if (!validBefore) return false
  return validBefore >= grant.expiresAt || validBefore > secondsAfter(clock.now(), FRESH_SECONDS)
}

async function handOutAgain(
  tx: Tx,
  needs: IssuedNeeds,
  permit: IssuePermit,
  issuing: Issuing,
  found: Standing,
): Promise<HandedCredential> {
  const { grant, proof } = issuing
  // An end comes either first, and is seen here, or waits for this entry.
  await lockLive(tx, needs, grant.id, { proof, isSingleUse: true })
  const now = await standing(tx, grant.id)
  if (now?.id !== found.id || now.state !== 'issued' || !now.validBefore || !now.sealedSecret) {
    throw leaseRefused('The credential ended meanwhile; ask again.', { grantId: grant.id })
  }
  const { validBefore, sealedSecret } = now
  await enter(tx, needs, permit, { issuing, leaseId: found.id, validBefore, isFirst: false })
  const secret = openSecret(needs.seal, found.id, sealedSecret)
  return handedOf(issuing, { ...now, validBefore, secret })
}

/** Undefined when another call was quicker. */
async function make(
  db: Db,
  needs: IssuedNeeds,
  permit: IssuePermit,
  issuing: Issuing,
  signal: AbortSignal,
): Promise<HandedCredential | undefined> {
  const { writer, account, grant } = issuing
  const id = newId(needs.clock, needs.random)
  const { terms, settings } = account
  const useId = await reserve(db, needs, permit, issuing)
  try {
    const planned = plannedOf(() => writer.plan(needs.random, { leaseId: id, grantId: grant.id, terms, settings }))(
      grant,
    )
    const isAnnounced = await announceWith(db, needs, issuing, { id, useId, planned })
    if (!isAnnounced) {
      await transact(db, (tx) => releaseUse(tx, needs, { useId }))
      return undefined
    }
    await reachLease('lease.announced')
    let applied: Applied | undefined
    const also = async (tx: Tx, made: Applied, cause: number) => {
      applied = made
      const validBefore = earlier(made.validBefore, grant.expiresAt)
      await tx.updateTable('issuedCredential').set({ validBefore, cause }).where('leaseId', '=', id).execute()
      if (!(await beginUse(tx, needs, { useId, cause }))) throw new NotWanted('the grant ended meanwhile')
      await enter(tx, needs, permit, { issuing, leaseId: id, validBefore, isFirst: true })
    }
    const secret = await applyLease(db, needs, { writer, grant, lease: { id, terms, planned }, also }, signal)
    await reachLease('lease.issued')
    const made = await standing(db, grant.id)
    return handedOf(issuing, {
      id,
      secret,
      details: applied?.details,
      revocability: planned.revocability,
      residualBefore: made?.residualBefore ?? null,
      validBefore: earlier(applied?.validBefore, grant.expiresAt),
    })
  } catch (error) {
    await transact(db, (tx) => giveUp(tx, needs, [id], 'issue-failed'))
    await transact(db, (tx) => releaseUse(tx, needs, { useId }))
    needs.wake()
    signal.throwIfAborted()
    if (error instanceof NotWanted) throw leaseRefused('The grant ended.', { grantId: grant.id }, { cause: error })
    if (error instanceof LeaseFailure) throw unavailable(grant, error)
    throw error
  }
}

function plannedOf<T>(plan: () => T): (grant: Grant) => T {
  return (grant) => {
    try {
      return plan()
    } catch (error) {
      if (error instanceof LeaseFailure) throw impossible(grant, `It cannot be made: ${error.message}.`)
      throw error
    }
  }
}

/** A use, reserved by a proof of this one moment. */
async function reserve(db: Db, needs: IssuedNeeds, permit: IssuePermit, issuing: Issuing): Promise<string> {
  const { grant, proof, address } = issuing
  const { ticket } = await transact(db, (tx) => issueTicket(tx, needs, permit, { proof, isSingleUse: true }))
  const proven = await proveGrant(db, needs, {
    proof: { kind: 'ticket', secret: ticket },
    address,
    targetName: grant.target,
    accountName: grant.account,
  })
  if (proven.kind === 'refused') throw useRefused(proven.refusal.sentence, { code: proven.refusal.code })
  const { facts } = proven
  const taken = await transact(db, (tx) => useGrant(tx, needs, { facts, address, nodeId: needs.nodeId }))
  if (taken.kind === 'refused') throw taken.problem
  return taken.value.id
}

type Announced = {
  readonly id: string
  readonly useId: string
  readonly planned: ReturnType<HandedWriter['plan']>
}

async function announceWith(
  db: Db,
  needs: IssuedNeeds,
  { writer, account, grant }: Issuing,
  { id, useId, planned }: Announced,
): Promise<boolean> {
  try {
    await transact(db, async (tx) => {
      const cause = await announceIn(tx, needs, grant, { id, kind: writer.kind, account, planned })
      await tx.insertInto('issuedCredential').values({ leaseId: id, useId, validBefore: null, cause }).execute()
    })
    return true
  } catch (error) {
    if (isTaken(error)) return false
    throw error
  }
}

type Entering = {
  readonly issuing: Issuing
  readonly leaseId: string
  readonly validBefore: Date
  readonly isFirst: boolean
}

async function enter(tx: Tx, needs: IssuedNeeds, permit: IssuePermit, entering: Entering): Promise<void> {
  const { issuing, leaseId, validBefore, isFirst } = entering
  await needs.ledger.record(tx, {
    ...actOf(permit),
    event: credentialHandedOut,
    grantId: issuing.grant.id,
    facts: { leaseId, validBefore, isFirst, hasSignIn: issuing.wantsSignIn },
  })
}

type Handing = Omit<Standing, 'state' | 'sealedSecret' | 'validBefore'> & {
  readonly secret: Secret
  readonly validBefore: Date
}

function handedOf({ grant, writer }: Issuing, handing: Handing): HandedCredential {
  return {
    leaseId: handing.id,
    grantId: grant.id,
    kind: writer.kind,
    target: grant.target,
    account: grant.account,
    revocability: handing.revocability,
    validBefore: handing.validBefore,
    residualBefore: handing.residualBefore,
    about: aboutOf(handing.details),
    values: valuesOf(handing.secret),
  }
}

async function withSignIn(
  db: Db,
  needs: IssuedNeeds,
  { writer, grant, wantsSignIn }: Issuing,
  handed: HandedCredential,
  signal: AbortSignal,
): Promise<HandedCredential> {
  if (!wantsSignIn || !writer.signIn) return handed
  try {
    const site = await siteFor(db, needs.seal, writer, grant)
    return { ...handed, signIn: await writer.signIn(site, handed.values, signal) }
  } catch (error) {
    if (error instanceof LeaseFailure) throw unavailable(grant, error)
    throw error
  }
}

function earlier(one: Date | undefined, other: Date): Date {
  return one && one < other ? one : other
}

function impossible(grant: Grant, sentence: string) {
  return leaseImpossible(sentence, { grantId: grant.id, accountId: grant.accountId })
}

function unavailable(grant: Grant, cause: LeaseFailure) {
  return leaseUnavailable(
    `The target could not issue a credential: ${cause.message}.`,
    { grantId: grant.id, retryAfterSeconds: 1 },
    { cause },
  )
}
