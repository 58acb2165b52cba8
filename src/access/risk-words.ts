import type { Risk } from '../policy/policy.ts'

/** Names as many factors as fit a line of a terminal: those that weigh most come first. */
const NAMED = 2
/** Less than this counts for nothing anybody would see. */
const LEAST = 0.0005

type Factor = { readonly name: string; readonly fact: string; readonly by: number }

/** How much of the score a factor accounts for; one that is not known counts whole. */
export function partOf({ weight, value }: { readonly weight: number; readonly value: number | null }): number {
  return weight * (value ?? 1)
}

/** The factors that weigh most, as `name: fact`. */
export function weightiest(factors: readonly Factor[]): string {
  const named = factors
    .filter(({ by }) => by > LEAST)
    .sort((a, b) => b.by - a.by)
    .slice(0, NAMED)
  return named.length === 0 ? 'nothing by itself' : named.map(({ name, fact }) => `${name}: ${fact}`).join('; ')
}

/** The risk as a client reads it. */
export function sentenceOfRisk({ score, factors }: Risk): string {
  const parts = factors.map((factor) => ({ name: factor.name, fact: factor.fact, by: partOf(factor) }))
  return `at a risk of ${score} of 100 (${weightiest(parts)}),`
}
