import { isMet, needOf, type Need } from '../prefilter/need.ts'
import { openPrefilter } from '../prefilter/prefilter.ts'
import { WELL_FORMED, type Verdict } from '../check/verdict.ts'
import type { Confidence, Found, Rule } from '../rules/rule.ts'
import { assignedAt, judgeAssigned, nameRules } from './assigned.ts'
import { isNoSecret, isShown } from './placeholder.ts'
import { both, shapeOf, shapeOfLiteral, type Shape } from '../prefilter/shape.ts'

/** What a rule found in bytes, before anybody else sees it: the secret is still in it. */
export type Match = {
  readonly rule: string
  readonly what: string
  readonly issuer: string | null
  readonly confidence: Confidence
  readonly start: number
  readonly end: number
  /** One character for each byte. */
  readonly secret: string
  readonly verdict: Verdict
}

export type Place = {
  readonly path: string
  readonly now: Date
  /** Whether values without a known format count here; not in lock files and binaries. */
  readonly withNames: boolean
}

/** Hears of what may hide more. */
type Wrapped = {
  /** A place inside a long run of base64. */
  readonly onRun: (at: number) => void
  /** A `://` in percent signs. */
  readonly onAddress: (at: number) => void
}

/** What was done, in counts that do not depend on the machine. */
type Work = { candidates: number; tried: number; bytesLookedAt: number }

export type Engine = {
  /** All secrets in these bytes, in order; of those that overlap the surest. */
  find(bytes: Buffer, place: Place, wrapped?: Wrapped): Match[]
  readonly work: Work
}

/** A rule, and from the first place on where it is tried its patterns: most are never asked. */
type Tried = { readonly rule: Rule; readonly longest: number; compiled: Compiled | undefined }

type Compiled = {
  readonly pattern: RegExp
  readonly before: RegExp | undefined
  readonly notBefore: RegExp
  readonly need: Need | undefined
  /** What the pattern may look at, and one byte more for what must not follow. */
  readonly spanBytes: number
}
type Target = Tried | (typeof nameRules)[number] | 'address'

/** How far a rule sees if it does not say otherwise, and how far before its anchor. */
const SPAN_BYTES = 640
const BEFORE_BYTES = 256
const AROUND_BYTES = 120

/** For comparison: without SIMD, or asking each rule's pattern wherever a literal of it stands. */
type EngineOptions = { readonly isPlain?: boolean; readonly isByLiteral?: boolean }

export function openEngine(rules: readonly Rule[], options: EngineOptions = {}): Engine {
  const work: Work = { candidates: 0, tried: 0, bytesLookedAt: 0 }
  const usual = rules.filter(({ files }) => !files)
  let [withNames, without]: [Finder | undefined, Finder | undefined] = [undefined, undefined]
  // Names are not looked for where none count; but nothing more is opened for the few such files of a tree in which they do.
  const finderFor = (place: Place): Finder => {
    if (!place.withNames && !withNames) return (without ??= openFinder(usual, [], options))
    return (withNames ??= openFinder(usual, nameRules, options))
  }
  // Rules for files of certain names have anchors that are frequent elsewhere.
  const forSome = rules.filter(({ files }) => files)
  const anyName = new RegExp(forSome.map(({ files }) => `(?:${files?.source})`).join('|') || '(?!)')
  let special: Finder | undefined
  return {
    work,
    find: (bytes, place, wrapped = NOT_ASKED) => {
      const found: Match[] = []
      finderFor(place).find({ bytes, place, found, work }, wrapped)
      if (anyName.test(place.path)) {
        special ??= openFinder(forSome, [], options)
        const more: Match[] = []
        special.find({ bytes, place, found: more, work }, NOT_ASKED)
        found.push(...more)
      }
      return found.length > 1 ? surest(found) : found
    },
  }
}

const NOT_ASKED: Wrapped = { onRun: () => undefined, onAddress: () => undefined }

type Finder = { find(pass: Pass, wrapped: Wrapped): void }

/** Some rules behind a prefilter of their own. */
function openFinder(rules: readonly Rule[], names: typeof nameRules, options: EngineOptions): Finder {
  const targets: Target[] = []
  const shapes: Shape[] = []
  for (const rule of rules) {
    const { shape, longest } = shapeOf(rule.pattern)
    const tried: Tried = { rule, longest, compiled: undefined }
    for (const anchor of new Set(rule.anchors.map((each) => each.toLowerCase()))) {
      targets.push(tried)
      const literal = shapeOfLiteral(anchor)
      shapes.push(options.isByLiteral === true ? literal : both(literal, shape))
    }
  }
  for (const named of names) {
    for (const name of named.names) {
      targets.push(named)
      shapes.push(shapeOfLiteral(name))
    }
  }
  targets.push('address')
  shapes.push(shapeOfLiteral('%3a%2f%2f'))
  const prefilter = openPrefilter(shapes, options)
  return {
    find: (pass, { onRun, onAddress }) =>
      prefilter.scan(
        pass.bytes,
        (number, at) => {
          pass.work.candidates += 1
          const target = targets[number]
          if (target === undefined) return
          if (target === 'address') onAddress(at)
          else if ('rule' in target) tryRule(pass, at, target.rule, (target.compiled ??= compile(target, options)))
          else if (pass.place.withNames) tryName(pass, at, target)
        },
        onRun,
      ),
  }
}

/** One going over some bytes. */
type Pass = { readonly bytes: Buffer; readonly place: Place; readonly found: Match[]; readonly work: Work }

function compile({ rule, longest }: Tried, { isByLiteral = false }: EngineOptions): Compiled {
  return {
    need: isByLiteral ? undefined : needOf(rule.pattern),
    spanBytes: Math.min(rule.spanBytes ?? SPAN_BYTES, longest + 1),
    pattern: new RegExp(rule.pattern.source, 'y'),
    before: rule.before && new RegExp(`(?:${rule.before.source})$`),
    notBefore: rule.notBefore ?? /[A-Za-z0-9]/,
  }
}

function tryRule({ bytes, place, found, work }: Pass, at: number, rule: Rule, compiled: Compiled): void {
  const { pattern, before, notBefore, need, spanBytes } = compiled
  if (rule.files && !rule.files.test(place.path)) return
  if (need && !isMet(need, bytes, at)) return
  let start = at
  const last = found.at(-1)
  if (last && last.rule === rule.id && at < last.end) return
  work.tried += 1
  if (!before && !mayBegin(rule, bytes, at)) return
  const text = bytes.toString('latin1', at, at + spanBytes)
  work.bytesLookedAt += text.length
  pattern.lastIndex = 0
  const match = pattern.exec(text)
  if (!match) return
  const end = at + match[0].length
  if (notBefore.test(text.charAt(match[0].length))) return
  if (before) {
    const head = before.exec(bytes.toString('latin1', Math.max(0, at - BEFORE_BYTES), at))
    if (!head) return
    start = at - head[0].length
    if (!mayBegin(rule, bytes, start)) return
  }
  const inner = match.groups?.['s']
  const whole = before ? bytes.toString('latin1', start, end) : match[0]
  const secret = inner ?? whole
  if (inner === undefined ? isShown(secret) : isNoSecret(secret)) return
  const context: Found = {
    match: whole,
    before: bytes.toString('latin1', Math.max(0, start - AROUND_BYTES), start),
    after: bytes.toString('latin1', end, end + AROUND_BYTES),
    now: place.now,
  }
  const verdict = rule.check ? rule.check(secret, context) : WELL_FORMED
  if (!verdict) return
  const { id, what, issuer, confidence } = rule
  const secretAt = inner === undefined ? start : at + match[0].lastIndexOf(inner)
  found.push({
    rule: id,
    what,
    issuer,
    verdict,
    secret,
    start: secretAt,
    end: secretAt + secret.length,
    confidence: verdict.validity === 'verified-offline' ? 'high' : confidence,
  })
}

function tryName({ bytes, found, work }: Pass, at: number, rule: (typeof nameRules)[number]): void {
  work.tried += 1
  const assigned = assignedAt(bytes, at)
  if (!assigned) return
  work.bytesLookedAt += assigned.value.length
  const { start, value } = assigned
  if (found.at(-1)?.start === start || !judgeAssigned(assigned, rule.kind)) return
  found.push({
    rule: rule.id,
    what: rule.what,
    issuer: null,
    verdict: WELL_FORMED,
    secret: value,
    start,
    end: start + value.length,
    confidence: 'low',
  })
}

function mayBegin({ isInWord }: Rule, bytes: Buffer, at: number): boolean {
  if (isInWord === true || isFree(bytes, at)) return true
  const [before, here] = [bytes[at - 1] ?? 0, bytes[at] ?? 0]
  return isInWord === 'as a part of it' && here >= 0x41 && here <= 0x5a && !(before >= 0x41 && before <= 0x5a)
}

/** Whether a token may begin here: not inside a word, unless what stands before is an escape (`\n`, `%3D`, `\u003d`). */
function isFree(bytes: Buffer, at: number): boolean {
  if (!isWord(bytes[at - 1])) return true
  if (bytes[at - 2] === 0x5c) return true
  return /(?:%[0-9A-Fa-f]{2}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2})$/.test(
    bytes.toString('latin1', Math.max(0, at - 6), at),
  )
}

function isWord(byte: number | undefined): boolean {
  if (byte === undefined) return false
  const lower = byte | 0x20
  return (byte >= 0x30 && byte <= 0x39) || (lower >= 0x61 && lower <= 0x7a)
}

const SURENESS: Readonly<Record<Confidence, number>> = { high: 2, medium: 1, low: 0 }

/** Of matches that overlap the surest, of equals the longer, then the earlier one: one secret is one finding. */
function surest(found: Match[]): Match[] {
  const rank = (match: Match) => (match.issuer === null ? -1 : SURENESS[match.confidence])
  const isBetter = (a: Match, b: Match) => (rank(a) - rank(b) || a.end - a.start - (b.end - b.start)) > 0
  const taken: Match[] = []
  for (const match of found.sort((a, b) => a.start - b.start || b.end - a.end)) {
    const last = taken.at(-1)
    if (!last || match.start >= last.end) taken.push(match)
    else if (isBetter(match, last)) taken[taken.length - 1] = match
  }
  return taken
}
