/**
 * The decision point. A folder of policies becomes a `PolicySet` (checked, immutable, named by its hash), an `Engine`
 * evaluates it, `decide()` asks it once per link of a chain and is stricter than the language: an error denies, what is
 * unknown is denied, obligations of every matching permit join. `permitFrom()` turns a permitting decision whose
 * obligations are met into the `Permit` that a command demands.
 */
export { decide, permitFrom, type Decision } from './decide.ts'
export { stepUpOwed } from './step-up-owed.ts'
export { approvalFactsOf, openDecisionPoint, type DecisionPoint } from './decision-point.ts'
export { METADATA_PATH, metadataOf } from './authzen/metadata.ts'
export { readDenial, writeDenial, type Denied } from './authzen/denial.ts'
export { vocabularyOf } from './authzen/vocabulary.ts'
export { recordFactsOf, type RecordFacts } from './record-facts.ts'
export { entryOf, type Observed } from './observed.ts'
export { openDecider, type Decider, type DeciderOptions, type DeciderState } from './decider/decider.ts'
export { meshMethods } from './mesh/check.ts'
export { holdRight } from './mesh/right.ts'
export { policyRoutes, questionResource, type PolicyRouteNeeds } from './routes.ts'
export { runPolicyTool, type ToolRequest, type ToolResult } from './tools/tools.ts'
export { type PolicyValue } from './entity.ts'
export { openCompiledEngine } from './compiled/engine.ts'
export { openCedarEngine, type Engine } from './evaluate.ts'
export { assessRisk, type PastUse } from './risk/factors.ts'
export type { OpenFindings, SignalInForce } from './risk/reported.ts'
export { explainRisk, riskContext, type Risk } from './risk/score.ts'
export { liveEngine, type LiveEngine } from './live-engine.ts'
export { buildPolicySet, loadPolicySchema, loadPolicySet, type PolicySet } from './policy-set.ts'
export { buildSchema } from './schema.ts'
export {
  joinObligations,
  noEvidence,
  noObligations,
  outstanding,
  withinLimits,
  type Evidence,
  type Obligations,
} from './obligations.ts'
export { isSatisfied, missingApprovals, type Approval, type ApprovalFacts } from './approval.ts'
export { floorFrom } from './floor.ts'
export { HOLD_CLASSES, isHeldBy, printHold, readHold, type Hold, type HoldClass } from './hold.ts'
export { groupsOf, mayOpenByItself, parseApproval, printApproval, type ApprovalExpression } from './approval-grammar.ts'
export { emptyCalendar, liveCalendar, parseCalendar, type Calendar, type LiveCalendar } from './calendar.ts'
export { simulateChange } from './tools/simulate.ts'
export { calendarRules, EMPTY_CALENDAR } from './versions/calendar.ts'
export { catalogRules, NO_OVERRIDES, syncCatalog } from './versions/catalog.ts'
export type { RuleFiles } from './versions/contract.ts'
export type { Made, RuleKind } from './versions/kind.ts'
export { openLiveRules } from './versions/live.ts'
export type { LiveRules, RuleNeeds } from './versions/needs.ts'
export { policyRules } from './versions/policies.ts'
export { documentVersionRoutes, filesOf, policyVersionRoutes } from './versions/routes.ts'
export { followInTransactions, refeed, teamRules } from './versions/teams.ts'
export { setOfHere } from './versions/build.ts'
export { readFiles as readPolicyFiles } from './versions/shipped.ts'
