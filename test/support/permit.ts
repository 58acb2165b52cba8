import { mintPermit, type EntityRef, type Permit } from '../../src/kernel/permit.ts'

/** A permit as a decision would have made it: for tests of what a command does once it is permitted. */
export function permitFor<A extends string>(
  action: A,
  subject: EntityRef,
  resource: EntityRef,
  more: { onBehalfOf?: EntityRef[]; evaluatedAt?: Date; policyEpoch?: string } = {},
): Permit<A> {
  return mintPermit({
    action,
    subject,
    onBehalfOf: more.onBehalfOf ?? [],
    resource,
    policyEpoch: more.policyEpoch ?? 'test',
    decisionId: '00000000-0000-7000-8000-000000000000',
    evaluatedAt: more.evaluatedAt ?? new Date('2030-01-01T00:00:00Z'),
  })
}
