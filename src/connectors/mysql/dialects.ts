/** What MariaDB and MySQL keep in tables of their own: users, roles, who is connected. Rights both show alike. */

/** Queries whose rows have the same columns, whoever answers; each names its key `k` where it is read in pages. */
export type Dialect = {
  readonly product: string
  /** What the server is known by. */
  readonly uid: string
  readonly users: string
  /** Who may act as whom: by a role, and by proxy. */
  readonly members: string
  /** Connections of others, once for each user that has the name. */
  readonly activity: string
  /** Which rights show everything that runs by somebody's rights. */
  readonly definers: readonly string[]
}

/** SQL of a key: what makes a row the only one of its kind, in hex. */
export function keyOf(...columns: readonly string[]): string {
  return `hex(concat_ws(char(0), ${columns.join(', ')}))`
}

const inPriv = (path: string) => `json_value(g.priv, '$.${path}')`

/** Of what proves a user nothing leaves the server but its kind, and whether it is empty. */
const MARIADB_USERS = `
  select ${keyOf('g.user', 'g.host')} as k, g.user as name, g.host as host,
         coalesce(${inPriv('is_role')}, 0) in ('1', 'true') or g.user = 'PUBLIC' as is_role,
         coalesce(${inPriv('account_locked')}, 0) in ('1', 'true') as locked,
         ${inPriv('default_role')} as default_role, ${inPriv('plugin')} as plugin, coalesce(${inPriv('ssl_type')}, 0) as ssl_type,
         json_extract(g.priv, '$.auth_or[*].plugin') as others, 0 as is_retained,
         coalesce(${inPriv('authentication_string')}, '') = '' as is_empty,
         ${inPriv('password_last_changed')} as changed, coalesce(${inPriv('password_lifetime')}, '-1') as lifetime,
         @@default_password_lifetime as lifetime_of_all, unix_timestamp() as now
    from mysql.global_priv g`

/** A role is a user that CREATE ROLE left locked, expired and without a secret. `PASSWORD EXPIRE` is a last change at the beginning of time. */
const IS_MYSQL_ROLE = `u.account_locked = 'Y' and u.password_expired = 'Y' and u.authentication_string = ''`
const MYSQL_USERS = `
  select ${keyOf('u.user', 'u.host')} as k, u.user as name, u.host as host, ${IS_MYSQL_ROLE} as is_role, u.account_locked = 'Y' as locked,
         (select group_concat(d.default_role_user order by d.default_role_user separator ', ')
            from mysql.default_roles d where d.user = u.user and d.host = u.host) as default_role,
         u.plugin as plugin, field(u.ssl_type, 'ANY', 'X509', 'SPECIFIED') as ssl_type,
         json_extract(u.user_attributes, '$.multi_factor_authentication[*].plugin') as others,
         coalesce(json_contains_path(u.user_attributes, 'one', '$.additional_password'), 0) as is_retained,
         u.authentication_string = '' as is_empty,
         if(u.password_expired = 'Y', 0, unix_timestamp(u.password_last_changed)) as changed, coalesce(u.password_lifetime, -1) as lifetime,
         @@default_password_lifetime as lifetime_of_all, unix_timestamp() as now
    from mysql.user u`

const PROXIES = `
  select ${keyOf(`'proxy'`, 'p.host', 'p.user', 'p.proxied_host', 'p.proxied_user')} as k, 'PROXY' as how, p.user as name, p.host as host,
         p.proxied_user as other, p.proxied_host as other_host, if(p.with_grant, 'Y', 'N') as admin, 0 as is_default
    from mysql.proxies_priv p`
const MARIADB_MEMBERS = `
  select ${keyOf('m.host', 'm.user', 'm.role')} as k, 'MEMBER' as how, m.user as name, m.host as host, m.role as other, '' as other_host,
         m.admin_option as admin, coalesce(json_value(g.priv, '$.default_role') = m.role, 0) as is_default
    from mysql.roles_mapping m left join mysql.global_priv g on g.user = m.user and g.host = m.host
  union all ${PROXIES}`
const MYSQL_MEMBERS = `
  select ${keyOf('e.to_host', 'e.to_user', 'e.from_host', 'e.from_user')} as k, 'MEMBER' as how, e.to_user as name, e.to_host as host,
         e.from_user as other, e.from_host as other_host, e.with_admin_option as admin, d.user is not null as is_default
    from mysql.role_edges e left join mysql.default_roles d
      on d.user = e.to_user and d.host = e.to_host and d.default_role_user = e.from_user and d.default_role_host = e.from_host
  union all ${PROXIES}`

const MARIADB_ACTIVITY = `
  select p.user as name, p.host as client, g.host as host
    from information_schema.processlist p join mysql.global_priv g on g.user = p.user
   where p.id <> connection_id() and coalesce(json_value(g.priv, '$.is_role'), 0) not in ('1', 'true') limit 50000`
const MYSQL_ACTIVITY = `
  select p.user as name, p.host as client, u.host as host
    from information_schema.processlist p join mysql.user u on u.user = p.user
   where p.id <> connection_id() and not (${IS_MYSQL_ROLE}) limit 50000`

export const MARIADB: Dialect = {
  product: 'MariaDB',
  uid: '@@server_uid',
  users: MARIADB_USERS,
  members: MARIADB_MEMBERS,
  activity: MARIADB_ACTIVITY,
  definers: ['SELECT', 'SHOW VIEW', 'EVENT', 'TRIGGER'],
}

export const MYSQL: Dialect = {
  product: 'MySQL',
  uid: '@@server_uuid',
  users: MYSQL_USERS,
  members: MYSQL_MEMBERS,
  activity: MYSQL_ACTIVITY,
  definers: ['SELECT', 'SHOW VIEW', 'EVENT', 'TRIGGER', 'SHOW_ROUTINE'],
}
