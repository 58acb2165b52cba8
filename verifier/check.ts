import { isUtf8 } from 'node:buffer'
import { hash as digest } from 'node:crypto'
import { member, parseJson, parseRecord, readLines, textOf } from './lines.ts'
import { cosignedAt, openCheckpoint, parseKey } from './note.ts'
import type { Checkpoint, Head, Key } from './note.ts'
import { Stop, UsageError, fail } from './report.ts'
import type { Report } from './report.ts'

/**
 * Verifies an export of the ledger with nothing but this file, Node, and a key you already trust. It shares no code with what
 * it checks. What it proves: the entries are exactly those the log signed, in that order. What one file can never prove is
 * that it is all there is (truncation) and that others were shown the same (fork): those need a checkpoint you kept or
 * witnesses, and without them the report says that they were not checked.
 */
export type VerifyOptions = {
  readonly source: string | AsyncIterable<Uint8Array>
  /** Verifier keys (`name+id+base64`), one for each log in the file. */
  readonly keys: readonly string[]
  /** Signed checkpoints kept from earlier. */
  readonly checkpoints?: readonly string[]
  readonly witnesses?: readonly string[]
  /** How many distinct witnesses must have cosigned the last checkpoint; all of them when left out. */
  readonly quorum?: number
  /** An index, or an id as a whole JSON string: the entries that hold it are reported. */
  readonly entry?: string
  /** Origins whose declared loss of entries in a restore is known and accepted. */
  readonly acceptLoss?: readonly string[]
}

type Log = {
  origin: string
  key: Key
  leaves: number
  peaks: string[]
  checkpoints: number
  signed: Head | undefined
  /** A checkpoint of more entries than stand before it. */
  beyond: Head | undefined
  earlier: Head[]
  lastLeaf: Buffer
}
type State = {
  options: VerifyOptions
  keys: Key[]
  log: Log | undefined
  report: Report
  leaves: number
  ended: boolean
  linked: Linked
}
type Linked = { origin: string; size: number; root: string; leaves: number } | undefined

const ENTRIES_MAX = 100
const EMPTY_ROOT = digest('sha256', '', 'base64')

/** Reads the whole export once, in constant memory. Throws UsageError for unusable options; anything in the file is a finding. */
export async function verifyExport(options: VerifyOptions): Promise<Report> {
  const report: Report = { ok: false, findings: [], logs: [], openings: 0, checked: [], notChecked: [], entries: [] }
  const keys = options.keys.map((text) => parseKey(text, 1))
  if (keys.length === 0) throw new UsageError('A verifier key is needed: without one nothing can be trusted.')
  const witnesses = (options.witnesses ?? []).map((text) => parseKey(text, 4))
  const quorum = options.quorum ?? witnesses.length
  const distinct = new Set(witnesses.map((key) => key.publicKey.toString('hex'))).size
  if (!Number.isSafeInteger(quorum) || quorum < 0 || quorum > distinct || (quorum === 0 && distinct > 0)) {
    throw new UsageError(`The quorum must be between 1 and the number of distinct witness keys, ${distinct}.`)
  }
  const state: State = { options, keys, log: undefined, report, leaves: 0, ended: false, linked: undefined }
  try {
    const earlier = (options.checkpoints ?? []).map((signed) => openEarlier(signed, keys))
    await readLines(options.source, (bytes, start, end) => readLine(state, earlier, bytes, start, end))
    if (state.log) finishLog(state, state.log, undefined)
    else throw new Stop('malformed', 'The file holds no log.')
    if (!state.ended)
      fail(report, new Stop('incomplete', 'The file does not end as it should: a copy was interrupted.').finding)
    for (const { origin } of earlier) {
      if (!report.logs.some((log) => log.origin === origin)) {
        fail(report, {
          kind: 'missing-log',
          origin,
          message: `You kept a checkpoint of ${origin}, which is not in the file.`,
        })
      }
    }
    concludeTrust(state.log, report, earlier, witnesses, quorum)
  } catch (error) {
    if (!(error instanceof Stop)) throw error
    fail(report, error.finding)
    report.notChecked.push('everything behind the first finding', 'truncation', 'fork')
  }
  report.ok = report.findings.length === 0
  return report
}

function readLine(state: State, earlier: Checkpoint[], bytes: Buffer, start: number, end: number): void {
  if (state.ended) throw new Stop('malformed', 'The file goes on behind its end.')
  const text = bytes.toString('latin1', start, end)
  if (text.startsWith('{"leaf":')) return readLeaf(state, text)
  if (!isUtf8(bytes.subarray(start, end))) throw new Stop('malformed', 'A line is not UTF-8.')
  const record = parseRecord(bytes.toString('utf8', start, end))
  const names = [...record.keys()].join()
  if (names === 'reeveLedgerExport,origin,key') return beginLog(state, earlier, record)
  if (names === 'checkpoint') return readCheckpoint(current(state), textOf(record, 'checkpoint'))
  if (names === 'opening,path,salt,value') return readOpening(state, record)
  if (names !== 'end') throw new Stop('malformed', `Line of an unknown kind after ${state.leaves} entries.`)
  if (record.get('end') !== state.leaves)
    throw new Stop('deleted', 'The file holds another number of entries than it says.')
  state.ended = true
}

function beginLog(state: State, earlier: Checkpoint[], record: Map<string, unknown>): void {
  if (record.get('reeveLedgerExport') !== 1)
    throw new Stop('malformed', 'The export is of a version this program does not know.')
  const origin = textOf(record, 'origin')
  const key = state.keys.find(({ text, name }) => name === origin && text === record.get('key'))
  if (!key) throw new Stop('wrong-key', `The log ${origin} is not signed by a key you gave.`, { origin })
  if (state.report.logs.some((log) => log.origin === origin) || state.log?.origin === origin) {
    throw new Stop('malformed', `The log ${origin} is in the file twice.`, { origin })
  }
  if (state.log) {
    finishLog(state, state.log, origin)
    const size = state.log.signed?.size ?? 0
    const last = state.log.beyond ?? state.log.signed ?? { size, root: EMPTY_ROOT }
    state.linked = { origin: state.log.origin, size: last.size, root: last.root, leaves: state.log.leaves }
  }
  const own = earlier.filter((one) => one.origin === origin).sort((a, b) => a.size - b.size)
  const fresh = { leaves: 0, peaks: [], checkpoints: 0, signed: undefined, beyond: undefined }
  state.log = { origin, key, earlier: own, lastLeaf: Buffer.alloc(0), ...fresh }
  compareEarlier(state.report, state.log)
}

const leafInput = Buffer.alloc(1 + 65_535)
const hashInput = Buffer.alloc(32)
const nodeInput = Buffer.alloc(65, 1)
const MIDDLE = '","data":"'

// The one line read a million times: no JSON parser, no buffer of its own, and still only one spelling passes.
function readLeaf(state: State, text: string): void {
  const log = current(state)
  const index = log.leaves
  const where = { origin: log.origin, from: index, to: index }
  const prefix = `{"leaf":${index},"hash":"`
  if (!text.startsWith(prefix)) {
    const found = /^\{"leaf":(\d{1,16}),/.exec(text)?.[1] ?? 'something else'
    throw new Stop('order', `Entry ${index} is missing or moved: in its place stands ${found}.`, where)
  }
  if (log.beyond) throw removedBefore(log, log.beyond)
  const listed = text.slice(prefix.length, prefix.length + 44)
  const data = text.slice(prefix.length + 44 + MIDDLE.length, -2)
  const size = data.length > 87_380 ? -1 : leafInput.write(data, 1, 'base64')
  hashInput.write(listed, 'base64')
  const isExact =
    text === `${prefix}${listed}${MIDDLE}${data}"}` &&
    leafInput.toString('base64', 1, 1 + size) === data &&
    hashInput.toString('base64') === listed
  if (!isExact) throw new Stop('malformed', `Entry ${index} is not written as it should be.`, where)
  // RFC 6962 §2.1: a leaf is hashed behind a zero byte.
  leafInput[0] = 0
  const input = leafInput.subarray(0, 1 + size)
  if (digest('sha256', input, 'base64') !== listed) {
    fail(state.report, {
      kind: 'edited',
      message: `Entry ${index} is not what its hash says: it was edited.`,
      ...where,
    })
  }
  log.lastLeaf = input.subarray(1)
  addLeaf(log, hashInput.toString('latin1'))
  state.leaves++
  if (index === 0) readContinuation(state, log)
  if (state.options.entry !== undefined) noteEntry(state, log, index, listed)
  compareEarlier(state.report, log)
}

// The peaks are the roots of the perfect subtrees on the right edge, largest first; each 1 bit of the size has one.
function addLeaf(log: Log, leaf: string): void {
  let hash = leaf
  for (let rest = log.leaves; rest % 2 === 1; rest = Math.floor(rest / 2)) hash = nodeHash(log.peaks.pop() ?? '', hash)
  log.peaks.push(hash)
  log.leaves++
}

function nodeHash(left: string, right: string): string {
  nodeInput.write(left, 1, 32, 'latin1')
  nodeInput.write(right, 33, 32, 'latin1')
  return digest('sha256', nodeInput, 'binary')
}

function rootOf(log: Log): string {
  if (log.peaks.length === 0) return EMPTY_ROOT
  return Buffer.from(
    log.peaks.reduceRight((right, left) => nodeHash(left, right)),
    'latin1',
  ).toString('base64')
}

function readCheckpoint(log: Log, signed: string): void {
  const from = log.signed?.size ?? 0
  const checkpoint = openCheckpoint(signed, log.origin, log.key)
  log.checkpoints++
  if (checkpoint.size > log.leaves) {
    log.beyond = checkpoint
    return
  }
  const interval = { origin: log.origin, from, to: Math.max(from, checkpoint.size - 1) }
  if (log.beyond || checkpoint.size < log.leaves) {
    throw new Stop(
      'order',
      `A checkpoint of ${checkpoint.size} stands behind ${log.leaves} entries: some were added, or it was moved.`,
      interval,
    )
  }
  if (checkpoint.root !== rootOf(log)) {
    throw new Stop(
      'rewritten',
      `Entries ${interval.from}–${interval.to} are not those that were signed: at least one was edited, moved or replaced.`,
      interval,
    )
  }
  log.signed = checkpoint
}

function removedBefore(log: Log, beyond: Head): Stop {
  const from = log.signed?.size ?? 0
  const message = `The log signed ${beyond.size} entries where the file has ${log.leaves}: ${beyond.size - log.leaves} were removed from ${from} on.`
  return new Stop('deleted', message, { origin: log.origin, from, to: beyond.size - 1 })
}

function compareEarlier(report: Report, log: Log): void {
  for (let next = log.earlier[0]; next && next.size === log.leaves; next = log.earlier[0]) {
    log.earlier.shift()
    if (next.root === rootOf(log)) continue
    const message = `The first ${next.size} entries are not those of the checkpoint you kept: the log was rewritten or forked.`
    fail(report, { kind: 'fork', message, origin: log.origin, from: 0, to: Math.max(0, next.size - 1) })
  }
}

// A restored log begins with an entry that names the last checkpoint of the log it continues.
function readContinuation(state: State, log: Log): void {
  const leaf = parseJson(log.lastLeaf)
  const facts = member(leaf, 'facts')
  const { linked, report, options } = state
  const { origin } = log
  if (member(leaf, 'kind') !== 'ledger.continued') {
    if (linked)
      fail(report, { kind: 'unlinked', origin, message: `${origin} does not say that it continues ${linked.origin}.` })
    return
  }
  const named = String(member(facts, 'previousOrigin'))
  const size = Number(member(facts, 'previousSize'))
  if (linked?.origin !== named) {
    return fail(report, {
      kind: 'missing-log',
      origin: named,
      message: `${origin} continues ${named}, which is not before it in the file.`,
    })
  }
  if (size > linked.leaves) {
    const message = `${named} had ${size} entries when it was restored: ${size - linked.leaves} are lost.`
    if (options.acceptLoss?.includes(named)) report.checked.push(`${message} You accepted that.`)
    else fail(report, { kind: 'lost', message, origin: named, from: linked.leaves, to: size - 1 })
  }
  const isSame = size === linked.size && member(facts, 'previousRoot') === linked.root
  if (!isSame && !(size > linked.leaves && linked.size <= linked.leaves)) {
    fail(report, {
      kind: 'unlinked',
      origin,
      message: `${origin} names another last checkpoint of ${named} than the file holds.`,
    })
  }
}

function readOpening(state: State, record: Map<string, unknown>): void {
  const log = current(state)
  const index = log.leaves - 1
  const path = textOf(record, 'path')
  const where = { origin: log.origin, from: index, to: index }
  const salt = Buffer.from(textOf(record, 'salt'), 'base64')
  if (
    index < 0 ||
    record.get('opening') !== index ||
    salt.toString('base64') !== record.get('salt') ||
    salt.length !== 32
  ) {
    throw new Stop('malformed', `The opening behind entry ${index} does not belong there.`, where)
  }
  // RFC 6901: `~1` is a slash and `~0` a tilde.
  const steps = path
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const commitment = member(steps.reduce(member, parseJson(log.lastLeaf)), 'commitment')
  const opened = digest('sha256', Buffer.concat([salt, Buffer.from(textOf(record, 'value'))]), 'base64')
  if (!path.startsWith('/') || commitment !== opened) {
    fail(state.report, {
      kind: 'opening',
      message: `The disclosed ${path} of entry ${index} is not what was committed to.`,
      ...where,
    })
  } else state.report.openings++
}

function finishLog(state: State, log: Log, next: string | undefined): void {
  const signedSize = log.signed?.size ?? 0
  const where = { origin: log.origin, from: signedSize, to: Math.max(signedSize, log.leaves - 1) }
  // Entries lost in a restore are judged by the log that continues this one.
  if (log.beyond && next === undefined) throw removedBefore(log, log.beyond)
  if (log.signed === undefined || signedSize < log.leaves) {
    fail(state.report, {
      kind: 'unsigned',
      message: `No checkpoint covers the entries from ${signedSize} on.`,
      ...where,
    })
  }
  const kept = log.earlier.at(-1)
  if (kept) {
    const message = `You kept a checkpoint of ${kept.size} entries and the file has ${log.leaves}: the log was truncated.`
    const isAccepted =
      next !== undefined && log.beyond && kept.size <= log.beyond.size && state.options.acceptLoss?.includes(log.origin)
    if (!isAccepted)
      fail(state.report, { kind: 'truncated', message, origin: log.origin, from: log.leaves, to: kept.size - 1 })
  }
  const { origin, leaves: entries, checkpoints } = log
  state.report.logs.push({ origin, entries, checkpoints, signedSize, root: log.signed?.root ?? '' })
}

function concludeTrust(
  log: Log | undefined,
  report: Report,
  earlier: Checkpoint[],
  witnesses: Key[],
  quorum: number,
): void {
  const kept = Math.max(-1, ...earlier.filter((one) => one.origin === log?.origin).map((one) => one.size))
  if (kept >= 0)
    report.checked.push(`truncation and fork of ${log?.origin} up to entry ${kept}, against a checkpoint you kept`)
  if (quorum > 0 && log?.signed) {
    const { text, signatures } = openCheckpoint(log.signed.signed, log.origin, log.key)
    const times = new Map(witnesses.flatMap((key) => cosignedAt(key, text, signatures)))
    const since = Math.min(...times.values())
    if (times.size >= quorum) {
      const at = new Date(Math.min(since, 8.64e12) * 1000).toISOString()
      report.checked.push(`fork, and truncation as of ${at}, by ${times.size} of ${witnesses.length} witnesses`)
      return
    }
    fail(report, {
      kind: 'quorum',
      message: `${times.size} of the ${quorum} witnesses needed cosigned the last checkpoint.`,
      origin: log.origin,
    })
  }
  const what = kept < 0 ? '' : ` of entries from ${kept} on`
  report.notChecked.push(
    `truncation${what}: entries may be missing at the end`,
    `fork${what}: others may have been shown something else`,
  )
}

function noteEntry({ options, report }: State, log: Log, index: number, sha256: string): void {
  const { entry = '' } = options
  const isIndex = /^\d{1,16}$/.test(entry)
  if (
    report.entries.length >= ENTRIES_MAX ||
    (isIndex ? index !== Number(entry) : !log.lastLeaf.includes(JSON.stringify(entry)))
  )
    return
  report.entries.push({ origin: log.origin, index, sha256, data: log.lastLeaf.toString('utf8') })
}

function openEarlier(signed: string, keys: Key[]): Checkpoint {
  const origin = signed.slice(0, Math.max(0, signed.indexOf('\n')))
  const key = keys.find(({ name }) => name === origin)
  if (!key)
    throw new Stop('wrong-key', `The checkpoint you kept is of ${origin || 'no log'}, for which you gave no key.`)
  return openCheckpoint(signed, origin, key)
}

function current(state: State): Log {
  if (!state.log) throw new Stop('malformed', 'The file does not begin with a log.')
  return state.log
}
