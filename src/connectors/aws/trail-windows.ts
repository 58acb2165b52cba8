/**
 * Since when, and until when, every use is in the files. Digests prove it: each hour and region has one, also an hour without events, and it lists the
 * files of that hour with their hashes. What no digest covers, or what a digest lists and is not there as it was delivered, is a gap. That the digests
 * are AWS's own is taken from whoever may write to the folder: their signatures are not checked.
 */
import { z } from 'zod'
import { instantAt } from '../../kernel/instant.ts'
import { instantOf } from './account.ts'
import { readTrailFile, type Trail } from './trail-files.ts'

const Digest = z.object({
  digestStartTime: z.string(),
  digestEndTime: z.string(),
  logFiles: z.array(z.object({ s3Object: z.string(), hashValue: z.string(), hashAlgorithm: z.string() })),
})

export type Span = { readonly from: Date; readonly to: Date }
export type Window = Span & { readonly gaps: readonly [Date, Date][] }

/** An hour's files may hold events of a little before ("within an average of about 5 minutes", which is no promise). */
const DELIVERY_MS = 3_600_000
/** More gaps than this are told as one. */
const GAPS_MAX = 500

/** Hours by region that are whole, of digests from `since` on; `hashes` of files that were read already, by name. */
export async function spansOf(
  trail: Trail,
  since: Date | undefined,
  hashes: Map<string, string | undefined>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly Span[]>> {
  const logs = new Map(trail.logs.map((file) => [file.name, file]))
  const hashOf = async (name: string) => {
    const file = logs.get(name)
    if (!hashes.has(name)) hashes.set(name, file && (await readTrailFile(trail.root, file))?.hash)
    return hashes.get(name)
  }
  const spans = new Map<string, Span[]>()
  for (const file of trail.digests) {
    signal.throwIfAborted()
    const stamp = instantOf(file.key.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d) .*$/, '$1-$2-$3T$4:$5:$6Z'))
    if (since && stamp && stamp < since) continue
    const region = spans.get(file.region) ?? []
    spans.set(file.region, region)
    const digest = Digest.safeParse((await readTrailFile(trail.root, file))?.json).data
    const [from, to] = [instantOf(digest?.digestStartTime), instantOf(digest?.digestEndTime)]
    if (!digest || !from || !to || to < from) continue
    const listed = digest.logFiles.map(async ({ s3Object, hashValue, hashAlgorithm }) => {
      const name = s3Object.slice(s3Object.lastIndexOf('/') + 1)
      return hashAlgorithm === 'SHA-256' && (await hashOf(name)) === hashValue.toLowerCase()
    })
    if ((await Promise.all(listed)).every(Boolean)) region.push({ from, to })
  }
  return spans
}

/** The time that every region covers, from `since` or from where all of them begin, without what one of them lacks. */
export function windowOf(regions: ReadonlyMap<string, readonly Span[]>, since: Date | undefined): Window | undefined {
  const all = [...regions.values()].map((spans) => [...spans].sort((a, b) => a.from.getTime() - b.from.getTime()))
  if (all.length === 0 || all.some((spans) => spans.length === 0)) return undefined
  const begins = Math.max(...all.map(([first]) => first?.from.getTime() ?? 0))
  const from = since?.getTime() ?? begins
  const ends = Math.min(...all.map((spans) => Math.max(...spans.map(({ to }) => to.getTime()))))
  const until = ends - DELIVERY_MS
  if (until <= from) return undefined
  const holes: [number, number][] = []
  for (const spans of all) {
    let at = from
    for (const span of spans) {
      if (span.from.getTime() > at) holes.push([at, Math.min(span.from.getTime(), until)])
      at = Math.max(at, span.to.getTime())
    }
  }
  const gaps = merged(holes.filter(([a, b]) => a < until && b > a))
  const [first, last] = [gaps[0], gaps.at(-1)]
  const told = gaps.length > GAPS_MAX && first && last ? [[first[0], last[1]] as const] : gaps
  return {
    from: dateOf(from),
    to: dateOf(until),
    gaps: told.map(([a, b]): [Date, Date] => [dateOf(a), dateOf(b)]),
  }
}

function merged(holes: readonly [number, number][]): [number, number][] {
  const found: [number, number][] = []
  for (const [from, to] of [...holes].sort((a, b) => a[0] - b[0])) {
    const last = found.at(-1)
    if (last && from <= last[1]) last[1] = Math.max(last[1], to)
    else found.push([from, to])
  }
  return found
}

function dateOf(milliseconds: number): Date {
  const at = instantAt(milliseconds)
  if (!at) throw new Error('an instant of two others is one')
  return at
}
