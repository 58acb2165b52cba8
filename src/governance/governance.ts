/**
 * Governance reads every domain and changes none: what class of identity something is, which controls the standard asks of it, and which
 * of them the record shows. A control that nothing can observe is unknown, and unknown is not met.
 */
export { governanceRoutes } from './routes.ts'
export { evaluateFindingsWhenDue } from './findings/evaluate.ts'
export { recordStandard } from './record.ts'
export { readStandard, type Standard } from './standard.ts'
export { lookWhenDue } from './graph/look.ts'
export { evaluateOwners } from './owners/evaluate.ts'
export { evaluateServices } from './owners/services.ts'
export { sweepReach } from './retier.ts'
export { mostDaysBy, standingBy } from './standing.ts'
