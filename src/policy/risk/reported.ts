import type { RiskFactor } from './score.ts'
import type { SignalSeverity, SignalType } from './signal-types.ts'

/** What a standard, or whatever else looks, holds against an identity now. */
export type OpenFindings = {
  readonly names: readonly string[]
  readonly source: string
  readonly ageSeconds: number
}

/** A received signal that is neither withdrawn nor over. */
export type SignalInForce = {
  readonly type: SignalType
  readonly severity: SignalSeverity
  /** Names of the record: nothing that a sender wrote itself goes into a sentence. */
  readonly sender: string
  readonly about: string
  readonly receivedAt: Date
  readonly expiresAt: Date
}

type Reading = Omit<RiskFactor, 'name' | 'weight'>

const SEVERITIES: Readonly<Record<SignalSeverity, number>> = { low: 0.25, medium: 0.5, high: 0.8, critical: 1 }

/** More names than this do not fit a sentence. */
const NAMED = 5

export function readFindings(findings: OpenFindings | null, subject: string, inFull: number): Reading {
  if (findings === null) {
    return { value: null, fact: `${subject} was not looked at for findings`, source: 'findings', ageSeconds: null }
  }
  const { names, source, ageSeconds } = findings
  const named = names.length === 0 ? '' : ` (${names.slice(0, NAMED).join(', ')}${names.length > NAMED ? ' …' : ''})`
  const fact = `${names.length} finding(s) on ${subject} are open${named}`
  return { value: Math.min(1, names.length / inFull), fact, source, ageSeconds }
}

/**
 * Each signal fades over its time. Of one sender only the worst counts, so that nobody raises a score by repeating themselves; what several
 * senders say joins as the score itself does.
 */
export function readSignals(signals: readonly SignalInForce[], now: Date): Reading {
  const inForce = signals
    .map((signal) => ({ ...signal, weight: SEVERITIES[signal.severity] * leftOf(signal, now) }))
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight || (a.sender < b.sender ? -1 : 1))
  const worst = new Map<string, number>()
  for (const { sender, weight } of inForce) worst.set(sender, Math.max(weight, worst.get(sender) ?? 0))
  const [first] = inForce
  if (!first) return { value: 0, fact: 'no signal is in force', source: 'signals', ageSeconds: 0 }
  const others = inForce.length === 1 ? '' : `, and ${inForce.length - 1} more signal(s) are in force`
  return {
    value: 1 - [...worst.values()].reduce((product, weight) => product * (1 - weight), 1),
    fact: `${first.sender} reported ${first.type} of ${first.about}${others}`,
    source: `signals of ${[...worst.keys()].slice(0, NAMED).join(', ')}`,
    ageSeconds: Math.max(0, Math.floor((now.getTime() - first.receivedAt.getTime()) / 1000)),
  }
}

function leftOf({ receivedAt, expiresAt }: SignalInForce, now: Date): number {
  const whole = expiresAt.getTime() - receivedAt.getTime()
  if (whole <= 0) return 0
  return Math.min(1, Math.max(0, (expiresAt.getTime() - now.getTime()) / whole))
}
