import {
  Denied,
  unknown,
  Unreadable,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { byName, needsRoot, type Host } from './host.ts'
import { keyIds } from './keys.ts'
import type { Link } from './link.ts'
import { linesOf, readRecords, textOf } from './records.ts'
import { logScript } from './script.ts'
import { instantOf } from './times.ts'

const PIECE_BYTES = 4 * 1024 * 1024
const PAGE_USES = 1_000
/** Keys that get a window of their own; it has to fit in one page with the uses. */
const WINDOWS_MAX = 2_000

export const LOG_MISSING: Missing = {
  what: 'logins by key',
  why: 'no log was named',
  permission: 'settings.log, with a file of the host that sshd logs to',
}

export type Accepted = {
  readonly at: Date
  readonly method: string
  readonly user: string
  readonly address: string
  readonly fingerprint: string | undefined
}

/** sshd's line about a login, behind a time in RFC 3339. Times without year or zone are refused: they say two things twice a year. */
export function readAccepted(line: string): Accepted | undefined {
  const parts =
    /^(\S+) \S+ sshd(?:-session)?\[\d+\]: Accepted (\S+) for (\S+) from ([0-9A-Fa-f.:%a-z]+) port \d+ ssh2(?:: \S+ (SHA256:[A-Za-z0-9+/]+))?/.exec(
      line,
    )
  const [, time = '', method = '', user = '', address = '', fingerprint] = parts ?? []
  const at = instantOf(time)
  return at && { at, method, user, address, fingerprint }
}

type Place = { readonly inode: string; readonly offset: number; readonly until: string }

function placeOf(cursor: string | undefined): Place | undefined {
  const parts = /^(\d+):(\d+):(.*)$/.exec(cursor ?? '')
  return parts ? { inode: parts[1] ?? '', offset: Number(parts[2]), until: parts[3] ?? '' } : undefined
}

type Piece = { readonly inode: string; readonly size: number; readonly from: number; readonly bytes: Buffer }

async function pieceAt(host: Host, link: Link, place: Place, signal: AbortSignal): Promise<Piece> {
  const path = host.settings.log ?? ''
  const records = readRecords(await link.run(logScript(path, place, PIECE_BYTES), signal))
  const record = records.find(({ word }) => word === 'log')
  if (record) {
    const [inode, size, from] = [0, 1, 2].map((at) => textOf(record, at))
    return { inode: inode ?? '', size: Number(size), from: Number(from), bytes: record.fields[3] ?? Buffer.alloc(0) }
  }
  if (records.some(({ word }) => word === 'closed')) throw new Denied(needsRoot('the log of sshd'))
  throw new Unreadable('the log is not there')
}

type Tally = { untimed: number; tooLong: number; first: string; until: string }

/** Reads the log on from where the last reading ended. */
export async function* readLog(
  host: Host,
  link: Link,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  if (host.settings.log === undefined) return { status: 'unsupported', missing: [LOG_MISSING] }
  const before = placeOf(since.cursor)
  const tell = tellerOf(host)
  let place = before ?? { inode: '', offset: 0, until: '' }
  let isNew = false
  const tally: Tally = { untimed: 0, tooLong: 0, first: place.until, until: place.until }
  let isInside = false
  for (;;) {
    const piece = await pieceAt(host, link, place, signal)
    if (place.offset > 0 && piece.from === 0) {
      isNew = true
      // What was logged in between is a gap: the window begins anew.
      Object.assign(tally, { first: '', until: '' })
    }
    const text = piece.bytes.toString('latin1')
    const isFull = piece.bytes.length >= PIECE_BYTES
    const end = text.lastIndexOf('\n') + 1
    if (end === 0 && isFull) {
      if (!isInside) tally.tooLong += 1
      isInside = true
      place = { inode: piece.inode, offset: piece.from + piece.bytes.length, until: tally.until }
      continue
    }
    let at = isInside ? text.indexOf('\n') + 1 : 0
    isInside = false
    let uses: Observation[] = []
    while (at < end) {
      const lineEnd = text.indexOf('\n', at)
      uses.push(...tell.uses(text.slice(at, lineEnd), tally))
      at = lineEnd + 1
      if (uses.length < PAGE_USES || at >= end) continue
      yield { observations: uses, cursor: `${piece.inode}:${piece.from + at}:${tally.until}` }
      uses = []
    }
    place = { inode: piece.inode, offset: piece.from + end, until: tally.until }
    const windows = isFull ? [] : tell.windows(tally)
    if (end > 0) yield { observations: [...uses, ...windows], cursor: `${place.inode}:${place.offset}:${place.until}` }
    if (!isFull) break
  }
  return reportOf(tally, isNew, tell.missing)
}

function reportOf({ untimed, tooLong }: Tally, isNew: boolean, more: readonly Missing[]): ScopeReport {
  const missing: Missing[] = [...more]
  if (isNew)
    missing.push({ what: 'what was logged between two files', why: 'the log was rotated since the last reading' })
  if (tooLong > 0) missing.push({ what: `${tooLong} lines`, why: 'they are longer than four megabytes' })
  if (untimed > 0)
    missing.push({
      what: `${untimed} lines of sshd`,
      why: 'their times name neither year nor zone',
      permission: 'times in RFC 3339: of rsyslog RSYSLOG_FileFormat',
    })
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

function tellerOf(host: Host) {
  const named = byName(host)
  const ids = keyIds(host)
  const sshd = host.records.find(({ word }) => word === 'sshd')
  const level = sshd ? linesOf(sshd, 0).find((line) => line.startsWith('loglevel ')) : undefined
  // Below INFO sshd keeps logins to itself; a level that nobody knows proves nothing.
  const seesAll = /^loglevel (INFO|VERBOSE|DEBUG)/.test(level ?? '')
  const keys = [...new Map([...ids.values()].map((id) => [id.id, id])).values()]
  const use = (subject: NativeId, { at, address }: Accepted): Observation => ({
    kind: 'usage',
    subject,
    semantics: 'auth',
    at,
    count: 1,
    from: { address },
    actor: unknown('unsupported'),
  })
  const missing: Missing[] =
    keys.length > WINDOWS_MAX
      ? [
          {
            what: `when ${keys.length - WINDOWS_MAX} keys were not used`,
            why: 'the host has more keys than windows are kept for',
          },
        ]
      : []
  return {
    missing,
    uses(line: string, tally: Tally): Observation[] {
      const time = /^(\d{4}-\d\d-\d\dT\S+) /.exec(line)?.[1]
      if (time !== undefined && instantOf(time)) {
        tally.until = time
        if (tally.first === '') tally.first = time
      } else if (/ sshd(?:-session)?\[\d+\]: /.test(line)) tally.untimed += 1
      const accepted = readAccepted(line)
      if (!accepted) return []
      const key = ids.get(`${accepted.user} ${accepted.fingerprint ?? ''}`)
      return [use(named(accepted.user), accepted), ...(key ? [use(key, accepted)] : [])]
    },
    /** Of keys alone: an account also works without a login. */
    windows({ first, until }: Tally): Observation[] {
      const [from, to] = [instantOf(first), instantOf(until)]
      if (!seesAll || !from || !to || to < from) return []
      return keys
        .slice(0, WINDOWS_MAX)
        .map((subject) => ({ kind: 'usage-window', subject, semantics: 'auth', sees: 'every-use', from, to }))
    },
  }
}
