/**
 * How long a grant's end takes to reach the client: from the moment the transaction's commit had returned, in the process that ended it,
 * to the client's closed socket. Whole nodes with their own PostgreSQL that syncs each commit; clients inside TLS in another process; the
 * target is a stub, since what idle sessions do at the target is not what is measured.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startCrowd, type Crowd, type Door, type Opening } from './end/crowd.ts'
import { measureFloor } from './end/floor.ts'
import { startInstallation, type Installation } from './end/installation.ts'
import { measurePolling, POLL_MS } from './end/poll.ts'
import { startSecondNode } from './end/second-node.ts'

const OPEN_SESSIONS = 50
/** Sessions of the one grant that ends among the idle ones. */
const OF_ONE_GRANT = 100
/** Trials that are not counted, while code is compiled. */
const WARM_UP = 20
/** Connections of each idle grant. */
const OF_EACH_IDLE = 100

type Size = { readonly ones: number; readonly hundreds: number; readonly polls: number; readonly sessions: number }
type Site = { readonly installation: Installation; readonly crowd: Crowd; readonly door: Door }

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      quick: { type: 'boolean', default: false },
      trials: { type: 'string' },
      hundreds: { type: 'string' },
      sessions: { type: 'string' },
      only: { type: 'string' },
    },
  })
  const size: Size = {
    ones: Number(values.trials ?? (values.quick ? 100 : 1_000)),
    hundreds: Number(values.hundreds ?? (values.quick ? 10 : 50)),
    polls: values.quick ? 12 : 48,
    sessions: Number(values.sessions ?? (values.quick ? 500 : 5_000)),
  }
  const load = loadavg()[0] ?? 0
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  // As root the database runs under another uid, which must be able to pass through.
  await chmod(folder, 0o711)
  try {
    using crowd = await startCrowd()
    await using installation = await startInstallation(folder, crowd.stubPort)
    const here = { installation, crowd, door: { port: installation.port, ca: installation.ca } }
    const one = values.only === 'two' ? undefined : await measureNode('one node', here, size)
    say('the floor: a bare server cuts as many')
    const floor = await measureFloor(crowd, installation.server.authority, {
      trials: size.hundreds,
      count: OF_ONE_GRANT,
    })
    say('a poll every two seconds')
    const poll = await measurePolling(installation, crowd, size.polls)
    const two = values.only === 'one' ? undefined : await measureSecondNode(here, folder, size)
    report({ one, two, floor, poll, size, load, strays: crowd.strays() })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Sessions at a node in another process; their grants end at this one. */
async function measureSecondNode(here: Site, folder: string, size: Size): Promise<Measured> {
  const { installation, crowd } = here
  await using second = await startSecondNode(folder, installation.server.ground.connection)
  return await measureNode('two nodes', { installation, crowd, door: { ...here.door, port: second.port } }, size)
}

type Measured = { readonly ones: number[]; readonly hundreds: number[]; readonly openedPerSecond: number }

async function measureNode(name: string, site: Site, size: Size): Promise<Measured> {
  const ones = await measureOnes(name, site, size.ones)
  sayFound(name, ones)
  const idle = await openIdle(name, site, size.sessions - OF_ONE_GRANT)
  const hundreds = await measureHundreds(name, site, size.hundreds)
  sayFound(name, hundreds)
  say(`${name}: ending ${size.sessions - OF_ONE_GRANT} idle sessions`)
  for (const { label, grantId, count } of idle.grants) {
    const closed = site.crowd.closed(label, count)
    await site.installation.end(grantId)
    await closed
  }
  return { ones, hundreds, openedPerSecond: idle.perSecond }
}

/** One of fifty sessions, each of its own grant; the ended one is replaced before the next. */
async function measureOnes(name: string, { installation, crowd, door }: Site, trials: number): Promise<number[]> {
  let made = 0
  const next = () => installation.grant(`${name} one ${made++}`, 1)
  const open: (Opening & { grantId: string })[] = []
  for (let at = 0; at < OPEN_SESSIONS; at += 1) open.push(await next())
  await crowd.open(door, open)
  const found: number[] = []
  for (let trial = -WARM_UP; trial < trials; trial += 1) {
    if (trial % 100 === 0) say(`${name}: one of ${OPEN_SESSIONS} sessions, ${trial} of ${trials} trials`)
    const place = ((trial + WARM_UP) * 17) % OPEN_SESSIONS
    const chosen = open[place]
    if (!chosen) throw new Error('nothing is open')
    const took = await endOne({ installation, crowd }, chosen, 1)
    if (trial >= 0) found.push(took)
    const replacement = await next()
    await crowd.open(door, [replacement])
    open[place] = replacement
  }
  for (const each of open) await endOne({ installation, crowd }, each, 1)
  return found
}

/** All sessions of one grant among many idle ones of others; the last one closed counts. */
async function measureHundreds(name: string, { installation, crowd, door }: Site, trials: number): Promise<number[]> {
  const found: number[] = []
  for (let trial = 0; trial < trials; trial += 1) {
    if (trial % 10 === 0) say(`${name}: ${OF_ONE_GRANT} sessions of one grant, ${trial} of ${trials} trials`)
    const chosen = await installation.grant(`${name} hundred ${trial}`, OF_ONE_GRANT)
    await crowd.open(door, [chosen])
    found.push(await endOne({ installation, crowd }, chosen, OF_ONE_GRANT))
  }
  return found
}

async function openIdle(name: string, { installation, crowd, door }: Site, count: number) {
  say(`${name}: opening ${count} idle sessions`)
  const grants = []
  for (let left = count; left > 0; left -= OF_EACH_IDLE) {
    grants.push(await installation.grant(`${name} idle ${grants.length}`, Math.min(left, OF_EACH_IDLE)))
  }
  const startedAt = performance.now()
  await crowd.open(door, interleaved(grants))
  return { grants, perSecond: count / ((performance.now() - startedAt) / 1000) }
}

/** In turn, so that logins at once are of different grants and do not wait for each other's row. */
function interleaved(grants: readonly Opening[]): Opening[] {
  const longest = Math.max(0, ...grants.map(({ count }) => count))
  return Array.from({ length: longest }, (_, at) => at).flatMap((at) =>
    grants.filter(({ count }) => at < count).map((each) => ({ ...each, count: 1 })),
  )
}

async function endOne(
  { installation, crowd }: Pick<Site, 'installation' | 'crowd'>,
  { label, grantId }: { readonly label: string; readonly grantId: string },
  count: number,
): Promise<number> {
  const closed = crowd.closed(label, count)
  const committedNs = await installation.end(grantId)
  return Number((await closed) - committedNs) / 1e6
}

type Report = {
  readonly one: Measured | undefined
  readonly two: Measured | undefined
  readonly floor: number[]
  readonly poll: number[]
  readonly size: Size
  readonly load: number
  readonly strays: number
}

function report({ one, two, floor, poll, size, load, strays }: Report): void {
  const goals = { one: 'goal p50 < 2, p99 < 15', two: 'goal p99 < 25' }
  const lines: [string, Spread, string][] = []
  for (const [name, found, goal] of [
    ['one node', one, goals.one],
    ['two nodes', two, goals.two],
  ] as const) {
    if (!found) continue
    lines.push([`${name}, one of ${OPEN_SESSIONS} sessions (${size.ones} trials)`, spreadOf(found.ones), goal])
    lines.push([
      `${name}, last of ${OF_ONE_GRANT} of one grant among ${size.sessions} (${size.hundreds} trials)`,
      spreadOf(found.hundreds),
      '',
    ])
  }
  lines.push([
    `a bare TLS server says a last word to ${OF_ONE_GRANT} and closes them (${size.hundreds} trials)`,
    spreadOf(floor),
    'floor',
  ])
  lines.push([`a poll of the row every ${POLL_MS / 1000} s (${size.polls} trials)`, spreadOf(poll), 'peer'])
  const width = Math.max(...lines.map(([name]) => name.length))
  const cell = (value: number | string) => String(value).padStart(10)
  console.log(`${'commit to closed socket, ms'.padEnd(width)}${['p50', 'p99', 'max'].map(cell).join('')}`)
  for (const [name, { p50Ms, p99Ms, maxMs }, note] of lines) {
    console.log(`${name.padEnd(width)}${[p50Ms, p99Ms, maxMs].map(cell).join('')}  ${note}`)
  }
  console.log(
    `TLS to the clients, one static account at a stub, recording of metadata, ${cpus().length} cores, load before ${rounded(load)}`,
  )
  const of = (found: Measured | undefined) =>
    found && {
      oneOfFifty: spreadOf(found.ones),
      lastOfHundred: spreadOf(found.hundreds),
      sessionsOpenedPerSecond: Math.round(found.openedPerSecond),
    }
  const result = { bench: 'end', ...size, cpus: cpus().length, load, strays, oneNode: of(one), twoNodes: of(two) }
  console.log(`RESULT ${JSON.stringify({ ...result, floor: spreadOf(floor), pollMs: POLL_MS, poll: spreadOf(poll) })}`)
}

type Spread = { readonly p50Ms: number; readonly p99Ms: number; readonly maxMs: number }

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number) =>
    rounded(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN)
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100
}

/** So that a long run that is broken off has said something. */
function sayFound(name: string, values: readonly number[]): void {
  const { p50Ms, p99Ms, maxMs } = spreadOf(values)
  say(`${name}: p50 ${p50Ms} ms, p99 ${p99Ms} ms, max ${maxMs} ms, load ${rounded(loadavg()[0] ?? 0)}`)
}

function say(what: string): void {
  process.stderr.write(`${what}\n`)
}
