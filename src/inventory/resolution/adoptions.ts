import { sql } from 'kysely'
import type { Clock } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import { newId, type Random } from '../../kernel/random.ts'
import { linkIdOf, LOCK } from './resolve.ts'

/** One at a time, with the links that follow by themselves: what is nobody's is read and taken under it. */
export const lockResolution = (tx: Tx) => LOCK.execute(tx)

type NewAdoption = {
  /** The act by a rule that it is of. */
  readonly runId?: string
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
  if (adopted.length === 0) return
  const now = clock.now()
  const rows = adopted.map(({ runId, accountIds, evidence, ...each }) => ({
    ...each,
    id: newId(clock, random),
    runId: runId ?? null,
    evidence: JSON.stringify(evidence),
    accountIds: [...accountIds],
    madeAt: now,
  }))
  await tx.insertInto('adoption').values(rows).execute()
  await sql`
    insert into record_link as l (id, observed_kind, observed_id, identity_id, how, evidence, state, made_at, ended_at, cause)
    select ${linkIdOf('p.id', 'd.identity_id', `'native-id'`)}, 'principal', p.id, d.identity_id, 'native-id', d.evidence, 'active', ${now}, null, d.cause
      from adoption d
      join observed_principal p on coalesce(p.instance_of_id, p.id) = d.thing_id and p.gone_at is null
      join source_scope c on c.id = p.scope_id and c.source_id = d.source_id
     where d.id = any (${rows.map(({ id }) => id)})
       and not exists (select from record_link o where o.observed_id = p.id and o.state = 'active')
    on conflict (id) do update
       set evidence = excluded.evidence, state = 'active', made_at = excluded.made_at, ended_at = null, cause = excluded.cause`.execute(
    tx,
  )
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

/** Ends adoptions, and each link that stood on them. */
export async function endAdoptions(
  tx: Tx,
  clock: Clock,
  { identityIds, cause }: { readonly identityIds: readonly string[]; readonly cause: number },
): Promise<void> {
  const ended = { state: 'ended', endedAt: clock.now(), cause } as const
  await tx
    .updateTable('adoption')
    .set(ended)
    .where('identityId', 'in', identityIds)
    .where('state', '=', 'active')
    .execute()
  await tx
    .updateTable('recordLink')
    .set(ended)
    .where('identityId', 'in', identityIds)
    .where('how', '=', 'native-id')
    .where('state', '=', 'active')
    .execute()
}
