/** One reading of a source by its connector alone, without a database, ended as the reconciler would end it. */
import { Circles } from '../../inventory/reading/circles.ts'
import { sentenceOf } from '../../inventory/reading/scope-run.ts'
import {
  Denied,
  keptOf,
  SlowDown,
  Unreadable,
  type Kept,
  type Missing,
  type OpenSource,
  type ScopeStatus,
} from '../connector.ts'

/** More pages than any bed has. */
const PAGES = 2_000
const TRIES = 4

export type ScopeEnd = {
  readonly status: ScopeStatus
  readonly missing: readonly Missing[]
  /** By kind and id. */
  readonly things: ReadonlyMap<string, Kept>
  /** Uses and windows of use, in words. */
  readonly uses: readonly string[]
  readonly latest: Date | undefined
  readonly error: unknown
  readonly slowed: number
}

/** Things that one scope told and how it ended; `error` is what ended it otherwise. Tries again as the reconciler does, without a wait. */
export async function readScope(source: OpenSource, scope: string, signal: AbortSignal): Promise<ScopeEnd> {
  const things = new Map<string, Kept>()
  const uses: string[] = []
  let [refused, slowed, tries, cursor, latest]: [number, number, number, string | undefined, Date | undefined] = [
    0,
    0,
    0,
    undefined,
    undefined,
  ]
  const end = (status: ScopeStatus, missing: readonly Missing[], error?: unknown): ScopeEnd => {
    const doubts = refused > 0 ? [{ what: `${refused} observations`, why: 'not as the contract has them' }] : []
    const isLess = refused > 0 && status === 'complete'
    return {
      status: isLess ? 'partial' : status,
      missing: [...missing, ...doubts],
      things,
      uses,
      latest,
      error,
      slowed,
    }
  }
  for (;;) {
    const pages = source.read(scope, { cursor }, signal)
    const circles = new Circles(async () => things.size)
    try {
      for (let nth = 0; ; nth += 1) {
        const next = await pages.next()
        if (next.done) return end(next.value.status, next.value.missing)
        for (const observation of next.value.observations) {
          const kept = keptOf(observation)
          if (!kept) refused += 1
          else if ('id' in kept) things.set(`${kept.kind} ${kept.id.kind}/${kept.id.id}`, kept)
          else {
            uses.push(`${kept.kind} ${kept.subject?.id ?? ''}`)
            if (kept.kind === 'usage' && (latest === undefined || kept.at > latest)) latest = kept.at
          }
        }
        cursor = next.value.cursor ?? cursor
        const digest = next.value.observations.length === 0 ? undefined : JSON.stringify(next.value.observations)
        if ((await circles.hasClosed({ cursor: next.value.cursor, digest })) || nth > PAGES)
          throw new Unreadable('the source gives the same pages again and again')
      }
    } catch (error) {
      if (error instanceof Denied) return end('denied', [error.missing], error)
      if (error instanceof SlowDown) slowed += 1
      tries += 1
      if (error instanceof Unreadable || tries >= TRIES)
        return end('partial', [{ what: 'the rest of it', why: sentenceOf(error) }], error)
    } finally {
      void pages.return({ status: 'partial', missing: [] }).catch(() => undefined)
    }
  }
}

export type Read = {
  /** What ended it before any scope was read. */
  readonly error: unknown
  readonly authority: string | undefined
  readonly ends: ReadonlyMap<string, ScopeEnd>
}

type Reading = {
  readonly open: () => Promise<OpenSource>
  /** Which scopes, of those that the source names; all without it. */
  readonly only?: ReadonlySet<string> | undefined
  /** Called when the source is open and probed, and again as each scope begins and is done. */
  readonly onStep?: (scope: string | undefined) => void
}

/** Opens, probes, names the scopes and reads them, each over a source of its own. */
export async function readOver({ open, only, onStep }: Reading, signal: AbortSignal): Promise<Read> {
  const ends = new Map<string, ScopeEnd>()
  let authority: string | undefined
  const named: string[] = []
  try {
    await using source = await open()
    ;({ authority } = await source.probe(signal))
    for await (const { scope } of source.scopes(signal)) named.push(scope)
  } catch (error) {
    return { error, authority, ends }
  }
  onStep?.(undefined)
  for (const scope of named) {
    if (only && !only.has(scope)) continue
    await using source = await open()
    onStep?.(scope)
    ends.set(scope, await readScope(source, scope, signal))
    onStep?.(undefined)
  }
  return { error: undefined, authority, ends }
}

/** Whether a failure is told in a sentence of ours or by a code, and not as a fault in our own code. */
export function isSaid(error: unknown): boolean {
  return error === undefined || sentenceOf(error) !== 'reading failed; the log says why'
}
