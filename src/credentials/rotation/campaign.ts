import { sql } from 'kysely'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { actOf } from '../../identities/identities.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import type { Campaign, ResumeMany, StartMany } from './contract.ts'
import { campaignMoved, campaignResumed, campaignStarted } from './events.ts'
import type { RotationNeeds } from './needs.ts'
import { hasOpenRotation, planRotation, rotatable } from './plan.ts'

/** More than that is more than one order. */
const MOST_LOGINS = 10_000
/** A rotation that failed that often stands in the way; before that a target may just be slow. */
const FAILING_ATTEMPTS = 3

/**
 * Orders the rotation of many logins. What reaches most goes first: the lower tier number, then the more consumers. Nothing is started here: the worker
 * starts as many at once at one target as was said, and stops starting when more fail than may.
 */
export async function startMany(
  tx: Tx,
  needs: RotationNeeds,
  permit: Permit<'rotation.start-many'>,
  input: StartMany,
): Promise<Campaign> {
  const { endSessions, perTarget, mostFailures, reason } = input
  const ordered = await chosen(tx, input)
  const facts = { logins: ordered.length, perTarget, mostFailures, reason }
  const id = newId(needs.clock, needs.random)
  const resource = { type: 'Installation', id: permit.resource.id }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), resource, event: campaignStarted, facts })
  await tx
    .insertInto('rotationCampaign')
    .values({
      id,
      startedById: permit.subject.id,
      reason,
      endsSessions: endSessions,
      perTarget,
      mostFailures,
      state: 'running',
      startedAt: needs.clock.now(),
      cause,
    })
    .execute()
  const tasks = ordered.map((login, place) => ({
    campaignId: id,
    place,
    targetId: login.targetId,
    accountId: login.id,
    cause,
  }))
  for (let at = 0; at < tasks.length; at += 1_000) {
    await tx
      .insertInto('rotationTask')
      .values(tasks.slice(at, at + 1_000))
      .execute()
  }
  return readMany(tx, id)
}

/** What was asked for, in the order in which it is rotated. */
async function chosen(tx: Tx, input: StartMany) {
  const { ownerTeam, target, host, business, vendor } = input
  if ([ownerTeam, target, host, business, vendor].every((each) => each === undefined)) {
    throw invalid('target', 'say of which owner, target, host, business service or vendor')
  }
  let rows = tx
    .selectFrom('account')
    .innerJoin('target', 'target.id', 'account.targetId')
    .select(['account.id', 'account.targetId', 'account.tier', 'account.name'])
    .select((row) =>
      row
        .selectFrom('credentialConsumer')
        .select((each) => each.fn.countAll<number>().as('count'))
        .whereRef('credentialConsumer.accountId', '=', 'account.id')
        .where('credentialConsumer.withdrawnAt', 'is', null)
        .as('consumers'),
    )
    .where('account.mode', '=', 'static')
    .where('account.state', '=', 'active')
    .where('target.state', '=', 'active')
  if (ownerTeam !== undefined) rows = rows.where('target.ownerTeam', '=', ownerTeam)
  if (target !== undefined) rows = rows.where('target.name', '=', target)
  if (business !== undefined) rows = rows.where('target.businessService', '=', business)
  if (vendor !== undefined) {
    const theirs = tx.selectFrom('identity').select('identity.id').where('identity.vendor', '=', vendor)
    rows = rows.where('account.identityId', 'in', theirs)
  }
  if (host !== undefined) rows = rows.where(sql<boolean>`target.settings ->> 'host' = ${host}`)
  const logins = await rows.limit(MOST_LOGINS + 1).execute()
  if (logins.length === 0) throw invalid('target', 'Reeve keeps no login there')
  if (logins.length > MOST_LOGINS)
    throw invalid('target', `these are more than ${MOST_LOGINS} logins: order them in parts`)
  return logins.toSorted((a, b) => a.tier - b.tier || (b.consumers ?? 0) - (a.consumers ?? 0) || (a.id < b.id ? -1 : 1))
}

/** How far it is. */
export async function readMany(db: Db, id: string): Promise<Campaign> {
  const row = await db
    .selectFrom('rotationCampaign')
    .select(['id', 'state', 'startedById', 'reason', 'perTarget', 'mostFailures', 'startedAt', 'overAt'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) throw notFound('There is no such rotation of many.', { type: 'Rotation', id })
  return { ...row, ...(await progressOf(db, id)) }
}

type Progress = Pick<Campaign, 'logins' | 'started' | 'dead' | 'failing'>

async function progressOf(db: Db, id: string): Promise<Progress> {
  const { logins, started, dead, failing } = await db
    .selectFrom('rotationTask')
    .leftJoin('rotation', 'rotation.id', 'rotationTask.rotationId')
    .select((row) => [
      row.fn.countAll<number>().as('logins'),
      row.fn.count<number>('rotationTask.rotationId').as('started'),
      row.fn.countAll<number>().filterWhere('rotation.state', '=', 'dead').as('dead'),
      row.fn
        .countAll<number>()
        .filterWhere((task) =>
          task.or([
            task('rotationTask.refusal', 'is not', null),
            task('rotation.state', 'in', ['aborting', 'aborted', 'superseded']),
            task.and([
              task('rotation.overAt', 'is', null),
              task('rotation.lastError', 'is not', null),
              task('rotation.attempts', '>=', FAILING_ATTEMPTS),
            ]),
          ]),
        )
        .as('failing'),
    ])
    .where('rotationTask.campaignId', '=', id)
    .executeTakeFirstOrThrow()
  return { logins, started, dead, failing }
}

/** Lets one go on that stopped: from now on so many may fail. */
export async function resumeMany(
  tx: Tx,
  needs: RotationNeeds,
  permit: Permit<'rotation.resume-many'>,
  id: string,
  { mostFailures, reason }: ResumeMany,
): Promise<Campaign> {
  const { state } = await readMany(tx, id)
  const resource = { type: 'Installation', id: permit.resource.id }
  const facts = { mostFailures, reason }
  const cause = await needs.ledger.record(tx, { ...actOf(permit), resource, event: campaignResumed, facts })
  const resumed = await tx
    .updateTable('rotationCampaign')
    .set({ state: 'running', mostFailures, cause })
    .where('id', '=', id)
    .where('state', '=', 'stopped')
    .executeTakeFirst()
  if (resumed.numUpdatedRows !== 1n) {
    throw conflict('Only one that stopped goes on.', { type: 'Rotation', id, state })
  }
  return readMany(tx, id)
}

/** Moves every running campaign on: starts what may be started now, or stops it. One that another worker holds is left to it. */
export async function moveCampaigns(db: Db, needs: RotationNeeds): Promise<void> {
  const running = await db.selectFrom('rotationCampaign').select('id').where('state', '=', 'running').execute()
  for (const { id } of running) {
    try {
      await transact(db, (tx) => moveOn(tx, needs, id))
    } catch (error) {
      needs.log.error({ err: error, campaignId: id }, 'a rotation of many could not be moved on and is tried again')
    }
  }
}

async function moveOn(tx: Tx, needs: RotationNeeds, id: string): Promise<void> {
  const campaign = await tx
    .selectFrom('rotationCampaign')
    .selectAll()
    .where('id', '=', id)
    .where('state', '=', 'running')
    .forUpdate()
    .skipLocked()
    .executeTakeFirst()
  if (!campaign) return
  const before = await progressOf(tx, id)
  const enter = async (state: Campaign['state'], facts: Progress) =>
    needs.ledger.record(tx, {
      event: campaignMoved,
      actor: SYSTEM,
      resource: { type: 'Installation', id: campaign.id },
      outcome: state === 'stopped' ? 'failed' : 'done',
      facts: { state, ...facts },
    })
  if (before.failing > campaign.mostFailures) {
    const cause = await enter('stopped', before)
    await tx.updateTable('rotationCampaign').set({ state: 'stopped', cause }).where('id', '=', id).execute()
    return
  }
  const room = await nextOnes(tx, id, campaign.perTarget)
  if (room.length > 0) {
    const cause = await enter('running', before)
    for (const task of room) await startTask(tx, needs, { campaign, task, cause })
    return
  }
  const open = await tx
    .selectFrom('rotationTask')
    .leftJoin('rotation', 'rotation.id', 'rotationTask.rotationId')
    .select('rotationTask.place')
    .where('rotationTask.campaignId', '=', id)
    .where('rotationTask.refusal', 'is', null)
    .where('rotation.overAt', 'is', null)
    .limit(1)
    .executeTakeFirst()
  if (open) return
  const cause = await enter('over', before)
  const over = { state: 'over', overAt: needs.clock.now(), cause } as const
  await tx.updateTable('rotationCampaign').set(over).where('id', '=', id).execute()
}

type Task = { readonly place: number; readonly targetId: string; readonly accountId: string | null }

/** The next ones in order, as many at each target as are free there. */
async function nextOnes(tx: Tx, id: string, perTarget: number): Promise<Task[]> {
  const { rows } = await sql<Task>`
    select place, target_id as "targetId", account_id as "accountId" from (
      select t.place, t.target_id, t.account_id,
             row_number() over (partition by t.target_id order by t.place) as rank,
             (select count(*) from rotation r where r.target_id = t.target_id and r.over_at is null) as busy
        from rotation_task t where t.campaign_id = ${id} and t.rotation_id is null and t.refusal is null) waiting
     where rank + busy <= ${perTarget} order by place limit 100`.execute(tx)
  return rows
}

type Starting = {
  readonly campaign: {
    readonly id: string
    readonly startedById: string
    readonly endsSessions: boolean
  }
  readonly task: Task
  readonly cause: number
}

async function startTask(tx: Tx, needs: RotationNeeds, { campaign, task, cause }: Starting): Promise<void> {
  const set = (values: { rotationId: string } | { refusal: string }) =>
    tx
      .updateTable('rotationTask')
      .set({ ...values, cause })
      .where('campaignId', '=', campaign.id)
      .where('place', '=', task.place)
      .execute()
  const login = await rotatable(tx, needs, task)
  if ('why' in login) return void (await set({ refusal: login.why }))
  if (await hasOpenRotation(tx, task)) return void (await set({ refusal: 'Another rotation of it is under way.' }))
  const by = { actor: SYSTEM, occasion: 'campaign', campaignId: campaign.id } as const
  const { startedById, endsSessions } = campaign
  // Why is said once, of the whole order.
  const rotationId = await planRotation(tx, needs, login, { ...by, startedById, endsSessions, reason: null })
  await set({ rotationId })
}
