/**
 * The program. Each command loads what it needs and no more: asking for the version reads no schema, and a client starts no server code.
 */
import { processEnvironment } from './kernel/environment.ts'
import { processIo, tell, type Io } from './cli/io.ts'
import type { Parts, ServerFlags } from './cli/parts.ts'
import type { Config } from './kernel/config.ts'

/** Runs one command line and gives its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  endWithLauncher()
  const io = processIo(processEnvironment())
  const { VERSION } = await import('./version.ts')
  if (args.length === 1 && args[0] === '--version') {
    io.stdout.write(`${VERSION}\n`)
    return 0
  }
  const { runCli } = await import('./cli/main.ts')
  return runCli(args, io, partsOf(io, VERSION))
}

function partsOf(io: Io, version: string): Parts {
  return {
    version,
    operations: async () => (await import('./contracts.ts')).operations,
    start: (given) => start(io, given),
    migrate: async (given) => {
      const { migrateExternal } = await import('./server/ground.ts')
      const { applied, version: schema } = await migrateExternal(await configOf(io, given))
      return [...applied.map((name) => `${name} is applied.`), `The schema is at ${schema}.`]
    },
    rewrap: async (given, leaveBroken) => {
      const { rewrapInstallation } = await import('./server/rewrap.ts')
      return rewrapInstallation(await configOf(io, given), leaveBroken)
    },
    // Once through JSON, where a secret says only that it is one.
    config: async (given) => JSON.parse(JSON.stringify(await configOf(io, given))),
    policy: async (request) => (await import('./server/policy-tools.ts')).policyTool(request),
    policyTexts: async (folder) => (await import('./server/policy-tools.ts')).readPolicyTexts(folder),
    scan: async (request, output) => {
      const { runScan } = await import('./scanner/command.ts')
      const sources = request.sources.map((source) =>
        source.kind === 'stdin' ? { kind: 'stream' as const, name: 'standard input', chunks: process.stdin } : source,
      )
      return runScan({ ...request, sources, version }, output)
    },
    agent: async ({ connection, ...request }, print) => {
      const [{ runAgent }, { openClient }] = await Promise.all([import('./agent/run.ts'), import('./cli/client.ts')])
      // One try at a time: the agent knows better when to ask again.
      const connect: Parameters<typeof runAgent>[1] = (proof) => {
        const client = proof && { certificate: proof.certificate, key: proof.privateKey }
        return openClient({ ...connection, token: proof?.token, client, context: undefined }, [])
      }
      return runAgent(request, connect, print)
    },
    verify: async (args, print) => (await import('../verifier/verify.ts')).main(args, print),
  }
}

async function configOf(io: Io, { file, flags }: ServerFlags): Promise<Config> {
  const { loadConfig } = await import('./kernel/config.ts')
  const { env, workingFolder } = io
  return loadConfig({ env, workingFolder, flags, ...(file !== undefined && { file }) })
}

/** Serves until a signal; the process ends with the ordered stop. */
async function start(io: Io, given: ServerFlags): Promise<void> {
  const config = await configOf(io, given)
  const [{ startServer }, { openLog }, { openStop, stopOnSignals }] = await Promise.all([
    import('./server.ts'),
    import('./kernel/log.ts'),
    import('./kernel/stop.ts'),
  ])
  const log = openLog(config.log.level)
  const stop = openStop(log)
  stopOnSignals(stop, process, log)
  const { api, gateways, founderLink } = await startServer(config, log, stop)
  if (api.url !== '') tell(io, `Reeve ${config.node.name} answers at ${api.url}`)
  for (const { protocol, host, port } of gateways) tell(io, `The ${protocol} gateway listens at ${host}:${port}`)
  if (founderLink !== undefined) {
    tell(io, 'Nobody is known here yet. Whoever uses this link within 15 minutes becomes the founder:')
    tell(io, `\n  reeve enrol --name <you> '${founderLink}'\n`)
  }
  await stop.over
}

/**
 * Under a Node that was too old, `bin/launch.js` started this process and holds a channel to it. When that end closes, whoever started us is
 * gone, however it went: a server stops, a command that runs is told.
 */
function endWithLauncher(): void {
  if (process.channel === undefined || process.channel === null) return
  process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'))
  process.channel.unref()
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))
