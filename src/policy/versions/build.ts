import { buildPolicySet, readRiskModelText, type PolicySet } from '../policy-set.ts'
import type { PolicySchema } from '../schema.ts'
import type { PolicyFiles } from './contract.ts'

const RISK_FILE = 'risk.json'

/** The set that files make, by the schema of this release. Throws `policySetInvalid` or `riskModelInvalid` with where and why. */
export function setOf(files: PolicyFiles, schema: PolicySchema): PolicySet {
  const risk = files.find(({ name }) => name === RISK_FILE)
  const policies = files.filter(({ name }) => name !== RISK_FILE).sort((a, b) => (a.name < b.name ? -1 : 1))
  return risk ? buildPolicySet(policies, schema, readRiskModelText(risk.text)) : buildPolicySet(policies, schema)
}
