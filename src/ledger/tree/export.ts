import { decodeCount, decodeHash, decodeBase64 } from './base64.ts'
import { parseCheckpoint } from './checkpoint.ts'
import type { Checkpoint } from './checkpoint.ts'
import { leafHash } from './hash.ts'
import { InvalidProof } from './invalid.ts'
import { formatVerifierKey, parseNote } from './note.ts'
import type { VerifierKey } from './note.ts'

/**
 * The ledger in one file, for somebody who has nothing of us but a key: NDJSON, so that it streams in both directions, can be
 * cut with `head`, read with `jq` and counted with `wc -l`. Each line has exactly one spelling (this member order, no spaces,
 * standard base64), so there is no byte a verifier could overlook, and leaf lines are read without a JSON parser.
 *
 *   {"reeveLedgerExport":1,"origin":"<log>","key":"<verifier key>"}   begins a log; a restored log follows the one it continues
 *   {"checkpoint":"<signed note>"}                                     stands right behind the leaf that makes its size
 *   {"leaf":<index>,"hash":"<base64>","data":"<base64>"}               the entry's exact bytes, and its hash as the tree holds it
 *   {"opening":<index>,"path":"<RFC 6901>","salt":"<base64>","value":"<text>"}   discloses a commitment of the leaf just above
 *   {"end":<leaves in the file>}                                       tells a whole file from an interrupted copy
 *
 * The hash is not trusted: it lets a verifier name the very entry that was edited when the tree itself is intact.
 */
export type ExportRecord =
  | { readonly kind: 'log'; readonly origin: string; readonly key: string }
  | { readonly kind: 'checkpoint'; readonly signed: string }
  | { readonly kind: 'leaf'; readonly index: number; readonly hash: Buffer; readonly entry: Buffer }
  | ({ readonly kind: 'opening'; readonly index: number } & ExportOpening)
  | { readonly kind: 'end'; readonly leaves: number }

/** What discloses one personal field: `path` points at the {"commitment": …} in the leaf, as in `/facts/email`. */
type ExportOpening = { readonly path: string; readonly salt: Buffer; readonly value: string }

export type ExportLeaf = {
  readonly entry: Buffer
  /** As stored in the tree; computed when left out. */
  readonly hash?: Buffer
  readonly openings?: readonly ExportOpening[]
}

export type ExportLog = {
  readonly key: VerifierKey
  /** Signed notes by rising size. */
  readonly checkpoints: AsyncIterable<string> | Iterable<string>
  readonly leaves: AsyncIterable<ExportLeaf> | Iterable<ExportLeaf>
}

/** No honest line is longer: a leaf is 87,380 characters, an opened value of 65,535 bytes at most six times its length. */
const LINE_MAX_BYTES = 524_288

/** Big enough that writing costs nothing, small enough to hold a few. */
const CHUNK_CHARACTERS = 262_144

/** The kind of a restored log's first entry; its facts are `continuationFacts` of the old log's last checkpoint (core 12). */
export const CONTINUATION_KIND = 'ledger.continued'

export type Continuation = {
  readonly previousOrigin: string
  readonly previousSize: number
  readonly previousRoot: string
}

export function continuationFacts(last: Pick<Checkpoint, 'origin' | 'size' | 'root'>): Continuation {
  return { previousOrigin: last.origin, previousSize: last.size, previousRoot: last.root.toString('base64') }
}

/** The file in pieces. Logs come oldest first; throws when checkpoints do not rise. */
export async function* writeExport(logs: AsyncIterable<ExportLog> | Iterable<ExportLog>): AsyncGenerator<string> {
  let pending = ''
  let leaves = 0
  for await (const log of logs) {
    for await (const line of logLines(log)) {
      if (line.startsWith('{"leaf"')) leaves++
      pending += line
      if (pending.length < CHUNK_CHARACTERS) continue
      yield pending
      pending = ''
    }
  }
  yield `${pending}${JSON.stringify({ end: leaves })}\n`
}

async function* logLines(log: ExportLog): AsyncGenerator<string> {
  yield line({ reeveLedgerExport: 1, origin: log.key.name, key: formatVerifierKey(log.key) })
  const checkpoints = rising(log.checkpoints)
  let next = await checkpoints.next()
  let index = 0
  for await (const leaf of log.leaves) {
    for (; !next.done && next.value.size <= index; next = await checkpoints.next()) yield next.value.line
    const hash = (leaf.hash ?? leafHash(leaf.entry)).toString('base64')
    yield `{"leaf":${index},"hash":"${hash}","data":"${leaf.entry.toString('base64')}"}\n`
    for (const { path, salt, value } of leaf.openings ?? []) {
      yield line({ opening: index, path, salt: salt.toString('base64'), value })
    }
    index++
  }
  // A restored log's last checkpoint may be beyond what was saved of it: it is written all the same, to be accounted for.
  for (; !next.done; next = await checkpoints.next()) yield next.value.line
}

async function* rising(
  checkpoints: ExportLog['checkpoints'],
): AsyncGenerator<{ size: number; line: string }, void, undefined> {
  let last = -1
  for await (const signed of checkpoints) {
    const { size } = parseCheckpoint(parseNote(signed).text)
    if (size < last) throw new InvalidProof('Checkpoints are exported by rising size.')
    last = size
    yield { size, line: line({ checkpoint: signed }) }
  }
}

function line(record: Record<string, string | number>): string {
  return `${JSON.stringify(record)}\n`
}

/** Reads a file back, record by record, and verifies nothing but its form. */
export async function* readExport(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ExportRecord> {
  let rest = Buffer.alloc(0)
  for await (const chunk of chunks) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    let start = 0
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10, start)) {
      yield parseRecord(rest.toString('utf8', start, end))
      start = end + 1
    }
    rest = rest.subarray(start)
    if (rest.length > LINE_MAX_BYTES) throw new InvalidProof('A line of the export is too long.')
  }
  if (rest.length > 0) throw new InvalidProof('The export ends inside a line.')
}

const LEAF = /^\{"leaf":(\d+),"hash":"([^"]{44})","data":"([^"]*)"\}$/

function parseRecord(text: string): ExportRecord {
  const leaf = LEAF.exec(text)
  if (leaf) {
    const [, index = '', hash = '', data = ''] = leaf
    return { kind: 'leaf', index: decodeCount(index), hash: decodeHash(hash), entry: decodeBase64(data) }
  }
  const members = parseMembers(text)
  switch ([...members.keys()].join()) {
    case 'reeveLedgerExport,origin,key':
      if (members.get('reeveLedgerExport') !== 1) throw new InvalidProof('The export is of an unknown version.')
      return { kind: 'log', origin: textOf(members, 'origin'), key: textOf(members, 'key') }
    case 'checkpoint':
      return { kind: 'checkpoint', signed: textOf(members, 'checkpoint') }
    case 'opening,path,salt,value': {
      const salt = decodeBase64(textOf(members, 'salt'))
      const index = countOf(members, 'opening')
      return { kind: 'opening', index, path: textOf(members, 'path'), salt, value: textOf(members, 'value') }
    }
    case 'end':
      return { kind: 'end', leaves: countOf(members, 'end') }
    default:
      throw new InvalidProof('The export holds a line of an unknown kind.')
  }
}

// A map, so that no member name means anything to JavaScript; only the one spelling the writer has is taken.
function parseMembers(text: string): Map<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null && JSON.stringify(parsed) === text) {
      return new Map(Object.entries(parsed))
    }
  } catch {
    // Told below: a parser's message would quote the line.
  }
  throw new InvalidProof('A line of the export is malformed.')
}

function textOf(members: Map<string, unknown>, name: string): string {
  const value = members.get(name)
  if (typeof value !== 'string') throw new InvalidProof(`The export's ${name} is no text.`)
  return value
}

function countOf(members: Map<string, unknown>, name: string): number {
  return decodeCount(String(members.get(name)))
}
