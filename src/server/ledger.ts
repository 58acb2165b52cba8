import { systemRandom } from '../kernel/random.ts'
import {
  openAppender,
  openLedger,
  openSequencer,
  openWitnesses,
  settle,
  type Ledger,
  type Sequencer,
} from '../ledger/ledger.ts'
import type { DomainParts } from './parts.ts'

/** The ledger with its appender and, on a worker, with what signs it. */
export async function openTheLedger(parts: DomainParts, nodeId: string): Promise<Ledger> {
  const { config, ground, log, stop } = parts
  const { db, connection, clock, seal } = ground
  const needs = { clock, random: systemRandom, seal }
  await settle(db, log)
  const sequencer = config.node.roles.includes('worker') ? openSigning(parts) : undefined
  const appender = await openAppender({
    connection,
    nodeId,
    clock,
    random: systemRandom,
    log,
    onDurable: () => sequencer?.wake(),
  })
  // What others still have to say goes before the appender closes.
  stop.add('appender', appender)
  return openLedger(needs, { appender, db, onRecorded: () => sequencer?.wake() })
}

/** The sequencer, and the witnesses that cosign what it signs. */
function openSigning({ config, ground, log, metrics, stop }: DomainParts): Sequencer {
  const { db, connection, clock, seal } = ground
  const losses = metrics.counter('reeve_ledger_witness_losses', 'Checkpoints that a witness did not cosign.', [
    'witness',
  ])
  const witnesses = openWitnesses(
    { db, clock, log, onWitnessLoss: (witness) => losses.inc({ witness }) },
    config.ledger.witnesses,
  )
  stop.add('witnesses', witnesses)
  const sequencer = openSequencer({
    clock,
    random: systemRandom,
    seal,
    connection,
    log,
    origin: config.ledger.origin,
    checkpointFile: config.ledger.checkpointFile,
    onSigned: (signed) => witnesses.offer(signed),
  })
  stop.add('sequencer', sequencer)
  return sequencer
}
