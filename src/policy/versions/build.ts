import { buildPolicySetAside } from '../aside/build.ts'
import { buildPolicySet, readRiskModelText, type PolicySet } from '../policy-set.ts'
import type { RiskModel } from '../risk/model.ts'
import type { PolicySchema } from '../schema.ts'
import type { PolicyFile } from '../source.ts'
import type { PolicyFiles } from './contract.ts'

const RISK_FILE = 'risk.json'

/**
 * The set that files make, by the schema of this release, built in a thread of its own since calls are answered meanwhile. Rejects with
 * `policySetInvalid` or `riskModelInvalid`, which say where and why.
 */
export async function setOf(files: PolicyFiles, schema: PolicySchema): Promise<PolicySet> {
  return buildPolicySetAside(...partsOf(files, schema))
}

/** The same in this thread, for a start at which nobody waits yet. Throws. */
export function setOfHere(files: PolicyFiles, schema: PolicySchema): PolicySet {
  return buildPolicySet(...partsOf(files, schema))
}

function partsOf(files: PolicyFiles, schema: PolicySchema): [PolicyFile[], PolicySchema, RiskModel?] {
  const risk = files.find(({ name }) => name === RISK_FILE)
  const policies = files.filter(({ name }) => name !== RISK_FILE).sort((a, b) => (a.name < b.name ? -1 : 1))
  return risk ? [policies, schema, readRiskModelText(risk.text)] : [policies, schema]
}
