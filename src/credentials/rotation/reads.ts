import type { Db, Tx } from '../../kernel/db.ts'
import { linkTo } from '../../kernel/entity.ts'
import type { Resource } from '../../kernel/http/route.ts'
import { idAfter, pageAfter, type Page } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { actOf } from '../../identities/identities.ts'
import { standingConsumers } from './consumer-records.ts'
import type { Rotation, RotationDetail, RotationQuery } from './contract.ts'
import { rotationWoken } from './events.ts'
import type { RotationNeeds } from './needs.ts'

/** The columns a rotation is shown with: never a secret. */
function rotations(db: Db) {
  return db
    .selectFrom('rotation')
    .innerJoin('target', 'target.id', 'rotation.targetId')
    .select([
      'rotation.id',
      'rotation.targetId',
      'target.name as targetName',
      'target.ownerTeam',
      'rotation.accountId',
      'rotation.principal',
      'rotation.nextPrincipal',
      'rotation.strategy',
      'rotation.occasion',
      'rotation.state',
      'rotation.stateAt',
      'rotation.waitsFor',
      'rotation.startedById',
      'rotation.endsSessions',
      'rotation.campaignId',
      'rotation.plannedAt',
      'rotation.issuedAt',
      'rotation.verifiedAt',
      'rotation.distributedAt',
      'rotation.toldAt',
      'rotation.adoptedAt',
      'rotation.disabledAt',
      'rotation.soakBefore',
      'rotation.revokedAt',
      'rotation.deadlineAt',
      'rotation.alarmedAt',
      'rotation.overAt',
      'rotation.nextTryAt',
      'rotation.attempts',
      'rotation.lastError',
      'rotation.escalation',
      'rotation.evidence',
    ])
}

/** Oldest first: ids sort by birth. */
export async function listRotations(db: Db, query: RotationQuery): Promise<Page<Rotation>> {
  let rows = rotations(db).orderBy('rotation.id')
  const after = idAfter(query.cursor)
  if (after !== undefined) rows = rows.where('rotation.id', '>', after)
  if (query.state) rows = rows.where('rotation.state', '=', query.state)
  if (query.open !== undefined) rows = rows.where('rotation.overAt', query.open ? 'is' : 'is not', null)
  if (query.target) rows = rows.where('target.name', '=', query.target)
  return pageAfter(await rows.limit(query.limit + 1).execute(), query.limit, (rotation) => rotation.id)
}

export async function readRotation(db: Db, id: string): Promise<Rotation> {
  const rotation = await rotations(db).where('rotation.id', '=', id).executeTakeFirst()
  if (!rotation) throw notFound('There is no such rotation.', { type: 'Rotation', id })
  return rotation
}

/** With who is known to use the login, and those of whom that was said no more since it began. */
export async function readRotationDetail(db: Db, id: string): Promise<RotationDetail> {
  const rotation = await readRotation(db, id)
  const { accountId, plannedAt } = rotation
  return { ...rotation, consumers: accountId === null ? [] : await standingConsumers(db, accountId, plannedAt) }
}

/** For `/metrics`: rotations that are not over, by who should know of it. */
export async function countRotations(db: Db): Promise<Readonly<Record<Rotation['escalation'], number>>> {
  const rows = await db
    .selectFrom('rotation')
    .select((each) => ['escalation', each.fn.countAll<number>().as('rotations')])
    .where('overAt', 'is', null)
    .groupBy('escalation')
    .execute()
  const counts = { none: 0, owner: 0, security: 0 }
  for (const { escalation, rotations: count } of rows) counts[escalation] = count
  return counts
}

/** For `/metrics`: logins that are given secret after secret which nobody takes up. */
export async function countAlarms(db: Db): Promise<number> {
  const { alarms } = await db
    .selectFrom('rotation')
    .select((each) => each.fn.countAll<number>().as('alarms'))
    .where('overAt', 'is', null)
    .where('alarmedAt', 'is not', null)
    .executeTakeFirstOrThrow()
  return alarms
}

/** Makes an open rotation due now. The worker of any node takes it. One that backs out keeps its pause: somebody may be at the target still. */
export async function resumeRotation(
  tx: Tx,
  needs: Pick<RotationNeeds, 'clock' | 'ledger'>,
  permit: Permit<'rotation.resume'>,
): Promise<Rotation> {
  const { id } = permit.resource
  const { state } = await readRotation(tx, id)
  if (state === 'aborting')
    throw conflict('It backs out by itself, once nobody can be at the target with it any more.', {
      type: 'Rotation',
      id,
      state,
    })
  const cause = await needs.ledger.record(tx, { ...actOf(permit), event: rotationWoken, facts: {} })
  const woken = await tx
    .updateTable('rotation')
    .set({ nextTryAt: needs.clock.now(), cause })
    .where('id', '=', id)
    .where('overAt', 'is', null)
    .where('state', '<>', 'aborting')
    .executeTakeFirst()
  if (woken.numUpdatedRows !== 1n) {
    throw conflict('Only a rotation that is not over can be carried on.', { type: 'Rotation', id, state })
  }
  return readRotation(tx, id)
}

/** What policies know of a rotation. */
export async function rotationResource(db: Db, id: string): Promise<Resource> {
  const row = await db
    .selectFrom('rotation')
    .innerJoin('target', 'target.id', 'rotation.targetId')
    .select(['rotation.state', 'rotation.startedById', 'target.environment', 'target.ownerTeam'])
    .where('rotation.id', '=', id)
    .executeTakeFirst()
  if (!row) throw notFound('There is no such rotation.', { type: 'Rotation', id })
  const { state, environment, ownerTeam, startedById } = row
  return {
    type: 'Rotation',
    id,
    attributes: {
      id,
      state,
      environment,
      ownerTeam: linkTo('Team', ownerTeam),
      ...(startedById !== null && { requestedBy: startedById }),
    },
  }
}
