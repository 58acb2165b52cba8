import type { TestContext } from 'node:test'
import type { Admission, Asked, Ending } from '../../src/gateways/gateway.ts'
import { Secret } from '../../src/kernel/secret.ts'
import type { Granted, GrantedOptions } from './granted.ts'
import { planeWorld, type PlaneWorld } from './plane-world.ts'
import { toyGateway } from './toy-gateway.ts'

export const NEVER = new AbortController().signal

/** A plane of a gateway that does little. */
export async function inSession(t: TestContext, extraPolicies?: string) {
  const { protocol, actions } = toyGateway()
  return planeWorld(t, { protocol, actions, max: 20, ...(extraPolicies && { extraPolicies }) })
}

/** Under a rule for other environments than production: there a person changes things without anybody's approval. */
export function changing(w: PlaneWorld, more: GrantedOptions = {}): Promise<Granted> {
  return w.grant({
    actions: ['toy.write'],
    environment: 'staging',
    login: { account: 'robot', password: 'of the target' },
    ...more,
  })
}

export function asking(granted: Granted): Asked {
  const proof = { kind: 'ticket', secret: new Secret(granted.ticket) } as const
  return { proof, target: granted.target, account: granted.account, clientAddress: '192.0.2.7' }
}

/** A session that does nothing. */
export async function idle(w: PlaneWorld, granted: Granted): Promise<Admission> {
  const admission = await w.plane.admit(asking(granted), NEVER)
  await admission.begin()
  return admission
}

export function ending({ ended }: Admission): Promise<Ending> {
  return new Promise((resolve) => {
    if (ended.aborted) resolve(ended.reason)
    else ended.addEventListener('abort', () => resolve(ended.reason), { once: true })
  })
}

export async function reasonOfEnd(w: PlaneWorld, { grantId }: Granted): Promise<string | null> {
  const row = await w.db.selectFrom('accessGrant').select('endReason').where('id', '=', grantId).executeTakeFirst()
  return row?.endReason ?? null
}

export async function close(...admissions: Admission[]): Promise<void> {
  for (const admission of admissions) await admission[Symbol.asyncDispose]()
}
