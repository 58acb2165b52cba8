import { sql } from 'kysely'
import type { Clock } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import { newId, type Random } from '../../kernel/random.ts'
import { linkIdOf, LOCK } from './resolve.ts'

/** One at a time, with the links that follow by themselves: what is nobody's is read and taken under it. */
export const lockResolution = (tx: Tx) => LOCK.execute(tx)

type NewAdoption = {
  readonly thingId: string
  readonly sourceId: string
  readonly identityId: string
  readonly evidence: readonly string[]
  readonly accountIds: readonly string[]
  /** The entry that made the identity. */
  readonly cause: number
}

/** Keeps what was adopted, and links everything that stands for it: the principal itself, or every instance of the definition. */
export async function keepAdoptions(
  tx: Tx,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  adopted: readonly NewAdoption[],
): Promise<void> {
  const now = clock.now()
  for (const { thingId, sourceId, identityId, evidence, accountIds, cause } of adopted) {
    const says = JSON.stringify(evidence)
    await tx
      .insertInto('adoption')
      .values({
        id: newId(clock, random),
        thingId,
        sourceId,
        identityId,
        evidence: says,
        accountIds: [...accountIds],
        madeAt: now,
        cause,
      })
      .execute()
    await sql`
      insert into record_link as l (id, observed_kind, observed_id, identity_id, how, evidence, state, made_at, ended_at, cause)
      select ${linkIdOf('p.id', 'i.id', `'native-id'`)}, 'principal', p.id, i.id, 'native-id', ${says}::jsonb, 'active', ${now}, null, ${cause}
        from observed_principal p join source_scope c on c.id = p.scope_id and c.source_id = ${sourceId} cross join (select ${identityId}::uuid as id) i
       where coalesce(p.instance_of_id, p.id) = ${thingId} and p.gone_at is null
         and not exists (select from record_link o where o.observed_id = p.id and o.state = 'active')
      on conflict (id) do update
         set evidence = excluded.evidence, state = 'active', made_at = excluded.made_at, ended_at = null, cause = excluded.cause`.execute(
      tx,
    )
  }
}

/** The adoption an identity was made by, locked; undefined when it was made otherwise or was given back. */
export function lockAdoption(tx: Tx, identityId: string) {
  return tx
    .selectFrom('adoption')
    .select(['id', 'thingId', 'accountIds'])
    .where('identityId', '=', identityId)
    .where('state', '=', 'active')
    .forUpdate()
    .executeTakeFirst()
}

/** Ends an adoption, and each link that stood on it. */
export async function endAdoption(
  tx: Tx,
  clock: Clock,
  { id, identityId, cause }: { readonly id: string; readonly identityId: string; readonly cause: number },
): Promise<void> {
  const ended = { state: 'ended', endedAt: clock.now(), cause } as const
  await tx.updateTable('adoption').set(ended).where('id', '=', id).where('state', '=', 'active').execute()
  await tx
    .updateTable('recordLink')
    .set(ended)
    .where('identityId', '=', identityId)
    .where('how', '=', 'native-id')
    .where('state', '=', 'active')
    .execute()
}
