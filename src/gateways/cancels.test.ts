import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { freshDatabase, type TestDatabase } from '../../test/support/database.ts'
import { until } from '../../test/support/gateway.ts'
import { rawClient } from '../../test/support/ledger.ts'
import { transact } from '../kernel/db.ts'
import { openLog, silentLog } from '../kernel/log.ts'
import { sealUnder } from '../kernel/seal.ts'
import { Secret } from '../kernel/secret.ts'
import { systemRandom } from '../kernel/random.ts'
import { openCancels } from './cancels.ts'
import { CancelKeys } from './postgres/cancel-keys.ts'
import { protocolVersion } from './postgres/wire/encode.ts'

const ROOT = sealUnder(new Secret(Buffer.alloc(32, 3)))
/** Of `freshDatabase`. */
const POOL = 10
const HERE = '192.0.2.7'

/** A node: its keys, and what it hears. `nowMs` is its clock. */
function nodeOn({ db }: TestDatabase, options: { seal?: typeof ROOT; warned?: string[]; nowMs?: () => number } = {}) {
  const { seal = ROOT, warned, nowMs = () => 0 } = options
  const log = warned ? openLog('warn', { write: (line) => void warned.push(line) }) : silentLog
  const cancels = openCancels({ db, seal, clock: { monotonicMs: nowMs }, log })
  const keys = new CancelKeys(systemRandom)
  cancels.subscribe('postgres', (processId, key) => keys.cancel(processId, key))
  return { cancels, keys }
}

/** Everything that is said on the channel, and a way to know that all of it was heard. */
async function listening(t: TestContext, database: TestDatabase) {
  const client = await rawClient(t, database.server)
  const heard: string[] = []
  client.on('notification', ({ payload = '' }) => heard.push(payload))
  await client.query('listen reeve_end')
  return {
    hints: () => heard.filter((hint) => hint.startsWith('cancel:')),
    async all() {
      await idle(database)
      const marker = `marker-${heard.length}`
      await client.query(`select pg_notify('reeve_end', $1)`, [marker])
      await until(() => heard.includes(marker))
    },
  }
}

for (const version of [protocolVersion.v3_0, protocolVersion.v3_2]) {
  test(`a request that reached another node stops the session it was given for, in protocol ${version & 0xffff}`, async (t) => {
    const database = await freshDatabase(t)
    const channel = await listening(t, database)
    const [holder, other] = [nodeOn(database), nodeOn(database)]
    let stopped = 0
    using entry = holder.keys.issue(version, () => (stopped += 1))
    using neighbour = holder.keys.issue(version, () => assert.fail('another session was stopped'))
    void neighbour

    other.cancels.pass('postgres', { processId: entry.processId, key: entry.key, clientAddress: HERE })
    await until(() => channel.hints().length > 0)
    for (const hint of channel.hints()) for (const node of [holder, other]) node.cancels.heard(hint)

    assert.equal(stopped, 1)
    assert.doesNotMatch(channel.hints().join(''), new RegExp(entry.key.toString('hex')))
    assert.ok(!channel.hints().some((hint) => hint.includes(entry.key.toString('base64url'))))
  })
}

test('a wrong key, a key of another session and a key of one that is over stop nothing', async (t) => {
  const database = await freshDatabase(t)
  const channel = await listening(t, database)
  const [holder, other] = [nodeOn(database), nodeOn(database)]
  const fail = () => assert.fail('it was stopped')
  using entry = holder.keys.issue(protocolVersion.v3_2, fail)
  using second = holder.keys.issue(protocolVersion.v3_2, fail)
  const over = holder.keys.issue(protocolVersion.v3_2, fail)
  over[Symbol.dispose]()

  for (const [processId, key] of [
    [entry.processId, Buffer.alloc(32)],
    [entry.processId, second.key],
    [entry.processId, entry.key.subarray(0, 4)],
    [over.processId, over.key],
  ] as const) {
    other.cancels.pass('postgres', { processId, key, clientAddress: HERE })
  }
  await until(() => channel.hints().length === 4)

  for (const hint of channel.hints()) holder.cancels.heard(hint)
})

test('what was passed on for a session is worth nothing for the next one of the same number', async (t) => {
  const database = await freshDatabase(t)
  const channel = await listening(t, database)
  const [holder, other] = [nodeOn(database), nodeOn(database)]
  const first = holder.keys.issue(protocolVersion.v3_2, () => undefined)
  other.cancels.pass('postgres', { processId: first.processId, key: first.key, clientAddress: HERE })
  await until(() => channel.hints().length === 1)
  first[Symbol.dispose]()
  const sameNumber = new CancelKeys({ ...systemRandom, bytes: numbered(first.processId) })
  using _next = sameNumber.issue(protocolVersion.v3_2, () => assert.fail('it was stopped'))
  holder.cancels.subscribe('postgres', (processId, key) => sameNumber.cancel(processId, key))

  for (const hint of channel.hints()) holder.cancels.heard(hint)
})

test('who may write on the channel forges nothing: moved, foreign and malformed hints are dropped', async (t) => {
  const database = await freshDatabase(t)
  const channel = await listening(t, database)
  const warned: string[] = []
  const holder = nodeOn(database, { warned })
  const foreign = nodeOn(database, { seal: sealUnder(new Secret(Buffer.alloc(32, 4))) })
  using entry = holder.keys.issue(protocolVersion.v3_0, () => assert.fail('it was stopped'))
  const { processId, key } = entry
  foreign.cancels.pass('postgres', { processId, key, clientAddress: HERE })
  nodeOn(database).cancels.pass('postgres', { processId: processId ^ 1, key, clientAddress: HERE })
  await until(() => channel.hints().length === 2)

  const moved = channel.hints().map((hint) => hint.replace(String(processId ^ 1), String(processId)))
  for (const hint of [
    ...moved,
    `cancel:postgres:${processId}:${key.toString('base64url')}`,
    `cancel:postgres:${processId}:`,
    `cancel:postgres::AAAA`,
    `cancel:ssh:${processId}:AAAA`,
    'cancel:',
    '',
    'x'.repeat(7_000),
  ]) {
    holder.cancels.heard(hint)
  }
  holder.cancels.heard()

  assert.equal(warned.length, 3, 'two that were sealed for something else, and one that was not sealed')
})

test('guessing through another node is slow: an address, and all of them, may pass on only so much', async (t) => {
  const database = await freshDatabase(t)
  const channel = await listening(t, database)
  let nowMs = 0
  const { cancels } = nodeOn(database, { nowMs: () => nowMs })
  const guess = (clientAddress: string, times: number) => {
    for (let n = 0; n < times; n += 1) {
      cancels.pass('postgres', { processId: 7, key: systemRandom.bytes(4), clientAddress })
    }
  }

  guess(HERE, 500)
  await channel.all()
  const ofOne = channel.hints().length
  for (let n = 0; n < 50; n += 1) guess(`198.51.100.${n}`, 20)
  await until(() => channel.hints().length >= 100)
  await channel.all()
  const ofAll = channel.hints().length
  nowMs = 1_000
  guess(HERE, 500)
  await until(() => channel.hints().length > ofAll)
  await channel.all()

  assert.equal(ofOne, 20)
  assert.equal(ofAll, 100)
  assert.equal(channel.hints().length, 101)
})

test('a key longer than any is passed on to nobody', async (t) => {
  const database = await freshDatabase(t)
  const channel = await listening(t, database)

  nodeOn(database).cancels.pass('postgres', { processId: 7, key: Buffer.alloc(33), clientAddress: HERE })
  await channel.all()

  assert.deepEqual(channel.hints(), [])
})

/** Every connection of the pool at once: whatever was asked before is done. */
async function idle({ db }: TestDatabase): Promise<void> {
  const gate = Promise.withResolvers<void>()
  let held = 0
  await Promise.all(
    Array.from({ length: POOL }, () =>
      transact(db, async () => {
        held += 1
        if (held === POOL) gate.resolve()
        await gate.promise
      }),
    ),
  )
}

/** Random bytes, of which four give this process number. */
function numbered(processId: number): typeof systemRandom.bytes {
  return (size) => {
    const bytes = systemRandom.bytes(size)
    if (size === 4) bytes.writeUInt32BE(processId * 2)
    return bytes
  }
}
