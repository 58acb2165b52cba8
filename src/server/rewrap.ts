import { join } from 'node:path'
import { sql } from 'kysely'
import { reachCustody, rewrapSealed } from '../credentials/credentials.ts'
import type { Config } from '../kernel/config.ts'
import { connectionFrom } from '../kernel/connection-url.ts'
import { openSession, transact, type Connection, type Db } from '../kernel/db.ts'
import { silentLog } from '../kernel/log.ts'
import { NODE_DEAD_AFTER_SECONDS } from '../kernel/nodes.ts'
import { startEmbeddedPostgres } from '../kernel/postgres/embedded.ts'
import {
  makeNextRootKey,
  promoteRootKey,
  readNextRootKey,
  readRootKey,
  rootKeyFile,
  type RootKeyFiles,
} from '../kernel/root-key.ts'
import { keyIdOf, sealUnder, type Seal } from '../kernel/seal.ts'
import type { Secret } from '../kernel/secret.ts'
import { lastGeneration, mustBeTheKey, rootKeyFiles } from './custody.ts'

/** 'custody.' in ASCII: one rewrap at a time. */
const LOCK = 0x63757374

/** `reeve custody rewrap`: everything sealed goes under a new root key. Says what it did; run again after a kill, it goes on. */
export async function rewrapInstallation(config: Config, leaveBroken: boolean): Promise<string[]> {
  const { url, ownerUrl } = config.database
  if (url && !ownerUrl) throw new Error('set REEVE_DATABASE_OWNER_URL: only the owner of the schema may do this')
  await using opened = new AsyncDisposableStack()
  let owner: Connection
  if (ownerUrl) owner = connectionFrom(ownerUrl)
  else {
    const postgres = await startEmbeddedPostgres({ folder: join(config.home, 'postgres'), log: silentLog })
    opened.use(postgres)
    owner = postgres.connection('owner')
  }
  const { db } = opened.use(await openSession(owner))
  // Awaited here: the session is closed when this function is left.
  return await rewrapAll(db, await rootKeyFiles(config), leaveBroken)
}

/** The steps, each of which may be the last one before a kill. */
export async function rewrapAll(db: Db, files: RootKeyFiles, leaveBroken: boolean): Promise<string[]> {
  const file = rootKeyFile(files)
  const { rows } = await sql<{ isOurs: boolean }>`select pg_try_advisory_lock(${LOCK}) as "isOurs"`.execute(db)
  if (!rows[0]?.isOurs) throw new Error('another `reeve custody rewrap` is at work')
  const current = await readRootKey(files, false)
  if (!current) throw new Error(`there is no root key ${file}: restore it from your key backup`)
  const seal = sealUnder(current)
  const { generation, next } = await begin(db, files, seal)
  await reachCustody('custody.next-made')
  const said: string[] = []
  // What a node sealed that had not heard of its end yet is taken along.
  for (let isMore = true; isMore;) {
    const { moved, broken } = await rewrapSealed(db, seal, next)
    if (broken.length > 0 && !leaveBroken) throw new BrokenRows(broken)
    if (moved > 0) said.push(`${moved} record keys are under the new root key; no value was opened.`)
    isMore = moved > 0
  }
  await reachCustody('custody.all-under-next')
  await transact(db, async (tx) => {
    const values = { generation: generation + 1, keyId: keyIdOf(next), sinceAt: sql<Date>`now()` }
    await tx
      .insertInto('rootKey')
      .values(values)
      .onConflict((on) => on.column('generation').doNothing())
      .execute()
  })
  await reachCustody('custody.generation-known')
  const former = await promoteRootKey(files, generation)
  return [
    ...said,
    `${file} is ${keyIdOf(next)}, generation ${generation + 1}: back it up.`,
    `${former} opens backups from before; destroy it when they are gone.`,
  ]
}

/** Both keys, and the generation of the one that goes. */
async function begin(db: Db, files: RootKeyFiles, seal: Seal): Promise<{ generation: number; next: Secret<Buffer> }> {
  const standing = await readNextRootKey(files)
  const last = await lastGeneration(db)
  // It was stopped between the last two steps.
  if (standing && last?.keyId === keyIdOf(standing)) return { generation: last.generation - 1, next: standing }
  const generation = await transact(db, (tx) => mustBeTheKey(tx, seal, rootKeyFile(files)))
  // The file is what keeps nodes from starting, so it is there before anybody looks which run.
  const next = standing ?? (await makeNextRootKey(files))
  await mustBeAlone(db)
  return { generation, next }
}

async function mustBeAlone(db: Db): Promise<void> {
  const { rows } = await sql<{ name: string }>`
    select distinct name from node
     where stopped_at is null and heartbeat_at > now() - make_interval(secs => ${NODE_DEAD_AFTER_SECONDS})`.execute(db)
  if (rows.length === 0) return
  throw new Error(
    `nodes are running (${rows.map(({ name }) => name).join(', ')}): stop them, wait ${NODE_DEAD_AFTER_SECONDS} seconds where one was killed, and run this again; none starts before it is done`,
  )
}

class BrokenRows extends Error {
  constructor(places: readonly string[]) {
    super(
      `these open under neither root key, since the rows were changed or moved:\n${places.map((place) => `  - ${place}`).join('\n')}\nRestore them from a backup and run this again, or leave them as they are with --leave-broken; nothing is lost meanwhile, both keys are kept`,
    )
  }
}
