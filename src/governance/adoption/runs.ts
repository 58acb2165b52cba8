import { sql } from 'kysely'
import { z } from 'zod'
import { claimFoundAccounts } from '../../catalog/catalog.ts'
import {
  actOf,
  endDiscovered,
  enterDiscoveredBy,
  type Entering,
  type IdentityNeeds,
} from '../../identities/identities.ts'
import { coverageOf, keepAdoptions, loadSource, lockResolution } from '../../inventory/inventory.ts'
import { canonicalJson } from '../../kernel/canonical-json.ts'
import { sha256 } from '../../kernel/crypto.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import { idAfter, pageAfter } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { newId } from '../../kernel/random.ts'
import { batchAdopted, batchUnadopted } from './events.ts'
import { LEFT, LEFT_WHYS } from './filter.ts'
import { countThings, draftOf, findThings, isMeant, judgeThings, type Place, type Thing } from './found.ts'
import { AdoptionRule, type AdoptionRun, type AdoptionRunPage } from './run-contract.ts'
import { giveBack } from './give-back.ts'

/** Of one transaction with one entry that names each of them: an entry has 64 KiB. */
export const BATCH = 500

type Needs = IdentityNeeds
type Act = Permit<'adoption.start'> | Permit<'adoption.continue'>

/** Begins an act by a rule, and does its first batch. */
export async function startAdoption(
  tx: Tx,
  needs: Needs,
  permit: Permit<'adoption.start'>,
  rule: AdoptionRule,
): Promise<AdoptionRun> {
  await lockResolution(tx)
  const ofAbout = await countThings(tx, await queryOf(tx, rule))
  const id = newId(needs.clock, needs.random)
  const batch = await planBatch(tx, needs, permit, { runId: id, number: 1, rule })
  const now = needs.clock.now()
  await tx
    .insertInto('adoptionRun')
    .values({
      id,
      rule: JSON.stringify(rule),
      byId: permit.subject.id,
      ofAbout,
      startedAt: now,
      lastAt: now,
      endedAt: batch.isLast ? now : null,
      state: batch.isLast ? 'done' : 'running',
      lookedAt: batch.lookedAt,
      adopted: batch.adopted,
      unmatched: batch.unmatched,
      leftOut: JSON.stringify(batch.left),
      afterThing: batch.after?.thingId ?? null,
      afterSource: batch.after?.sourceId ?? null,
      cause: batch.cause,
    })
    .execute()
  await enterBatch(tx, needs, id, batch)
  return readRun(tx, id)
}

/** Does the next batch, from where whoever went on last left it; nothing where it is done. */
export async function continueAdoption(
  tx: Tx,
  needs: Needs,
  permit: Permit<'adoption.continue'>,
  id: string,
): Promise<AdoptionRun> {
  const run = await lockRun(tx, id)
  if (run.state === 'done') return readRun(tx, id)
  if (run.state !== 'running') throw conflict('It does not go on.', { type: 'AdoptionRun', id, state: run.state })
  await lockResolution(tx)
  const { afterThing, afterSource } = run
  const after = afterThing !== null && afterSource !== null ? { thingId: afterThing, sourceId: afterSource } : undefined
  const batch = await planBatch(tx, needs, permit, {
    runId: id,
    number: run.version + 1,
    rule: Rule.parse(run.rule),
    after,
  })
  const left: Record<string, number> = { ...Counts.parse(run.leftOut) }
  for (const [why, count] of Object.entries(batch.left)) left[why] = (left[why] ?? 0) + count
  const now = needs.clock.now()
  await tx
    .updateTable('adoptionRun')
    .set({
      state: batch.isLast ? 'done' : 'running',
      lookedAt: run.lookedAt + batch.lookedAt,
      adopted: run.adopted + batch.adopted,
      unmatched: run.unmatched + batch.unmatched,
      leftOut: JSON.stringify(left),
      ...(batch.after && { afterThing: batch.after.thingId, afterSource: batch.after.sourceId }),
      lastAt: now,
      endedAt: batch.isLast ? now : null,
      version: run.version + 1,
      cause: batch.cause,
    })
    .where('id', '=', id)
    .execute()
  await enterBatch(tx, needs, id, batch)
  return readRun(tx, id)
}

const Rule = AdoptionRule
const Counts = z.record(z.string(), z.number())

async function queryOf(tx: Tx, { source, ...rule }: AdoptionRule) {
  return { ...rule, sourceId: source === undefined ? undefined : (await loadSource(tx, source)).id }
}

type Batch = {
  readonly runId: string
  readonly number: number
  readonly rule: AdoptionRule
  readonly after?: Place | undefined
}

/** What of the next things is meant and can be adopted, and the entry that says so; nothing of it is done yet. */
async function planBatch(tx: Tx, needs: Needs, permit: Act, { runId, number, rule, after }: Batch) {
  const things = await findThings(tx, { ...(await queryOf(tx, rule)), after }, BATCH)
  const every = await judgeThings(tx, needs.clock, things)
  const left: Record<string, number> = {}
  const taken: { readonly thing: Thing; readonly entering: Entering }[] = []
  let unmatched = 0
  for (const each of every) {
    const draft = isMeant(each, rule) ? draftOf(each, rule) : undefined
    if (!draft) unmatched += 1
    else if ('why' in draft) left[draft.why] = (left[draft.why] ?? 0) + 1
    else taken.push({ thing: each.thing, entering: { ...draft, id: newId(needs.clock, needs.random) } })
  }
  const isLast = things.length < BATCH
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: batchAdopted,
    facts: {
      runId,
      batch: number,
      rule: canonicalJson(rule),
      things: taken.map(({ thing, entering }) => `${thing.thingId}=${entering.id}`),
      recordsSha256: sha256(canonicalJson(taken.map(({ entering }) => entering))).toString('hex'),
      left: Object.values(left).reduce((sum, count) => sum + count, 0),
      unmatched,
      isLast,
    },
  })
  return { cause, isLast, lookedAt: things.length, adopted: taken.length, unmatched, left, after: things.at(-1), taken }
}

async function enterBatch(
  tx: Tx,
  needs: Needs,
  runId: string,
  { cause, taken }: Awaited<ReturnType<typeof planBatch>>,
): Promise<void> {
  await enterDiscoveredBy(
    tx,
    needs,
    cause,
    taken.map(({ entering }) => entering),
  )
  const claimed = await claimFoundAccounts(
    tx,
    taken.map(({ thing, entering }) => ({ accountIds: thing.accountIds, identityId: entering.id, cause })),
  )
  await keepAdoptions(
    tx,
    needs,
    taken.map(({ thing: { thingId, sourceId }, entering: { id: identityId, evidence } }) => ({
      runId,
      thingId,
      sourceId,
      identityId,
      evidence,
      accountIds: claimed.get(identityId) ?? [],
      cause,
    })),
  )
}

/**
 * Takes the next batch of it back: what is still only discovered. What a person accepted to answer for meanwhile, or acts, stays and is given back
 * one by one, by whoever looks at it.
 */
export async function undoAdoption(
  tx: Tx,
  needs: Needs,
  permit: Permit<'adoption.undo'>,
  { id, reason }: { readonly id: string; readonly reason: string },
): Promise<AdoptionRun> {
  const run = await lockRun(tx, id)
  if (run.state === 'undone')
    throw conflict('It was taken back already.', { type: 'AdoptionRun', id, state: run.state })
  await lockResolution(tx)
  const found = await tx
    .selectFrom('adoption as d')
    .innerJoin('identity as i', 'i.id', 'd.identityId')
    .select(['d.identityId', 'd.accountIds'])
    .where('d.runId', '=', id)
    .where('d.state', '=', 'active')
    .where('i.state', '=', 'discovered')
    .orderBy('d.identityId')
    .limit(BATCH)
    .modifyEnd(sql`for update of i`)
    .execute()
  const isLast = found.length < BATCH
  const standing = isLast ? await standingOf(tx, id) : found.length
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: batchUnadopted,
    facts: {
      runId: id,
      identityIds: found.map(({ identityId }) => identityId),
      kept: standing - found.length,
      isLast,
      reason,
    },
  })
  if (found.length > 0) {
    const ids = found.map(({ identityId }) => identityId)
    await giveBack(tx, needs, cause, found)
    await endDiscovered(tx, needs, { ids, cause })
  }
  const now = needs.clock.now()
  await tx
    .updateTable('adoptionRun')
    .set({
      state: isLast ? 'undone' : 'undoing',
      undone: run.undone + found.length,
      lastAt: now,
      endedAt: isLast ? now : null,
      version: run.version + 1,
      cause,
    })
    .where('id', '=', id)
    .execute()
  return readRun(tx, id)
}

async function standingOf(tx: Tx, id: string): Promise<number> {
  const { count } = await tx
    .selectFrom('adoption')
    .select((is) => is.fn.countAll<number>().as('count'))
    .where('runId', '=', id)
    .where('state', '=', 'active')
    .executeTakeFirstOrThrow()
  return count
}

async function lockRun(tx: Tx, id: string) {
  const run = await tx.selectFrom('adoptionRun').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  if (!run) throw unheardOf(id)
  return run
}

function unheardOf(id: string) {
  return notFound('There is no such adoption by a rule.', { type: 'AdoptionRun', id })
}

function runs(db: Db) {
  return db
    .selectFrom('adoptionRun as r')
    .innerJoin('identity as i', 'i.id', 'r.byId')
    .select(['r.id', 'r.rule', 'i.name as by', 'r.state', 'r.lookedAt', 'r.ofAbout', 'r.adopted', 'r.unmatched'])
    .select(['r.leftOut', 'r.undone', 'r.startedAt', 'r.lastAt', 'r.endedAt'])
}

type Row = Awaited<ReturnType<ReturnType<typeof runs>['executeTakeFirstOrThrow']>>

function runOf({ rule, leftOut, ...row }: Row): AdoptionRun {
  const counts = Counts.parse(leftOut)
  const left = LEFT_WHYS.flatMap((why) => {
    const count = counts[why]
    return count === undefined ? [] : [{ why, words: LEFT[why], count }]
  })
  return { ...row, rule: Rule.parse(rule), left }
}

async function readRun(db: Db, id: string): Promise<AdoptionRun> {
  const row = await runs(db).where('r.id', '=', id).executeTakeFirst()
  if (!row) throw unheardOf(id)
  return runOf(row)
}

/** The last one first. */
export async function listRuns(
  db: Db,
  clock: Needs['clock'],
  { cursor, limit }: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<AdoptionRunPage> {
  const after = idAfter(cursor)
  let rows = runs(db)
  if (after !== undefined) rows = rows.where('r.id', '<', after)
  const found = await rows
    .orderBy('r.id', 'desc')
    .limit(limit + 1)
    .execute()
  const { items, nextCursor } = pageAfter(found.map(runOf), limit, ({ id }) => id)
  return { items, nextCursor, coverage: await coverageOf(db, clock) }
}
