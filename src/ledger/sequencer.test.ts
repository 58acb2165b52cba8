import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { freshDatabase, type TestDatabase } from '../../test/support/database.ts'
import {
  allPlaced,
  openTestLedger,
  openTestSequencer,
  outsideFile,
  rawClient,
  seen,
  until,
  verified,
} from '../../test/support/ledger.ts'
import { openDatabase, transact } from '../kernel/db.ts'
import { openLog, silentLog } from '../kernel/log.ts'

test('causes and observations get one place each in a tree that verifies', async (t) => {
  const database = await freshDatabase(t)
  const file = outsideFile(t)
  const { ledger } = await openTestLedger(t, database)
  const sequencer = openTestSequencer(t, database.server, file)

  for (let at = 0; at < 5; at++) {
    await transact(database.db, (tx) => ledger.record(tx, seen('cause', at)))
    await Promise.all(Array.from({ length: 100 }, (_, n) => ledger.observe(seen('seen', at * 100 + n))))
    sequencer.wake()
  }
  await allPlaced(database.db)
  const { report, leaves, text } = await verified(database.db)

  assert.deepEqual(report.findings, [])
  assert.deepEqual(countsOf(leaves, 'seen'), range(500))
  assert.deepEqual(countsOf(leaves, 'cause'), range(5))
  await until(() => text.includes(JSON.stringify(keptIn(file).join('\n'))))
})

test('of two sequencers one signs, and the other goes on when its connection is lost', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)
  const sequencers = [1, 2].map(() => openTestSequencer(t, database.server, outsideFile(t)))
  const owner = await rawClient(t, database.owner)
  const holders = `select pid from pg_locks where locktype = 'advisory' and granted
                      and database = (select oid from pg_database where datname = current_database())`

  await ledger.observe(seen('seen', 0))
  await allPlaced(database.db)
  const before = sequencers.filter((one) => one.isSigning()).length
  const first = (await owner.query(holders)).rows
  await owner.query(`select pg_terminate_backend($1)`, [first[0].pid])
  await ledger.observe(seen('seen', 1))
  await allPlaced(database.db)
  const second = (await owner.query(holders)).rows

  assert.equal(before, 1)
  assert.deepEqual([first.length, second.length], [1, 1])
  assert.notEqual(first[0].pid, second[0].pid)
  const { report, leaves } = await verified(database.db)
  assert.deepEqual(report.findings, [])
  assert.deepEqual(countsOf(leaves, 'seen'), [0, 1])
})

test('an entry whose transaction commits long after later ones still gets its leaf', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)
  openTestSequencer(t, database.server, outsideFile(t))
  const late = Promise.withResolvers<void>()
  const written = Promise.withResolvers<void>()

  const slow = transact(database.db, async (tx) => {
    await ledger.record(tx, seen('cause', 1))
    written.resolve()
    await late.promise
  })
  await written.promise
  const rolledBack = transact(database.db, async (tx) => {
    await ledger.record(tx, seen('cause', 2))
    throw new Error('rolled back')
  })
  await assert.rejects(rolledBack, /rolled back/)
  await transact(database.db, (tx) => ledger.record(tx, seen('cause', 3)))
  await allPlaced(database.db)
  const before = await verified(database.db)
  late.resolve()
  await slow
  await allPlaced(database.db)
  const after = await verified(database.db)

  assert.deepEqual(countsOf(before.leaves, 'cause'), [3])
  assert.deepEqual(countsOf(after.leaves, 'cause'), [1, 3])
  assert.deepEqual(after.report.findings, [])
})

test('a restored database is not signed on: a new log starts and the verifier tells the loss', async (t) => {
  const database = await freshDatabase(t)
  const file = outsideFile(t)
  const sequencer = openTestSequencer(t, database.server, file)
  const { ledger, close } = await openTestLedger(t, database)
  await ledger.observe(seen('seen', 0))
  await allPlaced(database.db)
  const restored = await copyOf(t, database)
  await Promise.all([ledger.observe(seen('seen', 1)), ledger.observe(seen('seen', 2))])
  await allPlaced(database.db)
  await until(() => keptIn(file)[1] === '3')
  await Promise.all([close(), sequencer[Symbol.asyncDispose]()])
  const lost = keptIn(file)

  openTestSequencer(t, restored.server, file)
  await until(() => keptIn(file)[0] === 'log.test/ledger/2')
  const second = await openTestLedger(t, restored)
  await second.ledger.observe(seen('seen', 3))
  await allPlaced(restored.db)
  const { report, leaves } = await verified(restored.db)
  const accepted = await verified(restored.db, { acceptLoss: ['log.test/ledger'] })

  assert.deepEqual(
    report.findings.map(({ kind, from, to }) => ({ kind, from, to })),
    [{ kind: 'lost', from: 1, to: 2 }],
  )
  assert.deepEqual(countsOf(leaves, 'seen'), [0, 3])
  assert.deepEqual(accepted.report.findings, [])
  assert.equal(lost[0], 'log.test/ledger')
})

test('a failed-over database of the same size with other entries is not signed on', async (t) => {
  const database = await freshDatabase(t)
  const file = outsideFile(t)
  const first = openTestSequencer(t, database.server, file)
  const { ledger, close } = await openTestLedger(t, database)
  await ledger.observe(seen('seen', 0))
  await allPlaced(database.db)
  await until(() => keptIn(file)[1] === '1')
  await first[Symbol.asyncDispose]()
  const other = await copyOf(t, database)
  await ledger.observe(seen('seen', 1))
  const second = openTestSequencer(t, database.server, file)
  await allPlaced(database.db)
  await until(() => keptIn(file)[1] === '2')
  await Promise.all([close(), second[Symbol.asyncDispose]()])

  const forked = await openTestLedger(t, other)
  await forked.ledger.observe(seen('seen', 99))
  const alone = openTestSequencer(t, other.server, outsideFile(t))
  await allPlaced(other.db)
  await alone[Symbol.asyncDispose]()
  openTestSequencer(t, other.server, file)
  await until(() => keptIn(file)[0] === 'log.test/ledger/2')
  const { report } = await verified(other.db)

  assert.ok(
    report.findings.some(({ kind }) => kind === 'rewritten'),
    JSON.stringify(report.findings),
  )
})

test('a tree whose tiles were changed is never signed again', async (t) => {
  const database = await freshDatabase(t)
  const file = outsideFile(t)
  openTestSequencer(t, database.server, file)
  const { ledger } = await openTestLedger(t, database)
  const owner = await rawClient(t, database.owner)
  await ledger.observe(seen('seen', 0))
  await allPlaced(database.db)

  await owner.query(`update ledger_tile set hashes = decode(repeat('00', octet_length(hashes)), 'hex')`)
  await ledger.observe(seen('seen', 1))
  await until(() => keptIn(file)[0] === 'log.test/ledger/2')
  await allPlaced(database.db)

  assert.equal((await verified(database.db)).report.ok, false)
})

for (const [what, attack] of [
  [
    'edited',
    `update ledger_entry set leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"count":0', '"count":7'), 'UTF8')`,
  ],
  ['removed', `delete from ledger_entry where id = (select min(id) from ledger_entry)`],
  ['edited in a segment', `update ledger_segment set bodies = set_byte(bodies, 40, 1 + get_byte(bodies, 40))`],
  ['cut off in a segment', `update ledger_segment set bodies = substr(bodies, 1, 41)`],
] as const) {
  test(`an entry that was ${what} while nobody signed is found before anything more is signed over it`, async (t) => {
    const database = await freshDatabase(t)
    const file = outsideFile(t)
    const first = openTestSequencer(t, database.server, file)
    const { ledger } = await openTestLedger(t, database)
    await transact(database.db, (tx) => ledger.record(tx, seen('cause', 0)))
    await ledger.observe(seen('seen', 1))
    await allPlaced(database.db)
    await first[Symbol.asyncDispose]()
    const dba = await rawClient(t, database.owner)
    await dba.query('set session_replication_role = replica')

    await dba.query(attack)
    await transact(database.db, (tx) => ledger.record(tx, seen('cause', 2)))
    const errors: string[] = []
    openTestSequencer(t, database.server, file, { log: openLog('error', { write: (line) => void errors.push(line) }) })
    await until(() => keptIn(file)[0] === 'log.test/ledger/2')

    const last = await database.db.selectFrom('ledgerCheckpoint').select('size').where('logId', '=', 1).execute()
    assert.ok(
      last.every(({ size }) => size <= 2),
      'the old log was signed no further',
    )
    assert.match(errors.join(''), /an entry from 0 to 1 is not the one that was signed/)
  })
}

test('random concurrent causes and observations stand in the tree exactly once', { timeout: 120_000 }, async (t) => {
  const database = await freshDatabase(t)
  openTestSequencer(t, database.server, outsideFile(t))
  const nodes = [await openTestLedger(t, database), await openTestLedger(t, database)]
  const acknowledged = { cause: new Set<number>(), seen: new Set<number>() }
  let next = 0

  const step = fc.record({
    node: fc.nat(1),
    kind: fc.constantFrom('cause', 'seen', 'rolled back'),
    times: fc.integer({ min: 1, max: 20 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const acts = steps.flatMap(({ node, kind, times }) =>
        Array.from({ length: times }, async () => {
          const ledger = nodes[node]?.ledger
          const count = next++
          if (kind === 'seen') await ledger?.observe(seen('seen', count))
          else {
            const write = transact(database.db, async (tx) => {
              await ledger?.record(tx, seen('cause', count))
              if (kind === 'rolled back') throw new Error(kind)
            })
            if (kind === 'rolled back') return assert.rejects(write)
            await write
          }
          acknowledged[kind === 'seen' ? 'seen' : 'cause'].add(count)
        }),
      )
      await Promise.all(acts)
    }),
    { numRuns: 20 },
  )
  await allPlaced(database.db)
  const { report, leaves } = await verified(database.db)

  assert.deepEqual(report.findings, [])
  for (const kind of ['cause', 'seen'] as const) {
    assert.deepEqual(
      countsOf(leaves, kind),
      [...acknowledged[kind]].sort((a, b) => a - b),
    )
  }
})

/** The `count` facts of the leaves that say `what`, sorted: a missing or doubled one shows. */
function countsOf(leaves: unknown[], what: string): number[] {
  return (leaves as { facts: { what?: string; count: number } }[])
    .filter(({ facts }) => facts.what === what)
    .map(({ facts }) => facts.count)
    .sort((a, b) => a - b)
}

function range(size: number): number[] {
  return [...Array(size).keys()]
}

/** The lines of the checkpoint outside the database; none when there is no such file yet. */
function keptIn(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
}

/** What a backup of this moment would restore to. */
async function copyOf(t: Parameters<typeof freshDatabase>[0], database: TestDatabase): Promise<TestDatabase> {
  const name = `reeve_t_${randomBytes(6).toString('hex')}`
  const admin = await rawClient(t, { ...database.owner, database: 'postgres' })
  await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, [
    database.owner.database,
  ])
  for (;;) {
    const isCopied = await admin.query(`create database ${name} template ${database.owner.database}`).then(
      () => true,
      async (error: { code?: string }) => {
        // Somebody reconnected meanwhile.
        if (error.code !== '55006') throw error
        await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = $1`, [
          database.owner.database,
        ])
        return false
      },
    )
    if (isCopied) break
  }
  const server = { ...database.server, database: name }
  const { db, [Symbol.asyncDispose]: close } = openDatabase(server, { log: silentLog })
  t.after(async () => {
    await close()
    const cleaner = await rawClient(t, { ...database.owner, database: 'postgres' })
    await cleaner.query(`drop database if exists ${name} with (force)`)
    await cleaner.end()
  })
  return { db, server, owner: { ...database.owner, database: name } }
}
