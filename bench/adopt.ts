/**
 * Adoption by a rule over an estate from a generator: everything that nobody claims becomes an identity, batch by batch, is resolved, given owners to
 * choose from, and taken back. The estate is made by the database itself and is the same for the same seed. What a hook of another domain does when an
 * identity ends is not measured.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { AdoptionRule, type AdoptionRun } from '../src/governance/contract.ts'
import { continueAdoption, startAdoption, undoAdoption } from '../src/governance/adoption/runs.ts'
import { evaluateOwners } from '../src/governance/owners/evaluate.ts'
import { resolveInventory } from '../src/inventory/inventory.ts'
import { openDatabase, transact, type Connection } from '../src/kernel/db.ts'
import { silentLog } from '../src/kernel/log.ts'
import { migrate } from '../src/kernel/migrate.ts'
import { startEmbeddedPostgres } from '../src/kernel/postgres/embedded.ts'
import { SYSTEM } from '../src/ledger/ledger.ts'
import { identityDiscovered } from '../src/identities/events.ts'
import { permitFor } from '../test/support/permit.ts'
import { childrenCpuSeconds } from './discover/cpu.ts'
import { openInventory } from './discover/inventory.ts'
import { makeEstate } from './graph/estate.ts'

const SOMEBODY = '00000000-0000-7000-8000-00000000dead'
const INSTALLATION = { type: 'Installation', id: 'installation' } as const
const SUBJECT = { type: 'Person', id: SOMEBODY } as const

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: { identities: { type: 'string', default: '100000' }, seed: { type: 'string', default: '2026' } },
  })
  const identities = Number(values.identities)
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  await chmod(folder, 0o711)
  try {
    await using postgres = await startEmbeddedPostgres({ folder, log: silentLog })
    await migrate(postgres.connection('owner'), postgres.connection('server').user)
    const size = { identities, grants: identities, references: identities }
    await makeEstate(postgres.connection('owner'), size, values.seed)
    const result = { identities, ...(await measure(postgres.connection('server'))) }
    console.table(result)
    console.log(`RESULT ${JSON.stringify(result)}`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(server: Connection) {
  await using opened = openDatabase(server, { max: 2, log: silentLog })
  const { db } = opened
  const { needs: inventory } = await openInventory(db, 'adopt')
  const needs = { ...inventory, onIdentityEnded: async () => {} }
  await transact(db, async (tx) => {
    const facts = {
      kind: 'human',
      name: 'somebody',
      profile: 'person',
      environment: 'production',
      tier: 2,
      traits: [],
      thingId: SOMEBODY,
      evidence: [],
    } as const
    const cause = await needs.ledger.record(tx, {
      actor: SYSTEM,
      event: identityDiscovered,
      resource: { type: 'Identity', id: SOMEBODY },
      outcome: 'done',
      facts: { ...facts, traits: [], evidence: [] },
    })
    const row = {
      id: SOMEBODY,
      kind: 'human',
      name: 'somebody',
      profile: 'person',
      environment: 'production',
      tier: 2,
      state: 'registered',
      createdAt: needs.clock.now(),
      cause,
    } as const
    await tx.insertInto('identity').values(row).execute()
  })
  const rule = AdoptionRule.parse({ kind: 'workload', profile: 'service' })
  const lap = stopwatch()
  const adopted = await till('running', async (id) =>
    transact(db, (tx) =>
      id === undefined
        ? startAdoption(tx, needs, permitFor('adoption.start', SUBJECT, INSTALLATION), rule)
        : continueAdoption(tx, needs, permitFor('adoption.continue', SUBJECT, INSTALLATION), id),
    ),
  )
  const adopting = lap()
  const again = await transact(db, (tx) => resolveInventory(tx, needs, { actor: SYSTEM }))
  const resolving = lap()
  const { candidates } = await transact(db, (tx) => evaluateOwners(tx, needs))
  const weighing = lap()
  const undone = await till('undoing', async () =>
    transact(db, (tx) =>
      undoAdoption(tx, needs, permitFor('adoption.undo', SUBJECT, INSTALLATION), {
        id: adopted.run.id,
        reason: 'measured',
      }),
    ),
  )
  const undoing = lap()
  return {
    adopted: adopted.run.adopted,
    batches: adopted.batches,
    slowestBatchMs: adopted.slowestMs,
    ...named('adopt', adopting),
    linksMadeAfterwards: again.made,
    ...named('resolve', resolving),
    candidates,
    ...named('owners', weighing),
    undone: undone.run.undone,
    slowestUndoMs: undone.slowestMs,
    ...named('undo', undoing),
  }
}

async function till(state: AdoptionRun['state'], step: (id: string | undefined) => Promise<AdoptionRun>) {
  let run: AdoptionRun | undefined
  let batches = 0
  let slowestMs = 0
  do {
    const started = performance.now()
    run = await step(run?.id)
    batches += 1
    slowestMs = Math.max(slowestMs, Math.round(performance.now() - started))
    if (batches % 50 === 0)
      console.log(`${run.state}: ${run.lookedAt} of ${run.ofAbout} looked at, ${run.undone} taken back`)
  } while (run.state === state)
  return { run, batches, slowestMs }
}

type Lap = { readonly seconds: number; readonly ownCpu: number; readonly databaseCpu: number }

/** Of the time since it was last asked: how long, and the processor's time of this process and of the database. */
function stopwatch(): () => Lap {
  const look = () => ({ at: performance.now(), own: process.cpuUsage(), database: childrenCpuSeconds() ?? 0 })
  let before = look()
  return () => {
    const now = look()
    const own = (now.own.user + now.own.system - before.own.user - before.own.system) / 1e6
    const lap = { seconds: (now.at - before.at) / 1000, ownCpu: own, databaseCpu: now.database - before.database }
    before = now
    return lap
  }
}

function named(name: string, { seconds, ownCpu, databaseCpu }: Lap): Record<string, number> {
  const round = (value: number) => Math.round(value * 10) / 10
  return {
    [`${name}Seconds`]: round(seconds),
    [`${name}CpuSeconds`]: round(ownCpu),
    [`${name}DatabaseCpuSeconds`]: round(databaseCpu),
  }
}
