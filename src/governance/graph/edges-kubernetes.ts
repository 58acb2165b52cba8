import type { EdgeKind } from './edge-kinds.ts'
import { live, NOTHING, number, standing, type EdgeRule } from './edge-sql.ts'

/**
 * Roles hold rights on kinds of things; a binding gives a role to somebody, in the whole cluster or in one namespace. So rights are followed from the
 * binding: a role of the cluster that is bound in a namespace is worth what it says there and nowhere else (Kubernetes, "Using RBAC
 * Authorization"). Rights that name single objects are not followed.
 */
const BOUND = `(
  select b.id, b.principal_id, b.on_id as role_id, lb.source_id, coalesce(b.facts ->> 'namespace', o.facts ->> 'namespace', '') as place
    from observed_grant b join live lb on lb.id = b.scope_id join observed_principal o on o.id = b.on_id and o.gone_at is null
   where b.privilege ~ '^BOUND ' and b.gone_at is null)`
const ROLE = `hashed_id('role:' || b.role_id || ':' || b.place)`
const inside = (what: string, source: string, place: string) => `hashed_id('${what}:' || ${source} || ':' || ${place})`

const verbs = (any: string) => `g.privilege ~ '(^|,)(${any}|\\*)(,|$)'`
const READS = `r.name in ('core/secrets', 'core/*', '*/*') and ${verbs('get|list|watch')}`
// "RBAC good practices": who makes workloads, enters them, or makes tokens has every account and secret of the namespace.
const RUNS = `(r.name ~ '^(core/(pods|pods/exec|pods/attach|pods/ephemeralcontainers|replicationcontrollers|serviceaccounts/token|\\*)|apps/.*|batch/.*|\\*/\\*)$'
    and ${verbs('create|update|patch')} or b.place <> '' and g.level in ('admin', 'grant', 'impersonate'))`
const RULES = `b.place = '' and (g.level in ('admin', 'grant', 'impersonate') and r.name <> 'core/serviceaccounts/token'
    or r.name ~ '^(core/(nodes/proxy|persistentvolumes)$|admissionregistration|certificates)' and ${verbs('create|update|patch')})`

export function ofKubernetes(now: Date): EdgeRule[] {
  const rights = (holds: string, more = '') => `from ${BOUND} b join observed_grant g on g.principal_id = b.role_id
      join observed_resource r on r.id = g.on_id and r.type = 'kubernetes-resource' ${more}
     where ${standing(now)} and ${live('r')} and coalesce(g.facts -> 'resourceNames', '[]') = '[]' and ${holds}`
  const root = `join observed_resource w on w.type = 'kubernetes-resource' and w.name = '*/*' and w.gone_at is null
      join live lw on lw.id = w.scope_id and lw.source_id = b.source_id`
  const there = (table: string, extra = '') => `join live lt on lt.source_id = b.source_id
      join ${table} t on t.scope_id = lt.id and t.gone_at is null and t.facts ->> 'namespace' is not null ${extra}
       and (b.place = '' or t.facts ->> 'namespace' = b.place)`
  const ACCOUNTS = `and t.type = 'service'`
  const held = (what: string, table: string, kind: EdgeKind, extra = ''): EdgeRule => ({
    whole: `select ${inside(what, 'l.source_id', 'v.place')}, t.id, ${number(kind)}, t.id
        from ${table} t join live l on l.id = t.scope_id cross join lateral (values (t.facts ->> 'namespace'), ('')) v (place)
       where t.gone_at is null and t.facts ->> 'namespace' is not null ${extra}`,
    direct: NOTHING,
  })
  const leads = (kind: EdgeKind, what: string, holds: string): EdgeRule => ({
    whole: `select distinct on (1, 2) ${ROLE}, ${inside(what, 'b.source_id', 'b.place')}, ${number(kind)}, g.id ${rights(holds)}`,
    direct: NOTHING,
  })
  const directly = (kind: EdgeKind, holds: string, table: string, extra = ''): EdgeRule => ({
    whole: NOTHING,
    direct: `select b.principal_id, t.id, ${number(kind)}, g.id ${rights(holds, there(table, extra))}`,
  })
  return [
    { whole: `select b.principal_id, ${ROLE}, ${number('member-of')}, b.id from ${BOUND} b`, direct: NOTHING },
    {
      whole: `select distinct on (1, 2) ${ROLE}, w.id, ${number('administers')}, g.id ${rights(RULES, root)}`,
      direct: `select b.principal_id, w.id, ${number('administers')}, g.id ${rights(RULES, root)}`,
    },
    leads('can-read-secret', 'secrets-in', READS),
    leads('can-create-pods', 'workloads-in', RUNS),
    held('secrets-in', 'observed_credential', 'holds-secret'),
    held('workloads-in', 'observed_credential', 'holds-secret'),
    held('workloads-in', 'observed_principal', 'runs-as', ACCOUNTS),
    directly('can-read-secret', READS, 'observed_credential'),
    directly('can-create-pods', RUNS, 'observed_credential'),
    directly('can-create-pods', RUNS, 'observed_principal', ACCOUNTS),
  ]
}
