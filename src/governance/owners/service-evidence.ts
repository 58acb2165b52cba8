import { NAMESPACES, OF_IDENTITY, type EvidenceRule, tagged } from './evidence.ts'

/** Of a business service: each is a query of `identity_id, service, of_at, words`, and makes a proposal at most. */
export const SERVICE_EVIDENCE: readonly EvidenceRule[] = [
  {
    id: 'record',
    weight: 0.9,
    query: `select i.id as identity_id, i.business_service as service, i.created_at as of_at, 'the record says so, and nobody accepted it' as words
      from identity i where i.business_service is not null`,
  },
  ...tagRules([
    ['tag-business-service', 0.9, ['business-service', 'businessservice', 'business_service']],
    ['tag-part-of', 0.8, ['app.kubernetes.io/part-of', 'part-of', 'system', 'product']],
    ['tag-application', 0.5, ['service', 'application', 'app', 'project']],
  ]),
  {
    id: 'target',
    weight: 0.7,
    query: `select a.identity_id, t.business_service, t.created_at, 'it has an account of target ' || t.name || ', which belongs to it'
      from account a join target t on t.id = a.target_id and t.state = 'active'
     where a.identity_id is not null and a.state = 'active' and t.business_service is not null`,
  },
  {
    id: 'source-target',
    weight: 0.6,
    query: `select l.identity_id, t.business_service, t.created_at, 'it stands at target ' || t.name || ', which belongs to it'
      from ${OF_IDENTITY} join source_scope c on c.id = p.scope_id join source s on s.id = c.source_id
      join target t on t.id = s.target_id and t.state = 'active' where t.business_service is not null and p.account_id is null`,
  },
  {
    id: 'namespace',
    weight: 0.6,
    query: `select l.identity_id, t.value, r.changed_at, 'a label of its namespace names it'
      from ${OF_IDENTITY} join source_scope c on c.id = p.scope_id join source_scope d on d.source_id = c.source_id
      join observed_resource r on r.scope_id = d.id and r.gone_at is null and r.type in (${NAMESPACES}) and r.name = p.facts ->> 'namespace'
      cross join lateral (select t.value from ${tagged('r', `array['business-service', 'businessservice', 'app.kubernetes.io/part-of', 'part-of', 'system']`)}) t`,
  },
  {
    id: 'consumer',
    weight: 0.4,
    query: `select l.identity_id, i.business_service, f.changed_at, 'what keeps its credential belongs to it'
      from ${OF_IDENTITY} join observed_credential k on k.principal_id = p.id and k.gone_at is null
      join observed_reference f on f.credential_id = k.id and f.gone_at is null
      join linked_identity u on u.observed_id = f.consumer_id join identity i on i.id = u.identity_id
     where i.business_service is not null and i.id <> l.identity_id`,
  },
]

function tagRules(rules: readonly (readonly [string, number, readonly string[]])[]): EvidenceRule[] {
  return rules.map(([id, weight, keys]) => ({
    id,
    weight,
    query: `select l.identity_id, t.value, p.changed_at, 'a tag of it names it'
      from ${OF_IDENTITY} cross join lateral (select t.value from ${tagged('p', `array[${keys.map((key) => `'${key}'`).join(', ')}]`)}) t`,
  }))
}
