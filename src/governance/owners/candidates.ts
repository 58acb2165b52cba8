import { sql } from 'kysely'
import { acceptOwnership, actOf, findIdentity, type Accepted, type Teams } from '../../identities/identities.ts'
import type { Identity } from '../../identities/contract.ts'
import { coverageOf } from '../../inventory/inventory.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import { decodeCursor, page } from '../../kernel/http/cursor.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict } from '../../kernel/problem.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { ATTESTED_MAX, Evidences, type AttestOwners, type CandidatePage, type CandidateQuery } from './contract.ts'
import { ownerDeclined } from './events.ts'

const WORDS_MAX = 500

/** The likeliest first. */
export async function listCandidates(db: Db, clock: Clock, query: CandidateQuery): Promise<CandidatePage> {
  const { cursor, limit, identity, owner } = query
  const where = [sql`true`]
  if (identity !== undefined) where.push(sql`c.identity_id = ${(await findIdentity(db, identity)).id}`)
  if (owner !== undefined) where.push(sql`c.owner_id = ${(await findIdentity(db, owner)).id}`)
  if (cursor !== undefined) {
    const [score, identityId = '', ownerId = ''] = decodeCursor(cursor, ['number', 'id', 'id'])
    where.push(sql`(-c.score, c.identity_id, c.owner_id) > (${-Number(score)}, ${identityId}::uuid, ${ownerId}::uuid)`)
  }
  const { rows } = await sql<Omit<CandidatePage['items'][number], 'evidence'> & { readonly evidence: unknown }>`
    select c.identity_id as "identityId", i.name as identity, c.owner_id as "ownerId", o.name as owner, c.team, c.score, c.evidence
      from owner_candidate c join identity i on i.id = c.identity_id join identity o on o.id = c.owner_id
     where ${sql.join(where, sql` and `)} order by -c.score, c.identity_id, c.owner_id limit ${limit + 1}`.execute(db)
  const { items, nextCursor } = page(rows, limit, (row) => [row.score, row.identityId, row.ownerId])
  return {
    items: items.map((row) => ({ ...row, evidence: Evidences.parse(row.evidence) })),
    nextCursor,
    coverage: await coverageOf(db, clock),
  }
}

/** What an act would accept, in the order of the names; of more than a person reads the first, and the others by the next act. Throws `invalidInput` where nothing names this person for one of them. */
export async function toAccept(
  db: Db,
  personId: string,
  input: AttestOwners,
): Promise<(Accepted & { readonly line: string })[]> {
  const named =
    input.identities && (await Promise.all(input.identities.map(async (each) => (await findIdentity(db, each)).id)))
  const { rows } = await sql<{
    readonly id: string
    readonly name: string
    readonly facts: string
    readonly team: string | null
    readonly evidence: unknown
  }>`
    select i.id, i.name, i.kind || ', ' || i.environment || ', tier ' || i.tier as facts, c.team, c.evidence
      from owner_candidate c join identity i on i.id = c.identity_id
     where c.owner_id = ${personId} and i.owner_state <> 'attested' and i.state <> 'retired'
       and ${
         named
           ? sql`i.id = any (${named})`
           : sql`c.score >= ${input.minScore}
             and not exists (select from owner_candidate other where other.identity_id = i.id and other.score > c.score)`
       }
     order by i.name limit ${ATTESTED_MAX}`.execute(db)
  if (named && rows.length !== new Set(named).size)
    throw invalid('identities', 'one of them is not waiting for an owner, or nothing names you for it')
  if (rows.length === 0) throw invalid('every', 'no evidence names you first for anything that waits for an owner')
  return rows.map(({ id, name, facts, team, evidence }) => {
    const words = Evidences.parse(evidence)
      .map((each) => each.words)
      .join('; ')
      .slice(0, WORDS_MAX)
    return { identityId: id, team, evidence: words, line: `${name} (${facts}): ${words}` }
  })
}

/** One act over a list: what the person is named for by evidence. */
export async function attestOwners(
  tx: Tx,
  needs: { readonly ledger: Ledger; readonly teams: Teams },
  permit: Permit<'owner.attest'>,
  input: AttestOwners,
): Promise<Identity[]> {
  const accepted = await toAccept(tx, permit.subject.id, input)
  const owned = await acceptOwnership(tx, needs, permit, accepted)
  await tx
    .deleteFrom('ownerCandidate')
    .where(
      'identityId',
      'in',
      owned.map(({ id }) => id),
    )
    .execute()
  return owned
}

/** What somebody declined is learnt: they are not proposed for it again. */
export async function declineOwner(
  tx: Tx,
  needs: { readonly clock: Clock; readonly ledger: Ledger },
  permit: Permit<'owner.decline'>,
  { identity: nameOrId }: { readonly identity: string },
): Promise<{ identityId: string; ownerId: string }> {
  const identity = await findIdentity(tx, nameOrId)
  const row = { identityId: identity.id, ownerId: permit.subject.id }
  const { numDeletedRows } = await tx
    .deleteFrom('ownerCandidate')
    .where('identityId', '=', row.identityId)
    .where('ownerId', '=', row.ownerId)
    .executeTakeFirst()
  if (numDeletedRows === 0n)
    throw conflict('Nothing names you for this identity.', {
      type: 'Identity',
      id: identity.id,
      state: identity.ownerState,
    })
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: ownerDeclined,
    resource: { type: 'Identity', id: identity.id },
    facts: { ownerId: row.ownerId },
  })
  await tx
    .insertInto('ownerDecline')
    .values({ ...row, declinedAt: needs.clock.now(), cause })
    .onConflict((is) => is.columns(['identityId', 'ownerId']).doNothing())
    .execute()
  return row
}
