/**
 * What speaks for an owner, and how much. Each is a query of `identity_id, person_id, team, of_at, words`; `p` stands for what a source told of the
 * identity. What a source says can be a lie or old: it makes a candidate and nothing more.
 */
export type EvidenceRule = { readonly id: string; readonly weight: number; readonly query: string }

/** Half of a piece of evidence is gone after so long. */
export const HALF_LIFE_DAYS = 365

const PERSON_KEYS = `array['owner', 'owned-by', 'maintainer', 'contact', 'responsible', 'technical-owner']`
const TEAM_KEYS = `array['team', 'owner-team', 'squad', 'owned-by-team']`

/** What else has the name of a namespace says nothing of it: whoever may make a thing there gives it its name and labels. */
export const NAMESPACES = `'namespace', 'kubernetes-namespace'`

/** The principals of an identity, as they were linked and as they count after merges. */
export const OF_IDENTITY = `
  (select distinct l.observed_id, v.identity_id from linked_identity l cross join lateral (values (l.identity_id), (l.linked_id)) v (identity_id)
    where l.observed_kind = 'principal') l join observed_principal p on p.id = l.observed_id and p.gone_at is null`

export const tagged = (alias: string, keys: string) =>
  `jsonb_each_text(case jsonb_typeof(${alias}.tags) when 'object' then ${alias}.tags else '{}' end) t (key, value) where lower(t.key) = any (${keys})`

/** A name of a person of the record; an address by what stands before the @ says less, and has a rule of its own. */
const named = (value: string) => `person h on h.name = lower(${value})`

export const EVIDENCE: readonly EvidenceRule[] = [
  {
    id: 'tag',
    weight: 0.9,
    query: `select l.identity_id, h.id as person_id, null::text as team, p.changed_at as of_at, 'a tag of it names them' as words
      from ${OF_IDENTITY} cross join lateral (select t.value from ${tagged('p', PERSON_KEYS)}) t join ${named('t.value')}`,
  },
  {
    id: 'tag-address',
    weight: 0.6,
    query: `select l.identity_id, h.id, null, p.changed_at, 'a tag of it has an address like their name'
      from ${OF_IDENTITY} cross join lateral (select t.value from ${tagged('p', PERSON_KEYS)}) t
      join ${named(`split_part(t.value, '@', 1)`)} where t.value like '%@%'`,
  },
  {
    id: 'tag-team',
    weight: 0.9,
    query: `select l.identity_id, null::uuid, lower(t.value), p.changed_at, 'a tag of it names their team'
      from ${OF_IDENTITY} cross join lateral (select t.value from ${tagged('p', TEAM_KEYS)}) t`,
  },
  {
    id: 'code-owners',
    weight: 0.8,
    query: `select l.identity_id, h.id, null, r.changed_at, 'they are a code owner of what uses its credential'
      from ${OF_IDENTITY} join observed_credential k on k.principal_id = p.id and k.gone_at is null
      join observed_reference f on f.credential_id = k.id and f.gone_at is null
      join observed_resource r on r.id = f.consumer_id and r.gone_at is null
      cross join lateral jsonb_array_elements_text(case jsonb_typeof(r.facts -> 'codeOwners') when 'array' then r.facts -> 'codeOwners' else '[]' end) o (value)
      join ${named(`ltrim(o.value, '@')`)}`,
  },
  {
    id: 'code-owner-team',
    weight: 0.8,
    query: `select l.identity_id, null::uuid, lower(regexp_replace(o.value, '^@(.*/)?', '')), r.changed_at, 'their team is a code owner of what uses its credential'
      from ${OF_IDENTITY} join observed_credential k on k.principal_id = p.id and k.gone_at is null
      join observed_reference f on f.credential_id = k.id and f.gone_at is null
      join observed_resource r on r.id = f.consumer_id and r.gone_at is null
      cross join lateral jsonb_array_elements_text(case jsonb_typeof(r.facts -> 'codeOwners') when 'array' then r.facts -> 'codeOwners' else '[]' end) o (value)
     where o.value ~ '^@'`,
  },
  {
    id: 'namespace-team',
    weight: 0.6,
    query: `select l.identity_id, null::uuid, lower(t.value), r.changed_at, 'a label of its namespace names their team'
      from ${OF_IDENTITY} join source_scope c on c.id = p.scope_id join source_scope d on d.source_id = c.source_id
      join observed_resource r on r.scope_id = d.id and r.gone_at is null and r.type in (${NAMESPACES}) and r.name = p.facts ->> 'namespace'
      cross join lateral (select t.value from ${tagged('r', TEAM_KEYS)}) t`,
  },
  {
    id: 'creator',
    weight: 0.7,
    query: `select l.identity_id, h.id, null, coalesce(p.created_at, p.first_seen_at), 'they made it'
      from ${OF_IDENTITY} join linked_identity c on c.observed_id = p.created_by_id join person h on h.id = c.identity_id`,
  },
  {
    id: 'rotator',
    weight: 0.6,
    query: `select a.identity_id, h.id, null, max(r.planned_at), 'they rotated its login last'
      from account a join rotation r on r.account_id = a.id join person h on h.id = r.started_by_id
     where a.identity_id is not null and a.state = 'active'
       and not exists (select from rotation later where later.account_id = a.id and later.planned_at > r.planned_at)
     group by 1, 2`,
  },
  {
    id: 'namespace',
    weight: 0.6,
    query: `select l.identity_id, h.id, null, r.changed_at, 'a label of its namespace names them'
      from ${OF_IDENTITY} join source_scope c on c.id = p.scope_id join source_scope d on d.source_id = c.source_id
      join observed_resource r on r.scope_id = d.id and r.gone_at is null and r.type in (${NAMESPACES}) and r.name = p.facts ->> 'namespace'
      cross join lateral (select t.value from ${tagged('r', PERSON_KEYS)}) t join ${named('t.value')}`,
  },
  {
    id: 'system-team',
    weight: 0.5,
    query: `select l.identity_id, null::uuid, s.owner_team, s.created_at, 'their team answers for the system it stands in'
      from ${OF_IDENTITY} join source_scope c on c.id = p.scope_id join source s on s.id = c.source_id`,
  },
  {
    id: 'last-committer',
    weight: 0.4,
    query: `select l.identity_id, h.id, null, r.changed_at, 'they last changed what uses its credential'
      from ${OF_IDENTITY} join observed_credential k on k.principal_id = p.id and k.gone_at is null
      join observed_reference f on f.credential_id = k.id and f.gone_at is null
      join observed_resource r on r.id = f.consumer_id and r.gone_at is null join ${named(`r.facts ->> 'lastCommitter'`)}`,
  },
  {
    id: 'sole-reader',
    weight: 0.3,
    query: `select identity_id, person_id, null, of_at, 'they are the only person who uses it regularly' from (
        select l.identity_id, (array_agg(distinct h.id))[1] as person_id, max(u.last_at) as of_at
          from ${OF_IDENTITY} join observed_usage u on u.subject_id = p.id or u.subject_id in (select k.id from observed_credential k where k.principal_id = p.id)
          join linked_identity a on a.observed_id = u.actor_id join person h on h.id = a.identity_id
         group by l.identity_id having count(distinct h.id) = 1 and count(distinct coalesce(u.day_at, u.last_at)) >= 3) u`,
  },
]
