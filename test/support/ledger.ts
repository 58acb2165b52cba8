import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { z } from 'zod'
import { systemClock } from '../../src/kernel/clock.ts'
import { clientConfig, type Connection, type Db } from '../../src/kernel/db.ts'
import { event, personal, shown } from '../../src/kernel/event.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { systemRandom } from '../../src/kernel/random.ts'
import { sealUnder } from '../../src/kernel/seal.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { openAppender, type AppenderOptions } from '../../src/ledger/appender.ts'
import { openLedger, type Ledger } from '../../src/ledger/entry.ts'
import type { Fact, Needs } from '../../src/ledger/fact.ts'
import { exportLogs } from '../../src/ledger/read.ts'
import { listLogs } from '../../src/ledger/logs.ts'
import { openSequencer, type Sequencer, type SequencerOptions } from '../../src/ledger/sequencer.ts'
import { writeExport } from '../../src/ledger/tree/export.ts'
import { formatVerifierKey } from '../../src/ledger/tree/note.ts'
import { verifyExport, type Report, type VerifyOptions } from '../../verifier/verify.ts'
import { sleep } from '../../src/kernel/timer.ts'
import type { TestDatabase } from './database.ts'
import { inPieces } from './ledger-export.ts'

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

/** One plain connection, for looking and for attacks. */
export async function rawClient(t: Pick<TestContext, 'after'>, connection: Connection): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(connection))
  // Its database is dropped under it at the end.
  client.on('error', () => undefined)
  await client.connect()
  t.after(() => client.end().catch(() => undefined))
  return client
}

/** A file of this test's own for the checkpoint outside the database. */
export function outsideFile(t: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-outside-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'checkpoint')
}

/** A sequencer that stops with the test, or before by its disposal. */
export function openTestSequencer(
  t: Pick<TestContext, 'after'>,
  connection: Connection,
  checkpointFile: string,
  options: Partial<SequencerOptions> = {},
): Sequencer {
  const sequencer = openSequencer({
    ...ledgerNeeds(),
    connection,
    log: silentLog,
    origin: 'log.test/ledger',
    checkpointFile,
    ...options,
  })
  t.after(() => sequencer[Symbol.asyncDispose]())
  return sequencer
}

/** Looks until it is so. */
export async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await sleep(10)
}

/** Resolves when everything committed has its leaf and is signed for. */
export async function allPlaced(db: Db): Promise<void> {
  await until(async () => {
    const pending = await db.selectFrom('ledgerPending').select('id').limit(1).execute()
    return pending.length === 0
  })
}

/** The export of a database, verified by the program of its own. */
export async function verified(
  db: Db,
  options: Partial<VerifyOptions> = {},
): Promise<{ report: Report; text: string; leaves: unknown[] }> {
  const keys = (await listLogs(db)).map(({ key }) => formatVerifierKey(key))
  const text = (await Array.fromAsync(writeExport(exportLogs(db)))).join('')
  const report = await verifyExport({ source: inPieces(text, 65_536), keys, ...options })
  const leaves = text
    .split('\n')
    .filter((line) => line.startsWith('{"leaf"'))
    .map((line) => JSON.parse(Buffer.from(JSON.parse(line).data, 'base64').toString('utf8')))
  return { report, text, leaves }
}
