import {
  AdoptionRun,
  continueAdoption,
  startAdoption,
  undoAdoption,
  type AdoptionRun as Run,
} from '../governance/contract.ts'
import type { Operation } from '../kernel/operation.ts'
import type { Client, Given } from './client.ts'
import { tell, type Io } from './io.ts'

/**
 * An adoption by a rule goes on batch by batch until it is done, each batch a call that is decided by itself. Broken off anywhere it stands as it
 * is, and `adoption continue` or `adoption undo` goes on from there.
 */
export async function tillDone(
  io: Io,
  client: Client,
  operation: Operation,
  given: Given,
  answer: unknown,
): Promise<unknown> {
  const forth = operation.id === startAdoption.id || operation.id === continueAdoption.id
  if (!forth && operation.id !== undoAdoption.id) return answer
  const begun = AdoptionRun.safeParse(answer)
  if (!begun.success) return answer
  let run: Run = begun.data
  const params = { adoption: run.id }
  const going = forth ? 'running' : 'undoing'
  if (run.state === going) tell(io, `Should this break off: reeve adoption ${forth ? 'continue' : 'undo'} ${run.id}`)
  while (run.state === going) {
    const done = forth
      ? `${run.lookedAt} of about ${run.ofAbout} looked at, ${run.adopted} adopted`
      : `${run.undone} of ${run.adopted} taken back`
    tell(io, done)
    run = forth ? await client.ask(continueAdoption, { params }) : await client.ask(undoAdoption, { ...given, params })
  }
  return AdoptionRun.encode(run)
}
