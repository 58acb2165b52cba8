import type { EntityRef, Permit } from '../kernel/permit.ts'
import type { Actor, Fact } from '../ledger/ledger.ts'
import type { Identity } from './contract.ts'

/** The type policies know each kind of identity by. */
export const ENTITY_TYPES = { human: 'Person', machine: 'Machine', workload: 'Workload', agent: 'Agent' } as const

const KINDS: ReadonlyMap<string, Identity['kind']> = new Map([
  ['Person', 'human'],
  ['Machine', 'machine'],
  ['Workload', 'workload'],
  ['Agent', 'agent'],
])

/** Who acts, as policies name it. */
export function subjectRef(identity: Pick<Identity, 'id' | 'kind'>): EntityRef {
  return { type: ENTITY_TYPES[identity.kind], id: identity.id }
}

/** Who acts, as the ledger names it. */
export function actorOf(subject: EntityRef): Actor {
  const kind = KINDS.get(subject.type)
  if (kind === undefined) throw new Error(`${subject.type} is no kind of identity`)
  return { id: subject.id, kind }
}

/** The part of an entry that says who did it, for whom, under which decision and on what. */
export function actOf(
  permit: Permit,
): Pick<Fact, 'actor' | 'onBehalfOf' | 'action' | 'resource' | 'decision' | 'outcome'> {
  return {
    actor: actorOf(permit.subject),
    onBehalfOf: permit.onBehalfOf.map((link) => link.id),
    action: permit.action,
    resource: permit.resource,
    decision: { id: permit.decisionId, policyVersion: permit.policyEpoch },
    outcome: 'done',
  }
}
