/**
 * Things that a source posts by itself wait here until its scope is read, and are forgotten once they are in the inventory. Their ids stay for
 * longer than a thing may be late, so that one that is posted again is known: who posts repeats whatever was not answered.
 */
import { sql } from 'kysely'
import { tame, type Connector, type Posted, type Waiting } from '../../connectors/connector.ts'
import { secondsAfter } from '../../kernel/clock.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict } from '../../kernel/problem.ts'
import { scopeIdOf } from '../reading/close-scope.ts'
import type { InventoryNeeds } from '../needs.ts'
import type { Delivered, Delivery } from '../schemas.ts'
import { loadSource, type SourceRecord } from './source-records.ts'

/** What happened longer ago, or lies so far ahead, is not taken. */
const LATE_SECONDS = 3_600
/** Taken at the earliest an hour before it happened and at the latest an hour after, a thing cannot be taken again then. */
const KEPT_SECONDS = 3 * LATE_SECONDS
/** More than this waits for no source. */
const WAITING_MAX = 500_000
const READ_AT_ONCE = 2_000
/** Of one text of it. */
const TEXT_MAX = 4_000

/** Keeps what a source posts. What is there already, whatever became of it, is not kept again. */
export async function deliverToSource(
  db: Db,
  needs: Pick<InventoryNeeds, 'clock' | 'connectors'>,
  permit: Permit<'source.deliver'>,
  posted: Delivery,
): Promise<Delivered> {
  const source = await loadSource(db, permit.resource.id)
  const inbox = needs.connectors.get(source.connector)?.inbox
  if (source.state !== 'active' || !inbox)
    throw conflict('Nothing is posted for this source.', { type: 'Source', id: source.id, state: source.state })
  const { items, unread } = inbox.itemsOf(posted)
  const now = needs.clock.now()
  const [from, to] = [secondsAfter(now, -LATE_SECONDS), secondsAfter(now, LATE_SECONDS)]
  const inTime = items.filter(({ at }) => at >= from && at <= to)
  const refused = unread + items.length - inTime.length
  return transact(db, (tx) => keep(tx, { sourceId: source.id, now, items: inTime, refused }))
}

type Post = {
  readonly sourceId: string
  readonly now: Date
  readonly items: readonly Posted[]
  readonly refused: number
}

/** The inbox's row is held until the end, so places are taken in the order in which they can be seen. */
async function keep(tx: Tx, { sourceId, now, items, refused }: Post): Promise<Delivered> {
  await sql`insert into source_inbox (source_id) values (${sourceId}) on conflict do nothing`.execute(tx)
  const { rows: held } = await sql<{ place: string; room: string }>`
    select last_place as place, ${WAITING_MAX} - (last_place - read_place) as room
      from source_inbox
     where source_id = ${sourceId}
       for update`.execute(tx)
  const [place, room] = [Number(held[0]?.place ?? 0), Number(held[0]?.room ?? 0)]
  const json = storable(items.map(({ id, content }) => ({ id, content })))
  const { rows } = await sql<{ added: number; repeated: number }>`
    with posted as (
      select distinct on (p ->> 'id') p ->> 'id' as id, p -> 'content' as content, at
        from jsonb_array_elements(${json}::jsonb) with ordinality e (p, at)
       order by p ->> 'id', at
    ), fresh as (
      select p.id, p.content, row_number() over (order by p.at) as nth
        from posted p
       where not exists (select from delivery d where d.source_id = ${sourceId} and d.item_id = p.id)
    ), added as (
      insert into delivery (source_id, item_id, place, content, received_at)
      select ${sourceId}, id, ${place}::bigint + nth, content, ${now} from fresh where nth <= ${room}::bigint
      returning 1
    )
    select (select count(*)::int from added) as added, ${items.length}::int - (select count(*)::int from fresh) as repeated`.execute(
    tx,
  )
  const { added = 0, repeated = 0 } = rows[0] ?? {}
  const left = refused + items.length - repeated - added
  await sql`
    update source_inbox set last_place = last_place + ${added}, refused = refused + ${left}
     where source_id = ${sourceId}`.execute(tx)
  return { kept: added, repeated, refused: left }
}

/** One text that the database cannot keep, which whoever is watched may have chosen, would have all that is posted with it refused. */
function storable(posted: unknown): string {
  return JSON.stringify(posted, (_name, value: unknown) => (typeof value === 'string' ? tame(value, TEXT_MAX) : value))
}

/** What waits behind a place, oldest first. */
export async function waitingFor(db: Db, sourceId: string, after: number): Promise<Waiting> {
  const { rows: inbox } = await sql<{ refused: string }>`
    select refused from source_inbox where source_id = ${sourceId}`.execute(db)
  const { rows } = await sql<{ place: string; content: unknown }>`
    select place, content
      from delivery
     where source_id = ${sourceId} and place > ${after} and content is not null
     order by place
     limit ${READ_AT_ONCE}`.execute(db)
  return {
    items: rows.map(({ place, content }) => ({ place: Number(place), content })),
    refused: Number(inbox[0]?.refused ?? 0),
  }
}

/** Forgets what is in the inventory: what it said at once, its id when it can no more be posted again. */
export async function forgetRead(
  db: Db,
  {
    clock,
    connectors,
  }: { readonly clock: InventoryNeeds['clock']; readonly connectors: ReadonlyMap<string, Connector> },
  source: SourceRecord,
): Promise<void> {
  const inbox = connectors.get(source.connector)?.inbox
  if (!inbox) return
  const scope = await db
    .selectFrom('sourceScope')
    .select('cursor')
    .where('id', '=', scopeIdOf(source.id, inbox.scope))
    .executeTakeFirst()
  const place = inbox.placeOf(scope?.cursor ?? '')
  if (place === 0) return
  await transact(db, async (tx) => {
    await sql`
      update source_inbox set read_place = greatest(read_place, ${place}) where source_id = ${source.id}`.execute(tx)
    await sql`
      delete from delivery
       where source_id = ${source.id} and place <= ${place}
         and received_at < ${secondsAfter(clock.now(), -KEPT_SECONDS)}`.execute(tx)
    await sql`
      update delivery set content = null
       where source_id = ${source.id} and place <= ${place} and content is not null`.execute(tx)
  })
}

/** Forgets what was posted for a source that nobody reads any more. */
export async function forgetAll(tx: Tx, sourceId: string): Promise<void> {
  await tx.deleteFrom('delivery').where('sourceId', '=', sourceId).execute()
}
