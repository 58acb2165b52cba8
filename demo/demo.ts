/**
 * The main job on real systems: a company's PostgreSQL with a past is registered, and privileged acts on it are requested, decided, approved,
 * brokered, recorded, ended and proven. Exits 0 only if every proof holds. `--keep` leaves everything running until Ctrl-C.
 */
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../src/kernel/config.ts'
import { openLog } from '../src/kernel/log.ts'
import { startServer } from '../src/server.ts'
import { adminActByPerson, migrationByPipeline, outsideTheGrant, revokedInMidQuery, type Stage } from './acts.ts'
import { Evidence, ms } from './evidence.ts'
import { writeConfig } from './files.ts'
import { enrolCast } from './people.ts'
import { psqlByRun } from './psql.ts'
import { startProduction } from './production.ts'
import { proveLedger, playSessions } from './records.ts'
import { registerShop } from './register.ts'

const isKept = process.argv.includes('--keep')
const folder = mkdtempSync(join(tmpdir(), 'reeve-demo-'))
// As root the databases run under another uid, which must be able to pass through.
chmodSync(folder, 0o711)
process.exitCode = await main()

async function main(): Promise<number> {
  const evidence = new Evidence()
  const startedAt = performance.now()
  try {
    evidence.step('Reeve starts with its own database, and beside it a PostgreSQL that plays production')
    const config = loadConfig({
      env: {},
      workingFolder: folder,
      flags: { home: join(folder, 'home') },
      file: writeConfig(folder),
    })
    const [server, production] = await Promise.all([startServer(config, openLog('error')), startProduction(folder)])
    await using _server = server
    await using _production = production
    evidence.tell(
      `both are up after ${ms(startedAt)}: the API at ${server.api.url}, production on port ${production.cluster.port}`,
    )
    const cast = await enrolCast(server)
    evidence.tell(
      'Ada founded the installation by its one-time link; Bob, Carol, Erin and a pipeline enrolled by theirs.',
    )
    const stage: Stage = { evidence, server, production, cast }
    await registerShop(stage)
    await migrationByPipeline(stage)
    const act = await adminActByPerson(stage)
    await outsideTheGrant(stage, act.client)
    await revokedInMidQuery(stage, act)
    await psqlByRun(stage, folder)
    await playSessions(stage)
    await proveLedger(stage, folder)
    const code = evidence.conclude()
    if (isKept) await waitForCtrlC(server.api.url)
    return code
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function waitForCtrlC(url: string): Promise<void> {
  console.log(`\nReeve keeps running at ${url}; its home is ${join(folder, 'home')}. Ctrl-C ends it.`)
  const signal = new AbortController()
  process.once('SIGINT', () => signal.abort())
  await once(signal.signal, 'abort')
}
