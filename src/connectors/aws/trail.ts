/** CloudTrail as files in a folder: who used what, read on from the last file, with the time in which nothing was missed. */
import type { Missing, Observation, Page, ScopeReport, Since } from '../connector.ts'
import { instantOf } from './account.ts'
import type { AwsSourceSettings } from './settings.ts'
import { readRecords } from './trail-events.ts'
import { findTrail, readTrailFile, type Trail } from './trail-files.ts'
import { spansOf, windowOf } from './trail-windows.ts'

export const TRAIL_MISSING: Missing = {
  what: 'who used what',
  why: 'no folder of CloudTrail was named',
  permission: 'settings.trail with a folder that the node can read',
}
const PAGE_USES = 2_000

/**
 * How far the reading is: files up to the one of this key are counted, and there were so many of them, so that one that comes late is noticed; of the
 * next so many uses are. `until` is where the last window ended.
 */
type Place = { readonly key: string; readonly files: number; readonly uses: number; readonly until: string }

function placeOf(cursor: string | undefined): Place {
  const [, files = '0', uses = '0', until = '', key = ''] = /^(\d+)\|(\d+)\|([^|]*)\|(.*)$/.exec(cursor ?? '') ?? []
  return { key, files: Number(files), uses: Number(uses), until }
}
const cursorOf = ({ key, files, uses, until }: Place) => `${files}|${uses}|${until}|${key}`

export async function* readTrail(
  { trail: folder, trailSeesAll }: AwsSourceSettings,
  account: string,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  if (folder === undefined) return { status: 'unsupported', missing: [TRAIL_MISSING] }
  const trail = await findTrail(folder, account, signal)
  const hashes = new Map<string, string | undefined>()
  const missing = missingOf(trail)
  let place = placeOf(since.cursor)
  const before = trail.logs.filter(({ key }) => key <= place.key).length
  const late = Math.max(0, before - place.files)
  if (late > 0)
    missing.push({ what: `${late} files`, why: 'they came after later ones were counted, and are not counted' })
  // What was taken away since is no more there to be late.
  place = { ...place, files: before }
  let [unreadFiles, unreadRecords] = [0, 0]
  const times: string[] = []
  let told: Observation[] = []
  for (const file of trail.logs.filter(({ key }) => key > place.key)) {
    signal.throwIfAborted()
    const text = await readTrailFile(trail.root, file)
    const read = text && readRecords(text.json, account)
    hashes.set(file.name, read && text.hash)
    if (read) times.push(...edges(read.times))
    else unreadFiles += 1
    unreadRecords += read?.unread ?? 0
    const uses = read?.uses ?? []
    let at = place.uses
    for (; uses.length - at > PAGE_USES; at += PAGE_USES) {
      const cursor = cursorOf({ ...place, uses: at + PAGE_USES })
      yield { observations: [...told, ...uses.slice(at, at + PAGE_USES)], cursor }
      told = []
    }
    told.push(...uses.slice(at))
    place = { ...place, key: file.key, files: place.files + 1, uses: 0 }
    if (told.length < PAGE_USES) continue
    yield { observations: told, cursor: cursorOf(place) }
    told = []
  }
  if (unreadFiles > 0)
    missing.push({ what: `${unreadFiles} files`, why: 'they are no files of CloudTrail, or larger than those are' })
  if (unreadRecords > 0)
    missing.push({ what: `${unreadRecords} records`, why: 'they are written in another way than CloudTrail has it' })
  const window = await windows({ trail, hashes, place, times, isProven: trailSeesAll && late === 0 }, signal)
  missing.push(...window.missing)
  yield { observations: [...told, ...window.observations], cursor: cursorOf({ ...place, until: window.until }) }
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

type Seen = {
  readonly trail: Trail
  readonly hashes: Map<string, string | undefined>
  readonly place: Place
  readonly times: readonly string[]
  readonly isProven: boolean
}

/** Every use where digests show it; otherwise the time of the events, which proves use and never the want of it. */
async function windows({ trail, hashes, place, times, isProven }: Seen, signal: AbortSignal) {
  const since = instantOf(place.until)
  const spans = await spansOf(trail, since, hashes, signal)
  const window = windowOf(spans, since)
  const missing: Missing[] = []
  if (trail.digests.length === 0 && trail.logs.length > 0) {
    const permission = 'log file validation of the trail, with its digests in the same folder'
    missing.push({ what: 'whether files are missing', why: 'there are no digests beside them', permission })
  }
  if (window) {
    if (window.gaps.length > 0)
      missing.push({ what: 'some hours', why: 'a digest, or a file that one lists, is not there as it was delivered' })
    const observation: Observation = {
      kind: 'usage-window',
      semantics: 'api-call',
      sees: isProven ? 'every-use' : 'samples',
      from: window.from,
      to: window.to,
      gaps: [...window.gaps],
    }
    return { observations: [observation], until: window.to.toISOString(), missing }
  }
  const [from, to] = edges(times).map(instantOf)
  const observations: Observation[] =
    trail.digests.length === 0 && from && to
      ? [{ kind: 'usage-window', semantics: 'api-call', sees: 'samples', from, to }]
      : []
  return { observations, until: place.until, missing }
}

/** The first and the last of some instants. */
function edges(times: readonly string[]): string[] {
  const sorted = [...times].sort()
  const [first, last] = [sorted[0], sorted.at(-1)]
  return first !== undefined && last !== undefined ? [first, last] : []
}

function missingOf({ walked }: Trail): Missing[] {
  const permission = 'reading and searching the folder, for the account of the node'
  const missing: Missing[] = []
  if (walked.denied + walked.unreadable + walked.lost > 0)
    missing.push({ what: 'some of the folder', why: 'it cannot be read', permission })
  if (walked.isCut) missing.push({ what: 'the rest of the folder', why: 'it holds more than is looked at' })
  if (walked.links > 0)
    missing.push({ what: `${walked.links} links`, why: 'they lead out of the folder, and are not followed' })
  return missing
}
