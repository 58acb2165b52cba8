import { test } from 'node:test'
import { killAtEach } from './kills.ts'

/** One of each domain, before and behind the commit. `npm run test:faults` dies at every point there is. */
const REPRESENTATIVE = [
  ['change.used'],
  ['change.used', 'kernel.committed'],
  ['rules.swapping'],
  ['access.request-stored'],
  ['access.request-stored', 'kernel.committed'],
  ['access.grant-made', 'kernel.committed'],
  ['gateway.use-reserved'],
  ['lease.created-upstream'],
  ['gateway.session-opened'],
  ['appender.written'],
  ['access.grant-ended', 'kernel.committed'],
  ['session.finished'],
  ['lease.dropped'],
  ['sequencer.committed'],
]

test('a node is killed in the middle of an act, and the next one answers for it', (t) => killAtEach(t, REPRESENTATIVE))
