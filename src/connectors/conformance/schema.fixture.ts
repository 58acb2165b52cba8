/** Answers in another shape than the API has them: each place of each answer in turn, over a tape. */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { Instant } from '../../kernel/instant.ts'
import type { Kept } from '../connector.ts'
import { mutantsOf, sampled, type Mutant } from './mutations.fixture.ts'
import { isSaid, readOver, type Read, type ScopeEnd } from './reading.fixture.ts'
import { openOver, standing, type Readable, type Tape } from './tape.fixture.ts'

/** Mutants that one connector is put through in `npm test`; `REEVE_HOSTILE` says how many instead. */
const SAMPLE = 120
const SEED = 20_261_123
/** A reading of what is in memory takes milliseconds; one that takes longer hangs. */
const HANGS_MS = 20_000
const NOW = Instant.decode('2026-11-23T12:00:00Z')

export type Honest = { readonly read: Read; readonly askedBy: ReadonlyMap<string, ReadonlySet<string>> }

/** Where an answer stood before any scope was read. */
const OPENING = ''

/** Opens the bed over the tape. */
export function opener(bed: Readable, tape: Tape, origins: number, at: Date = NOW) {
  const [first, ...also] = Array.from({ length: origins }, (_, to) => tape.http(to))
  return (signal: AbortSignal) => openOver(bed, { http: first ?? assert.fail(), also, clock: standing(at) }, signal)
}

/** Reads the bed as it is, and keeps who asked for what. */
export async function honest(bed: Readable, tape: Tape, origins: number): Promise<Honest> {
  const open = opener(bed, tape, origins)
  const askedBy = new Map<string, Set<string>>()
  let scope = OPENING
  const { signal } = new AbortController()
  const note = () => {
    for (const key of tape.asked.splice(0)) askedBy.set(key, (askedBy.get(key) ?? new Set()).add(scope))
  }
  const read = await readOver(
    {
      open: () => open(signal),
      onStep: (next) => {
        note()
        scope = next ?? OPENING
      },
    },
    signal,
  )
  note()
  assert.equal(read.error, undefined)
  for (const [name, end] of read.ends) assert.ok(end.error === undefined, `${name}: ${String(end.error)}`)
  return { read, askedBy }
}

type Case = { readonly key: string; readonly mutant: Mutant }

export async function readMutants(
  bed: Readable & { readonly says?: readonly RegExp[] },
  tape: Tape,
  { origins, honest: { read, askedBy } }: { readonly origins: number; readonly honest: Honest },
): Promise<string[]> {
  const cases = [...tape.heard.values()]
    .filter(({ status, key }) => status < 300 && askedBy.has(key))
    .flatMap(({ key, body }) => mutantsOf(body).map((mutant): Case => ({ key, mutant })))
  const wrong: string[] = []
  // oxlint-disable-next-line node/no-process-env -- a longer run is asked for by hand
  const chosen = sampled(cases, Number(process.env['REEVE_HOSTILE'] ?? SAMPLE), SEED)
  assert.ok(chosen.length >= Math.min(cases.length, SAMPLE / 10), 'too few are tried')
  for (const one of chosen) {
    const scopes = askedBy.get(one.key) ?? new Set()
    for (const isLate of scopes.has(OPENING) ? [false, true] : [true])
      wrong.push(...(await readMutant(bed, tape, { ...one, isLate, origins, scopes, before: read })))
  }
  return wrong
}

type Mutated = Case & {
  readonly isLate: boolean
  readonly origins: number
  readonly scopes: ReadonlySet<string>
  readonly before: Read
}

/** `isLate`: the answer changes once the source is opened and probed. */
async function readMutant(
  bed: Readable & { readonly says?: readonly RegExp[] },
  tape: Tape,
  { key, mutant, isLate, origins, scopes, before }: Mutated,
): Promise<string[]> {
  const label = `${key.slice(0, 200)} ${mutant.path} is ${mutant.kind}${isLate ? ', late' : ''}`
  const open = opener(bed, tape, origins)
  const body = mutant.body()
  const spoil: Tape['spoil'] = (heard) => (heard.key === key ? { ...heard, body } : undefined)
  const signal = AbortSignal.timeout(HANGS_MS)
  if (!isLate) tape.spoil = spoil
  const only = scopes.has(OPENING) && !isLate ? undefined : scopes
  const wrong: string[] = []
  try {
    const read = await readOver(
      {
        open: () => open(signal),
        only,
        onStep: (scope) => {
          tape.spoil = !isLate || scope !== undefined ? spoil : undefined
        },
      },
      signal,
    )
    if (signal.aborted) wrong.push('it hangs')
    if (!isSaid(read.error)) wrong.push(`opening ends in ${stackOf(read.error)}`)
    const isSame = read.authority === before.authority
    for (const [scope, end] of read.ends) {
      if (!isSaid(end.error)) wrong.push(`${scope} ends in ${stackOf(end.error)}`)
      const earlier = before.ends.get(scope)
      if (earlier && isSame) wrong.push(...gapsOf(mutant, bed.says ?? [], earlier, end).map((gap) => `${scope} ${gap}`))
    }
  } finally {
    tape.spoil = undefined
  }
  if (Reflect.has({}, 'polluted')) wrong.push('every object has a key of the answer')
  return wrong.map((each) => `${label}: ${each}`)
}

export function stackOf(error: unknown): string {
  return error instanceof Error
    ? (error.stack ?? error.message).split('\n').slice(0, 4).join(' ').slice(0, 500)
    : String(error)
}

/** What a scope that calls itself complete does not tell any more, or tells otherwise, of what it told before. */
function gapsOf(mutant: Mutant, says: readonly RegExp[], before: ScopeEnd, after: ScopeEnd): string[] {
  if (after.status !== 'complete' || mutant.change === 'other') return []
  if (mutant.change === 'absent' && says.some((path) => path.test(mutant.path))) return []
  const gaps: string[] = []
  const isAlien = mutant.change === 'alien' && after.missing.length === before.missing.length
  for (const [id, thing] of before.things) {
    const now = after.things.get(id)
    if (now === undefined) gaps.push(`is complete without ${id.slice(0, 100)}`)
    else if (isAlien) gaps.push(...liesOf(thing, now).map((lie) => `tells ${id.slice(0, 100)} ${lie}`))
  }
  if (isAlien && after.uses.length < before.uses.length)
    gaps.push(`is complete with ${after.uses.length} of ${before.uses.length} uses`)
  return gaps.slice(0, 1)
}

const WORDS = new Set(['name', 'aliases', 'tags', 'facts', 'strengthWhy', 'location'])

/** Fields of one thing that a value of the wrong type made into another value, and not into an unknown one. */
function liesOf(before: Kept, after: Kept): string[] {
  return Object.entries(after).flatMap(([field, value]) => {
    // Words about a thing may be made of other words where one is none.
    if (WORDS.has(field)) return []
    const earlier: unknown = Reflect.get(before, field)
    if (isDeepStrictEqual(earlier, value)) return []
    const isUnknown = typeof value === 'object' && value !== null && 'known' in value && value.known === false
    return isUnknown
      ? []
      : [`with ${field} ${JSON.stringify(value)?.slice(0, 200)} for ${JSON.stringify(earlier)?.slice(0, 200)}`]
  })
}
