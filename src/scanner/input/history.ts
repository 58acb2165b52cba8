import type { Located, Looker } from '../examine.ts'
import { isLockFile } from './names.ts'
import {
  allBlobs,
  allObjects,
  blobsOfHead,
  introductions,
  pathsOf,
  readBlobs,
  stagedBlobs,
  type Introduction,
} from './git.ts'

/** What history says of a finding. */
export type FromHistory = {
  readonly commit: string | null
  readonly author: string | null
  readonly at: string | null
  readonly isPresent: boolean | null
}
type Step = { readonly located?: Located; readonly history?: FromHistory }
type Look = (bytes: Buffer, path: string) => Generator<Located>

/** Files whose rules ask for their name; in history a blob has none until its path is looked up. */
const ASKS_FOR_NAME = /(?:^|\/)[._]?(?:netrc|pgpass|pypirc|git-credentials|rclone\.conf)|\.ipynb$/

/**
 * Every blob once, then one walk over the commits for those that hold something. A secret is said once for each path it stood at, with the commit that
 * first brought it there, and whether the newest state still has it anywhere.
 */
export async function* readHistory(folder: string, looker: Looker, look: Look): AsyncGenerator<Step> {
  const blobs = await allBlobs(folder)
  const named = new Map<string, string>()
  for await (const { id, path, isMissing } of allObjects(folder)) {
    if (isMissing) looker.unread(`object ${id.slice(0, 12)}`, LACKING)
    else if (path !== undefined && (isLockFile(path) || ASKS_FOR_NAME.test(path))) named.set(id, path)
  }
  const found = new Map<string, Located[]>()
  const ids = blobs.map(({ id }) => id)
  for await (const each of read(folder, ids, looker, (id) => named.get(id) ?? id.slice(0, 12), look)) {
    if (each.located) add(found, each.id, each.located)
    else yield {}
  }
  if (found.size === 0) return
  yield* attributed(found, await introductions(folder, new Set(found.keys()), ['--all']), await blobsOfHead(folder))
}

function add(found: Map<string, Located[]>, id: string, located: Located): void {
  const before = found.get(id)
  if (before) before.push(located)
  else found.set(id, [located])
}

const LACKING = 'the repository lacks this object'

type Found = ReadonlyMap<string, readonly Located[]>

function* attributed(
  found: Found,
  from: ReadonlyMap<string, ReadonlyMap<string, Introduction>>,
  head: ReadonlyMap<string, string>,
): Generator<Step> {
  const key = ({ match }: Located) => `${match.rule}\0${match.secret}`
  const inHead = new Set([...new Set(head.values())].flatMap((id) => (found.get(id) ?? []).map(key)))
  const first = new Map<string, { readonly located: Located; readonly by: Introduction | undefined }>()
  for (const [id, all] of found) {
    for (const located of all) {
      const places: readonly (Introduction | undefined)[] = [...(from.get(id)?.values() ?? [])]
      for (const by of places.length > 0 ? places : [undefined]) {
        const path = by === undefined ? `object ${id.slice(0, 12)}` : by.path
        const at = `${path}\0${key(located)}`
        const before = first.get(at)
        if (before?.by && by && isBefore(before.by, by)) continue
        first.set(at, { by, located: { ...located, path: renamed(located.path, path) } })
      }
    }
  }
  for (const { located, by } of first.values()) {
    const isPresent = inHead.has(key(located))
    yield {
      located,
      history: { commit: by?.commit ?? null, author: by?.author ?? null, at: by?.at ?? null, isPresent },
    }
  }
}

/** Of two commits the one that says it is older; without a time it is no older than any. */
function isBefore(a: Introduction, b: Introduction): boolean {
  return (a.seconds ?? Infinity) <= (b.seconds ?? Infinity)
}

/** The path of the blob in place of its id; what is inside of an archive stays behind it. */
function renamed(path: string, to: string): string {
  const inside = path.indexOf('!')
  return inside < 0 ? to : to + path.slice(inside)
}

/** What is staged and was not in what it replaces. */
export async function* readStaged(folder: string, looker: Looker, look: Look): AsyncGenerator<Step> {
  const staged = await stagedBlobs(folder)
  const before = await secretsOf(
    folder,
    new Set(staged.map(({ oldId }) => oldId).filter((id) => !/^0*$/.test(id))),
    looker,
    look,
  )
  const paths = new Map(staged.map(({ id, path }) => [id, path]))
  const old = new Map(staged.map(({ id, oldId }) => [id, oldId]))
  for await (const { id, located } of read(folder, [...paths.keys()], looker, (one) => paths.get(one) ?? one, look)) {
    if (!located) continue
    if (before.get(old.get(id) ?? '')?.has(located.match.secret)) continue
    yield { located, history: { commit: null, author: null, at: null, isPresent: true } }
  }
}

async function secretsOf(
  folder: string,
  ids: ReadonlySet<string>,
  looker: Looker,
  look: Look,
): Promise<Map<string, Set<string>>> {
  const secrets = new Map<string, Set<string>>()
  const silent = { ...looker, unread: () => undefined }
  for await (const { id, located } of read(folder, [...ids], silent, (one) => one, look)) {
    if (located) secrets.set(id, (secrets.get(id) ?? new Set()).add(located.match.secret))
  }
  return secrets
}

/** Blobs that come with a push and that no ref has yet, in every commit of it: what a later one of the same push removes is still published. */
export async function* readPushed(folder: string, updates: string, looker: Looker, look: Look): AsyncGenerator<Step> {
  const tips = updates
    .split('\n')
    .map((line) => line.trim().split(' ')[1] ?? '')
    .filter((id) => /^[0-9a-f]{40,64}$/.test(id) && !/^0+$/.test(id))
  if (tips.length === 0) return
  const range = [...new Set(tips), '--not', '--glob=refs/*']
  const paths = await pathsOf(folder, range)
  const found = new Map<string, Located[]>()
  for await (const { id, located } of read(folder, [...paths.keys()], looker, (one) => paths.get(one) ?? one, look)) {
    if (located) add(found, id, located)
  }
  if (found.size === 0) return
  for (const step of attributed(found, await introductions(folder, new Set(found.keys()), range), new Map())) {
    yield { ...step, ...(step.history && { history: { ...step.history, isPresent: null } }) }
  }
}

async function* read(
  folder: string,
  ids: readonly string[],
  looker: Looker,
  nameOf: (id: string) => string,
  look: Look,
): AsyncGenerator<{ readonly id: string; readonly located?: Located }> {
  const mostBytes = looker.limits.entryBytes
  for await (const { id, bytes, sizeBytes } of readBlobs(folder, ids, mostBytes)) {
    const path = nameOf(id)
    if (sizeBytes < 0) looker.unread(path, LACKING)
    else {
      if (sizeBytes > mostBytes) looker.unread(path, `only its first ${mostBytes} bytes were looked at`)
      for (const located of look(bytes, path)) yield { id, located }
    }
    yield { id }
  }
}
