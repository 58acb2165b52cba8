import { test } from 'node:test'
import { killAtEach } from './kills.ts'

/** A few, in different domains, before and behind the commit. `npm run test:faults`, which the gate runs as well, dies at every point there is. */
const REPRESENTATIVE = [
  ['change.used', 'kernel.committed'],
  ['access.grant-made', 'kernel.committed'],
  ['lease.created-upstream'],
  ['gateway.session-opened'],
  ['sequencer.committed'],
]

test('a node is killed in the middle of an act, and the next one answers for it', (t) => killAtEach(t, REPRESENTATIVE))
