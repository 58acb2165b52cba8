import type { TestContext } from 'node:test'
import type { Admission, Asked, Ending } from '../../src/gateways/gateway.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { FACTOR_NAMES, SHIPPED_RISK_MODEL } from '../../src/policy/risk/model.ts'
import type { Granted, GrantedOptions } from './granted.ts'
import { rawClient } from './ledger.ts'
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

/** The risk a grant was given at, as making it keeps it: what was calm then is told from it. */
export async function givenCalm(t: TestContext, w: PlaneWorld, { grantId }: Granted, score = 0): Promise<void> {
  const model = SHIPPED_RISK_MODEL
  const factors = FACTOR_NAMES.map((name) => ({ name, weight: model.weights[name], value: 0 }))
  const risk = { score, low: score, high: score, model: { version: model.version, sha256: model.sha256 }, factors }
  const client = await rawClient(t, w.database.owner)
  await client.query('set session_replication_role = replica')
  await client.query('update access_grant set risk_score = $3, risk = $2 where id = $1', [
    grantId,
    JSON.stringify(risk),
    score,
  ])
}
