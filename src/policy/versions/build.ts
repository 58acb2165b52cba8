import { buildPolicySetAside } from '../aside/build.ts'
import { VOCABULARY_FILE } from '../authzen/vocabulary.ts'
import { buildPolicySet, readRiskModelText, RISK_FILE, type PolicySet } from '../policy-set.ts'
import { SHIPPED_RISK_MODEL, type RiskModel } from '../risk/model.ts'
import type { PolicySchema } from '../schema.ts'
import type { PolicyFile } from '../source.ts'
import type { RuleFiles } from './contract.ts'

/**
 * The set that files make, by the schema of this release, built in a thread of its own since calls are answered meanwhile. Rejects with
 * `policySetInvalid` or `riskModelInvalid`, which say where and why.
 */
export async function setOf(files: RuleFiles, schema: PolicySchema): Promise<PolicySet> {
  return buildPolicySetAside(...partsOf(files, schema))
}

/** The same in this thread, for a start at which nobody waits yet. Throws. */
export function setOfHere(files: RuleFiles, schema: PolicySchema): PolicySet {
  return buildPolicySet(...partsOf(files, schema))
}

function partsOf(files: RuleFiles, schema: PolicySchema): [PolicyFile[], PolicySchema, RiskModel, string] {
  const textOf = (file: string) => files.find(({ name }) => name === file)?.text
  const risk = textOf(RISK_FILE)
  const policies = files.filter(({ name }) => name.endsWith('.cedar')).sort((a, b) => (a.name < b.name ? -1 : 1))
  return [
    policies,
    schema,
    risk === undefined ? SHIPPED_RISK_MODEL : readRiskModelText(risk),
    textOf(VOCABULARY_FILE) ?? '',
  ]
}
