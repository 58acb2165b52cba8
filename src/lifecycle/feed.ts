import { sql } from 'kysely'
import type { Follow } from '../identities/identities.ts'
import type { Db } from '../kernel/db.ts'

/**
 * Who is in the groups that teams follow, by the id of the group. Only of providers that can act and by the users that are active there: a
 * provider that was stopped feeds no team, and who left is in none.
 */
export async function membersOfGroups(
  db: Db,
  follows: readonly Follow[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const members = new Map<string, string[]>()
  if (follows.length === 0) return members
  const { rows } = await sql<{ group: string; provider: string; person: string }>`
    select g.id as "group", p.name as provider, i.name as person
      from provisioned_group g
      join identity p on p.id = g.provider_id and p.state = 'active'
      join provisioned_member m on m.group_id = g.id and m.is_member
      join provisioned_user u on u.id = m.user_id and u.is_active and u.deleted_at is null and u.provider_id = g.provider_id
      join identity i on i.id = u.identity_id and i.kind = 'human' and i.state = 'active'
     where g.deleted_at is null and g.id = any(${follows.map(({ group }) => group)}::uuid[])
     order by 1, 3`.execute(db)
  for (const { group, provider, person } of rows) {
    if (!follows.some((follow) => follow.group === group && follow.provider === provider)) continue
    const known = members.get(group)
    if (known) known.push(person)
    else members.set(group, [person])
  }
  return members
}
