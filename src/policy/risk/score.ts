import type { FactorName, RiskModel } from './model.ts'

/** One thing that makes an act more dangerous, with the fact it was read from. */
export type RiskFactor = {
  readonly name: FactorName
  /** How much it can add at most, 0 to 1. */
  readonly weight: number
  /** How much of that it adds, 0 to 1; null when the fact is not known. */
  readonly value: number | null
  /** The fact in words. */
  readonly fact: string
  readonly source: string
  /** How old the observation is; 0 for what was read for this very question, null when there is none. */
  readonly ageSeconds: number | null
}

/**
 * How dangerous an act is, from 0 to 100, as a band: `low` as if nothing unknown were bad, `high` as if all of it were.
 * `score`, which policies and gates compare with, is the high end: otherwise whoever keeps a fact from being known would
 * lower it, and a rule would open because something could not be seen.
 */
export type Risk = {
  readonly score: number
  readonly low: number
  readonly high: number
  readonly model: { readonly version: string; readonly sha256: string }
  /** All of them, known or not, those that count most first. */
  readonly factors: readonly RiskFactor[]
}

/** `100·(1 − Π(1 − w·f))` over both ends of the band, rounded outwards. */
export function riskOf(model: RiskModel, factors: readonly RiskFactor[]): Risk {
  const { low, high } = bandOf(factors)
  const ranked = factors.toSorted((a, b) => partOf(b, 1) - partOf(a, 1) || (a.name < b.name ? -1 : 1))
  return { score: high, low, high, model: { version: model.version, sha256: model.sha256 }, factors: ranked }
}

type Weighed = Pick<RiskFactor, 'weight' | 'value'>

/** Whole numbers throughout, so that neither the order of factors nor the machine changes the last digit. */
export function bandOf(factors: readonly Weighed[]): { readonly low: number; readonly high: number } {
  const all = MILLIONTHS ** BigInt(factors.length)
  const safe = (unknown: 0 | 1) =>
    factors.reduce((product, factor) => product * (MILLIONTHS - BigInt(partOf(factor, unknown))), 1n)
  const low = (100n * (all - safe(0))) / all
  const high = (100n * (all - safe(1)) + all - 1n) / all
  return { low: Number(low), high: Number(high) }
}

const MILLIONTHS = 1_000_000n

/** `w·f` in millionths, with `unknown` in place of a fact that is not known. */
function partOf({ weight, value }: Weighed, unknown: 0 | 1): number {
  return thousandths(weight) * thousandths(value ?? unknown)
}

/** What is no number counts in full: a fault in reading a fact may not lower the score. */
function thousandths(share: number): number {
  return Number.isNaN(share) ? 1000 : Math.round(Math.min(1, Math.max(0, share)) * 1000)
}

/** What policies are told. `factors` names what counts at the high end, so the unknown ones too. */
export function riskContext(risk: Risk) {
  return {
    score: risk.score,
    low: risk.low,
    high: risk.high,
    factors: risk.factors.filter((factor) => partOf(factor, 1) > 0).map(({ name }) => name),
  }
}

/** The whole score in sentences: the band, then each factor that counts, the heaviest first. */
export function explainRisk(risk: Risk): string[] {
  const unknown = risk.factors.filter(({ value, weight }) => value === null && weight > 0)
  const band =
    unknown.length === 0
      ? `The risk is ${risk.score} of 100.`
      : `The risk is ${risk.score} of 100, counting what is not known in full; ${risk.low} without that.`
  const each = risk.factors
    .filter((factor) => partOf(factor, 1) > 0)
    .map((factor) => {
      const points = Math.round(partOf(factor, 1) / 10_000)
      if (factor.value === null) return `${factor.name}: not known, so it counts in full (${points}): ${factor.fact}.`
      return `${factor.name}: ${factor.fact} (${points}; ${factor.source}${ageInWords(factor.ageSeconds)}).`
    })
  return [band, ...each]
}

function ageInWords(ageSeconds: number | null): string {
  if (ageSeconds === null || ageSeconds < 60) return ''
  if (ageSeconds < 5400) return `, ${Math.round(ageSeconds / 60)} min ago`
  return ageSeconds < 172_800
    ? `, ${Math.round(ageSeconds / 3600)} h ago`
    : `, ${Math.round(ageSeconds / 86_400)} days ago`
}
