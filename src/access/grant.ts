import { secondsAfter } from '../kernel/clock.ts'
import type { Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { notFound } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { actOf } from '../identities/identities.ts'
import type { Asked } from './asked.ts'
import type { Assessment } from './assess.ts'
import { aboutOf } from './bound.ts'
import { grantMade, type Heartbeat } from './contract.ts'
import { over } from './end.ts'
import { reachAccess } from './fault-points.ts'
import type { AccessNeeds } from './needs.ts'
import { loadGrant } from './read.ts'
import { riskTold } from './risk.ts'

/** Core 3 and rule 2's bound: so long after its last heartbeat a kept-alive grant ends. */
export const HEARTBEAT_LATE_SECONDS = 15

type Making = {
  readonly requestId: string
  readonly asked: Asked
  readonly assessment: Assessment
  readonly approvers: readonly string[]
}

/** Makes the grant of a request whose obligations are met, in the transaction that found them met. */
export async function makeGrant(tx: Tx, needs: AccessNeeds, permit: Permit, making: Making): Promise<string> {
  const { requestId, asked, assessment } = making
  const id = newId(needs.clock, needs.random)
  const startsAt = needs.clock.now()
  const expiresAt = expiryOf(asked, secondsAfter(startsAt, assessment.ttlSeconds))
  const recording = assessment.obligations.recording
  const cause = await needs.ledger.record(tx, {
    event: grantMade,
    ...actOf(permit),
    onBehalfOf: asked.chain.onBehalfOf ? [asked.chain.onBehalfOf.id] : [],
    resource: { type: 'Grant', id },
    grantId: id,
    purpose: asked.purpose.name,
    ...(asked.ticket !== null && { ticket: asked.ticket }),
    facts: {
      ...aboutOf(asked),
      requestId,
      boundSha256: assessment.boundSha256.toString('hex'),
      approvers: [...making.approvers],
      controlOwner: asked.target.ownerTeam,
      approverTeams: [...assessment.approverTeams],
      maxUses: assessment.uses,
      maxConnections: asked.connections,
      recording,
      parserEnforced: [...assessment.parserEnforced],
      mode: assessment.mode,
      waived: [...assessment.waived],
      expiresAt,
      risk: riskTold(assessment.risk),
    },
  })
  await tx
    .insertInto('accessGrant')
    .values({
      id,
      requestId,
      subjectId: asked.chain.subject.id,
      onBehalfOfId: asked.chain.onBehalfOf?.id ?? null,
      targetId: asked.target.id,
      accountId: asked.account.id,
      actions: [...asked.actions],
      parserEnforced: [...assessment.parserEnforced],
      purposeId: asked.purpose.id,
      ticket: asked.ticket,
      task: asked.task,
      recording,
      maxUses: assessment.uses,
      maxConnections: asked.connections,
      isKeptAlive: asked.isKeptAlive,
      startsAt,
      expiresAt,
      endedAt: null,
      endReason: null,
      endComment: null,
      endedById: null,
      policyVersion: assessment.policyVersion,
      riskScore: assessment.risk.score,
      risk: JSON.stringify(riskTold(assessment.risk)),
      cause,
    })
    .execute()
  if (asked.isKeptAlive) await tx.insertInto('grantHeartbeat').values({ grantId: id, at: startsAt }).execute()
  await reachAccess('access.grant-made')
  return id
}

/** A grant outlives neither its purpose nor anyone in its chain. */
function expiryOf(asked: Asked, wanted: Date): Date {
  const ends = [asked.purpose.expiresAt, asked.chain.subject.expiresAt, asked.chain.onBehalfOf?.expiresAt]
  return ends.reduce<Date>((least, end) => (end && end < least ? end : least), wanted)
}

/** The command that the permit's grant was made for says that it lives. Throws `grantOver` when the grant is over. */
export async function beatGrant(
  tx: Tx,
  needs: Pick<AccessNeeds, 'clock'>,
  permit: Permit<'grant.heartbeat'>,
): Promise<Heartbeat> {
  const now = needs.clock.now()
  const grant = await loadGrant(tx, permit.resource.id)
  if (!grant) throw notFound('There is no such grant.', { type: 'Grant', id: permit.resource.id })
  if (grant.endedAt || grant.expiresAt <= now) throw over(grant)
  await tx
    .insertInto('grantHeartbeat')
    .values({ grantId: grant.id, at: now })
    .onConflict((conflict) => conflict.column('grantId').doUpdateSet({ at: now }))
    .execute()
  return { grantId: grant.id, expiresAt: grant.expiresAt, nextBefore: secondsAfter(now, HEARTBEAT_LATE_SECONDS) }
}
