import { openPrefilter } from '../prefilter/prefilter.ts'
import { WELL_FORMED, type Verdict } from '../check/verdict.ts'
import type { Confidence, Found, Rule } from '../rules/rule.ts'
import { assignedAt, judgeAssigned, nameRules } from './assigned.ts'
import { isNoSecret, isShown } from './placeholder.ts'

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

/** What was done, in counts that do not depend on the machine. */
type Work = { candidates: number; tried: number; bytesLookedAt: number }

export type Engine = {
  readonly isSimd: boolean
  /** All secrets in these bytes, in order; of those that overlap the surest. `onRun` hears of places inside long runs of base64. */
  find(bytes: Buffer, place: Place, onRun?: (at: number) => void): Match[]
  readonly work: Work
}

type Compiled = {
  readonly rule: Rule
  readonly pattern: RegExp
  readonly before: RegExp | undefined
  readonly notBefore: RegExp
  readonly index: number
}
type Target = { readonly compiled: Compiled } | { readonly named: (typeof nameRules)[number] }

/** How far a rule sees if it does not say otherwise, and how far before its anchor. */
const SPAN_BYTES = 640
const BEFORE_BYTES = 256
const AROUND_BYTES = 120

export function openEngine(rules: readonly Rule[], options: { isPlain?: boolean } = {}): Engine {
  const literals = new Map<string, Target[]>()
  const add = (literal: string, target: Target) => {
    const key = literal.toLowerCase()
    literals.set(key, [...(literals.get(key) ?? []), target])
  }
  rules.forEach((rule, index) => {
    const compiled = compile(rule, index)
    for (const anchor of new Set(rule.anchors.map((each) => each.toLowerCase()))) add(anchor, { compiled })
  })
  for (const named of nameRules) for (const name of named.names) add(name, { named })
  const wanted = [...literals].map(([literal, targets]) => ({ bytes: Buffer.from(literal, 'latin1'), targets }))
  const prefilter = openPrefilter([...literals.keys()], options)
  const work: Work = { candidates: 0, tried: 0, bytesLookedAt: 0 }
  return {
    isSimd: prefilter.isSimd,
    work,
    find: (bytes, place, onRun = () => undefined) => {
      const found: Match[] = []
      const pass: Pass = { bytes, place, found, work }
      prefilter.scan(
        bytes,
        (literal, at) => {
          work.candidates += 1
          const one = wanted[literal]
          if (!one || !standsAt(bytes, at, one.bytes)) return
          for (const target of one.targets) {
            if ('compiled' in target) tryRule(pass, at, target.compiled)
            else if (place.withNames) tryName(pass, at, target.named)
          }
        },
        onRun,
      )
      return found.length > 1 ? surest(found) : found
    },
  }
}

/** One going over some bytes. */
type Pass = { readonly bytes: Buffer; readonly place: Place; readonly found: Match[]; readonly work: Work }

function compile(rule: Rule, index: number): Compiled {
  return {
    rule,
    index,
    pattern: new RegExp(rule.pattern.source, 'y'),
    before: rule.before && new RegExp(`(?:${rule.before.source})$`),
    notBefore: rule.notBefore ?? /[A-Za-z0-9]/,
  }
}

/** Letters in any case: the literal is in lower case. */
function standsAt(bytes: Buffer, at: number, literal: Buffer): boolean {
  if (at + literal.length > bytes.length) return false
  for (let n = 0; n < literal.length; n += 1) {
    const byte = bytes[at + n] ?? 0
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
    if (lower !== literal[n]) return false
  }
  return true
}

function tryRule({ bytes, place, found, work }: Pass, at: number, compiled: Compiled): void {
  const { rule, pattern, before, notBefore } = compiled
  if (rule.files && !rule.files.test(place.path)) return
  let start = at
  const last = found.at(-1)
  if (last && last.rule === rule.id && at < last.end) return
  work.tried += 1
  if (!before && rule.isInWord !== true && !isFree(bytes, at)) return
  const text = bytes.toString('latin1', at, at + (rule.spanBytes ?? SPAN_BYTES))
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
    if (rule.isInWord !== true && !isFree(bytes, start)) return
  }
  const inner = match.groups?.['s']
  const whole = before ? bytes.toString('latin1', start, end) : match[0]
  const secret = inner ?? whole
  if (inner === undefined ? isShown(secret) : isNoSecret(secret)) return
  const context: Found = {
    match: whole,
    before: bytes.toString('latin1', Math.max(0, start - AROUND_BYTES), start),
    after: text.slice(match[0].length, match[0].length + AROUND_BYTES),
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
