import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { Secret } from '../../kernel/secret.ts'
import { LeaseFailure, NotWanted } from '../writer.ts'
import { alarmIfUnadopted } from './alarm.ts'
import { backOut } from './back-out.ts'
import { mustLoad, Waiting, type Claimed } from './claim.ts'
import { noteUsers, whoIsLeft } from './consumers.ts'
import * as events from './events.ts'
import { reachRotation } from './fault-points.ts'
import { keepSecret, keptLogin, sealPrevious, type KeptLogin } from './login.ts'
import { arrow } from './move.ts'
import type { RotationNeeds } from './needs.ts'
import { placeOf } from './place.ts'
import { strategyOf } from './strategies/index.ts'
import type { Strategy, Work } from './strategies/strategy.ts'
import { tell } from './tell.ts'
import { isAccepted, isLetIn, type When } from './try.ts'
import { wayOf } from './way.ts'

/** Ids of uses that an entry lists. */
const LISTED = 1_000
/** Before the new one took the old one's place. */
const BEFORE = new Set(['planned', 'issued', 'verified'])

type Step = (work: Work, at: Claimed, strategy: Strategy) => Promise<void>

/** What leads from each state to the next; `dead`, `superseded` and `aborted` are the ends. */
const STEPS: Readonly<Partial<Record<Claimed['state'], Step>>> = {
  planned: issue,
  issued: verify,
  verified: distribute,
  distributed: adopt,
  adopted: disable,
  disabled: soak,
  soaking: revoke,
  revoked: bury,
  aborting: backOut,
}

/**
 * Carries a rotation on from wherever it stands until it is over, or has to wait. Each arrow begins by asking the target what is true there, so that
 * a step that a killed process had done is found done, and a target that was set back is brought forward again.
 */
export async function carryOn(db: Db, needs: RotationNeeds, claimed: Claimed, signal: AbortSignal): Promise<void> {
  const place = await placeOf(db, claimed)
  const rotator = needs.rotators.find((each) => each.protocol === place.protocol)
  if (!rotator) throw new LeaseFailure(`this release has nothing that rotates logins of ${place.protocol}`)
  const strategy = strategyOf(claimed.strategy)
  if (!strategy) throw new LeaseFailure(`this release does not rotate by ${claimed.strategy}`)
  const work = { db, needs, rotator, place, way: await wayOf(db, needs, claimed.accountId), signal }
  // A target that is told again and again and still refuses is tried later, not at once for ever.
  let told = 0
  for (let at: Claimed | undefined = claimed; at; at = await nextOf(db, needs, at.id)) {
    signal.throwIfAborted()
    if (BEFORE.has(at.state) && (await isReplaced(work, at))) return supersede(work, at)
    if (at.state === 'planned' && (told += 1) > 2)
      throw new LeaseFailure('the target was told the new secret and refuses it')
    const step = STEPS[at.state]
    if (!step) return
    await step(work, at, strategy)
  }
}

async function nextOf(db: Db, needs: RotationNeeds, id: string): Promise<Claimed | undefined> {
  try {
    return await mustLoad(db, needs, id)
  } catch (error) {
    if (error instanceof NotWanted) return undefined
    throw error
  }
}

/** planned → issued: the target is told the new secret, unless it knows it already. */
async function issue(work: Work, at: Claimed, strategy: Strategy): Promise<void> {
  const { needs, db } = work
  const wasKnown = at.next !== undefined && (await isAccepted(work, at, at.next))
  if (!wasKnown) {
    if (strategy.copies === 'held') await noteUsers(work, at)
    await tell(work, at, strategy)
  }
  await reachRotation('rotation.changed-upstream')
  await transact(db, async (tx) => {
    await arrow(tx, needs, at, {
      to: 'issued',
      set: { issuedAt: needs.clock.now() },
      event: events.rotationIssued,
      facts: { principal: at.principal, wasKnown },
    })
    await alarmIfUnadopted(tx, needs, at)
  })
  await reachRotation('rotation.issued')
}

/** issued → verified, or back when the target does not know it after all. */
async function verify(work: Work, at: Claimed): Promise<void> {
  const { needs, db } = work
  if (!(await isAccepted(work, at, mustHave(at.next)))) return goBack(work, at)
  const set = { verifiedAt: needs.clock.now() }
  await transact(db, (tx) =>
    arrow(tx, needs, at, { to: 'verified', set, event: events.rotationVerified, facts: { principal: at.principal } }),
  )
  await reachRotation('rotation.verified')
}

/** verified → distributed: the new secret takes the old one's place, and from here on it is what anybody is given. What is open with the old one is listed. */
async function distribute(work: Work, at: Claimed): Promise<void> {
  const { needs, db } = work
  const next = mustHave(at.next)
  if (!(await isAccepted(work, at, next, 'lately'))) return goBack(work, at)
  const now = needs.clock.now()
  await transact(db, async (tx) => {
    // In this order everywhere: first the login, then its rotation.
    const kept = await keptLogin(tx, needs, at, 'lock')
    if (!isWhatItWas(kept, at)) throw new NotWanted('the login was replaced meanwhile')
    const uses = await openUses(tx, at)
    const set = { distributedAt: now, sealedPrevious: sealPrevious(needs, at.id, kept.secret) }
    const facts = { uses: uses.slice(0, LISTED), areUsesCut: uses.length > LISTED }
    const cause = await arrow(tx, needs, at, {
      to: 'distributed',
      set,
      event: events.rotationDistributed,
      facts: { principal: at.principal, ...facts },
    })
    await keepSecret(tx, needs, at, { user: at.nextUser, secret: next, cause })
  })
  await reachRotation('rotation.distributed')
}

/** distributed → adopted: every consumer that is known was seen with the new secret. Having been told is not having taken it up. */
async function adopt(work: Work, at: Claimed, strategy: Strategy): Promise<void> {
  const { needs, db } = work
  await mustStand(work, at, strategy, 'lately')
  if (strategy.tell && !at.toldAt) {
    await strategy.tell(work, at)
    const set = { toldAt: needs.clock.now() }
    await transact(db, (tx) =>
      arrow(tx, needs, at, { to: 'distributed', set, event: events.rotationTold, facts: { principal: at.principal } }),
    )
    await reachRotation('rotation.told')
  }
  const left = await whoIsLeft(work, at, strategy)
  // Others can see that a leaked one still lives: it is late from the beginning.
  if (left !== undefined) throw new Waiting(left, { lateFrom: at.stateAt })
  const set = { adoptedAt: needs.clock.now() }
  await transact(db, (tx) =>
    arrow(tx, needs, at, { to: 'adopted', set, event: events.rotationAdopted, facts: { principal: at.principal } }),
  )
  await reachRotation('rotation.adopted')
}

/** adopted → disabled: the old one is shut in a way that can be undone; where there is one secret, issuing the new one did. From here there is no way back. */
async function disable(work: Work, at: Claimed, strategy: Strategy): Promise<void> {
  const { needs, db } = work
  await mustStand(work, at, strategy, strategy.disable ? 'now' : 'lately')
  await strategy.disable?.(work, at, at.principal)
  await reachRotation('rotation.disabled-upstream')
  const set = { disabledAt: needs.clock.now() }
  await transact(db, (tx) =>
    arrow(tx, needs, at, { to: 'disabled', set, event: events.rotationDisabled, facts: { principal: at.principal } }),
  )
  await reachRotation('rotation.disabled')
}

/** disabled → soaking: the old one was seen to be refused. */
async function soak(work: Work, at: Claimed): Promise<void> {
  const { needs, db } = work
  await mustRefuseTheOld(work, at)
  const soakBefore = secondsAfter(needs.clock.now(), at.soakSeconds)
  await transact(db, (tx) =>
    arrow(tx, needs, at, {
      to: 'soaking',
      set: { soakBefore },
      event: events.rotationSoaking,
      facts: { principal: at.principal, soakBefore },
    }),
  )
  await reachRotation('rotation.soaking')
}

/** soaking → revoked: nobody missed it for as long as was said, so it is ended for good. */
async function revoke(work: Work, at: Claimed, strategy: Strategy): Promise<void> {
  const { needs, db } = work
  const now = needs.clock.now()
  if (at.soakBefore && at.soakBefore > now) {
    throw new Waiting(`it soaks until ${at.soakBefore.toISOString()}`, { untilAt: at.soakBefore })
  }
  await mustStand(work, at, strategy, strategy.revoke ? 'now' : 'lately')
  await strategy.revoke?.(work, at, at.principal)
  await reachRotation('rotation.revoked-upstream')
  await transact(db, (tx) =>
    arrow(tx, needs, at, {
      to: 'revoked',
      set: { revokedAt: now },
      event: events.rotationRevoked,
      facts: { principal: at.principal },
    }),
  )
  await reachRotation('rotation.revoked')
}

/** revoked → dead: the old secret is refused while the new one is let in, and what it opened is ended if that was asked for. */
async function bury(work: Work, at: Claimed, strategy: Strategy): Promise<void> {
  const { needs, db, rotator, place, signal } = work
  const kept = await mustStand(work, at, strategy)
  const old = await mustRefuseTheOld(work, at)
  if (old.why !== 'secret')
    throw new LeaseFailure(`the old login is refused (${old.code}), which says nothing of its secret`)
  const olderThanMs = needs.clock.now().getTime() - (at.issuedAt ?? at.plannedAt).getTime()
  const isEnding = at.endsSessions && kept.user === at.principal
  const ended = isEnding ? await rotator.endSessions(place, kept, olderThanMs, signal) : undefined
  await reachRotation('rotation.proven')
  const now = needs.clock.now()
  const evidence = {
    principal: at.principal,
    provenAt: now.toISOString(),
    attempts: at.attempts,
    oldSecret: { refusedWith: old.code },
    newSecret: { accepted: true, ...(at.nextUser !== at.principal && { principal: at.nextUser }) },
    ...openedWithTheOld(work, strategy, ended),
  }
  const over = { overAt: now, nextTryAt: null, sealedNext: null, sealedPrevious: null, escalation: 'none' } as const
  const set = { ...over, evidence: JSON.stringify(evidence) }
  await transact(db, (tx) =>
    arrow(tx, needs, at, { to: 'dead', set, event: events.rotationDead, facts: { principal: at.principal, evidence } }),
  )
  await reachRotation('rotation.dead')
}

function openedWithTheOld({ rotator }: Work, strategy: Strategy, ended: number | undefined) {
  if (strategy.endsSessions(rotator)) return { openedWithTheOld: 'ended' }
  return ended === undefined ? { openedWithTheOld: 'goes on' } : { openedWithTheOld: 'ended', sessions: ended }
}

/** What is kept is let in; where the target was set back since, it is told again. What somebody gave since is not ours to tell. */
async function mustStand(work: Work, at: Claimed, strategy: Strategy, when: When = 'now'): Promise<KeptLogin> {
  const { needs, db } = work
  const kept = await keptLogin(db, needs, at)
  if (!kept) throw new LeaseFailure('the login is not kept any more')
  if (await isLetIn(work, kept, when)) return kept
  const next = mustHave(at.next)
  if (kept.secret.reveal() !== next.reveal()) {
    throw new LeaseFailure('the login was replaced since, and the target refuses the one that was given')
  }
  await transact(db, (tx) =>
    arrow(tx, needs, at, { to: at.state, event: events.rotationReissued, facts: { principal: at.principal } }),
  )
  await tell(work, at, strategy)
  if (!(await isLetIn(work, kept))) throw new LeaseFailure('the target was told the new secret and refuses it')
  return kept
}

async function mustRefuseTheOld({ rotator, place, signal }: Work, at: Claimed) {
  const old = await rotator.tryLogin(place, { user: at.principal, secret: mustHave(at.previous) }, signal)
  if (old.isAccepted) {
    throw new LeaseFailure('the old secret still opens the target: it may trust this address without a secret')
  }
  return old
}

/** Intent before act, once more. */
async function goBack(work: Work, at: Claimed): Promise<void> {
  const set = { issuedAt: null, verifiedAt: null }
  await transact(work.db, (tx) =>
    arrow(tx, work.needs, at, {
      to: 'planned',
      set,
      event: events.rotationReissued,
      facts: { principal: at.principal },
    }),
  )
}

/** Somebody gave another login. It takes this one's place once it is seen to work; until then nothing is forgotten. */
async function supersede(work: Work, at: Claimed): Promise<void> {
  const { needs, db } = work
  const kept = await keptLogin(db, needs, at)
  if (!kept || !(await isLetIn(work, kept))) {
    throw new LeaseFailure('the login was replaced meanwhile, and the target refuses the one that was given')
  }
  const over = { overAt: needs.clock.now(), nextTryAt: null, sealedNext: null, escalation: 'none' } as const
  await transact(db, (tx) =>
    arrow(tx, needs, at, {
      to: 'superseded',
      set: over,
      event: events.rotationSuperseded,
      facts: { principal: at.principal },
    }),
  )
}

async function isReplaced({ db, needs }: Work, at: Claimed): Promise<boolean> {
  return !isWhatItWas(await keptLogin(db, needs, at), at)
}

function isWhatItWas(kept: KeptLogin | undefined, at: Claimed): kept is KeptLogin {
  return kept !== undefined && kept.sha256.equals(at.wasSha256)
}

function mustHave(secret: Secret | undefined): Secret {
  if (!secret) throw new Error('a rotation on its way lost a secret')
  return secret
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
