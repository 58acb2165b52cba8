/** Answers that are none, pages without an end, and times that cannot be: over a tape, in each scope of a source. */
import { isSaid, readOver, readScope, type ScopeEnd } from './reading.fixture.ts'
import { opener, stackOf, type Honest } from './schema.fixture.ts'
import type { Heard, Readable, Spoil, Tape } from './tape.fixture.ts'
import { TRICKS, type Wire } from './wire.fixture.ts'

const HANGS_MS = 60_000

export type Under = {
  readonly bed: Readable & { readonly says?: readonly RegExp[] }
  readonly tape: Tape
  readonly origins: number
  readonly honest: Honest
  readonly wire: Wire
}

/** Reads one scope with answers spoiled once the source is open. */
async function spoiled({ bed, tape, origins }: Under, scope: string, spoil: Spoil): Promise<ScopeEnd> {
  const signal = AbortSignal.timeout(HANGS_MS)
  await using source = await opener(bed, tape, origins)(signal)
  await source.probe(signal)
  tape.spoil = spoil
  try {
    return await readScope(source, scope, signal)
  } finally {
    tape.spoil = undefined
  }
}

/** What is wrong with how a scope ended: it says nothing of why, or calls itself complete without what it told before. */
function faultsOf(before: ScopeEnd, after: ScopeEnd, mayLack: boolean): string[] {
  if (!isSaid(after.error)) return [`ends in ${stackOf(after.error)}`]
  if (after.status !== 'complete' || mayLack) return []
  const lost = [...before.things.keys()].filter((id) => !after.things.has(id))
  return lost.length === 0 ? [] : [`is complete without ${lost.length} things, ${lost[0]?.slice(0, 100)} for one`]
}

/** Each trick on one answer of each scope, another one each time. */
export async function playTricks(under: Under): Promise<string[]> {
  const { honest, wire } = under
  const wrong: string[] = []
  let turn = 0
  let start = 0
  for (const [name, trick] of Object.entries(TRICKS)) {
    for (const [scope, before] of someOf(honest, (start += SCOPES))) {
      const keys = keysOf(honest, scope)
      const key = keys[(turn += 1) % Math.max(keys.length, 1)]
      if (key === undefined) continue
      let isPlayed = false
      const after = await spoiled(under, scope, (heard, asked, signal) => {
        if (heard.key !== key) return undefined
        isPlayed = true
        return wire.ask(trick, heard, asked, signal)
      })
      const faults = faultsOf(before, after, trick.saysAbsent === true)
      if (isPlayed && trick.isPatience === true && after.slowed === 0) faults.push('is not patient')
      wrong.push(...faults.map((fault) => `${scope}: ${name} at ${key.slice(0, 200)}: it ${fault}`))
      if (trick.isLarge === true) break
    }
  }
  return wrong
}

/** Scopes that each trick is played in, the next ones each time. */
const SCOPES = 4

function someOf({ read: { ends } }: Honest, start: number): [string, ScopeEnd][] {
  const all = [...ends]
  const at = start % Math.max(all.length, 1)
  return [...all.slice(at), ...all.slice(0, at)].slice(0, SCOPES)
}

function keysOf({ askedBy }: Honest, scope: string): string[] {
  return [...askedBy].flatMap(([key, scopes]) => (scopes.has(scope) ? [key] : []))
}

/** What fails once is asked again, and the reading is then as if it had not. */
export async function failOnce(under: Under): Promise<string[]> {
  const wrong: string[] = []
  let start = 0
  for (const name of ['it fails', 'it breaks off', 'it asks for patience', 'it stops in the middle']) {
    for (const [scope, before] of someOf(under.honest, (start += SCOPES))) {
      const key = keysOf(under.honest, scope).at(-1)
      const trick = TRICKS[name]
      if (key === undefined || !trick) continue
      let left = 1
      const after = await spoiled(under, scope, (heard, asked, signal) =>
        heard.key === key && (left -= 1) === 0 ? under.wire.ask(trick, heard, asked, signal) : undefined,
      )
      const lost = [...before.things.keys()].filter((id) => !after.things.has(id)).length
      if (after.status !== before.status || lost > 0)
        wrong.push(
          `${scope}: once ${name} at ${key.slice(0, 200)}: ${after.status} for ${before.status}, ${lost} lost, ${stackOf(after.error)}`,
        )
    }
  }
  return wrong
}

/** Every answer is the same no: to whoever opens the source, and in each scope of one that was opened before. */
export async function refuseAll({ bed, tape, origins, honest, wire }: Under): Promise<string[]> {
  const wrong: string[] = []
  for (const name of [
    'the login is not accepted',
    'it is forbidden',
    'it is not there',
    'it fails',
    'it shows a page to log in',
  ]) {
    const trick = TRICKS[name]
    if (!trick) continue
    const signal = AbortSignal.timeout(HANGS_MS)
    for (const isLate of [false, true]) {
      const spoil: Spoil = (heard, asked, until) => wire.ask(trick, heard, asked, until)
      tape.spoil = isLate ? undefined : spoil
      const read = await readOver(
        {
          open: () => opener(bed, tape, origins)(signal),
          onStep: (scope) => {
            tape.spoil = !isLate || scope !== undefined ? spoil : undefined
          },
        },
        signal,
      )
      tape.spoil = undefined
      if (!isSaid(read.error)) wrong.push(`${name}: opening ends in ${stackOf(read.error)}`)
      for (const [scope, end] of read.ends) {
        const before = honest.read.ends.get(scope)
        if (before)
          wrong.push(...faultsOf(before, end, false).map((fault) => `${scope}: ${name} to everything: it ${fault}`))
      }
    }
  }
  return wrong
}

/** A list is one whatever page of it is asked for. */
function listOf({ to, asked }: Heard): string {
  const body = (asked.body ?? '').replace(/"(?:cursor|id)":[^,}]*/g, '').replace(/(?:^|&)Marker=[^&]*/g, '')
  const accept = asked.headers?.['accept']
  return `${to} ${asked.path.split('?')[0]} ${typeof accept === 'string' ? accept : ''} ${body}`
}

/** Where a list says that it goes on. */
const POINTER = /"(nextPageToken|continue|nextCursor|@odata\.nextLink)":"((?:[^"\\]|\\.)+)"|<(Marker)>([^<]+)<\/Marker>/

const PAGES: Readonly<Record<string, (first: Heard, turn: number, elsewhere: string) => Heard>> = {
  'the same page for ever': (first) => first,
  'pages of the same without an end': (first, turn) =>
    led(first, (pointer) => `${pointer}${pointer.includes('?') ? '&' : ''}n${turn}`),
  'the next page at another host': (first, _turn, elsewhere) =>
    led(first, (pointer) => (/^https?:/.test(pointer) ? pointer.replace(/^https?:\/\/[^/]+/, elsewhere) : pointer)),
}

function led(heard: Heard, by: (pointer: string) => string): Heard {
  const { link } = heard.headers
  const headers = link === undefined ? {} : { link: link.replace(/<([^>]*)>/, (_all, to: string) => `<${by(to)}>`) }
  const told = heard.body
    .toString('utf8')
    .replace(
      POINTER,
      (_all, key: string | undefined, at: string | undefined, tag: string | undefined, marker: string | undefined) =>
        tag === undefined ? `"${key}":"${by(at ?? '')}"` : `<${tag}>${by(marker ?? '')}</${tag}>`,
    )
  return { ...heard, headers: { ...heard.headers, ...headers }, body: Buffer.from(told) }
}

/** Lists whose pages lead back, on for ever, or away. */
export async function leadOn(under: Under): Promise<{ readonly wrong: string[]; readonly lists: number }> {
  const { tape, honest, wire } = under
  const lists = Map.groupBy(tape.heard.values(), listOf)
  const paged = [...lists].filter(([, pages]) => pages.length > 1 && pages.every(({ status }) => status === 200))
  const wrong: string[] = []
  for (const [list, pages] of paged) {
    const first = pages.find(({ key }) =>
      [...(honest.askedBy.get(key) ?? [])].some((scope) => honest.read.ends.has(scope)),
    )
    const scopes = first && honest.askedBy.get(first.key)
    if (!first || !scopes) continue
    for (const [name, page] of Object.entries(PAGES)) {
      for (const scope of [...scopes].filter((one) => honest.read.ends.has(one)).slice(0, 1)) {
        const before = honest.read.ends.get(scope)
        if (!before) continue
        let turn = 0
        const after = await spoiled(under, scope, (heard) =>
          listOf(heard) === list ? page(first, (turn += 1), wire.elsewhere) : undefined,
        )
        wrong.push(
          ...faultsOf(before, after, false).map((fault) => `${scope}: ${name} at ${list.slice(0, 200)}: it ${fault}`),
        )
      }
    }
  }
  return { wrong, lists: paged.length }
}

/** Times that are values of their own; one within an expression is part of that. */
const DATE = /(?<=[^\\]"|>)(\d{4})-(\d\d-\d\dT\d\d:\d\d:\d\d)/g
const TIMES: Readonly<Record<string, (text: string) => string>> = {
  'a year ahead': (text) => text.replace(DATE, (_all, year: string, rest: string) => `${Number(year) + 3}-${rest}`),
  'before 1970': (text) => text.replace(DATE, (_all, _year, rest: string) => `1950-${rest}`),
  'at the end of time': (text) => text.replace(DATE, (_all, _year, rest: string) => `9999-${rest}`),
  'no dates': (text) => text.replace(DATE, 'yesterday $2'),
  'no months': (text) => text.replace(DATE, '$1-13-32T00:00:00'),
}

/** Every time in every answer is one that cannot be. */
export async function skewClock({ bed, tape, origins, honest }: Under): Promise<string[]> {
  const wrong: string[] = []
  for (const [name, skewed] of Object.entries(TIMES)) {
    const signal = AbortSignal.timeout(HANGS_MS)
    const read = await readOver(
      {
        open: () => opener(bed, tape, origins)(signal),
        onStep: (scope) => {
          tape.spoil =
            scope === undefined
              ? undefined
              : (heard) => ({ ...heard, body: Buffer.from(skewed(heard.body.toString('utf8'))) })
        },
      },
      signal,
    )
    tape.spoil = undefined
    for (const [scope, end] of read.ends) {
      const before = honest.read.ends.get(scope)
      if (before) wrong.push(...faultsOf(before, end, false).map((fault) => `${scope}: times are ${name}: it ${fault}`))
    }
  }
  return wrong
}
