import { EDGE_KINDS, type EdgeKind } from './edge-kinds.ts'

/** Resources that are a whole system: who administers one has everything in it. */
const SYSTEM_ROOTS = [
  'postgres-cluster',
  'mysql-server',
  'mariadb-server',
  'linux-host',
  'kubernetes-cluster',
  'ldap-directory',
  'ad-domain',
  'directory',
  'vault',
  'openbao',
  'forge',
  'realm',
  'oidc-realm',
  'aws-account',
  'cloud-account',
]
export const list = (words: readonly string[]) => words.map((word) => `'${word}'`).join(', ')
export const number = (kind: EdgeKind) => `${EDGE_KINDS.indexOf(kind)}::int2`
export const live = (alias: string) => `${alias}.gone_at is null and ${alias}.scope_id in (select id from live)`
export const hub = (prefix: string, of: string) => `hashed_id('${prefix}:' || ${of})`

/** In front of every query over the rules: the parts of active sources. */
export const LIVE = `live as materialized (
  select c.id, c.source_id, s.environment, coalesce(s.system, '') as system, t.sensitivity
    from source_scope c join source s on s.id = c.source_id left join target t on t.id = s.target_id and t.state = 'active'
   where c.state = 'active' and s.state = 'active')`

export const standing = (now: Date) => `${live('g')} and (g.expires_at is null or g.expires_at > ${at(now)})`

/** Everything in a system, where a connector has no resource for the whole of it: in Kubernetes it is every verb on everything. */
export const isRoot = (alias: string) =>
  `(${alias}.type in (${list(SYSTEM_ROOTS)}) or ${alias}.type = 'kubernetes-resource' and ${alias}.name = '*/*')`

/**
 * `whole` reads all edges of a rule and leads through a hub where many meet many (one secret in many places); `direct` reads those of a few nodes by
 * indexes, and not at all where no resource of the type `onlyWith` stands: to plan it would cost more than all it could find.
 */
export type EdgeRule = { readonly whole: string; readonly direct?: string; readonly onlyWith?: string }

export const NOTHING = ''

export function at(now: Date): string {
  return `'${now.toISOString()}'::timestamptz`
}
