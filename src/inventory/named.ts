import { sql } from 'kysely'
import type { Db } from '../kernel/db.ts'
import { conflict } from '../kernel/problem.ts'

/** Of one name, that are told with what they are. */
const TOLD = 5

/**
 * The id of the principal of that name at a source, or else of the account of that name at a target, or else of the credential at the source; undefined
 * where there is none. Throws
 * `conflict` where several have it: a name says nothing more.
 */
export async function placedId(db: Db, placed: string): Promise<string | undefined> {
  const at = placed.lastIndexOf('@')
  const [name, place] = [placed.slice(0, at), placed.slice(at + 1)]
  if (at < 1) return undefined
  const { rows } = await sql<Found>`
    (select p.id, p.native_kind as what from observed_principal p
       join source_scope c on c.id = p.scope_id
       join source s on s.id = c.source_id
      where p.name = ${name} and s.name = ${place} and p.gone_at is null order by p.id limit ${TOLD})
    union all
    (select a.id, 'account' from account a join target t on t.id = a.target_id
      where a.name = ${name} and t.name = ${place} and a.state = 'active'
        and not exists (select from observed_principal p where p.account_id = a.id and p.name = ${name} and p.gone_at is null))`.execute(
    db,
  )
  if (rows.length === 0) rows.push(...(await credentialsAt(db, name, place)))
  const [first, ...others] = rows
  if (others.length > 0)
    throw conflict(`There are several ${placed}, so name the one you mean by its id: ${idsOf(rows)}.`, {
      type: 'InventoryItem',
      id: placed,
      state: 'several',
    })
  return first?.id
}

type Found = { readonly id: string; readonly what: string }

async function credentialsAt(db: Db, name: string, place: string): Promise<readonly Found[]> {
  const { rows } = await sql<Found>`
    select k.id, k.native_kind as what from observed_credential k
      join source_scope c on c.id = k.scope_id
      join source s on s.id = c.source_id
     where k.name = ${name} and s.name = ${place} and k.gone_at is null order by k.id limit ${TOLD}`.execute(db)
  return rows
}

function idsOf(rows: readonly Found[]): string {
  return rows.map(({ id, what }) => `${id} (${what})`).join(', ')
}
