import { waitForRelease } from '../access/access.ts'
import { isHeldBy } from '../policy/policy.ts'
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
  const { holds, risk } = table.terms
  const gates = holds.filter((hold) => isHeldBy(hold, operation.class)).map((hold) => hold.gate)
  const why = operation.class === 'any' ? `of a session that is held, ${risk ?? 'by its policies,'}` : operation.class
  try {
    const waited = await waitForRelease(
      { ...needs.access, db: needs.db },
      { ...shown, useId, gates },
      ({ id, expiresAt, missing }) =>
        onHeld(
          `This operation is ${why} and waits for ${missing.join('; or ')}, until ${expiresAt.toISOString()}. ` +
            `They look at it: reeve hold read ${id}`,
        ),
      signal,
    )
    if (waited.kind === 'refused') return `This operation is ${why} and was not released. ${waited.sentence}`
    // Policies and the target may have changed while it waited.
    return table.refusal(operation.action)
  } catch (error) {
    needs.log.warn({ err: error, use: useId }, 'an operation could not be held, so it is refused')
    return UNDECIDED
  }
}
