import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { putDeposit, revealDeposit } from '../../src/credentials/contract.ts'
import { CUSTODY_FAULT_POINTS } from '../../src/credentials/custody/fault-points.ts'
import { openDatabase, type Db } from '../../src/kernel/db.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { NODE_DEAD_AFTER_SECONDS } from '../../src/kernel/nodes.ts'
import { startEmbeddedPostgres } from '../../src/kernel/postgres/embedded.ts'
import type { FaultNode } from './node.ts'
import { found, type Plant } from './plant.ts'
import { checkpointOf, proveTold } from './proofs.ts'
import { failureOf } from './story.ts'

const CHILD = join(import.meta.dirname, 'rewrap-child.ts')
const OTHER_AT_WORK = /another `reeve custody rewrap` is at work/
/** The server notices that a killed process is gone when it next looks; so often is asked again. */
const TRIES = 20

type Ended = { readonly signal: NodeJS.Signals | null; readonly said: string }

function rewrapOnce(plant: Plant, arm: readonly string[]): Promise<Ended> {
  const folder = dirname(plant.home)
  const given = JSON.stringify({ folder, file: join(folder, 'reeve.yaml'), arm })
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [CHILD, given], (_error, stdout) =>
      resolve({ signal: child.signalCode, said: stdout }),
    )
  })
}

async function rewrap(plant: Plant, arm: readonly string[] = []): Promise<Ended> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const ended = await rewrapOnce(plant, arm)
    if (!OTHER_AT_WORK.test(ended.said)) return ended
  }
  throw new Error('the lock of a killed rewrap is never free')
}

/** The database of an installation of which nothing runs, or what a killed process left of it. */
async function atRest<T>(plant: Plant, work: (db: Db) => Promise<T>): Promise<T> {
  await using postgres = await startEmbeddedPostgres({ folder: join(plant.home, 'postgres'), log: silentLog })
  await using opened = openDatabase(postgres.connection('owner'), { max: 1, log: silentLog })
  return await work(opened.db)
}

const MOMENTS = [
  ...CUSTODY_FAULT_POINTS.map((point) => [point]),
  // Right behind the commit of the first column.
  ['custody.next-made', 'kernel.committed'],
]

test('a rewrap is killed between any two of its steps', async (t) => {
  const { plant, first } = await found(t)
  let node: FaultNode = first
  const params = { deposit: 'signing' }
  const input = { ownerTeam: 'shop', purpose: 'signs what the shop ships', value: 'the value of the test' }
  {
    using bob = plant.as('bob', node)
    await bob.ask(putDeposit, { params, input })
  }
  const reveal = async () => {
    using carol = plant.as('carol', node)
    return (await carol.ask(revealDeposit, { params, input: { reason: 'because the test says so' } })).value
  }

  await t.test(
    'beside a node that was killed a moment ago it does nothing, until that one counts as dead',
    async () => {
      await node.kill('SIGKILL')
      const { said, signal } = await rewrap(plant)
      assert.deepEqual([signal, /nodes are running/.test(said)], [null, true], said)
      // So much later, without waiting for it.
      await atRest(plant, (db) =>
        sql`update node set heartbeat_at = heartbeat_at - make_interval(secs => ${NODE_DEAD_AFTER_SECONDS + 1})`.execute(
          db,
        ),
      )
      const { said: done } = await rewrap(plant)
      assert.match(done, /generation 2: back it up/)
      node = await plant.start()
      assert.equal(await reveal(), input.value)
    },
  )

  for (const arm of MOMENTS) {
    await t.test(`killed at ${arm.join(', then ')}: no node starts, and run again it goes to the end`, async () => {
      const checkpoint = await checkpointOf(plant, node)
      await node.kill('SIGTERM')

      const { signal, said } = await rewrap(plant, arm)
      assert.equal(signal, 'SIGKILL', `it did not die: ${said}`)
      await atRest(plant, async (db) => {
        const { rows } = await sql<{ off: number }>`
          select count(*)::int as off from pg_trigger where tgenabled <> 'O' and not tgisinternal`.execute(db)
        assert.equal(rows[0]?.off, 0)
      })
      assert.match(await failureOf(plant.start()), /did not start/)

      const again = await rewrap(plant)
      assert.equal(again.signal, null)
      assert.match(again.said, /generation \d+: back it up/)
      node = await plant.start()
      assert.equal(await reveal(), input.value)
      await proveTold(plant, node, [], checkpoint)
    })
  }
  await node.kill('SIGTERM')
})
