import type { z } from 'zod'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { reachLedger } from './fault-points.ts'
import type { Appender } from './appender.ts'
import type { Fact, Needs } from './fact.ts'
import { hasPersonal, leafOf, leafText } from './leaf.ts'
import { sealPersonal } from './personal.ts'

/** Opened once per node and handed to every domain. */
export type Ledger = {
  /** Inserts the entry that explains the change this transaction makes and returns its id, to be stored as `cause`. */
  record<Shape extends z.ZodRawShape>(tx: Tx, fact: Fact<Shape>): Promise<number>
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

export function openLedger(needs: Needs, observing?: Observing): Ledger {
  const record: Ledger['record'] = async (tx, fact) => {
    const at = needs.clock.now()
    const leaf = leafOf(needs.random, fact, at)
    const row = await tx
      .insertInto('ledgerEntry')
      .values({
        // The trigger replaces it by the transaction's own.
        xid: '0',
        at,
        kind: fact.event.kind,
        actorId: fact.actor.id,
        resourceId: isUuid(fact.resource.id) ? fact.resource.id : null,
        grantId: fact.grantId ?? null,
        leaf: leaf.bytes,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    const subjectId = fact.subjectId ?? fact.actor.id
    await sealPersonal(tx, needs, { entryId: row.id, subjectId, openings: leaf.openings })
    await reachLedger('ledger.recorded')
    observing?.onRecorded?.()
    return row.id
  }
  return {
    record,
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

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)
}
