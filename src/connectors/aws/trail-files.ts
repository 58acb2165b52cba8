/** Files as CloudTrail delivers them, found by their names ("CloudTrail log file examples", "CloudTrail digest file structure"). */
import { basename } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { sha256 } from '../../kernel/crypto.ts'
import { filesUnder, readInside, type Entry, type Walked } from '../connector.ts'

/** CloudTrail ends a file at some fifty megabytes of text; one that unpacks to more is none of its own. */
const PACKED_BYTES = 32 * 1024 * 1024
const TEXT_BYTES = 64 * 1024 * 1024

const LOG = /^(\d{12})_CloudTrail_([a-z0-9-]+)_(\d{8}T\d{4})Z_\w+\.json(?:\.gz)?$/
const DIGEST = /^(\d{12})_CloudTrail-Digest_([a-z0-9-]+)_.*_(\d{8}T\d{6})Z\.json(?:\.gz)?$/

export type TrailFile = {
  readonly entry: Entry
  /** When it was delivered, and its name: the order in which files are read. */
  readonly key: string
  readonly name: string
  readonly region: string
}
export type Trail = {
  readonly root: Buffer
  readonly logs: readonly TrailFile[]
  readonly digests: readonly TrailFile[]
  readonly walked: Walked
}

/** Those of one account, oldest first. Other accounts of an organisation have other sources. */
export async function findTrail(folder: string, account: string, signal: AbortSignal): Promise<Trail> {
  const root = Buffer.from(folder.replace(/(?<=.)\/+$/, ''))
  const walked: Walked = { unreadable: 0, links: 0, isCut: false, denied: 0, lost: 0 }
  const [logs, digests]: [TrailFile[], TrailFile[]] = [[], []]
  for await (const entry of filesUnder(root, walked, signal)) {
    const name = basename(entry.path.toString('utf8'))
    const [log, digest] = [LOG.exec(name), DIGEST.exec(name)]
    const [, of, region = '', stamp = ''] = log ?? digest ?? []
    if (of === account) (log ? logs : digests).push({ entry, key: `${stamp} ${name}`, name, region })
  }
  const byKey = (a: TrailFile, b: TrailFile) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
  return { root, logs: logs.sort(byKey), digests: digests.sort(byKey), walked }
}

/** What is in it, and the hash by which a digest knows it: of the text, not of what it is packed in. Undefined when it cannot be read. */
export async function readTrailFile(
  root: Buffer,
  { entry, name }: TrailFile,
): Promise<{ readonly json: unknown; readonly hash: string } | undefined> {
  if (entry.sizeBytes > PACKED_BYTES) return undefined
  try {
    const packed = await readInside(root, entry, PACKED_BYTES)
    if (!packed) return undefined
    const text = name.endsWith('.gz') ? gunzipSync(packed, { maxOutputLength: TEXT_BYTES }) : packed
    return { json: JSON.parse(text.toString('utf8')), hash: sha256(text).toString('hex') }
  } catch {
    // No right, cut off, larger than it says, no JSON: all the same, it is counted as not read.
    return undefined
  }
}
