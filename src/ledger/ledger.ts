/**
 * The ledger's front door. Two kinds of entry, one tree (core 9): *causes* are rows written in the transaction of the change they explain;
 * *observations* (decisions, operations, seals) go through one appender per node that groups commits. Positions come later, from the one
 * sequencer of the cluster, which signs the tree. Personal fields are commitments in the tree, and their values sealed under a key per
 * subject; `destroySubjectKey` destroys that key and the tree stays as it was.
 */
export { openAppender } from './appender.ts'
export { destroySubjectKey } from './erasure.ts'
export { openLedger, type Ledger } from './entry.ts'
export { SYSTEM, type Actor, type Fact } from './fact.ts'
export { observationsOf, type Observation } from './observations.ts'
export { ledgerRoutes } from './routes.ts'
export { openSequencer, type Sequencer } from './sequencer.ts'
export { settle } from './settle.ts'
export { openWitnesses } from './witnesses.ts'
export { canonicalText } from './tree/canonical.ts'
