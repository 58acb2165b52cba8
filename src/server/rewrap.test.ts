import assert from 'node:assert/strict'
import { globSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sql } from 'kysely'
import { world } from '../../test/support/world.ts'
import { CUSTODY_FAULT_POINTS } from '../credentials/custody/fault-points.ts'
import { SEALED_COLUMNS, UNDER_OTHER_KEYS } from '../credentials/custody/sealed.ts'
import { loadConfig, type Config } from '../kernel/config.ts'
import { openSession, transact, type Db } from '../kernel/db.ts'
import { onReach } from '../kernel/fault.ts'
import { inClear, makeRootKey, readNextRootKey, readRootKey, type RootKeyFiles } from '../kernel/root-key.ts'
import { sealUnder, type Seal } from '../kernel/seal.ts'
import { Secret } from '../kernel/secret.ts'
import { openLedger } from '../ledger/ledger.ts'
import { systemRandom } from '../kernel/random.ts'
import { enterRootKeys, openSeal } from './custody.ts'
import { rewrapAll } from './rewrap.ts'

const PASSWORD = 'of-the-provisioner'
const ROOT = join(import.meta.dirname, '..')

type Here = {
  readonly files: RootKeyFiles
  readonly config: Config
  readonly db: Db
  readonly owner: Db
  readonly seal: Seal
  readonly targetId: string
  /** The provisioner's login, opened under the root key that stands in its file. */
  readonly password: () => Promise<string>
}

/** An installation that sealed a target's login, as often as there are batches to be made of it. */
async function sealedWorld(t: TestContext, many = 1): Promise<Here> {
  const w = await world(t)
  const home = mkdtempSync(join(tmpdir(), 'reeve-rewrap-'))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  const config = loadConfig({ env: {}, workingFolder: home, flags: { home } })
  const files = { folder: join(home, 'keys'), form: inClear, others: [] }
  const seal = sealUnder(await makeRootKey(files))
  const targets = await Promise.all(Array.from({ length: many }, (_, at) => w.target(`orders-${at}`)))
  const targetId = targets[0]?.id ?? ''
  const session = await openSession(w.database.owner)
  t.after(() => session[Symbol.asyncDispose]())
  const owner = session.db
  await sql`alter table target disable trigger user`.execute(owner)
  for (const { id } of targets) {
    const sealedProvisioner = seal.seal(new Secret(PASSWORD), `target.sealed_provisioner:${id}`)
    await owner.updateTable('target').set({ sealedProvisioner }).where('id', '=', id).execute()
  }
  await sql`alter table target enable trigger user`.execute(owner)
  // The people of this world were sealed by another key, which is not what is tried here.
  await sql`delete from subject_key where true`.execute(owner).catch(() => undefined)
  await sql`update subject_key set sealed_key = null, destroyed_at = now()`.execute(owner)
  await sql`insert into root_key (generation, key_id, since_at) values (1, ${seal.keyId}, now())`.execute(owner)
  const password = async () => {
    const key = await readRootKey(files, true)
    assert.ok(key)
    const row = await w.db
      .selectFrom('target')
      .select('sealedProvisioner')
      .where('id', '=', targetId)
      .executeTakeFirst()
    assert.ok(row?.sealedProvisioner)
    return sealUnder(key).open(row.sealedProvisioner, `target.sealed_provisioner:${targetId}`).reveal().toString()
  }
  return { files, config, db: w.db, owner, seal, targetId, password }
}

async function triggersOff(db: Db): Promise<number> {
  const { rows } = await sql<{ off: number }>`
    select count(*)::int as off from pg_trigger where tgenabled <> 'O' and not tgisinternal`.execute(db)
  return rows[0]?.off ?? -1
}

test('every column that seals is put under another root key, and its place is the one that the code binds values to', async (t) => {
  const { db } = await world(t)
  const { rows } = await sql<{ name: string }>`
    select c.relname || '.' || a.attname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and not a.attisdropped
       and a.atttypid = 'bytea'::regtype and a.attname ~ '^sealed'`.execute(db)

  const known = [...SEALED_COLUMNS.map(({ table, column }) => `${table}.${column}`), ...Object.keys(UNDER_OTHER_KEYS)]
  assert.deepEqual(rows.map(({ name }) => name).toSorted(), known.toSorted())
  const code = globSync('**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts', '**/custody/sealed.ts'] }).map((path) =>
    readFileSync(join(ROOT, path), 'utf8'),
  )
  for (const { place } of SEALED_COLUMNS) {
    const prefix = place.split("'")[1] ?? '?'
    assert.ok(
      code.some((text) => text.includes(`\`${prefix}\${`)),
      `the code seals for ${prefix}`,
    )
  }
})

test('everything opens under the new root key and no more under the old one, which is kept for older backups', async (t) => {
  const { files, db, owner, seal, password, config } = await sealedWorld(t, 7)
  const before = await db.selectFrom('target').selectAll().orderBy('id').execute()

  const said = await rewrapAll(owner, files, false)

  assert.match(said.join('\n'), /^7 record keys/)
  assert.equal(await password(), PASSWORD)
  const after = await db.selectFrom('target').selectAll().orderBy('id').execute()
  for (const [at, row] of after.entries()) {
    assert.throws(
      () => seal.open(row.sealedProvisioner ?? Buffer.of(), `target.sealed_provisioner:${row.id}`),
      /SealBroken|does not open/,
    )
    const was = before[at]?.sealedProvisioner
    // The value itself was not touched: only its key was sealed again.
    assert.deepEqual(row.sealedProvisioner?.subarray(61), was?.subarray(61))
    assert.equal(row.cause, before[at]?.cause)
  }
  assert.equal(await triggersOff(owner), 0)
  assert.equal(statSync(join(files.folder, 'root.key')).mode & 0o777, 0o600)
  const former = readFileSync(join(files.folder, 'root.key.1'), 'utf8')
  assert.equal(sealUnder(new Secret(Buffer.from(former, 'base64'))).keyId, seal.keyId)

  const again = await openSeal(config, db)
  const ledger = openLedger({
    clock: { now: () => new Date(), monotonicMs: () => 0 },
    random: systemRandom,
    seal: again,
  })
  await enterRootKeys(db, ledger)
  await enterRootKeys(db, ledger)
  const entered = await db.selectFrom('ledgerEntry').select('kind').where('kind', '=', 'root-key.taken').execute()
  assert.equal(entered.length, 2)
})

for (const point of CUSTODY_FAULT_POINTS) {
  test(`a rewrap that stops at ${point} keeps both keys, no node starts, and run again it goes to the end`, async (t) => {
    const { files, db, owner, config, password } = await sealedWorld(t)
    const stops = new Error('stopped')
    {
      using _hook = onReach((label) => {
        if (label === point) throw stops
      })
      await assert.rejects(rewrapAll(owner, files, false), (error) => error === stops)
    }
    await sql`select pg_advisory_unlock_all()`.execute(owner)
    assert.ok(await readRootKey(files, true))
    const next = await readNextRootKey(files)
    assert.ok(next)
    await assert.rejects(openSeal(config, db), /run `reeve custody rewrap` to the end/)

    await rewrapAll(owner, files, false)

    assert.equal(await password(), PASSWORD)
    assert.equal((await openSeal(config, db)).keyId, sealUnder(next).keyId)
    assert.deepEqual(
      (await db.selectFrom('rootKey').select('generation').orderBy('generation').execute()).map(
        ({ generation }) => generation,
      ),
      [1, 2],
    )
  })
}

test('attack: a lost, damaged, readable or wrong root key is refused with what to do, and nothing is made over it', async (t) => {
  const { files, config, db, seal } = await sealedWorld(t)
  const file = join(files.folder, 'root.key')
  const good = readFileSync(file)
  const refusedBy = (text: RegExp) => assert.rejects(openSeal(config, db), text)

  writeFileSync(file, `${Buffer.alloc(32, 5).toString('base64')}\n`)
  await refusedBy(new RegExp(`sealed under ${seal.keyId} \\(generation 1\\): restore that key`))
  writeFileSync(file, 'vault:v1:abc')
  await refusedBy(/wrapped by a system that custody.kind does not name/)
  writeFileSync(file, '')
  await refusedBy(/is damaged/)
  rmSync(file)
  await refusedBy(new RegExp(`is missing, and sealed values exist under ${seal.keyId}`))
  assert.throws(() => statSync(file), { code: 'ENOENT' })
  writeFileSync(file, good, { mode: 0o644 })
  await refusedBy(/chmod 600/)
})

test('attack: a rewrap with another key than the database is sealed under, beside running nodes, or over changed rows touches nothing', async (t) => {
  const { files, db, owner, seal, targetId, password } = await sealedWorld(t)
  const file = join(files.folder, 'root.key')
  const good = readFileSync(file)
  const rewrap = async (leaveBroken = false) => {
    try {
      return await rewrapAll(owner, files, leaveBroken)
    } finally {
      await sql`select pg_advisory_unlock_all()`.execute(owner)
    }
  }
  const was = () => db.selectFrom('target').select('sealedProvisioner').where('id', '=', targetId).executeTakeFirst()
  const before = await was()

  writeFileSync(file, `${Buffer.alloc(32, 5).toString('base64')}\n`)
  await assert.rejects(rewrap(), /is sealed under/)
  assert.equal(await readNextRootKey(files), undefined)
  writeFileSync(file, good)

  const node = sql`insert into node (id, name, roles, version, started_at, heartbeat_at, clock_offset_ms)
    values (gen_random_uuid(), 'elsewhere', '{worker}', '1', now(), now(), 0)`
  await node.execute(owner)
  await assert.rejects(rewrap(), /nodes are running \(elsewhere\)/)
  assert.deepEqual(await was(), before)
  await sql`update node set stopped_at = now()`.execute(owner)

  const stranger = sealUnder(new Secret(Buffer.alloc(32, 9))).seal(new Secret('x'), `source.sealed_credential:x`)
  await sql`insert into fingerprint_key (id, sealed_key, created_at) values (gen_random_uuid(), ${stranger}, now())`.execute(
    owner,
  )
  await assert.rejects(rewrap(), /open under neither root key[^]*fingerprint_key\.sealed_key:[^]*--leave-broken/)
  assert.equal((await db.selectFrom('rootKey').selectAll().execute()).length, 1)
  assert.equal((await readRootKey(files, true))?.reveal().equals(Buffer.from(good.toString(), 'base64')), true)

  await rewrap(true)
  assert.equal(await password(), PASSWORD)
  assert.notEqual(seal.keyId, sealUnder((await readRootKey(files, true)) ?? new Secret(Buffer.alloc(32))).keyId)
})

test('a rotation that is under way finds the login it was planned for after a rewrap', async (t) => {
  const { files, owner, db, targetId } = await sealedWorld(t)
  const planned = sql`insert into rotation (id, target_id, principal, state, ends_sessions, was_sha256, planned_at, state_at, next_try_at, cause)
    select gen_random_uuid(), id, 'p', 'planned', false, sha256(sealed_provisioner), now(), now(), now(), cause from target where id = ${targetId}`
  await sql`alter table rotation disable trigger user`.execute(owner)
  await planned.execute(owner)
  await sql`alter table rotation enable trigger user`.execute(owner)

  await rewrapAll(owner, files, false)

  const { rows } = await sql<{ fits: boolean }>`
    select r.was_sha256 = sha256(t.sealed_provisioner) as fits from rotation r join target t on t.id = r.target_id`.execute(
    db,
  )
  assert.deepEqual(rows, [{ fits: true }])
  await assert.rejects(
    transact(db, (tx) =>
      tx.updateTable('target').set({ businessService: 'shop' }).where('id', '=', targetId).execute(),
    ),
    /needs an entry/,
  )
})
