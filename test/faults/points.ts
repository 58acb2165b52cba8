import { ACCESS_FAULT_POINTS } from '../../src/access/fault-points.ts'
import { CHANGE_FAULT_POINTS } from '../../src/access/changes/fault-points.ts'
import { HOLD_FAULT_POINTS } from '../../src/access/holds/fault-points.ts'
import { KEPT_FAULT_POINTS, LEASE_FAULT_POINTS } from '../../src/credentials/fault-points.ts'
import { CUSTODY_FAULT_POINTS, DEPOSIT_FAULT_POINTS } from '../../src/credentials/custody/fault-points.ts'
import { ROTATION_FAULT_POINTS } from '../../src/credentials/rotation/fault-points.ts'
import { GATEWAY_FAULT_POINTS } from '../../src/gateways/fault-points.ts'
import { KERNEL_FAULT_POINTS } from '../../src/kernel/fault.ts'
import { LEDGER_FAULT_POINTS } from '../../src/ledger/fault-points.ts'
import { RULE_FAULT_POINTS } from '../../src/policy/versions/fault-points.ts'
import { SESSION_FAULT_POINTS } from '../../src/sessions/fault-points.ts'
import { TOKEN_FAULT_POINTS } from '../../src/tokens/fault-points.ts'

/** The points that the story of the kills comes to. */
export const STORY_POINTS: readonly string[] = [
  ...KERNEL_FAULT_POINTS,
  ...LEDGER_FAULT_POINTS,
  ...ACCESS_FAULT_POINTS,
  ...CHANGE_FAULT_POINTS,
  ...RULE_FAULT_POINTS,
  ...LEASE_FAULT_POINTS,
  ...SESSION_FAULT_POINTS,
  ...GATEWAY_FAULT_POINTS,
]

/** Every labelled point of the product. No shipped policy holds anything, so src/access/holds/holds.test.ts dies at the points of holds; no node
 * runs while everything is put under another root key, so src/server/rewrap.test.ts stops there and rewrap.full.ts dies there; values in custody and tokens have stories of their own (custody.full.ts, tokens.full.ts). */
export const ALL_POINTS: readonly string[] = [
  ...STORY_POINTS,
  ...HOLD_FAULT_POINTS,
  ...KEPT_FAULT_POINTS,
  ...ROTATION_FAULT_POINTS,
  ...CUSTODY_FAULT_POINTS,
  ...DEPOSIT_FAULT_POINTS,
  ...TOKEN_FAULT_POINTS,
]

/** Points that lie before a commit: one can also die right behind it, before anybody is told. */
export const COMMITTED_POINTS = [
  ...ACCESS_FAULT_POINTS,
  ...CHANGE_FAULT_POINTS,
  ...RULE_FAULT_POINTS.filter((point) => point !== 'rules.swapping'),
  ...SESSION_FAULT_POINTS.filter((point) => point === 'session.opened' || point === 'session.closed'),
].map((point) => [point, 'kernel.committed'])
