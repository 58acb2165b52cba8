/**
 * The PostgreSQL gateway, recording and deciding on, beside PgBouncer in session mode and a direct connection: select-only transactions of
 * pgbench and COPY both ways. All three stand on one machine and take turns, so their ratios mean more than their figures.
 */
import { execFile, fork, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import pg from 'pg'
import { openAuthority } from '../src/kernel/ca.ts'
import { systemClock } from '../src/kernel/clock.ts'
import { systemRandom } from '../src/kernel/random.ts'
import { sleep } from '../src/kernel/timer.ts'
import { startCluster, type Cluster } from '../test/support/cluster.ts'
import { globalSetup, globalTeardown } from '../test/support/setup.ts'
import type { NodeReady } from './support/gateway-node.ts'
import { startPgBouncer, type PgBouncer } from './support/pgbouncer.ts'

const execute = promisify(execFile)
const SCALE = 10
const LOGIN = { user: 'app', password: 'bench-password', database: 'bench' }
const MODES = ['simple', 'prepared'] as const
const CLIENTS = [1, 8, 32]
const SETTLE_MS = 1_000

type Path = {
  readonly name: string
  readonly port: number
  readonly user: string
  readonly password: string
  cpuMicros(): Promise<number>
}
type Configuration = {
  readonly clients: number
  readonly mode: (typeof MODES)[number]
  readonly tls: boolean
}
type Sample = { readonly tps: number; readonly cpuMicros: number }
type Options = {
  readonly rounds: number
  readonly seconds: number
  readonly copyMegabytes: number
  readonly profile: boolean
}

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      profile: { type: 'boolean', default: false },
    },
  })
  if (!existsSync('/usr/bin/pgbench')) {
    console.log('pgbench is missing: install it with apt-get install postgresql-contrib postgresql-client')
    console.log('RESULT {"missing":["pgbench"]}')
    return
  }
  const options: Options = {
    rounds: values.quick ? 1 : Number(values.rounds),
    seconds: values.quick ? 2 : Number(values.seconds),
    copyMegabytes: values.quick ? 50 : 200,
    profile: values.profile,
  }
  await globalSetup()
  try {
    await measure(options, values.only)
  } finally {
    await globalTeardown()
  }
}

async function measure(options: Options, only: string): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const node = await startNode(options, stack)
  const folder = mkdtempSync(join(tmpdir(), 'reeve-bench-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'ca.pem'), node.ready.ca)
  const bouncer = await startPgBouncer({ port: node.cluster.port, ...LOGIN }, node.ready)
  if (bouncer) stack.use(bouncer)
  else console.log('pgbouncer is missing: install it with apt-get install pgbouncer')
  const paths = pathsOf(node, bouncer)
  const configurations = [false, true]
    .flatMap((tls) => MODES.flatMap((mode) => CLIENTS.map((clients) => ({ clients, mode, tls }))))
    .filter((each) => titleOf(each).includes(only))
  const samples = new Map<string, Sample[]>()
  const copies = new Map<string, number[]>()
  for (let round = 1; round <= options.rounds; round++) {
    process.stderr.write(`round ${round} of ${options.rounds}\n`)
    for (const configuration of configurations) {
      for (const path of paths) {
        const sample = await pgbench(path, configuration, options.seconds)
        append(samples, `${path.name} ${titleOf(configuration)}`, sample)
      }
    }
    if (only === '' || only === 'copy') await copyRound(paths, options, folder, copies)
  }
  report({ paths, configurations, samples, copies })
}

type Node = { readonly cluster: Cluster; readonly ready: NodeReady; readonly child: ChildProcess }

/** The target, and the gateway in front of it in a process of its own. */
async function startNode(options: Options, stack: AsyncDisposableStack): Promise<Node> {
  const child = fork(join(import.meta.dirname, 'support', 'gateway-node.ts'), {
    execArgv: options.profile ? ['--cpu-prof', '--cpu-prof-dir=.cpu-profile'] : [],
  })
  stack.defer(async () => {
    if (!child.connected) return
    child.send({ ask: 'stop' })
    await once(child, 'exit')
  })
  const { key, cert } = await selfSigned()
  const cluster = stack.use(
    await startCluster({ tls: { key, cert }, settings: { max_connections: '300', shared_buffers: '256MB' } }),
  )
  await fill(cluster, options.copyMegabytes)
  const settings = {
    host: '127.0.0.1',
    port: cluster.port,
    database: 'postgres',
    tls: { mode: 'disable' },
    scramIterations: 1,
    session: { idleSeconds: 3600, rowsPerStatement: 1e9, bytesPerSession: 1e12 },
  }
  child.send({ open: { settings, login: { account: LOGIN.user, password: LOGIN.password } } })
  const { ready } = await answerOf<{ ready: NodeReady }>(child)
  return { cluster, ready, child }
}

async function fill(cluster: Cluster, copyMegabytes: number): Promise<void> {
  const admin = new pg.Client({ ...cluster.connection(), password: cluster.password.reveal() })
  await admin.connect()
  await admin.query(`create role ${LOGIN.user} login password '${LOGIN.password}'`)
  await admin.query(`create database ${LOGIN.database} owner ${LOGIN.user}`)
  await admin.end()
  const env = { ...process.env, PGPASSWORD: LOGIN.password, PGSSLMODE: 'disable' }
  const at = ['-h', '127.0.0.1', '-p', String(cluster.port), '-U', LOGIN.user]
  await execute('pgbench', ['-i', '-q', '-s', String(SCALE), ...at, LOGIN.database], { env })
  const owner = new pg.Client({ ...LOGIN, host: '127.0.0.1', port: cluster.port })
  await owner.connect()
  await owner.query('create unlogged table wide (id int, filler text)')
  await owner.query(`insert into wide select n, repeat('x', 1000) from generate_series(1, ${copyMegabytes * 1000}) n`)
  await owner.query('create unlogged table sink (id int, filler text)')
  await owner.end()
}

async function answerOf<T>(child: ChildProcess): Promise<T> {
  const over = new AbortController()
  try {
    return await Promise.race([
      once(child, 'message', { signal: over.signal }).then(([answer]) => answer as T),
      once(child, 'exit', { signal: over.signal }).then((how) =>
        Promise.reject(new Error(`the gateway is gone: ${how.join(' ')}`)),
      ),
    ])
  } finally {
    over.abort()
  }
}

function pathsOf({ cluster, ready, child }: Node, bouncer: PgBouncer | undefined): Path[] {
  const none = async () => 0
  const direct: Path = { name: 'direct', port: cluster.port, ...LOGIN, cpuMicros: none }
  const gateway: Path = {
    name: 'reeve',
    port: ready.port,
    user: ready.user,
    password: ready.ticket,
    async cpuMicros() {
      child.send({ ask: 'cpu' })
      return (await answerOf<{ cpuMicros: number }>(child)).cpuMicros
    },
  }
  if (!bouncer) return [direct, gateway]
  return [
    direct,
    { name: 'pgbouncer', port: bouncer.port, ...LOGIN, cpuMicros: async () => bouncer.cpuMicros() },
    gateway,
  ]
}

function environment(path: Path, tls: boolean): NodeJS.ProcessEnv {
  return { ...process.env, PGPASSWORD: path.password, PGSSLMODE: tls ? 'require' : 'disable' }
}

/** Logging in is left out on all sides: of the transactions by pgbench, of the CPU by a run of one transaction each. */
async function pgbench(path: Path, configuration: Configuration, seconds: number): Promise<Sample> {
  const { clients } = configuration
  const each = Math.ceil((seconds * (clients === 1 ? 3_000 : 12_000)) / clients)
  const logins = path.name === 'direct' ? 0 : (await transactions(path, configuration, 1)).cpuMicros
  // Sessions of that run are being closed; their seals and rows are not what is measured.
  await sleep(SETTLE_MS)
  const { tps, cpuMicros } = await transactions(path, configuration, each)
  return { tps, cpuMicros: (cpuMicros - logins) / ((each - 1) * clients) }
}

// A number, not a time: pgbench counts logging in as part of its time.
async function transactions(path: Path, { clients, mode, tls }: Configuration, each: number): Promise<Sample> {
  const before = await path.cpuMicros()
  const how = ['-S', '-n', '-c', clients, '-j', Math.min(clients, 2), '-t', each, '-M', mode]
  const where = ['-h', '127.0.0.1', '-p', path.port, '-U', path.user, LOGIN.database]
  const { stdout } = await execute('pgbench', [...how, ...where].map(String), { env: environment(path, tls) })
  const cpuMicros = (await path.cpuMicros()) - before
  const tps = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1])
  if (!(tps > 0)) throw new Error(`pgbench said: ${stdout}`)
  return { tps, cpuMicros }
}

async function copyRound(
  paths: readonly Path[],
  { copyMegabytes }: Options,
  folder: string,
  copies: Map<string, number[]>,
): Promise<void> {
  const file = join(folder, 'copy.txt')
  for (const tls of [false, true]) {
    for (const path of paths) {
      const psql = (command: string) =>
        execute(
          'psql',
          [
            '-X',
            '-q',
            '-h',
            '127.0.0.1',
            '-p',
            String(path.port),
            '-U',
            path.user,
            '-d',
            LOGIN.database,
            '-c',
            command,
          ],
          {
            env: environment(path, tls),
          },
        )
      const timed = async (title: string, command: string) => {
        const startedAt = performance.now()
        await psql(command)
        append(
          copies,
          `${path.name} ${title} tls=${tls ? 'on' : 'off'}`,
          copyMegabytes / ((performance.now() - startedAt) / 1000),
        )
      }
      await timed('copy to client', `\\copy wide to '${file}'`)
      await timed('copy to server', `\\copy sink from '${file}'`)
      await psql('truncate sink').catch(() => undefined)
    }
  }
}

function titleOf({ clients, mode, tls }: Configuration): string {
  return `c=${clients} ${mode} tls=${tls ? 'on' : 'off'}`
}

type Found = {
  readonly paths: readonly Path[]
  readonly configurations: readonly Configuration[]
  readonly samples: ReadonlyMap<string, readonly Sample[]>
  readonly copies: ReadonlyMap<string, readonly number[]>
}

function report({ paths, configurations, samples, copies }: Found): void {
  const names = paths.map(({ name }) => name)
  const hasPeer = names.includes('pgbouncer')
  const rows = configurations.map((configuration) => {
    const title = titleOf(configuration)
    const of = (name: string) => samples.get(`${name} ${title}`) ?? []
    const ratios = of('reeve').map((sample, round) => sample.tps / (of('pgbouncer')[round]?.tps ?? Number.NaN))
    return {
      title,
      tps: Object.fromEntries(names.map((name) => [name, round(median(of(name).map(({ tps }) => tps)), 0)])),
      ratio: hasPeer ? round(median(ratios), 3) : null,
      range: hasPeer ? [round(Math.min(...ratios), 2), round(Math.max(...ratios), 2)] : null,
      cpuMicros: round(median(of('reeve').map(({ cpuMicros }) => cpuMicros)), 1),
      peerCpuMicros: hasPeer ? round(median(of('pgbouncer').map(({ cpuMicros }) => cpuMicros)), 1) : null,
    }
  })
  console.log('\nselect-only transactions per second, medians; CPU of the proxy in µs per transaction')
  console.table(
    rows.map(({ title, tps, ratio, range, cpuMicros, peerCpuMicros }) => ({
      configuration: title,
      ...tps,
      'reeve/pgbouncer': ratio,
      range: range?.join('–'),
      'CPU reeve': cpuMicros,
      'CPU pgbouncer': peerCpuMicros,
    })),
  )
  const titles = [...new Set([...copies.keys()].map((key) => key.slice(key.indexOf(' ') + 1)))]
  const copyRows = titles.map((title) => {
    const of = (name: string) => copies.get(`${name} ${title}`) ?? []
    const ratios = of('reeve').map((rate, index) => rate / (of('pgbouncer')[index] ?? Number.NaN))
    return {
      title,
      rates: Object.fromEntries(names.map((name) => [name, round(median(of(name)), 0)])),
      ratio: hasPeer ? round(median(ratios), 3) : null,
    }
  })
  console.log('\nCOPY, MB per second, medians')
  console.table(copyRows.map(({ title, rates, ratio }) => ({ direction: title, ...rates, 'reeve/pgbouncer': ratio })))
  const result = {
    bench: 'gateway',
    goal: { tps: 0.9, copy: 0.85 },
    tpsRatio: hasPeer && rows.length > 0 ? round(median(rows.map(({ ratio }) => ratio ?? 0)), 3) : null,
    copyRatio: hasPeer && copyRows.length > 0 ? round(median(copyRows.map(({ ratio }) => ratio ?? 0)), 3) : null,
    configurations: rows,
    copy: copyRows,
    missing: hasPeer ? [] : ['pgbouncer'],
  }
  console.log(`RESULT ${JSON.stringify(result)}`)
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits
}

/** A certificate for the direct path's TLS. */
async function selfSigned(): Promise<{ key: string; cert: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-bench-tls-'))
  try {
    const authority = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
    const { key, cert } = await authority.issueServer(['localhost'])
    return { key: key.reveal(), cert }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
