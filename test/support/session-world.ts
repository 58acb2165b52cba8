import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { transact } from '../../src/kernel/db.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { mintPermit, type Permit } from '../../src/kernel/permit.ts'
import type { PlayedLine } from '../../src/sessions/contract.ts'
import { openLiveSessions, type LiveSessions } from '../../src/sessions/live.ts'
import { unpackFrames } from '../../src/sessions/recording/frames.ts'
import { folderStore, type RecordingStore } from '../../src/sessions/recording/store.ts'
import type { OperationRecord } from '../../src/sessions/recording/tally.ts'
import { findSession } from '../../src/sessions/records.ts'
import { openSession } from '../../src/sessions/row.ts'
import type { RunningSession } from '../../src/sessions/running.ts'
import { freshDatabase } from './database.ts'
import { addGrant, addNode, type GrantedOptions } from './granted.ts'
import { openTestLedger } from './ledger.ts'

export const SECRET = 'hunter2-is-my-password'

/** A database, a node with its live sessions, and a folder of recordings. */
export async function sessionWorld(
  t: TestContext,
  options: { store?: (inner: RecordingStore) => RecordingStore } = {},
) {
  // The runner calls hooks in the order they came; what was opened last closes first.
  const closing: (() => unknown)[] = []
  const last = { after: (close: () => unknown) => void closing.unshift(close) }
  t.after(async () => {
    for (const close of closing) await close()
  })
  const database = await freshDatabase(last)
  const { db } = database
  const nodeId = await addNode(db)
  const { ledger, needs: ledgerNeeds } = await openTestLedger(last, database, { nodeId })
  const folder = await mkdtemp(join(tmpdir(), 'reeve-test-'))
  last.after(() => rm(folder, { recursive: true, force: true }))
  const inner = folderStore(folder)
  const store = options.store?.(inner) ?? inner
  const needs = { ...ledgerNeeds, db, ledger, log: silentLog, store, nodeId }
  const live = openLiveSessions(needs)
  last.after(async () => live[Symbol.asyncDispose]())
  const begin = async (given: GrantedOptions = {}, by: { live: LiveSessions; nodeId: string } = { live, nodeId }) => {
    const granted = await addGrant(db, ledger, given)
    const opening = { ...granted, gateway: 'postgres', clientAddress: '192.0.2.7' }
    const opened = await transact(db, (tx) => openSession(tx, { ...needs, nodeId: by.nodeId }, opening))
    return { granted, session: await by.live.run(opened) }
  }
  return { db, needs, live, folder, ledger, begin }
}

/** One finished operation with a value that must not travel. */
export function operation(more: Partial<OperationRecord> = {}): OperationRecord {
  return {
    startedAt: new Date(),
    durationMs: 1.25,
    action: 'postgres.read',
    label: 'SELECT',
    statement: 'select * from login where password = $1',
    sealed: [SECRET],
    outcome: 'done',
    rows: 2,
    sizeBytes: 100,
    ...more,
  }
}

export async function collect(lines: AsyncIterable<PlayedLine>): Promise<PlayedLine[]> {
  return Array.fromAsync(lines)
}

/** As the decision point would give it. */
export function permit<A extends string>(action: A, sessionId: string, subjectId: string): Permit<A> {
  return mintPermit({
    action,
    subject: { type: 'Person', id: subjectId },
    onBehalfOf: [],
    resource: { type: 'Session', id: sessionId },
    policyEpoch: 'p1',
    decisionId: 'd1',
    evaluatedAt: new Date(),
  })
}

/** Where a session's recording is. */
export async function fileOf(w: SessionWorld, session: RunningSession): Promise<string> {
  const { recording } = await findSession(w.db, session.id)
  return join(w.folder, recording ?? '')
}

export type SessionWorld = Awaited<ReturnType<typeof sessionWorld>>

/** The lines of a recording as text. */
export async function unpacked(path: string): Promise<string> {
  const stored = await readFile(path)
  async function* pieces() {
    yield stored
  }
  let text = ''
  for await (const { content } of unpackFrames(pieces())) text += content.toString('utf8')
  return text
}

/** Observations in the ledger, in order. */
export async function observations(db: SessionWorld['db']) {
  const segments = await db.selectFrom('ledgerSegment').select('bodies').orderBy('id').execute()
  return segments.flatMap(({ bodies }) => {
    const leaves: { kind: string; facts: Record<string, unknown> }[] = []
    for (let at = 0; at < bodies.length;) {
      const end = at + 2 + bodies.readUInt16BE(at)
      leaves.push(JSON.parse(bodies.subarray(at + 2, end).toString('utf8')))
      at = end
    }
    return leaves
  })
}
