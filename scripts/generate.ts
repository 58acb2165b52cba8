import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { silentLog } from '../src/kernel/log.ts'
import { migrate } from '../src/kernel/migrate.ts'
import { startEmbeddedPostgres } from '../src/kernel/postgres/embedded.ts'
import { derive, ROOT } from './derive.ts'

// Writes what is derived: the types of the tables, the OpenAPI document and the reference pages. test/reference.test.ts holds them current.
const folder = await mkdtemp(join(tmpdir(), 'reeve-generate-'))
// As root the cluster runs under another uid, which must be able to pass through.
await chmod(folder, 0o711)
try {
  await using postgres = await startEmbeddedPostgres({ folder, log: silentLog, settings: { fsync: 'off' } })
  const owner = postgres.connection('owner')
  await migrate(owner, postgres.connection('server').user)
  for (const [path, text] of await derive(owner)) {
    const file = join(ROOT, path)
    if ((await readFile(file, 'utf8').catch(() => undefined)) === text) continue
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
    console.log(`written: ${path}`)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
