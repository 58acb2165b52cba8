import type { Tx } from '../kernel/db.ts'
import { riskContext, type Risk } from '../policy/policy.ts'
import { RiskTold } from './contract.ts'
import { decideUse } from './decide-use.ts'
import type { AccessNeeds } from './needs.ts'
import type { GrantFacts } from './proof.ts'
import { partOf, weightiest } from './risk-words.ts'

/**
 * Whether it is the risk alone that took the permission away: at the risk it was given at, with everything else as it is now, the grant would
 * still be permitted. In a sentence that names what rose, for the client. Undefined where something else changed, or as well.
 */
export async function riseOf(
  tx: Tx,
  needs: AccessNeeds,
  facts: GrantFacts,
  risk: Risk | undefined,
): Promise<string | undefined> {
  const row = await tx.selectFrom('accessGrant').select('risk').where('id', '=', facts.grant.id).executeTakeFirst()
  const given = RiskTold.safeParse(row?.risk).data
  if (!given || !risk) return undefined
  const { reasons } = await decideUse(tx, needs, facts, { supposing: asContext(risk, given) })
  return reasons.length === 0 ? sentenceOf(risk, given) : undefined
}

/** What policies were told of the risk then. */
function asContext(risk: Risk, { score, low, high, factors }: RiskTold): ReturnType<typeof riskContext> {
  return riskContext({ ...risk, score, low, high, factors: risk.factors.filter(({ name }) => counts(factors, name)) })
}

function counts(factors: RiskTold['factors'], name: string): boolean {
  return factors.some((factor) => factor.name === name && partOf(factor) > 0)
}

function sentenceOf(risk: Risk, given: RiskTold): string {
  const then = new Map(given.factors.map((factor) => [factor.name, partOf(factor)]))
  const rose = risk.factors.map((factor) => ({
    name: factor.name,
    fact: factor.fact,
    by: partOf(factor) - (then.get(factor.name) ?? 0),
  }))
  return `it was given at ${given.score} and is at ${risk.score} of 100; ${weightiest(rose)}`
}
