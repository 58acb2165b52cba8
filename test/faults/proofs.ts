import assert from 'node:assert/strict'
import { sql } from 'kysely'
import { z } from 'zod'
import { exportLedger, readCheckpoint } from '../../src/ledger/contract.ts'
import { inPieces } from '../support/ledger-export.ts'
import { eventually } from '../support/eventually.ts'
import { verifyExport } from '../../verifier/verify.ts'
import type { FaultNode } from './node.ts'
import type { Plant } from './plant.ts'
import type { Told } from './story.ts'

const Leaf = z.object({ leaf: z.int(), data: z.string() })
const Entry = z.object({
  kind: z.string(),
  resource: z.object({ id: z.string() }),
  grant: z.string().nullable(),
})

/** The last signed checkpoint, as somebody outside keeps it. */
export async function checkpointOf(plant: Plant, node: FaultNode): Promise<string> {
  using erin = plant.as('erin', node)
  return (await erin.ask(readCheckpoint)).note
}

/** What was told is in the export, and the export is the log of which `checkpoint` was kept. */
export async function proveTold(
  plant: Plant,
  node: FaultNode,
  told: readonly Told[],
  checkpoint: string,
): Promise<void> {
  await everythingPlaced(plant)
  using erin = plant.as('erin', node)
  const lines = await Array.fromAsync(erin.lines(exportLedger))
  const report = await verifyExport({
    source: inPieces(`${lines.join('\n')}\n`, 65_536),
    keys: [plant.key],
    checkpoints: [checkpoint],
  })
  assert.deepEqual(report.findings, [])
  assert.equal(report.logs.length, 1)
  const entries = lines.flatMap(entryOf)
  assert.ok(told.length === 0 || entries.length > told.length)
  const missing = told.filter(
    ({ kind, about }) =>
      !entries.some((entry) => entry.kind === kind && (entry.resource.id === about || entry.grant === about)),
  )
  assert.deepEqual(missing, [])
}

function entryOf(line: string): z.output<typeof Entry>[] {
  const { data: leaf } = Leaf.safeParse(JSON.parse(line))
  if (!leaf) return []
  return [Entry.parse(JSON.parse(Buffer.from(leaf.data, 'base64').toString('utf8')))]
}

async function everythingPlaced(plant: Plant): Promise<void> {
  await eventually(async () => {
    const waiting = await plant.look((db) => db.selectFrom('ledgerPending').select('id').limit(1).execute())
    return waiting.length === 0 ? true : undefined
  })
}

/** Every row of state has its cause, and each of those causes has its place in the tree. Returns how many rows were looked at. */
export async function proveCauses(plant: Plant): Promise<number> {
  await everythingPlaced(plant)
  return plant.look(async (db) => {
    const { rows: tables } = await sql<{ name: string }>`
      select c.relname as name
        from pg_attribute a join pg_class c on c.oid = a.attrelid
       where a.attname = 'cause' and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace`.execute(db)
    let seen = 0
    for (const { name } of tables) {
      const { rows } = await sql<{ all: number; placed: number }>`
        select count(*) as all, count(l.entry_id) as placed
          from ${sql.id(name)} t left join ledger_leaf l on l.entry_id = t.cause`.execute(db)
      assert.equal(rows[0]?.placed, rows[0]?.all, name)
      seen += rows[0]?.all ?? 0
    }
    return seen
  })
}

/** In the end nothing is left: every lease dead, every session closed, every use given back or closed, no role at the target. */
export async function proveNothingLeft(plant: Plant): Promise<void> {
  const left = () =>
    plant.look(async (db) => ({
      grants: await db.selectFrom('accessGrant').select('id').where('endedAt', 'is', null).execute(),
      leases: await db.selectFrom('lease').select(['id', 'state']).where('state', '!=', 'dead').execute(),
      sessions: await db.selectFrom('session').select('id').where('endedAt', 'is', null).execute(),
      uses: await db.selectFrom('grantUse').select('id').where('state', 'in', ['reserved', 'live']).execute(),
    }))
  const nothing = { grants: [], leases: [], sessions: [], uses: [] }
  // A claim of a killed worker and a lease nobody finished making run out after a minute.
  for (let tries = 0; tries < 2 && !isDeep(await left(), nothing); tries += 1) {
    await eventually(async () => (isDeep(await left(), nothing) ? true : undefined)).catch(() => undefined)
  }
  assert.deepEqual(await left(), nothing)
  assert.deepEqual(await plant.atTarget(`select rolname from pg_roles where rolname like 'reeve\\_%'`), [])
}

function isDeep(found: unknown, wanted: unknown): boolean {
  return JSON.stringify(found) === JSON.stringify(wanted)
}
