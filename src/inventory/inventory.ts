/**
 * What connectors saw at their sources, and what they could not see. Observations are kept as they were told, keyed by native ids that never
 * change; a thing is missed after one complete reading without it and gone after two, and its row stays. Coverage is data: each scope of each
 * source ends in a report, and every answer carries what it does not see.
 */
export { consumersOf, keptAt } from './consumers.ts'
export { coverageOf } from './coverage.ts'
export { csvCoverage, csvLine } from './export.ts'
export { placedId } from './named.ts'
export type { InventoryNeeds } from './needs.ts'
export { collectSource, type Collected, type Watch } from './reading/reconcile.ts'
export { endAdoptions, keepAdoptions, lockAdoption, lockResolution } from './resolution/adoptions.ts'
export { resolveInventory } from './resolution/resolve.ts'
export { inventoryRoutes } from './routes.ts'
export { collectDue } from './reading/schedule.ts'
export { refreshStatistics } from './reading/statistics.ts'
export { loadSource } from './sources/source-records.ts'
export { sourceHttpTo } from './sources/source-http.ts'
export { registerSource } from './sources/sources.ts'
export { surveyBy } from './sources/survey.ts'
