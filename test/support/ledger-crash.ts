/** A node that records and observes until it is killed at the point it was told. Prints each acknowledged fact, synchronously. */
import { randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'
import { openDatabase, transact } from '../../src/kernel/db.ts'
import { onReach } from '../../src/kernel/fault.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { openAppender } from '../../src/ledger/appender.ts'
import { openLedger } from '../../src/ledger/entry.ts'
import { openSequencer } from '../../src/ledger/sequencer.ts'
import { ledgerNeeds, seen } from './ledger.ts'

const { server, checkpointFile, label, times, first } = JSON.parse(process.argv[2] ?? '')
const connection = { ...server, password: new Secret(server.password) }
const needs = ledgerNeeds()
const { db } = openDatabase(connection, { log: silentLog })
const sequencer = openSequencer({ ...needs, connection, log: silentLog, origin: 'log.test/ledger', checkpointFile })
const appender = await openAppender({ connection, nodeId: randomUUID(), ...needs, log: silentLog })
const onRecorded = () => sequencer.wake()
const ledger = openLedger(needs, { appender, db, onRecorded })

let left = times
onReach((reached) => {
  if (reached === label && --left === 0) process.kill(process.pid, 'SIGKILL')
})

let next = first
async function work(what: 'cause' | 'seen'): Promise<void> {
  for (;;) {
    const count = next++
    if (what === 'seen') await ledger.observe(seen(what, count))
    else await transact(db, (tx) => ledger.record(tx, seen(what, count)))
    writeSync(1, `${what} ${count}\n`)
  }
}
await Promise.all([work('cause'), work('seen'), work('seen'), work('seen')])
