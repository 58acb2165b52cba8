/**
 * AuthZEN over HTTPS from end to end: a whole node in one process, the load in another, and in a third a bare Fastify that sends JSON back
 * over the same TLS. They take turns, round by round, so that what else the machine does falls on all of them.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { startLoad, type Load } from '../support/load/load.ts'
import type { Door, Drive, Driven } from '../support/load/messages.ts'
import { startEcho, startSite, type Measured, type MeasuredSite } from './children.ts'
import { reportHttp, type HttpFigures } from './http-report.ts'
import type { Kind, Statement } from './messages.ts'

type Size = { readonly seconds: number; readonly rounds: number; readonly rate: number }

/** One row of the table. */
export type Trial = {
  readonly name: string
  readonly kind: Kind
  readonly connections: number
  readonly isOpen: boolean
}
/** What a trial came to in one round; the processor time of the server's own process for each answer. */
export type Round = Driven & { readonly cpuUs: number }

const TRIALS: readonly Trial[] = [
  { name: 'echo, closed loop', kind: 'echo', connections: 16, isOpen: false },
  { name: 'no entry, closed loop', kind: 'plain', connections: 16, isOpen: false },
  { name: 'durable entry, closed loop', kind: 'durable', connections: 16, isOpen: false },
  { name: 'echo, closed loop', kind: 'echo', connections: 64, isOpen: false },
  { name: 'no entry, closed loop', kind: 'plain', connections: 64, isOpen: false },
  { name: 'durable entry, closed loop', kind: 'durable', connections: 64, isOpen: false },
  { name: 'echo, open loop', kind: 'echo', connections: 128, isOpen: true },
  { name: 'durable entry, open loop', kind: 'durable', connections: 128, isOpen: true },
]
/** Until code is compiled; what is compiled late is measured with. */
const WARM_UP_SECONDS = 5
/** Statements are counted for as long. */
const COUNTING_SECONDS = 1

type Stage = {
  readonly doors: Readonly<Record<Kind, Door>>
  readonly servers: Readonly<Record<Kind, Measured>>
  readonly load: Load
}

/** Measures, prints its table, and returns the figures. `profile` is a folder for a CPU profile of the node's process. */
export async function measureHttp(
  size: Size & { readonly profile: string | undefined },
): Promise<HttpFigures & { entries: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  // As root the database runs under another uid, which must be able to pass through.
  await chmod(folder, 0o711)
  try {
    await using site = await startSite(folder, size.profile)
    await using echo = await startEcho(site.ready)
    await using load = startLoad()
    const stage = stageOf(site, echo, load)
    const before = await site.entries()
    const rounds = await runRounds(stage, size)
    const entries = (await site.entries()) - before
    holdEntries(rounds, entries)
    const figures = reportHttp(rounds, await countStatements(site, stage), size)
    return { ...figures, entries }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function stageOf(site: MeasuredSite, echo: Measured & { readonly port: number }, load: Load): Stage {
  const { port, ca, requests } = site.ready
  // The same bytes, but for the path: the echo reads as much and answers about as much.
  const echoed = requests.plain.map((request) => request.replace(/^POST \S+/, 'POST /echo'))
  return {
    doors: {
      echo: { port: echo.port, ca, requests: echoed },
      plain: { port, ca, requests: requests.plain },
      durable: { port, ca, requests: requests.durable },
    },
    servers: { echo, plain: site, durable: site },
    load,
  }
}

async function runRounds(stage: Stage, { seconds, rounds, rate }: Size): Promise<Map<Trial, Round[]>> {
  for (const kind of ['echo', 'plain', 'durable'] as const) {
    await run(stage, kind, { connections: 16, seconds: WARM_UP_SECONDS })
  }
  const found = new Map<Trial, Round[]>(TRIALS.map((trial) => [trial, []]))
  for (let round = 1; round <= rounds; round += 1) {
    for (const [trial, of] of found) {
      const { kind, connections, isOpen } = trial
      const made = await run(stage, kind, { connections, seconds, ...(isOpen && { rate }) })
      of.push(made)
      say(`round ${round}: ${trial.name}, ${connections} connections: ${Math.round(made.perSecond)}/s`)
    }
  }
  say(`load ${loadavg()[0]?.toFixed(1)}`)
  return found
}

async function run(stage: Stage, kind: Kind, how: Omit<Drive, 'door' | 'expected'>): Promise<Round> {
  const server = stage.servers[kind]
  const before = await server.cpuUs()
  const expected = kind === 'echo' ? '"subject"' : '"decision":true'
  const driven = await stage.load.drive({ door: stage.doors[kind], expected, ...how })
  return { ...driven, cpuUs: ((await server.cpuUs()) - before) / driven.answered }
}

/** An answer that was given before its entry was durable would be a faster one, and a wrong one. */
function holdEntries(rounds: ReadonlyMap<Trial, readonly Round[]>, entries: number): void {
  const durable = [...rounds].filter(([{ kind }]) => kind === 'durable').flatMap(([, of]) => of)
  const answered = durable.reduce((sum, round) => sum + round.answered, 0)
  if (entries < answered) throw new Error(`${answered} decisions were answered and ${entries} are in the ledger`)
}

/** What one decision asks of the database, each statement as often as it is sent for it. What others send meanwhile is too rare to count. */
async function countStatements(site: MeasuredSite, stage: Stage): Promise<Record<'plain' | 'durable', Statement[]>> {
  const counted = async (kind: Kind) => {
    let answered = 0
    const all = await site.statementsOf(async () => {
      answered = (await run(stage, kind, { connections: 1, seconds: COUNTING_SECONDS })).answered
    })
    const each = all.map(({ text, times }) => ({ text, times: Math.round((10 * times) / answered) / 10 }))
    return each.filter(({ times }) => times >= 0.5)
  }
  return { plain: await counted('plain'), durable: await counted('durable') }
}

function say(what: string): void {
  process.stderr.write(`${what}\n`)
}
