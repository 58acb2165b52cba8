import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { SYSTEM, type Fact } from '../../ledger/ledger.ts'
import { LeaseFailure, NotWanted } from '../writer.ts'
import { lockOpen, mustLoad, type Claimed } from './claim.ts'
import type { Rotation } from './contract.ts'
import {
  rotationAdopted,
  rotationDead,
  rotationIssued,
  rotationRegenerated,
  rotationReissued,
  rotationSuperseded,
  rotationVerified,
} from './events.ts'
import { reachRotation } from './fault-points.ts'
import { keepSecret, keptLogin, sealNext, sealPrevious, type KeptLogin } from './login.ts'
import type { RotationNeeds } from './needs.ts'
import { actorsFor, placeOf } from './place.ts'
import { SecretRefused, type LoginRotator, type Place } from './rotator.ts'

/** What one attempt works with. */
type Work = {
  readonly db: Db
  readonly needs: RotationNeeds
  readonly rotator: LoginRotator
  readonly place: Place
  readonly signal: AbortSignal
}

/** How many secrets one attempt makes for a target that refuses them. */
const MOST_MADE = 3
/** Ids of uses that an entry lists. */
const LISTED = 1_000

/**
 * Carries a rotation on from wherever it stands until it is over. Each arrow begins by asking the target what is true there, so that a step that a
 * killed process had done is found done, and a target that was set back is brought forward again.
 */
export async function carryOn(db: Db, needs: RotationNeeds, claimed: Claimed, signal: AbortSignal): Promise<void> {
  const place = await placeOf(db, claimed)
  const rotator = needs.rotators.find((each) => each.protocol === place.protocol)
  if (!rotator) throw new LeaseFailure(`this release has nothing that rotates logins of ${place.protocol}`)
  const work = { db, needs, rotator, place, signal }
  let isFresh = false
  for (let at = claimed; ; at = await mustLoad(db, needs, at.id)) {
    signal.throwIfAborted()
    if (at.state !== 'adopted' && (await isReplaced(work, at))) return supersede(work, at)
    if (at.state === 'planned') await issue(work, at)
    else if (at.state === 'issued') isFresh = await verify(work, at)
    else if (at.state === 'verified') await adopt(work, at, isFresh)
    else return bury(work, at)
  }
}

/** planned → issued: the target is told the new secret, unless it knows it already. */
async function issue(work: Work, at: Claimed): Promise<void> {
  const { needs, db } = work
  const wasKnown = await isAccepted(work, at)
  if (!wasKnown) await tell(work, at)
  await reachRotation('rotation.changed-upstream')
  await transact(db, (tx) =>
    move(tx, at, 'issued', { issuedAt: needs.clock.now() }, (act) =>
      needs.ledger.record(tx, { ...act, event: rotationIssued, facts: { principal: at.principal, wasKnown } }),
    ),
  )
  await reachRotation('rotation.issued')
}

/** issued → verified, or back when the target does not know it after all. Returns whether it was just seen to work. */
async function verify(work: Work, at: Claimed): Promise<boolean> {
  const { needs, db } = work
  if (!(await isAccepted(work, at))) {
    await goBack(work, at)
    return false
  }
  await transact(db, (tx) =>
    move(tx, at, 'verified', { verifiedAt: needs.clock.now() }, (act) =>
      needs.ledger.record(tx, { ...act, event: rotationVerified, facts: { principal: at.principal } }),
    ),
  )
  await reachRotation('rotation.verified')
  return true
}

/** verified → adopted: the new secret takes the old one's place. What is open with the old one is listed. */
async function adopt(work: Work, at: Claimed, isFresh: boolean): Promise<void> {
  const { needs, db } = work
  if (!isFresh && !(await isAccepted(work, at))) return goBack(work, at)
  await transact(db, async (tx) => {
    // In this order everywhere: first the login, then its rotation.
    const kept = await keptLogin(tx, needs, at, 'lock')
    if (!isWhatItWas(kept, at)) throw new NotWanted('the login was replaced meanwhile')
    const uses = await openUses(tx, at)
    await move(
      tx,
      at,
      'adopted',
      { adoptedAt: needs.clock.now(), sealedPrevious: sealPrevious(needs, at.id, kept.secret) },
      async (act) => {
        const facts = { principal: at.principal, uses: uses.slice(0, LISTED), areUsesCut: uses.length > LISTED }
        const cause = await needs.ledger.record(tx, { ...act, event: rotationAdopted, facts })
        await keepSecret(tx, needs, at, { user: kept.user, secret: at.next, cause })
        return cause
      },
    )
  })
  await reachRotation('rotation.adopted')
}

/** adopted → dead: the old secret is refused while the new one is let in, and what it opened is ended if that was asked for. */
async function bury(work: Work, at: Claimed): Promise<void> {
  const { needs, db, rotator, place, signal } = work
  if (!at.previous) throw new Error(`the adopted rotation ${at.id} has no previous secret`)
  const kept = await keptLogin(db, needs, at)
  if (!kept) throw new LeaseFailure('the login is not kept any more')
  if (!(await rotator.tryLogin(place, kept, signal)).isAccepted) await bringForward(work, at, kept)
  const old = await rotator.tryLogin(place, { user: at.principal, secret: at.previous }, signal)
  if (old.isAccepted) {
    throw new LeaseFailure('the old secret still opens the target: it may trust this address without a secret')
  }
  const olderThanMs = needs.clock.now().getTime() - (at.issuedAt ?? at.plannedAt).getTime()
  const who = { user: at.principal, secret: kept.secret }
  const ended = at.endsSessions ? await rotator.endSessions(place, who, olderThanMs, signal) : undefined
  await reachRotation('rotation.proven')
  const now = needs.clock.now()
  const evidence = {
    principal: at.principal,
    provenAt: now.toISOString(),
    attempts: at.attempts,
    oldSecret: { refusedWith: old.code },
    newSecret: { accepted: true },
    ...(ended === undefined ? { openedWithTheOld: 'goes on' } : { openedWithTheOld: 'ended', sessions: ended }),
  }
  const over = { overAt: now, nextTryAt: null, sealedNext: null, sealedPrevious: null, lastError: null }
  await transact(db, (tx) =>
    move(tx, at, 'dead', { ...over, escalation: 'none', evidence: JSON.stringify(evidence) }, (act) =>
      needs.ledger.record(tx, { ...act, event: rotationDead, facts: { principal: at.principal, evidence } }),
    ),
  )
  await reachRotation('rotation.dead')
}

/** The target refuses what took the old one's place: it was set back, and is told again. What somebody gave since is not ours to tell. */
async function bringForward(work: Work, at: Claimed, kept: KeptLogin): Promise<void> {
  const { needs, db } = work
  if (kept.secret.reveal() !== at.next.reveal()) {
    throw new LeaseFailure('the login was replaced since, and the target refuses the one that was given')
  }
  await transact(db, (tx) => noteReissue(tx, needs, at, 'adopted'))
  await tell(work, at)
  if (!(await isAccepted(work, at))) throw new LeaseFailure('the target was told the new secret and refuses it')
}

/** Tells the target the secret. One it refuses by its own rules is replaced by another, the old one being good all the while. */
async function tell(work: Work, at: Claimed): Promise<void> {
  const { needs, db, rotator, place, signal } = work
  let { next, generation } = at
  for (let made = 1; ; made += 1) {
    const current = generation
    try {
      const isWanted = async () => {
        const now = await mustLoad(db, needs, at.id)
        return now.generation === current && now.state === at.state
      }
      const actors = await actorsFor(db, needs, at, next)
      return await rotator.change(place, { user: at.principal, secret: next, actors, isWanted }, signal)
    } catch (error) {
      // Once it took the old one's place it is not replaced any more.
      if (!(error instanceof SecretRefused) || at.state !== 'planned' || made === MOST_MADE) throw error
      next = rotator.make(needs.random)
      generation += 1
      await transact(db, (tx) => regenerate(tx, needs, at, { sealed: sealNext(needs, at.id, next), generation }))
    }
  }
}

async function regenerate(
  tx: Tx,
  needs: RotationNeeds,
  at: Claimed,
  { sealed, generation }: { readonly sealed: Buffer; readonly generation: number },
): Promise<void> {
  const cause = await needs.ledger.record(tx, { ...actOn(at), event: rotationRegenerated, facts: { generation } })
  const changed = await tx
    .updateTable('rotation')
    .set({ sealedNext: sealed, generation, cause })
    .where('id', '=', at.id)
    .where('state', '=', 'planned')
    .where('generation', '=', generation - 1)
    .executeTakeFirst()
  if (changed.numUpdatedRows !== 1n) throw new NotWanted('the rotation went on elsewhere')
}

async function goBack({ needs, db }: Work, at: Claimed): Promise<void> {
  await transact(db, (tx) => noteReissue(tx, needs, at, 'planned'))
}

/** Intent before act, once more. */
async function noteReissue(tx: Tx, needs: RotationNeeds, at: Claimed, to: 'planned' | 'adopted'): Promise<void> {
  const record = (act: Act) =>
    needs.ledger.record(tx, { ...act, event: rotationReissued, facts: { principal: at.principal } })
  await move(tx, at, to, to === 'planned' ? { issuedAt: null, verifiedAt: null } : {}, record)
}

/** Somebody gave another login. It takes this one's place once it is seen to work; until then nothing is forgotten. */
async function supersede(work: Work, at: Claimed): Promise<void> {
  const { needs, db, rotator, place, signal } = work
  const kept = await keptLogin(db, needs, at)
  if (!kept || !(await rotator.tryLogin(place, kept, signal)).isAccepted) {
    throw new LeaseFailure('the login was replaced meanwhile, and the target refuses the one that was given')
  }
  const over = { overAt: needs.clock.now(), nextTryAt: null, sealedNext: null, lastError: null }
  await transact(db, (tx) =>
    move(tx, at, 'superseded', { ...over, escalation: 'none' }, (act) =>
      needs.ledger.record(tx, { ...act, event: rotationSuperseded, facts: { principal: at.principal } }),
    ),
  )
}

async function isReplaced({ db, needs }: Work, at: Claimed): Promise<boolean> {
  return !isWhatItWas(await keptLogin(db, needs, at), at)
}

function isWhatItWas(kept: KeptLogin | undefined, at: Claimed): kept is KeptLogin {
  return kept !== undefined && kept.sha256.equals(at.wasSha256)
}

async function isAccepted({ rotator, place, signal }: Work, at: Claimed): Promise<boolean> {
  return (await rotator.tryLogin(place, { user: at.principal, secret: at.next }, signal)).isAccepted
}

/** Uses of grants on the account that are open now: they were let in with the old secret. */
async function openUses(tx: Tx, { accountId }: Claimed): Promise<string[]> {
  if (accountId === null) return []
  const rows = await tx
    .selectFrom('grantUse')
    .innerJoin('accessGrant', 'accessGrant.id', 'grantUse.grantId')
    .select('grantUse.id')
    .where('accessGrant.accountId', '=', accountId)
    .where('grantUse.state', 'in', ['reserved', 'live'])
    .orderBy('grantUse.id')
    .limit(LISTED + 1)
    .execute()
  return rows.map((row) => row.id)
}

type Act = Pick<Fact, 'actor' | 'resource' | 'outcome'>
type Moved = {
  issuedAt?: Date | null
  verifiedAt?: Date | null
  adoptedAt?: Date
  overAt?: Date
  nextTryAt?: null
  sealedNext?: null
  sealedPrevious?: Buffer | null
  lastError?: null
  escalation?: 'none'
  evidence?: string
}

function actOn({ id }: Claimed): Act {
  return { actor: SYSTEM, resource: { type: 'Rotation', id }, outcome: 'done' }
}

/** One arrow: its entry and its row, if the rotation is still where this attempt left it. */
async function move(
  tx: Tx,
  at: Claimed,
  to: Rotation['state'],
  set: Moved,
  record: (act: Act) => Promise<number>,
): Promise<void> {
  const { state } = await lockOpen(tx, at.id)
  if (state !== at.state) throw new NotWanted('the rotation went on elsewhere')
  const cause = await record(actOn(at))
  await tx
    .updateTable('rotation')
    .set({ ...set, state: to, cause })
    .where('id', '=', at.id)
    .execute()
}
