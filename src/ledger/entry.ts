import { sql } from 'kysely'
import type { z } from 'zod'
import { copyLine } from '../kernel/copy.ts'
import { copyInto, transact, type Db, type Tx } from '../kernel/db.ts'
import { reachLedger } from './fault-points.ts'
import type { Appender } from './appender.ts'
import type { Fact, Needs } from './fact.ts'
import { hasPersonal, leafOf, leafText } from './leaf.ts'
import { sealPersonal } from './personal.ts'

/** Opened once per node and handed to every domain. */
export type Ledger = {
  /** Inserts the entry that explains the change this transaction makes and returns its id, to be stored as `cause`. */
  record<Shape extends z.ZodRawShape>(tx: Tx, fact: Fact<Shape>): Promise<number>
  /** The same for many, whose entries are written together; the ids are in the order of the facts. */
  recordAll(tx: Tx, facts: readonly Fact[]): Promise<number[]>
  /**
   * Enters what changed nothing here (a decision, an operation, a seal) and resolves when it is durable. Rejects with `unavailable` when
   * the database cannot keep up or does not answer; the entry may be durable nevertheless. Events with personal fields cost a row and a
   * commit each, the others share theirs.
   */
  observe<Shape extends z.ZodRawShape>(fact: Fact<Shape>): Promise<void>
}

/** What observing needs; a ledger opened without it records causes only. */
export type Observing = {
  readonly appender: Appender
  readonly db: Db
  /** Called when a cause was written, before its commit: there will be something to place. */
  readonly onRecorded?: () => void
}

/** Rows of one statement: a few megabytes of text that are held at once. */
const MOST_AT_ONCE = 10_000
/** From here on COPY is cheaper than parameters, though it has to ask for the ids first. */
const COPIED_FROM = 20
const COPIED = ['id', 'xid', 'at', 'kind', 'actor_id', 'resource_id', 'grant_id', 'leaf']

export function openLedger(needs: Needs, observing?: Observing): Ledger {
  const recordAll = async (tx: Tx, facts: readonly Fact[]): Promise<number[]> => {
    const at = needs.clock.now()
    const ids: number[] = []
    for (let from = 0; from < facts.length; from += MOST_AT_ONCE) {
      const part = facts
        .slice(from, from + MOST_AT_ONCE)
        .map((fact) => ({ fact, leaf: leafOf(needs.random, fact, at) }))
      const made = await insertAll(
        tx,
        part.map(({ fact, leaf }) => rowOf(fact, at, leaf.bytes)),
      )
      for (const [index, { fact, leaf }] of part.entries()) {
        const entryId = made[index]
        if (entryId === undefined) throw new Error('an entry was not written')
        await sealPersonal(tx, needs, {
          entryId,
          subjectId: fact.subjectId ?? fact.actor.id,
          openings: leaf.openings,
        })
        ids.push(entryId)
      }
    }
    if (facts.length > 0) {
      await reachLedger('ledger.recorded')
      observing?.onRecorded?.()
    }
    return ids
  }
  const record: Ledger['record'] = async (tx, fact) => {
    const [id] = await recordAll(tx, [fact])
    if (id === undefined) throw new Error('an entry was not written')
    return id
  }
  return {
    record,
    recordAll,
    observe(fact) {
      if (!observing) return Promise.reject(new Error('this ledger was opened to record causes only'))
      const { appender, db } = observing
      if (hasPersonal(fact.event.facts)) return transact(db, async (tx) => void (await record(tx, fact)))
      try {
        const at = needs.clock.now()
        return appender.append(leafText(needs.random, fact, at).text, at)
      } catch (error) {
        return Promise.reject(error)
      }
    },
  }
}

type Row = ReturnType<typeof rowOf>

/** The ids of the rows, in their order. */
async function insertAll(tx: Tx, rows: readonly Row[]): Promise<number[]> {
  if (rows.length < COPIED_FROM) {
    const inserted = await tx.insertInto('ledgerEntry').values(rows).returning('id').execute()
    // The sequence gives ids in the order of the rows, whatever order they come back in.
    return inOrder(inserted)
  }
  const { rows: next } = await sql<{ id: number }>`
    select nextval((select pg_get_serial_sequence('public.ledger_entry', 'id')::regclass)) as id from generate_series(1, ${rows.length})`.execute(
    tx,
  )
  const ids = inOrder(next)
  // PostgreSQL, COPY, Notes: values that are given for an identity column are always used.
  const lines = rows.map(({ xid, at, kind, actorId, resourceId, grantId, leaf }, place) =>
    copyLine([ids[place], xid, at, kind, actorId, resourceId, grantId, leaf]),
  )
  await copyInto(tx, { table: 'ledger_entry', columns: COPIED }, lines)
  return ids
}

function inOrder(rows: readonly { readonly id: number }[]): number[] {
  return rows.map(({ id }) => id).sort((a, b) => a - b)
}

function rowOf({ event, actor, resource, grantId }: Fact, at: Date, leaf: Buffer) {
  return {
    // The trigger replaces it by the transaction's own.
    xid: '0',
    at,
    kind: event.kind,
    actorId: actor.id,
    resourceId: isUuid(resource.id) ? resource.id : null,
    grantId: grantId ?? null,
    leaf,
  }
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
}
