import { hub, live, list, NOTHING, number, type EdgeRule } from './edge-sql.ts'

/**
 * GitHub's issuer is one for all of github.com, and for each Enterprise Server or enterprise with an address of its own ("OpenID Connect", GitHub Docs);
 * only the API of that one says what stands there.
 */
const GITHUBS: readonly (readonly [api: string, issuer: string])[] = [
  ['^https://api[.]github[.]com$', 'https://token.actions.githubusercontent.com'],
  ['^https://api[.]([a-z0-9-]+[.]ghe[.]com)$', 'https://token.actions.\\1'],
  ['^(https://[^/]+)/api/v3/?$', '\\1/_services/token'],
]
const OF_GITHUB = `s.connector = 'github' and (${GITHUBS.map(
  ([api, issuer]) =>
    `s.settings ->> 'url' ~ '${api}' and r.name = regexp_replace(s.settings ->> 'url', '${api}', '${issuer}')`,
).join(' or ')})`
/** Connectors that ask a system for its issuer at the address that TLS proved. */
const TELL_THEIR_OWN = ['keycloak', 'gitlab', 'kubernetes']
const ADDRESS = `rtrim(s.settings ->> 'url', '/')`
const IS_PROVEN = `(${OF_GITHUB} or s.connector in (${list(TELL_THEIR_OWN)}) and starts_with(${ADDRESS}, 'https://')
    and (r.name = ${ADDRESS} or starts_with(r.name, ${ADDRESS} || '/')))`

/** Every source that says to be an issuer, and whether it, any or only one is to be believed. */
const CLAIMED = `(
    select r.name as url, l.source_id, r.id, ${IS_PROVEN} as is_proven,
           bool_or(${IS_PROVEN}) over (partition by r.name) as is_known,
           min(l.source_id::text) over (partition by r.name) = max(l.source_id::text) over (partition by r.name) as is_alone
      from observed_resource r join live l on l.id = r.scope_id join source s on s.id = l.source_id
     where r.type = 'token-issuer' and r.gone_at is null)`

/** The address of a cluster, as who asks it whether a token is one of its own names it. */
const CLUSTER = `regexp_replace(${ADDRESS}, '^(https://[^/]+):443(/|$)', '\\1\\2')`

/**
 * Who says to be which issuer. Whoever is reached at the issuer's own address is it; where nobody is, the one that says so; where several say so,
 * none of them. A cluster is the issuer of what is shown to it at its own address, too.
 */
const ISSUERS = `(
  select c.url, c.source_id, c.id from ${CLAIMED} c
   where c.is_proven or c.is_alone and not c.is_known
  union
  select ${CLUSTER}, l.source_id, r.id from observed_resource r join live l on l.id = r.scope_id join source s on s.id = l.source_id
   where r.type = 'token-issuer' and r.gone_at is null and s.connector = 'kubernetes' and starts_with(${ADDRESS}, 'https://'))`

/** Issuers that something believes and that several say to be, none of them read at that address: what comes by their tokens is not seen. */
export const DISPUTED = `
  select c.url as issuer, array_agg(distinct c.source_id) as "sourceIds",
         array(select distinct l.source_id from observed_trust t join live l on l.id = t.scope_id where t.issuer = c.url and t.gone_at is null) as "believedBy"
    from ${CLAIMED} c
   where not c.is_known and not c.is_alone
     and exists (select from observed_trust t where t.issuer = c.url and ${live('t')})
   group by c.url
   order by c.url`

const works = (alias: string) => `coalesce(${alias}.state, 'active') not in ('deleted', 'disabled', 'expired')`

/**
 * What can get tokens, by which subjects. A subject that ends in `*` stands for every one that goes on without a colon: a branch is the writer's to
 * name. A pipeline that asks for tokens gets those of its repository.
 */
const HOLDERS = `(
  select p.id, l.source_id, p.facts from observed_principal p join live l on l.id = p.scope_id
   where p.gone_at is null and ${works('p')} and p.facts ? 'tokenSubjects'
  union all
  select r.id, l.source_id, r.facts from observed_resource r join live l on l.id = r.scope_id
   where r.gone_at is null and r.facts ? 'tokenSubjects'
  union all
  select g.principal_id, l.source_id, r.facts from observed_grant g join live l on l.id = g.scope_id
    join observed_resource r on r.id = g.on_id and r.gone_at is null and r.facts ? 'tokenSubjects'
   where g.native_kind = 'pipeline-token' and g.gone_at is null and exists (
     select from observed_grant a where a.principal_id = g.principal_id and a.native_kind = 'pipeline-id-token' and ${live('a')}))`

/**
 * Whom a trust lets in. A pool of Google Cloud has the tokens of all its providers in it, and each member of it is one that says something more
 * (`subject/…`, `attribute.…/…`), by what the provider makes of the claims. An expression that is not understood lets in nobody that is known.
 */
const MEMBER = `observed_trust m on m.from_id = t.to_id and m.native_kind = 'pool-member' and ${live('m')}
    cross join lateral (values (regexp_replace(m.facts ->> 'where', '/.*$', ''), regexp_replace(m.facts ->> 'where', '^[^/]*/', ''))) w (what, value)
    left join lateral (
      select substring(x from ' = assertion\\.([A-Za-z0-9_]+)$') as claim from jsonb_array_elements_text(t.facts -> 'mapping') x
       where split_part(x, ' = ', 1) = case w.what when 'subject' then 'google.subject' else w.what end) a on true`
const ASKED = `t.issuer is not null and ${live('t')} and (t.claims ? 'sub' or not t.facts ? 'expression')
    and (not t.claims ? 'iss' or t.claims -> 'iss' ? t.issuer)`
const TRUSTS = `(
  select t.id, t.to_id, t.issuer, t.claims - '{aud,iss}'::text[] as claims, t.is_wildcard from observed_trust t
   where ${ASKED} and t.native_kind <> 'pool-provider'
  union all
  select t.id, m.to_id, t.issuer,
         case when w.what = '*' then t.claims - '{aud,iss}'::text[] else (t.claims - '{aud,iss}'::text[]) || jsonb_build_object(a.claim, jsonb_build_array(w.value)) end, false
    from observed_trust t join ${MEMBER}
   where ${ASKED} and t.native_kind = 'pool-provider'
     and (w.what = '*' or a.claim is not null and (not t.claims ? a.claim or t.claims -> a.claim ? w.value)))`

const TOKEN = hub('token', `t.issuer || ' ' || t.is_wildcard || ' ' || t.claims::text`)
/** Every trust that asks for the same is one thing to come to, so a pattern costs no more for being written in many places. */
const BELIEVED = `(
  select distinct t.issuer, t.claims, ${TOKEN} as token, s.sub, t.is_wildcard and s.sub ~ '[*?]' as is_pattern
    from ${TRUSTS} t left join lateral jsonb_array_elements_text(t.claims -> 'sub') s (sub) on true)`

/** `*` and `?` as `like` has them. */
const globOf = (text: string) =>
  `replace(replace(replace(replace(replace(${text}, '\\', '\\\\'), '%', '\\%'), '_', '\\_'), '*', '%'), '?', '_')`

/** Other claims: what the issuer is known to say has to be asked for; what is not known holds nobody up who has the subject. */
const CLAIM = `'tokenClaim:' || c.name`
const CLAIMS_FIT = `not exists (
    select from jsonb_each(b.claims) c (name, wanted)
     where c.name <> 'sub' and h.facts ? (${CLAIM}) and not exists (
       select from jsonb_array_elements_text(c.wanted) w where h.facts ->> (${CLAIM}) like ${globOf('w')}))`
const HAS_ONE = `(b.sub is not null or b.claims = '{}' or exists (
    select from jsonb_object_keys(b.claims) c (name) where h.facts ? (${CLAIM})))`

/**
 * For a pattern and a subject with an open end: were there any token that both mean, the one that ends as the pattern does behind its last colon
 * would be one.
 */
const PATTERN_FITS = `case when h.subject like '%*'
    then left(h.subject, -1) || translate(regexp_replace(b.sub, '^.*:', ''), '?*', 'x') like ${globOf('b.sub')}
    else h.subject like ${globOf('b.sub')} end`

/** Tokens of one source that another believes: who can get one is what trusts it. */
export function ofFederation(): EdgeRule[] {
  const subjects = `(select h.id, h.source_id, h.facts, s.subject from ${HOLDERS} h
      cross join lateral jsonb_array_elements_text(h.facts -> 'tokenSubjects') s (subject))`
  const gets = (which: string, fits: string) =>
    `select distinct h.id, b.token, ${number('gets-token')}, i.id
        from ${BELIEVED} b join ${ISSUERS} i on i.url = b.issuer ${which}
       where ${fits} and ${CLAIMS_FIT} and ${HAS_ONE}`
  const onlyWith = 'token-issuer'
  const there = `join ${subjects} h on h.source_id = i.source_id`
  const isOne = `not b.is_pattern and position('*' in b.sub) = 0`
  const fitsMany = `(b.sub is null or b.is_pattern) and (b.sub is null or ${PATTERN_FITS})`
  // What names one subject is found by it, or by all of it up to its last colon.
  const keys = `(b.sub), (regexp_replace(b.sub, '[^:]+$', '*'))`
  return [
    {
      whole: gets(`cross join lateral (values ${keys}) k (subject) ${there} and h.subject = k.subject`, isOne),
      direct: gets(there, `(${isOne} and h.subject in (${keys}) or ${fitsMany})`),
      onlyWith,
    },
    { whole: gets(there, fitsMany), direct: NOTHING },
    {
      whole: `select ${TOKEN}, t.to_id, ${number('trusted')}, t.id from ${TRUSTS} t
        join observed_principal p on p.id = t.to_id and ${live('p')}
       where t.issuer in (select i.url from ${ISSUERS} i)`,
      onlyWith,
    },
  ]
}
