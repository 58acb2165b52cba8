/**
 * The decision point. A folder of policies becomes a `PolicySet` (checked, immutable, named by its hash), an `Engine`
 * evaluates it, `decide()` asks it once per link of a chain and is stricter than the language: an error denies, what is
 * unknown is denied, obligations of every matching permit join. `permitFrom()` turns a permitting decision whose
 * obligations are met into the `Permit` that a command demands.
 */
export { decide, permitFrom, type Decision, type DecisionFacts, type PermitOutcome, type Question } from './decide.ts'
export { openDecisionPoint, type Asked, type DecisionNeeds, type DecisionPoint } from './decision-point.ts'
export { linkTo, type Entity, type EntityLink, type PolicyValue } from './entity.ts'
export { openCedarEngine, type Engine, type Evaluation, type EvaluationRequest } from './evaluate.ts'
export { liveEngine, type LiveEngine } from './live-engine.ts'
export { buildPolicySet, loadPolicySet, policySetInvalid, type Policy, type PolicySet } from './policy-set.ts'
export { ActionDeclaration, buildSchema, policySchemaInvalid, type PolicySchema } from './schema.ts'
export {
  joinObligations,
  noEvidence,
  noObligations,
  outstanding,
  withinLimits,
  type Evidence,
  type Obligations,
  type Recording,
  type StepUp,
} from './obligations.ts'
export { isPossible, isSatisfied, missingApprovals, type Approval, type ApprovalFacts } from './approval.ts'
export { readAnnotations } from './annotations.ts'
export {
  ApprovalSyntaxError,
  groupsOf,
  parseApproval,
  printApproval,
  type ApprovalExpression,
} from './approval-grammar.ts'
