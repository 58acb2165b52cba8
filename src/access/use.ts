import { sql } from 'kysely'
import type { Tx } from '../kernel/db.ts'
import { newId } from '../kernel/random.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import type { Risk } from '../policy/policy.ts'
import { placeOf } from './address.ts'
import {
  grantUseBegun,
  grantUseClosed,
  grantUsed,
  grantUseRefused,
  grantUseReleased,
  useRefused,
  type RiskTold,
} from './contract.ts'
import { decideUse, type UseTerms } from './decide-use.ts'
import { endGrant, type EndedGrant } from './end.ts'
import { reachAccess } from './fault-points.ts'
import { dropHolds } from './holds/hold.ts'
import type { AccessNeeds, EndNeeds, Outcome } from './needs.ts'
import { refusalOfGrant, refusalOfProof, type GrantFacts, type UseRefusal } from './proof.ts'
import { riskTold } from './risk.ts'

/*
 * Who locks more than one row of a grant locks in this order, here and in every folder above: the grant, then its use, its proof or its
 * leases; of several grants in the order of their ids. Two that lock in different orders wait for each other.
 */

/** A use that was reserved. The session that grows from it may take its id. */
export type Use = {
  readonly id: string
  readonly grantId: string
  readonly expiresAt: Date
  readonly terms: UseTerms
}

type Using = { readonly facts: GrantFacts; readonly address: string; readonly nodeId: string }

/**
 * Reserves one use before the upstream connection is made (core 24). All that a use needs is looked at and taken under the locks of
 * the grant and the proof: live, not used up, a free connection, the proof's own bounds, and the policies as they are now for every link
 * (rule 10). A refusal is an entry of its own. Subscribe to the grant's end before calling this (rule 2).
 */
export async function useGrant(tx: Tx, needs: AccessNeeds, using: Using): Promise<Outcome<Use>> {
  const { facts, address, nodeId } = using
  const grant = await tx
    .selectFrom('accessGrant')
    .selectAll()
    .where('id', '=', facts.grant.id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  const proof = await tx
    .selectFrom('grantProof')
    .selectAll()
    .where('id', '=', facts.proofId)
    .where('grantId', '=', grant.id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  const now = needs.clock.now()
  const open = await openUses(tx, grant.id)
  const refusal =
    refusalOfGrant(grant, now) ??
    refusalOfProof(proof, address, now) ??
    (open >= grant.maxConnections ? tooMany(grant.maxConnections) : undefined)
  if (refusal) return refuse(tx, needs, using, { refusal, reasons: [refusal.sentence] })
  const decided = await decideUse(tx, needs, facts, { address })
  const { terms, waived } = decided
  if (decided.reasons.length > 0 || !terms) {
    const sentence = `The policies do not permit this use now. ${decided.reasons.join(' ')}`
    return refuse(tx, needs, using, {
      refusal: { code: 'not-now', sentence },
      reasons: decided.reasons,
      risk: decided.risk,
    })
  }
  const id = newId(needs.clock, needs.random)
  const isFirstUse = proof.firstUsedAt === null
  const cause = await needs.ledger.record(tx, {
    event: grantUsed,
    ...actOf(facts),
    ...(decided.decision && { decision: decided.decision }),
    outcome: 'announced',
    facts: {
      ...factsOfUse({ id, proof, address, uses: grant.uses + 1, risk: decided.risk }),
      mode: terms.mode,
      waived: [...waived],
    },
  })
  await take(tx, {
    grantId: grant.id,
    claims: isFirstUse ? { proofId: proof.id, from: placeOf(address) } : null,
    now,
    cause,
  })
  await tx
    .insertInto('grantUse')
    .values({
      id,
      grantId: grant.id,
      proofId: proof.id,
      nodeId,
      address,
      state: 'reserved',
      reservedAt: now,
      begunAt: null,
      closedAt: null,
      cause,
    })
    .execute()
  await reachAccess('access.use-reserved')
  return { kind: 'done', value: { id, grantId: grant.id, expiresAt: grant.expiresAt, terms } }
}

function factsOfUse(use: {
  readonly id: string
  readonly proof: { readonly id: string; readonly kind: 'ticket' | 'key'; readonly firstUsedAt: Date | null }
  readonly address: string
  readonly uses: number
  readonly risk: Risk | undefined
}) {
  const { id, proof, address, uses, risk } = use
  const isFirstUse = proof.firstUsedAt === null
  return { useId: id, proofId: proof.id, proofKind: proof.kind, address, isFirstUse, uses, risk: toldOr(risk) }
}

/** The counted use and, at its first use, the proof: both rows are locked and were looked at, and still the row count decides. */
async function take(
  tx: Tx,
  taking: {
    readonly grantId: string
    readonly claims: { readonly proofId: string; readonly from: string } | null
    readonly now: Date
    readonly cause: number
  },
): Promise<void> {
  const { grantId, claims, now, cause } = taking
  const taken = await tx
    .updateTable('accessGrant')
    .set((row) => ({ uses: row('uses', '+', 1), version: row('version', '+', 1), cause }))
    .where('id', '=', grantId)
    .where('endedAt', 'is', null)
    .where('expiresAt', '>', now)
    .where((row) => row.or([row('maxUses', 'is', null), row('uses', '<', row.ref('maxUses'))]))
    .executeTakeFirstOrThrow()
  if (taken.numUpdatedRows !== 1n) throw new Error(`the grant ${grantId} changed under its lock`)
  if (claims) {
    const claimed = await tx
      .updateTable('grantProof')
      .set({ firstUsedAt: now, firstAddress: claims.from, cause })
      .where('id', '=', claims.proofId)
      .where('firstUsedAt', 'is', null)
      .where('firstUseBefore', '>', now)
      .executeTakeFirstOrThrow()
    if (claimed.numUpdatedRows !== 1n) throw new Error(`the proof ${claims.proofId} changed under its lock`)
  }
}

/** With a cause the change belongs to that entry (a session's, say); without one it gets its own. */
type Moving = { readonly useId: string; readonly cause?: number }

/**
 * The target is ready: the use counts from here. False when the use was given up or the grant has ended meanwhile; then nothing
 * may be forwarded.
 */
export async function beginUse(tx: Tx, needs: Pick<EndNeeds, 'clock' | 'ledger'>, moving: Moving): Promise<boolean> {
  const now = needs.clock.now()
  const live = await tx
    .selectFrom('accessGrant')
    .select('id')
    .where('id', '=', (is) => is.selectFrom('grantUse').select('grantId').where('grantUse.id', '=', moving.useId))
    .where('endedAt', 'is', null)
    .where('expiresAt', '>', now)
    .forShare()
    .executeTakeFirst()
  const use = live && (await lockUse(tx, moving.useId, 'reserved'))
  if (!use) return false
  const cause = moving.cause ?? (await recordUse(tx, needs, use, grantUseBegun))
  await tx.updateTable('grantUse').set({ state: 'live', begunAt: now, cause }).where('id', '=', use.id).execute()
  await reachAccess('access.use-begun')
  return true
}

/** The target never became ready: the use is given back. False when there is nothing to give back; safe to repeat. */
export async function releaseUse(tx: Tx, needs: Pick<EndNeeds, 'clock' | 'ledger'>, moving: Moving): Promise<boolean> {
  const found = await tx.selectFrom('grantUse').select('grantId').where('id', '=', moving.useId).executeTakeFirst()
  if (!found) return false
  const grant = await tx
    .selectFrom('accessGrant')
    .select('endedAt')
    .where('id', '=', found.grantId)
    .forUpdate()
    .executeTakeFirstOrThrow()
  const use = await lockUse(tx, moving.useId, 'reserved')
  if (!use) return false
  const cause = moving.cause ?? (await recordUse(tx, needs, use, grantUseReleased))
  await tx
    .updateTable('grantUse')
    .set({ state: 'released', closedAt: needs.clock.now(), cause })
    .where('id', '=', use.id)
    .execute()
  if (grant.endedAt === null) {
    await tx
      .updateTable('accessGrant')
      .set((row) => ({ uses: row('uses', '-', 1), version: row('version', '+', 1), cause }))
      .where('id', '=', use.grantId)
      .execute()
  }
  await reachAccess('access.use-released')
  return true
}

/** The session is over. A grant whose last use this was is used up and ends; the end is returned to be announced. */
export async function closeUse(tx: Tx, needs: EndNeeds, moving: Moving): Promise<EndedGrant | undefined> {
  const found = await tx.selectFrom('grantUse').select('grantId').where('id', '=', moving.useId).executeTakeFirst()
  if (!found) return undefined
  const grant = await tx
    .selectFrom('accessGrant')
    .select(['id', 'uses', 'maxUses', 'endedAt'])
    .where('id', '=', found.grantId)
    .forUpdate()
    .executeTakeFirstOrThrow()
  const use = await lockUse(tx, moving.useId, 'live')
  if (!use) return undefined
  const cause = moving.cause ?? (await recordUse(tx, needs, use, grantUseClosed))
  await tx
    .updateTable('grantUse')
    .set({ state: 'closed', closedAt: needs.clock.now(), cause })
    .where('id', '=', use.id)
    .execute()
  await dropHolds(tx, needs, { useId: use.id }, 'Its session is over.')
  await reachAccess('access.use-closed')
  const isUsedUp = grant.maxUses !== null && grant.uses >= grant.maxUses && (await openUses(tx, grant.id)) === 0
  return isUsedUp ? endGrant(tx, needs, { grantId: grant.id, reason: 'used-up' }) : undefined
}

/** One transaction holds its locks for this many uses at most; what is left waits for the next call. */
const ABANDONED_AT_ONCE = 200

/** The uses a node holds, for whoever cleans up after it died: reserved ones are given back, live ones closed. */
export async function abandonUses(tx: Tx, needs: EndNeeds, nodeId: string): Promise<EndedGrant[]> {
  const uses = await tx
    .selectFrom('grantUse')
    .select(['id', 'state'])
    .where('nodeId', '=', nodeId)
    .where('state', 'in', ['reserved', 'live'])
    .orderBy('grantId')
    .orderBy('id')
    .limit(ABANDONED_AT_ONCE)
    .execute()
  const ended: EndedGrant[] = []
  for (const use of uses) {
    if (use.state === 'reserved') await releaseUse(tx, needs, { useId: use.id })
    else {
      const one = await closeUse(tx, needs, { useId: use.id })
      if (one) ended.push(one)
    }
  }
  return ended
}

async function openUses(tx: Tx, grantId: string): Promise<number> {
  const row = await tx
    .selectFrom('grantUse')
    .select(sql<number>`count(*)`.as('open'))
    .where('grantId', '=', grantId)
    .where('state', 'in', ['reserved', 'live'])
    .executeTakeFirstOrThrow()
  return row.open
}

function lockUse(tx: Tx, id: string, state: 'reserved' | 'live') {
  return tx
    .selectFrom('grantUse')
    .select(['id', 'grantId'])
    .where('id', '=', id)
    .where('state', '=', state)
    .forUpdate()
    .executeTakeFirst()
}

function recordUse(
  tx: Tx,
  needs: Pick<EndNeeds, 'ledger'>,
  use: { readonly id: string; readonly grantId: string },
  event: typeof grantUseBegun | typeof grantUseReleased | typeof grantUseClosed,
): Promise<number> {
  return needs.ledger.record(tx, {
    event,
    actor: SYSTEM,
    resource: { type: 'Grant', id: use.grantId },
    grantId: use.grantId,
    outcome: 'done',
    facts: { useId: use.id },
  })
}

function actOf({ grant, subject }: GrantFacts) {
  return {
    actor: { id: subject.id, kind: subject.kind },
    onBehalfOf: grant.onBehalfOfId ? [grant.onBehalfOfId] : [],
    action: 'grant.use',
    resource: { type: 'Grant', id: grant.id },
    grantId: grant.id,
    purpose: grant.purpose,
    ...(grant.ticket !== null && { ticket: grant.ticket }),
  } as const
}

async function refuse(
  tx: Tx,
  needs: AccessNeeds,
  using: Using,
  refused: { readonly refusal: UseRefusal; readonly reasons: readonly string[]; readonly risk?: Risk | undefined },
): Promise<Outcome<Use>> {
  const { code, sentence } = refused.refusal
  await needs.ledger.record(tx, {
    event: grantUseRefused,
    ...actOf(using.facts),
    outcome: 'refused',
    facts: {
      proofId: using.facts.proofId,
      address: using.address,
      code,
      reasons: [...refused.reasons],
      risk: toldOr(refused.risk),
    },
  })
  return { kind: 'refused', problem: useRefused(sentence, { code }) }
}

function toldOr(risk: Risk | undefined): RiskTold | null {
  return risk ? riskTold(risk) : null
}

function tooMany(max: number): UseRefusal {
  return {
    code: 'too-many',
    sentence: `The grant allows ${max} connection(s) at once, and all are open. Close one, or ask for more: --connections.`,
  }
}
