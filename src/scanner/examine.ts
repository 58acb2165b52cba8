/** One content, whatever it is: packed things are unpacked, encodings resolved, and what comes out is looked at the same way, within a budget. */
import type { Engine, Match, Place } from './engine/engine.ts'
import type { Budget, Limits } from './decode/limits.ts'
import { packingOf, unpack } from './decode/packed.ts'
import { asUtf8, decodeRun, isBinary, isWorthIt, notebookParts, percentDecoded } from './decode/text.ts'
import { isLockFile } from './input/names.ts'

/** A match with where it stands; positions are those of the outermost text it was decoded from. */
export type Located = {
  readonly match: Match
  readonly path: string
  readonly line: number
  readonly column: number
  readonly endLine: number
  readonly endColumn: number
  readonly decodedBy: readonly string[]
  /** The line it stands on and the one before, for comments that allow it. */
  readonly lines: string
}

export type Looker = {
  readonly engine: Engine
  readonly limits: Limits
  readonly now: Place['now']
  readonly withNames: boolean
  readonly unread: (path: string, reason: string) => void
  readonly counted: { binary: number }
}

type At = { readonly path: string; readonly decodedBy: readonly string[]; readonly depth: number }

/** Everything found in these bytes and in what is packed or encoded in them. */
export function* examine(looker: Looker, bytes: Buffer, path: string, budget: Budget): Generator<Located> {
  yield* packedOrText(looker, bytes, { path, decodedBy: [], depth: 0 }, budget)
}

function* packedOrText(looker: Looker, bytes: Buffer, at: At, budget: Budget): Generator<Located> {
  const packing = packingOf(bytes)
  if (packing === undefined) {
    yield* textOf(looker, bytes, at, budget)
    return
  }
  if (at.depth >= looker.limits.depth) {
    looker.unread(at.path, `it is packed more than ${looker.limits.depth} times`)
    return
  }
  const decodedBy = [...at.decodedBy, packing]
  let isWhole = true
  for (const unpacked of unpack(bytes, packing, budget, looker.limits)) {
    if ('reason' in unpacked) {
      isWhole = false
      looker.unread(unpacked.name === '' ? at.path : `${at.path}!${shownName(unpacked.name)}`, unpacked.reason)
      continue
    }
    const { name, bytes: inner } = unpacked.entry
    const path = name === '' ? at.path : `${at.path}!${shownName(name)}`
    yield* packedOrText(looker, inner, { path, decodedBy, depth: at.depth + 1 }, budget)
  }
  // What could not be unpacked may still be read as it lies there.
  if (!isWhole) yield* textOf(looker, bytes, at, budget)
}

/** A name out of an archive, short and on one line. */
function shownName(name: string): string {
  return name.slice(0, 1000).replaceAll(/\p{Cc}/gu, '?')
}

function* textOf(looker: Looker, given: Buffer, at: At, budget: Budget): Generator<Located> {
  const bytes = asUtf8(given)
  const binary = isBinary(bytes)
  if (binary) looker.counted.binary += 1
  const isQuiet = isLockFile(at.path)
  const [runs, addresses]: [number[], number[]] = [[], []]
  const place = { path: at.path, now: looker.now, withNames: looker.withNames && !binary && !isQuiet }
  const matches = looker.engine.find(bytes, place, {
    onRun: (run) => runs.push(run),
    onAddress: (address) => addresses.push(address),
  })
  const where = positions(bytes)
  for (const match of matches) yield { match, path: at.path, decodedBy: at.decodedBy, ...where(match.start, match.end) }
  if (at.depth >= looker.limits.depth) {
    if (runs.length > 0) looker.unread(at.path, `it is encoded more than ${looker.limits.depth} times`)
    return
  }
  if (!isQuiet && runs.length + addresses.length > 0)
    yield* encoded(looker, bytes, { at, runs, addresses, matches, where }, budget)
  if (/\.ipynb$/i.test(at.path) && !binary) yield* notebook(looker, bytes, at, matches)
}

type Around = {
  readonly at: At
  readonly runs: readonly number[]
  readonly addresses: readonly number[]
  readonly matches: readonly Match[]
  readonly where: ReturnType<typeof positions>
}

/** The runs of base64 and hexadecimal, and addresses in percent signs. */
function* encoded(
  looker: Looker,
  bytes: Buffer,
  { at, runs, addresses, matches, where }: Around,
  budget: Budget,
): Generator<Located> {
  let [seenTo, next] = [-1, 0]
  for (const run of runs) {
    if (run < seenTo) continue
    const { start, end, how, bytes: decoded } = decodeRun(bytes, run)
    seenTo = end
    while ((matches[next]?.end ?? Infinity) <= start) next += 1
    if (!decoded || (matches[next]?.start ?? Infinity) < end) continue
    if (packingOf(decoded) === undefined && !isWorthIt(decoded)) continue
    const reason = budget.spend(decoded.length)
    if (reason !== undefined) {
      looker.unread(at.path, reason)
      return
    }
    yield* within(looker, decoded, how, where(start, end), { at, budget })
  }
  for (const found of addresses) {
    const plain = percentDecoded(bytes, found)
    if (!plain || budget.spend(plain.length) !== undefined) continue
    yield* within(looker, plain, 'percent', where(found, found + 9), { at, budget })
  }
}

type Outer = { readonly at: At; readonly budget: Budget }

function* within(looker: Looker, bytes: Buffer, how: string, where: Where, { at, budget }: Outer): Generator<Located> {
  const inner = { path: at.path, decodedBy: [...at.decodedBy, how], depth: at.depth + 1 }
  for (const located of packedOrText(looker, bytes, inner, budget)) yield { ...located, ...where }
}

/** A notebook's cells again without the quoting of JSON; what the raw text showed already is not said twice. */
function* notebook(looker: Looker, bytes: Buffer, at: At, known: readonly Match[]): Generator<Located> {
  const parts = notebookParts(bytes)
  if (!parts) {
    looker.unread(at.path, 'it is no notebook that can be read; its raw text was looked at')
    return
  }
  const secrets = new Set(known.map(({ secret }) => secret))
  for (const { name, text } of parts) {
    const inner = Buffer.from(text, 'utf8')
    const where = positions(inner)
    const place = { path: at.path, now: looker.now, withNames: looker.withNames }
    for (const match of looker.engine.find(inner, place)) {
      if (secrets.has(match.secret)) continue
      const path = `${at.path}!${name}`
      yield { match, path, decodedBy: [...at.decodedBy, 'notebook'], ...where(match.start, match.end) }
    }
  }
}

type Where = Pick<Located, 'line' | 'column' | 'endLine' | 'endColumn' | 'lines'>

/** What is quoted of a line; longer ones are data. */
const LINE_BYTES = 2000
/** Up to here columns count characters, beyond bytes: a line of megabytes is not decoded to say where in it something stands. */
const COUNTED_BYTES = 65_536

/** Lines and columns of places that are asked for in ascending order; each byte is passed once. */
function positions(bytes: Buffer): (start: number, end: number) => Where {
  let [line, lineStart, before] = [1, 0, 0]
  const pointAt = (at: number) => {
    if (at < lineStart) [line, lineStart, before] = [1, 0, 0]
    for (let next = bytes.indexOf(10, lineStart); next >= 0 && next < at; next = bytes.indexOf(10, lineStart)) {
      line += 1
      before = lineStart
      lineStart = next + 1
    }
    const inLine = at - lineStart
    const column = inLine > COUNTED_BYTES ? inLine : bytes.toString('utf8', lineStart, at).length
    return { line, column: column + 1 }
  }
  return (start, end) => {
    const first = pointAt(start)
    const from = Math.max(before, start - LINE_BYTES)
    const newline = bytes.indexOf(10, start)
    const to = Math.min(newline < 0 ? bytes.length : newline, start + LINE_BYTES)
    const lines = bytes.toString('utf8', from, to)
    const last = pointAt(end)
    return { ...first, endLine: last.line, endColumn: last.column, lines }
  }
}
