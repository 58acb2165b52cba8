import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { anIdentity } from '../../test/support/api.ts'
import { cuttable } from '../../test/support/cuttable.ts'
import { freshDatabase } from '../../test/support/database.ts'
import { eventually } from '../../test/support/eventually.ts'
import { systemClock } from './clock.ts'
import type { Db } from './db.ts'
import { silentLog } from './log.ts'
import { nextTurn } from './timer.ts'
import { MemoryView, openView, STALE_MS, type Shelf, type View } from './view.ts'

type Row = { readonly id: string; readonly version: number }

/** The database, as far as a view sees it: what is committed when, and the hints that are on their way. */
class Model {
  nowMs = 0
  /** Versions of the one row, with when each was committed. */
  readonly commits: { version: number; atMs: number }[] = [{ version: 1, atMs: 0 }]
  /** On their way, in the order of their commits; a number is a heartbeat, by when it was sent. */
  hints: (string | number)[] = []
  isBroken = false
  completeAtMs = 0
  readonly loads: (() => void)[] = []
  readonly view: MemoryView
  readonly shelf: Shelf<Row>
  readonly db: Db

  constructor(db: Db) {
    this.db = db
    this.view = new MemoryView(db, {
      isCurrent: () => !this.isBroken && this.nowMs - this.completeAtMs < STALE_MS,
      caughtUp: async () => {
        if (this.isBroken) throw new Error('broken')
        while (this.hints.length > 0) this.deliver()
      },
    })
    this.shelf = this.view.shelf<Row>({ load: () => this.load(), hintsOf: ({ id }) => [`row:${id}`] })
  }

  get version(): number {
    return this.commits.at(-1)?.version ?? 0
  }

  commit(): void {
    this.commits.push({ version: this.version + 1, atMs: this.nowMs })
    // While nobody listens a hint is lost.
    if (!this.isBroken) this.hints.push('row:1')
  }

  deliver(): void {
    const hint = this.hints.shift()
    if (typeof hint === 'string') this.view.invalidate(hint)
    else if (hint !== undefined) this.completeAtMs = hint
  }

  break(): void {
    this.isBroken = true
    this.hints = []
  }

  /** It listens again, and then has everything looked at anew. */
  reconnect(): void {
    if (!this.isBroken) return
    this.view.invalidate()
    this.completeAtMs = this.nowMs
    this.isBroken = false
  }

  /** The rows are read at once; the answer comes when the schedule says so. */
  load(): Promise<Row> {
    const row = { id: '1', version: this.version }
    return new Promise((resolve) => this.loads.push(() => resolve(row)))
  }

  /** The newest version that was committed at that time. */
  versionAt(atMs: number): number {
    return this.commits.findLast((commit) => commit.atMs <= atMs)?.version ?? 1
  }
}

type Step =
  | { readonly kind: 'read' | 'commit' | 'deliver' | 'beat' | 'break' | 'reconnect' | 'catch up' }
  | { readonly kind: 'answer'; readonly which: number }
  | { readonly kind: 'pass'; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ kind: 'read' } as const) },
  { weight: 2, arbitrary: fc.constant({ kind: 'commit' } as const) },
  { weight: 3, arbitrary: fc.constant({ kind: 'deliver' } as const) },
  { weight: 2, arbitrary: fc.constant({ kind: 'beat' } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'break' } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reconnect' } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'catch up' } as const) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('answer' as const), which: fc.nat(7) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 4_000 }) }) },
)

async function runSteps(model: Model, steps: readonly Step[]): Promise<number> {
  let fromMemory = 0
  let caughtUpTo = 1
  const waiting: Promise<void>[] = []
  for (const each of steps) {
    switch (each.kind) {
      case 'read': {
        const askedAtMs = model.nowMs
        const atLeast = Math.max(model.versionAt(askedAtMs - STALE_MS), caughtUpTo)
        const loadsBefore = model.loads.length
        const answered = Promise.resolve(model.shelf.read('1')).then((row) => {
          assert.ok(row)
          assert.ok(
            row.version >= atLeast,
            `version ${row.version} was answered where ${atLeast} was committed long ago`,
          )
        })
        if (model.loads.length === loadsBefore) fromMemory += 1
        waiting.push(answered)
        break
      }
      case 'commit':
        model.commit()
        break
      case 'deliver':
        model.deliver()
        break
      case 'beat':
        if (!model.isBroken) model.hints.push(model.nowMs)
        break
      case 'break':
        model.break()
        break
      case 'reconnect':
        // What was committed while nobody listened is seen from here on.
        if (model.isBroken) caughtUpTo = model.version
        model.reconnect()
        break
      case 'catch up':
        await model.view.caughtUp()
        caughtUpTo = model.version
        break
      case 'answer':
        model.loads.splice(each.which % Math.max(1, model.loads.length), 1)[0]?.()
        break
      case 'pass':
        model.nowMs += each.ms
    }
    await nextTurn()
  }
  for (;;) {
    const left = model.loads.splice(0)
    if (left.length === 0) break
    for (const answer of left) answer()
    await nextTurn()
  }
  await Promise.all(waiting)
  return fromMemory
}

test('no interleaving of reads, changes, hints, breaks and reconnections gives an answer older than the bound', async (t) => {
  const { db } = await freshDatabase(t)
  let fromMemory = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 80 }), async (steps) => {
      fromMemory += await runSteps(new Model(db), steps)
    }),
    { numRuns: 2_000 },
  )
  // Otherwise it would hold because nothing is ever remembered.
  assert.ok(fromMemory > 1_000, `${fromMemory} answers came from memory`)
})

test('what was being read when the stream broke is not remembered once it is back', async (t) => {
  const { db } = await freshDatabase(t)
  const steps: Step[] = [
    { kind: 'read' },
    { kind: 'break' },
    { kind: 'commit' },
    { kind: 'reconnect' },
    { kind: 'answer', which: 0 },
    { kind: 'read' },
    { kind: 'read' },
  ]
  await runSteps(new Model(db), steps)
})

test('what is remembered is bounded, and what is asked for stays', async (t) => {
  const { db } = await freshDatabase(t)
  const view = new MemoryView(db, { isCurrent: () => true, caughtUp: async () => {} })
  const loads = new Map<string, number>()
  const shelf = view.shelf<{ readonly key: string }>({
    load: async (_db, key) => {
      loads.set(key, (loads.get(key) ?? 0) + 1)
      return { key }
    },
    hintsOf: ({ key }) => [key],
  })
  for (let at = 0; at < 25_000; at += 1) {
    await shelf.read(`key ${at}`)
    await shelf.read('often')
  }
  assert.ok(view.size() <= 10_000)
  assert.equal(loads.get('often'), 1)
})

test('what is not there is not remembered, so that what is new needs no hint', async (t) => {
  const { db } = await freshDatabase(t)
  const view = new MemoryView(db, { isCurrent: () => true, caughtUp: async () => {} })
  let found: { readonly id: string } | undefined
  const shelf = view.shelf({ load: async () => found, hintsOf: ({ id }) => [id] })
  assert.equal(await shelf.read('x'), undefined)
  found = { id: 'x' }
  assert.deepEqual(await shelf.read('x'), { id: 'x' })
})

type Standing = { readonly id: string; readonly environment: string }

/** A view of identities over a real database, by a connection that the test can cut. */
async function listening(t: TestContext) {
  const database = await freshDatabase(t)
  const link = await cuttable(t, database.server)
  const stop = new AbortController()
  const view = await openView(
    { connection: link.connection, db: database.db, clock: systemClock, log: silentLog },
    stop.signal,
  )
  t.after(() => view[Symbol.asyncDispose]())
  let loads = 0
  const shelf = view.shelf<Standing>({
    load: (db, id) => {
      loads += 1
      return db.selectFrom('identity').select(['id', 'environment']).where('id', '=', id).executeTakeFirst()
    },
    hintsOf: ({ id }) => [`identity:${id}`],
  })
  const id = await anIdentity(database.db, 'somebody')
  const change = async (what: ReturnType<typeof sql>) => {
    await database.db.transaction().execute(async (tx) => {
      const { rows } = await sql<{ id: number }>`
        insert into ledger_entry (xid, at, kind, leaf) values ('0', now(), 'test.moved', '{}') returning id`.execute(tx)
      const { numAffectedRows } =
        await sql`update identity set ${what}, cause = ${rows[0]?.id} where id = ${id}`.execute(tx)
      assert.equal(numAffectedRows, 1n)
    })
  }
  const move = (environment: string) => change(sql`environment = ${environment}`)
  return { database, link, view, shelf, id, change, move, loads: () => loads }
}

async function until(isSo: () => boolean): Promise<void> {
  await eventually(async () => isSo() || undefined)
}

async function environmentOf(shelf: Shelf<Standing>, id: string): Promise<string | undefined> {
  return (await shelf.read(id))?.environment
}

test('a record is read once, and after a change that was heard again', async (t) => {
  const w = await listening(t)
  await until(() => w.view.isCurrent())
  const first = await environmentOf(w.shelf, w.id)
  assert.equal(await environmentOf(w.shelf, w.id), first)
  assert.equal(w.loads(), 1)

  await w.move('staging')
  await w.view.caughtUp()

  assert.equal(await environmentOf(w.shelf, w.id), 'staging')
  assert.equal(w.loads(), 2)
})

test('a change that policies and authentication do not see makes nobody read again', async (t) => {
  const w = await listening(t)
  await environmentOf(w.shelf, w.id)
  await w.change(sql`display_name = 'Some Body'`)
  await w.view.caughtUp()
  await environmentOf(w.shelf, w.id)
  assert.equal(w.loads(), 1)
})

test('attack: while its listener is cut off a node reads the rows, and what it knew before is forgotten', async (t) => {
  const w = await listening(t)
  await environmentOf(w.shelf, w.id)
  w.link.shut()
  await until(() => !w.view.isCurrent())

  await w.move('staging')

  // Nobody told this node of it.
  assert.equal(await environmentOf(w.shelf, w.id), 'staging')
  await w.move('test')
  assert.equal(await environmentOf(w.shelf, w.id), 'test')
  w.link.reopen()
  await until(() => w.view.isCurrent())
  const before = w.loads()
  assert.equal(await environmentOf(w.shelf, w.id), 'test')
  assert.equal(w.loads(), before + 1)
})

test('attack: a listener that is ended from outside leaves nothing remembered', async (t) => {
  const w = await listening(t)
  await environmentOf(w.shelf, w.id)
  assert.equal(w.view.size(), 1)
  const { rows } = await sql<{ ended: boolean }>`
    select pg_terminate_backend(pid) as ended from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and query ilike '%reeve_beat%'`.execute(
    w.database.db,
  )
  assert.deepEqual(rows, [{ ended: true }])
  await w.move('staging')
  await eventually(async () => ((await environmentOf(w.shelf, w.id)) === 'staging' ? true : undefined))
  await until(() => w.view.isCurrent())
  assert.equal(await environmentOf(w.shelf, w.id), 'staging')
})

test('a node that cannot say whether it has heard its own change forgets everything', async (t) => {
  const { db } = await freshDatabase(t)
  const view: View = new MemoryView(db, {
    isCurrent: () => true,
    caughtUp: () => Promise.reject(new Error('the connection is gone')),
  })
  let version = 1
  const shelf = view.shelf({ load: async () => ({ version }), hintsOf: () => ['it'] })
  await shelf.read('it')
  version = 2
  assert.deepEqual(await shelf.read('it'), { version: 1 })
  await view.caughtUp()
  assert.deepEqual(await shelf.read('it'), { version: 2 })
})
