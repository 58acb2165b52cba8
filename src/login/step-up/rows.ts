import { canonicalJson } from '../../kernel/canonical-json.ts'
import { sha256 } from '../../kernel/crypto.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import type { Seal } from '../../kernel/seal.ts'
import { stepUpOver } from './problems.ts'
import { StepUpProof, type StepUp } from './schemas.ts'
import type { StepUpNeeds } from './needs.ts'

/** A row as everything here reads it. */
export type StepUpRow = NonNullable<Awaited<ReturnType<typeof findStepUp>>>

function rows(db: Db) {
  return db
    .selectFrom('stepUp as s')
    .innerJoin('identity as p', 'p.id', 's.personId')
    .innerJoin('identity as a', 'a.id', 's.askerId')
    .selectAll('s')
    .select(['p.name as person', 'a.name as asker'])
}

export function findStepUp(db: Db, id: string) {
  return rows(db).where('s.id', '=', id).executeTakeFirst()
}

/** Those that wait for a person, the latest first. */
export function waitingFor(db: Db, personId: string, now: Date) {
  return rows(db)
    .where('s.personId', '=', personId)
    .where('s.state', '=', 'pending')
    .where('s.expiresAt', '>', now)
    .orderBy('s.id', 'desc')
    .limit(MOST_LISTED)
    .execute()
}

const MOST_LISTED = 50

/** The row, locked until the transaction ends. */
export async function lockStepUp(tx: Tx, id: string): Promise<StepUpRow> {
  await tx.selectFrom('stepUp').select('id').where('id', '=', id).forUpdate().execute()
  const row = await findStepUp(tx, id)
  if (!row) throw over('expired')
  return row
}

/** What the passkey signs: a hash over the act, so that a proof for one thing is none for another (WebAuthn Level 3 §13.4.3). */
export function challengeOf({ id, actSha256, nonce }: Pick<StepUpRow, 'id' | 'actSha256' | 'nonce'>): Buffer {
  return sha256(canonicalJson({ v: 1, stepUp: id, act: actSha256.toString('hex'), nonce: nonce.toString('hex') }))
}

export function stateOf({ state, expiresAt }: Pick<StepUpRow, 'state' | 'expiresAt'>, now: Date): StepUp['state'] {
  return (state === 'pending' || state === 'proven') && expiresAt <= now ? 'expired' : state
}

export function over(state: StepUp['state']) {
  return stepUpOver(`The step-up is ${state}, or there is none like this. Ask for another one.`, { state })
}

/** Where the code stands, as its associated data. */
export function placeOf(id: string): string {
  return `step_up.sealed_code:${id}`
}

export function codeOf(seal: Seal, { id, sealedCode }: Pick<StepUpRow, 'id' | 'sealedCode'>): string {
  return seal.open(sealedCode, placeOf(id)).reveal().toString('utf8')
}

/** As it is told; the code only to who asked, when they asked, and to its person. */
export function stepUpFrom(needs: Pick<StepUpNeeds, 'clock' | 'issuer'>, row: StepUpRow, code: string | null): StepUp {
  const { id, kind, operation, person, asker, level, shown, provenBy, createdAt, expiresAt } = row
  return {
    id,
    kind,
    operation,
    person,
    asker,
    level,
    code,
    provenBy: provenBy === null ? null : StepUpProof.parse(provenBy),
    createdAt,
    expiresAt,
    state: stateOf(row, needs.clock.now()),
    lines: shown,
    url: `${needs.issuer()}/login/step-up?id=${id}`,
  }
}

/** Whether what a step-up was asked with still proves its asker: after a logout or a revocation nothing goes on (rule 1). */
export async function isProofLive(db: Db, proofId: string | null, now: Date): Promise<boolean> {
  if (proofId === null) return true
  const token = await db
    .selectFrom('apiToken')
    .select('id')
    .where('id', '=', proofId)
    .where('revokedAt', 'is', null)
    .where('expiresAt', '>', now)
    .executeTakeFirst()
  if (token) return true
  const session = await db
    .selectFrom('loginSession')
    .select('id')
    .where('id', '=', proofId)
    .where('endedAt', 'is', null)
    .where('expiresAt', '>', now)
    .executeTakeFirst()
  return session !== undefined
}
