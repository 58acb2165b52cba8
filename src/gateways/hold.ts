import { waitForRelease } from '../access/access.ts'
import type { ClassTable } from './class-table.ts'
import type { HeldOperation } from './gateway.ts'
import type { HostNeeds } from './needs.ts'

const UNDECIDED = 'It could not be put before a person, so it does not run. Try again in a moment.'

type Within = { readonly table: Pick<ClassTable, 'terms' | 'refusal'>; readonly useId: string }

/** `LiveSession.hold`: undefined lets the operation go to its target, once and now. Whatever fails on the way refuses it. */
export async function holdFor(
  needs: HostNeeds,
  { table, useId }: Within,
  operation: HeldOperation,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { onHeld, ...shown } = operation
  const gates = table.terms.holds.filter((hold) => hold.class === operation.class).map((hold) => hold.gate)
  try {
    const waited = await waitForRelease(
      { ...needs.access, db: needs.db },
      { ...shown, useId, gates },
      ({ id, expiresAt, missing }) =>
        onHeld(
          `This operation is ${operation.class} and waits for ${missing.join('; or ')}, until ${expiresAt.toISOString()}. ` +
            `They look at it: reeve hold read ${id}`,
        ),
      signal,
    )
    if (waited.kind === 'refused')
      return `This operation is ${operation.class} and was not released. ${waited.sentence}`
    // Policies and the target may have changed while it waited.
    return table.refusal(operation.action)
  } catch (error) {
    needs.log.warn({ err: error, use: useId }, 'an operation could not be held, so it is refused')
    return UNDECIDED
  }
}
