import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { freshDatabase, type TestDatabase } from '../../test/support/database.ts'
import { allPlaced, openTestSequencer, outsideFile, verified } from '../../test/support/ledger.ts'
import { LEDGER_FAULT_POINTS } from './fault-points.ts'

const NODE = join(import.meta.dirname, '../../test/support/ledger-crash.ts')

test('a node killed between any two steps loses nothing acknowledged and places nothing twice', async (t) => {
  const database = await freshDatabase(t)
  const checkpointFile = outsideFile(t)
  const acknowledged = new Set<string>()

  for (const [at, label] of LEDGER_FAULT_POINTS.entries()) {
    const times = label.startsWith('sequencer') ? 2 : 20
    for (const fact of await killedNode(database, { checkpointFile, label, times, first: (at + 1) * 1_000_000 })) {
      acknowledged.add(fact)
    }
  }
  openTestSequencer(t, database.server, checkpointFile)
  await allPlaced(database.db)
  const { report, leaves } = await verified(database.db)
  const placed = (leaves as { facts: { what: string; count: number } }[]).map(
    ({ facts }) => `${facts.what} ${facts.count}`,
  )

  assert.deepEqual(report.findings, [])
  assert.ok(acknowledged.size > 0)
  assert.deepEqual(
    [...acknowledged].filter((fact) => !placed.includes(fact)),
    [],
  )
  assert.equal(new Set(placed).size, placed.length)
  // Every life went on with the one log: no kill looked like a restore.
  assert.equal(report.logs.length, 1)
})

/** What a node acknowledged before it was killed at the point. */
async function killedNode(
  { server }: TestDatabase,
  how: { checkpointFile: string; label: string; times: number; first: number },
): Promise<string[]> {
  const argument = JSON.stringify({ ...how, server: { ...server, password: server.password.reveal() } })
  const child = spawn(process.execPath, [NODE, argument], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')))
  const [, signal]: unknown[] = await once(child, 'close')
  assert.equal(signal, 'SIGKILL', `${how.label} was never reached`)
  return said.split('\n').filter((line) => line !== '')
}
