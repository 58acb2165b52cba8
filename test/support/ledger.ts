import { randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import { z } from 'zod'
import { systemClock } from '../../src/kernel/clock.ts'
import { event, personal, shown } from '../../src/kernel/event.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { systemRandom } from '../../src/kernel/random.ts'
import { sealUnder } from '../../src/kernel/seal.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { openAppender, type AppenderOptions } from '../../src/ledger/appender.ts'
import { openLedger, type Fact, type Ledger, type Needs } from '../../src/ledger/ledger.ts'
import type { TestDatabase } from './database.ts'

export const thingSeen = event('thing.seen', 'Something was seen.', { what: shown(z.string()), count: shown(z.int()) })
export const personNamed = event('person.named', 'Somebody was named.', { email: personal(z.email()) })

/** Needs of a ledger whose root key is the same byte 32 times, so that two of them open each other's seals. */
export function ledgerNeeds(): Needs {
  return { clock: systemClock, random: systemRandom, seal: sealUnder(new Secret(Buffer.alloc(32, 7))) }
}

/** A ledger that records and observes, flushed and closed when the test ends. */
export async function openTestLedger(
  t: Pick<TestContext, 'after'>,
  database: TestDatabase,
  options: Partial<AppenderOptions> = {},
): Promise<{ ledger: Ledger; needs: Needs; close: () => Promise<void> }> {
  const needs = ledgerNeeds()
  const appender = await openAppender({
    connection: database.server,
    nodeId: randomUUID(),
    ...needs,
    log: silentLog,
    ...options,
  })
  let closing: Promise<void> | undefined
  const close = () => (closing ??= Promise.resolve(appender[Symbol.asyncDispose]()))
  t.after(close)
  return { ledger: openLedger(needs, { appender, db: database.db }), needs, close }
}

/** A fact that names nobody. */
export function seen(what: string, count = 1): Fact<typeof thingSeen.facts.shape> {
  return {
    event: thingSeen,
    actor: { id: null, kind: 'system' },
    resource: { type: 'Thing', id: 'thing' },
    outcome: 'done',
    facts: { what, count },
  }
}
