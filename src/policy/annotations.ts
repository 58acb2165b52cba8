import { ApprovalSyntaxError, parseApproval } from './approval-grammar.ts'
import { readHold } from './hold.ts'
import { noObligations, RECORDINGS, STEP_UPS, type Obligations } from './obligations.ts'
import { faultInPattern } from './ticket-pattern.ts'

/**
 * What a policy says besides its condition. A misspelt `@aproval` would waive an approval in silence, so an annotation
 * that is not known here refuses the whole set.
 */
export type Annotations = {
  readonly id: string | null
  /** The policy in a sentence, for the reasons of a decision. */
  readonly why: string | null
  readonly obligations: Obligations
}

export type AnnotationFault = { readonly annotation: string; readonly message: string }

/** Reads one value into the obligations, or says what was expected. */
type Reader = (value: string, so: Obligations) => Obligations | string

/** A year; anything longer is a standing right by another name. */
const MAX_TTL_SECONDS = 366 * 86_400
const MAX_USES = 1_000_000
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

const OBLIGATION_READERS: Readonly<Record<string, Reader>> = {
  approval: (value, so) => {
    try {
      return { ...so, approval: [parseApproval(value)] }
    } catch (error) {
      if (error instanceof ApprovalSyntaxError) return error.message
      throw error
    }
  },
  ttl: (value, so) => {
    const [, digits = '', unit = ''] = /^(\d{1,8})([smhd])$/.exec(value) ?? []
    const ttlSeconds = Number(digits) * (UNIT_SECONDS[unit] ?? 0)
    if (ttlSeconds < 1 || ttlSeconds > MAX_TTL_SECONDS)
      return 'expected a time such as "15m", "1h" or "7d", at most a year'
    return { ...so, ttlSeconds }
  },
  uses: (value, so) => {
    const uses = /^\d{1,7}$/.test(value) ? Number(value) : 0
    return uses < 1 || uses > MAX_USES ? `expected a number from 1 to ${MAX_USES}` : { ...so, uses }
  },
  step_up: (value, so) => {
    const stepUp = value === '' ? 'mfa' : STEP_UPS.find((level) => level === value)
    return stepUp === undefined ? `expected nothing or one of ${quoted(STEP_UPS)}` : { ...so, stepUp }
  },
  record: (value, so) => {
    const recording = RECORDINGS.find((level) => level === value)
    return recording === undefined ? `expected one of ${quoted(RECORDINGS)}` : { ...so, recording }
  },
  reason: (value, so) => (value === '' ? { ...so, reasonRequired: true } : 'expected no value'),
  ticket: (value, so) => {
    const fault = faultInPattern(value)
    return fault === null ? { ...so, tickets: [value] } : fault
  },
  hold: (value, so) => {
    const hold = readHold(value)
    return typeof hold === 'string' ? hold : { ...so, hold: [hold] }
  },
}

const PLAIN: readonly string[] = ['id', 'why']
const ID = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/
const MAX_WHY = 300

/** Reads the annotations of one policy; each fault names its annotation. */
export function readAnnotations(
  annotations: Readonly<Record<string, string>>,
  effect: 'permit' | 'forbid',
): { annotations: Annotations; faults: AnnotationFault[] } {
  const faults: AnnotationFault[] = []
  let obligations = noObligations
  for (const [annotation, value] of Object.entries(annotations)) {
    if (PLAIN.includes(annotation)) continue
    const read = Object.hasOwn(OBLIGATION_READERS, annotation) ? OBLIGATION_READERS[annotation] : undefined
    if (!read) faults.push({ annotation, message: `unknown annotation; known are ${quoted(knownAnnotations())}` })
    else if (effect === 'forbid') faults.push({ annotation, message: 'a forbid carries no obligation' })
    else {
      const next = read(value, obligations)
      if (typeof next === 'string') faults.push({ annotation, message: next })
      else obligations = next
    }
  }
  const { id, why } = annotations
  if (id !== undefined && !ID.test(id))
    faults.push({ annotation: 'id', message: 'expected letters, digits, . _ : / -' })
  if (why !== undefined && (why.length === 0 || why.length > MAX_WHY)) {
    faults.push({ annotation: 'why', message: `expected a sentence of at most ${MAX_WHY} characters` })
  }
  return { annotations: { id: id ?? null, why: why ?? null, obligations }, faults }
}

function knownAnnotations(): string[] {
  return [...PLAIN, ...Object.keys(OBLIGATION_READERS)]
}

function quoted(words: readonly string[]): string {
  return words.map((word) => JSON.stringify(word)).join(', ')
}
