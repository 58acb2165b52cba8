import type { Round, Trial } from './http.ts'
import type { Statement } from './messages.ts'
import { rounded } from './latency.ts'

type Figures = {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuUs: number
  readonly unanswered: number
}
type Row = Omit<Trial, 'isOpen'> & Figures & { readonly rate?: number }
export type HttpFigures = {
  readonly rounds: number
  readonly seconds: number
  readonly rows: readonly Row[]
  readonly ofEcho: { readonly at16: number; readonly at64: number }
  readonly durablePerSecond: number
  readonly statements: { readonly plain: number; readonly durable: number }
}

/** Prints what the rounds came to: the median of each figure. */
export function reportHttp(
  found: ReadonlyMap<Trial, readonly Round[]>,
  statements: Readonly<Record<'plain' | 'durable', readonly Statement[]>>,
  { seconds, rounds, rate }: { readonly seconds: number; readonly rounds: number; readonly rate: number },
): HttpFigures {
  const rows = [...found].map(([{ name, kind, connections, isOpen }, of]): Row => {
    return { name, kind, connections, ...(isOpen && { rate }), ...figuresOf(of) }
  })
  printRows(rows)
  const at = (kind: Row['kind'], connections: number) =>
    rows.find((row) => row.kind === kind && row.connections === connections)
  const ofEcho = (connections: number) =>
    rounded((at('plain', connections)?.perSecond ?? 0) / (at('echo', connections)?.perSecond ?? 1))
  const shares = { at16: ofEcho(16), at64: ofEcho(64) }
  const durablePerSecond = Math.max(...[16, 64].map((connections) => at('durable', connections)?.perSecond ?? 0))
  const open = rows.find((row) => row.rate !== undefined && row.kind === 'durable')
  const isReached = open !== undefined && open.perSecond >= 0.98 * rate
  const lines: [string, string | number, string][] = [
    ['no entry, of the echo, 16 connections', shares.at16, 'goal >= 0.8'],
    ['no entry, of the echo, 64 connections', shares.at64, 'goal >= 0.8'],
    ['durable entry, closed loop, per second', durablePerSecond, 'goal >= 10000'],
    [
      `durable entry, p99 ms at ${rate}/s due`,
      isReached ? open.p99Ms : `not reached: ${open?.perSecond ?? 0}/s`,
      'goal < 10',
    ],
  ]
  for (const [name, value, goal] of lines) console.log(`${name.padEnd(52)} ${value}  ${goal}`)
  const sum = (of: readonly Statement[]) => rounded(of.reduce((total, { times }) => total + times, 0))
  const counted = { plain: sum(statements.plain), durable: sum(statements.durable) }
  for (const kind of ['plain', 'durable'] as const) {
    console.log(`${kind === 'plain' ? 'no entry' : 'durable entry'}: ${counted[kind]} statements for each decision`)
    for (const { text, times } of statements[kind]) {
      console.log(`  ${times} × ${text.replaceAll(/\s+/g, ' ').trim().slice(0, 100)}`)
    }
  }
  return { rounds, seconds, rows, ofEcho: shares, durablePerSecond, statements: counted }
}

function printRows(rows: readonly Row[]): void {
  const cell = (value: number | string) => String(value).padStart(12)
  const heads = ['connections', 'due/s', 'answered/s', 'p50 ms', 'p99 ms', 'server µs', 'unanswered']
  console.log(`${'AuthZEN over HTTPS'.padEnd(28)}${heads.map(cell).join('')}`)
  for (const { name, connections, rate, perSecond, p50Ms, p99Ms, cpuUs, unanswered } of rows) {
    const cells = [connections, rate ?? '', perSecond, p50Ms, p99Ms, cpuUs, unanswered]
    console.log(`${name.padEnd(28)}${cells.map(cell).join('')}`)
  }
}

function figuresOf(rounds: readonly Round[]): Figures {
  return {
    perSecond: Math.round(median(rounds.map(({ perSecond }) => perSecond))),
    p50Ms: rounded(median(rounds.map(({ p50Ms }) => p50Ms))),
    p99Ms: rounded(median(rounds.map(({ p99Ms }) => p99Ms))),
    cpuUs: Math.round(median(rounds.map(({ cpuUs }) => cpuUs))),
    unanswered: Math.round(median(rounds.map(({ unanswered }) => unanswered))),
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
