import type { EdgeKind } from './edge-kinds.ts'
import { at, hub, isRoot, list, live, NOTHING, number, standing, type EdgeRule } from './edge-sql.ts'
import { ofFederation } from './edges-federation.ts'
import { ofKubernetes } from './edges-kubernetes.ts'

/** Whoever writes one decides what runs in it, with the credentials that it is given. */
const RUNS_WHAT_IS_WRITTEN = [
  'repository',
  'pipeline',
  'workflow',
  'project',
  'ci-environment',
  'function',
  'job',
  'systemd-unit',
  'cron-table',
  'pod',
  'deployment',
  'dag',
]
const NAMESPACES = ['namespace', 'kubernetes-namespace']
/** Roles of PostgreSQL by which its server runs programs or writes files: each is a way to superuser (PostgreSQL, 22.5 Predefined Roles). */
const SERVER_ROLES = ['pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files']
/** Held outside of the system itself, by something that runs in it. */
const HELD_THERE = ['file', 'vault', 'ci', 'source']

const RUNS = '(pods|deployments|daemonsets|statefulsets|replicasets|jobs|cronjobs|podtemplates)'

/** Behind it, of the whole graph: secrets that are met twice. One that is met once leads nowhere by being itself. */
export const SHARED = `shared as materialized (
  select f from (
    select unnest(k.fingerprints) as f from observed_credential k where ${live('k')}
    union all select r.fingerprint from observed_reference r where r.fingerprint is not null and ${live('r')}) met
   group by f having count(*) > 1)`

/**
 * How edges are read from what sources told and from the record. A rule is a query of `src, dst, kind, evidence`; all of it is text of ours, and the
 * one value is an instant. What was missed once may still stand there and counts; what is gone, expired, or of a retired source does not.
 */
export function edgeRules(now: Date): EdgeRule[] {
  return [
    ...ofTheRecord(),
    ...ofCredentials(now),
    ...ofGrants(now),
    ...ofPlaces(now),
    ...ofKubernetes(now),
    ...ofForges(),
    ...ofFederation(),
    ...ofSystems(),
  ]
}

function ofTheRecord(): EdgeRule[] {
  return [
    {
      whole: `select a.identity_id as src, p.id as dst, ${number('holds')} as kind, a.id as evidence
        from account a join observed_principal p on p.account_id = a.id
       where a.identity_id is not null and a.state = 'active' and ${live('p')}
         -- Another one of that name is somebody else.
         and (exists (select from record_link l where l.observed_id = p.id and l.identity_id = a.identity_id and l.state = 'active')
           or not exists (select from record_link l join observed_principal q on q.id = l.observed_id and q.account_id = a.id
                           where l.identity_id = a.identity_id and l.how = 'native-id'))`,
    },
    {
      whole: `select l.identity_id, l.observed_id, ${number('linked')}, l.id from record_link l
       where l.state = 'active' and (l.how <> 'native-id' or not exists (
         select from observed_principal p join account a on a.id = p.account_id and a.state = 'active' where p.id = l.observed_id and a.identity_id = l.identity_id))`,
    },
    {
      whole: `select m.identity_id, m.into_id, ${number('same-as')}, m.id from identity_merge m where m.state = 'active'`,
    },
    {
      whole: `select m.into_id, m.identity_id, ${number('same-as')}, m.id from identity_merge m where m.state = 'active'`,
    },
    {
      whole: `select i.owner_id, i.id, ${number('answers-for')}, i.id from identity i
       where i.owner_id is not null and i.owner_state = 'attested' and i.kind <> 'human' and i.state <> 'retired'`,
    },
  ]
}

/** A credential leads to whom it proves, and to every other place of the same secret. */
function ofCredentials(now: Date): EdgeRule[] {
  const works = `k.type not in ('none', 'stored-secret') and coalesce(k.state, 'active') = 'active'
    and (k.expires_at is null or k.expires_at > ${at(now)}) and not (coalesce(k.bindings, '{}') && '{command}')`
  return [
    {
      whole: `select k.id, k.principal_id, case when k.type = 'ssh-key' then ${number('authorized-key')}
          when k.type = 'oauth-grant' and k.held_by = 'third-party' then ${number('vendor-grant')}
          when k.type = 'oauth-grant' then ${number('delegated-token')} else ${number('proves')} end, k.id
        from observed_credential k where k.principal_id is not null and ${live('k')} and ${works}`,
    },
    {
      whole: `select k.id, ${hub('secret', 'f')}, ${number('same-secret')}, k.id
        from observed_credential k cross join unnest(k.fingerprints) f where ${live('k')} and f in (select f from shared)`,
      direct: `select k.id, o.id, ${number('same-secret')}, o.id from observed_credential k
        join observed_credential o on o.fingerprints && k.fingerprints and o.id <> k.id where ${live('k')} and ${live('o')}`,
    },
    {
      whole: `select ${hub('secret', 'f')}, k.id, ${number('same-secret')}, k.id
        from observed_credential k cross join unnest(k.fingerprints) f where ${live('k')} and f in (select f from shared)`,
      direct: NOTHING,
    },
    {
      whole: `select r.consumer_id, coalesce(r.credential_id, ${hub('secret', 'r.fingerprint')}), ${number('keeps')}, r.id
        from observed_reference r where ${live('r')}`,
      direct: `select r.consumer_id, coalesce(r.credential_id, k.id), ${number('keeps')}, r.id from observed_reference r
        left join observed_credential k on r.fingerprint is not null and k.fingerprints @> array[r.fingerprint] and ${live('k')}
       where ${live('r')} and coalesce(r.credential_id, k.id) is not null`,
    },
    {
      whole: `select t.from_id, t.to_id, ${number('trusted')}, t.id from observed_trust t
        join observed_principal p on p.id = t.to_id where t.from_id is not null and ${live('t')} and ${live('p')}`,
    },
    {
      whole: `select ${hub('issuer', 't.issuer')}, t.to_id, ${number('trusts-issuer')}, t.id from observed_trust t
        join observed_principal p on p.id = t.to_id where t.issuer is not null and ${live('t')} and ${live('p')}`,
    },
  ]
}

/** Rights on principals, on resources and on secrets. */
function ofGrants(now: Date): EdgeRule[] {
  return [
    {
      whole: `select g.principal_id, g.on_id, case
          when g.privilege ~* '^(member|child)' and g.facts @> '{"inherit": false, "set": false}' then ${number('administers-group')}
          when g.privilege ~* '^(member|child)' then ${number('member-of')}
          when g.level = 'impersonate' then ${number('can-assume')}
          when g.privilege ~* 'password|credential|accesskey|loginprofile' then ${number('can-set-password')}
          else ${number('owns')} end, g.id
        from observed_grant g join observed_principal r on r.id = g.on_id
       where ${standing(now)} and ${live('r')}
         and case when g.privilege ~* '^(member|child)' then not g.facts @> '{"inherit": false, "set": false, "admin": false}'
                  else g.level in ('write', 'admin', 'grant', 'impersonate') end`,
    },
    {
      whole: `select g.principal_id, g.on_id, case
          when g.privilege = 'SUPERUSER' then ${number('superuser')}
          when g.privilege ~* '^(root|sudo)' then ${number('sudo')}
          when g.privilege ~* '^owner' then ${number('owns')}
          when g.privilege = 'CREATEROLE' then ${number('can-set-password')}
          when g.level = 'impersonate' then ${number('can-assume')}
          when g.level = 'write' then ${number('can-write-pipeline')}
          when g.level = 'read' then ${number('can-read-secret')}
          else ${number('administers')} end, g.id
        from observed_grant g join observed_resource r on r.id = g.on_id join live l on l.id = g.scope_id
       where ${standing(now)} and ${live('r')} and r.type not in ('kubernetes-resource', 'aws-resource') and (
             g.level in ('admin', 'impersonate') and not (g.privilege ~ '^sudo ' and g.level <> 'admin')
             -- Up to 15 it can make itself a member of every role that is not a superuser, those that run programs included.
          or g.privilege = 'CREATEROLE' and l.system ~ 'PostgreSQL (9|1[0-5])([^0-9]|$)'
          or g.level = 'grant' and g.privilege <> 'CREATEROLE'
             -- A copy of the cluster has every verifier and every row in it.
          or g.privilege = 'REPLICATION' and r.type = 'postgres-cluster'
          or g.level = 'write' and r.type in (${list(RUNS_WHAT_IS_WRITTEN)})
             -- What is of tier 0 is lost when it is read.
          or g.level in ('read', 'write') and r.sensitivity = 0)`,
    },
    {
      whole: `select g.principal_id, g.on_id, ${number('can-read-secret')}, g.id
        from observed_grant g join observed_credential k on k.id = g.on_id
       where ${standing(now)} and ${live('k')} and g.level <> 'use'`,
    },
  ]
}

/** Rights on everything of a kind in a place: secrets, and what may be run there. */
function ofPlaces(now: Date): EdgeRule[] {
  const words = `lower(g.privilege || ' ' || coalesce(g.facts ->> 'verbs', '') || ' ' || coalesce(g.facts ->> 'resources', ''))`
  const reads = `${words} ~ '(^|[^a-z])secrets?([^a-z]|$)' and ${words} ~ '(get|list|watch|read|\\*)'`
  const runs = `${words} ~ '${RUNS}' and ${words} ~ '(create|update|patch|write|exec|\\*)'`
  const places = [...NAMESPACES, 'kubernetes-cluster']
  const from = (
    holds: string,
  ) => `from observed_grant g join observed_resource r on r.id = g.on_id and r.type in (${list(places)})
       where ${standing(now)} and ${live('r')} and ${holds}`
  const inside = (table: string, alias: string) => `observed_resource r join live lr on lr.id = r.scope_id
        join live li on li.source_id = lr.source_id join ${table} ${alias} on ${alias}.scope_id = li.id and ${alias}.gone_at is null
         and case when r.type in (${list(NAMESPACES)}) then ${alias}.facts ->> 'namespace' = r.name else ${alias}.facts ? 'namespace' end`
  const within = (prefix: string, table: string) => ({
    whole: `select ${hub(prefix, 'r.id')}, o.id, ${number('contains')}, r.id from ${inside(table, 'o')}
       where r.gone_at is null and r.type in (${list(places)})`,
    direct: NOTHING,
  })
  const both = (kind: EdgeKind, prefix: string, holds: string, tables: readonly string[]) => [
    {
      whole: `select g.principal_id, ${hub(prefix, 'r.id')}, ${number(kind)}, g.id ${from(holds)}`,
      direct: NOTHING,
    },
    ...tables.map((table) => within(prefix, table)),
    ...tables.map((table) => ({
      whole: NOTHING,
      direct: `select g.principal_id, o.id, ${number(kind)}, g.id from observed_grant g join ${inside(table, 'o')} on r.id = g.on_id
       where ${standing(now)} and ${live('r')} and r.type in (${list(places)}) and ${holds}`,
    })),
  ]
  return [
    ...both('can-read-secret', 'secrets', reads, ['observed_credential']),
    // What is run there may run as any account of the place, and mount any of its secrets.
    ...both('can-create-pods', 'workloads', runs, ['observed_principal', 'observed_credential']),
    {
      whole: `select g.principal_id, g.on_id, ${number('administers')}, g.id ${from(`${words} ~ '(escalate|bind|impersonate)'`)}`,
    },
  ]
}

/** What a system has inside it, and what holds for everybody there. */
function ofSystems(): EdgeRule[] {
  const root = `observed_resource r join live lr on lr.id = r.scope_id join live li on li.source_id = lr.source_id`
  const isWhole = `r.gone_at is null and ${isRoot('r')}`
  // A system that is a goal has no way further to go.
  const isNoGoal = `lr.environment <> 'production' and lr.sensitivity is distinct from 0`
  const controlled = (table: string, alias: string, holds: string) => {
    const query = `select r.id, ${alias}.id, ${number('controls')}, r.id from ${root} join ${table} ${alias} on ${alias}.scope_id = li.id
       where ${isWhole} and ${alias}.gone_at is null and ${holds}`
    return { whole: `${query} and ${isNoGoal}`, direct: query }
  }
  return [
    controlled('observed_principal', 'p', 'true'),
    controlled('observed_credential', 'k', `k.held_by in (${list(HELD_THERE)})`),
    controlled('observed_resource', 'o', 'o.parent_id is null and o.id <> r.id'),
    {
      whole: `select o.parent_id, o.id, ${number('contains')}, o.id from observed_resource o where o.parent_id is not null and ${live('o')}`,
    },
    {
      whole: `select p.id, e.id, ${number('everybody')}, e.id
        from observed_principal e join live le on le.id = e.scope_id join live lp on lp.source_id = le.source_id
        join observed_principal p on p.scope_id = lp.id and p.id <> e.id
       where e.facts @> '{"everybody": true}' and e.gone_at is null and p.gone_at is null`,
    },
    {
      whole: `select p.id, r.id, ${number('execute-server-program')}, p.id from observed_principal p join live lp on lp.id = p.scope_id
        join live lr on lr.source_id = lp.source_id join observed_resource r on r.scope_id = lr.id and r.type = 'postgres-cluster'
       where p.name in (${list(SERVER_ROLES)}) and p.facts @> '{"isBuiltIn": true}' and p.gone_at is null and r.gone_at is null`,
    },
  ]
}

/** Where what is at stake stands: what is of tier 0 itself, whole systems of production, and accounts that a person put at tier 0. */
export const GOALS = `
  select o.id from observed_resource o join live l on l.id = o.scope_id
   where o.gone_at is null and (o.sensitivity = 0 and o.type <> 'kubernetes-resource' or ${isRoot('o')} and (l.environment = 'production' or l.sensitivity = 0))
  union
  select p.id from account a join observed_principal p on p.account_id = a.id
   where a.state = 'active' and a.tier = 0 and not a.attributes @> '{"isSuperuser": true}' and ${live('p')}`

/** What stands in a repository runs as its pipelines. */
function ofForges(): EdgeRule[] {
  return [
    {
      whole: `select g.on_id, g.principal_id, ${number('can-write-pipeline')}, g.id
        from observed_grant g where g.native_kind = 'pipeline-token' and ${live('g')}`,
    },
  ]
}
