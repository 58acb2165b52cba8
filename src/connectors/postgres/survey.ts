import type { Survey } from '../../catalog/catalog.ts'
import { enterPostgres, siteOf } from '../../credentials/credentials.ts'
import { PostgresSettings } from '../../credentials/contract.ts'
import type { Db } from '../../kernel/db.ts'
import type { Seal } from '../../kernel/seal.ts'

type Role = {
  name: string
  is_superuser: boolean
  can_create_role: boolean
  can_log_in: boolean
  valid_until: string | null
  has_password: boolean | null
  member_of: string[]
  owns: string[]
  connections: number
  comment: string | null
}

/** Names that PostgreSQL itself made, and leases of ours, are not accounts of the company. */
const OURS = /^reeve_[0-9a-f]{16}$/

/**
 * Reads which roles stand in a PostgreSQL cluster. Whether a role has a password is known to superusers only, and left out otherwise: could
 * not see is not does not exist (rule 7). PostgreSQL keeps no last login, so only open connections are told.
 */
export function postgresSurvey(db: Db, seal: Seal): Survey {
  return async (target, signal) => {
    const site = await siteOf(db, seal, target.id)
    const settings = PostgresSettings.parse(target.settings)
    await using upstream = await enterPostgres(site, settings, settings.database, signal)
    const [own] = await upstream.query<{ is_superuser: boolean }>('looking who we are', OWN)
    const mayReadPasswords = own?.is_superuser === true
    const rows = await upstream.query<Role>('reading roles', rolesSql(mayReadPasswords))
    return rows
      .filter(({ name }) => !OURS.test(name))
      .map((role) => ({
        name: role.name,
        attributes: {
          isSuperuser: role.is_superuser,
          canCreateRole: role.can_create_role,
          canLogIn: role.can_log_in,
          validUntil: role.valid_until,
          ...(role.has_password !== null && {
            hasPassword: role.has_password,
            passwordNeverExpires: role.has_password && role.valid_until === null,
          }),
          memberOf: role.member_of,
          owns: role.owns,
          connections: role.connections,
          owner: role.comment,
        },
      }))
  }
}

const OWN = 'select rolsuper as is_superuser from pg_roles where rolname = current_user'

function rolesSql(mayReadPasswords: boolean): string {
  return `
    select r.rolname as name, r.rolsuper as is_superuser, r.rolcreaterole as can_create_role, r.rolcanlogin as can_log_in,
           case when isfinite(r.rolvaliduntil) then to_char(r.rolvaliduntil at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') end as valid_until,
           ${mayReadPasswords ? 'a.rolpassword is not null' : 'null::boolean'} as has_password,
           array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
                  where m.member = r.oid order by 1 limit 1000) as member_of,
           array(select d.datname::text from pg_database d where d.datdba = r.oid order by 1 limit 1000) as owns,
           (select count(*)::int from pg_stat_activity s where s.usesysid = r.oid) as connections,
           left(shobj_description(r.oid, 'pg_authid'), 200) as comment
      from pg_roles r
      ${mayReadPasswords ? 'join pg_authid a on a.oid = r.oid' : ''}
     where r.rolname !~ '^pg_'
     order by r.rolname`
}
