-- What privilege comes to: how far everything is from tier 0, and by which next step. And who might own what, by which evidence.
create table escalation (
  id          uuid primary key,
  node        text not null,
  source_id   uuid,
  hops        smallint not null,
  edge        text,
  next_id     uuid,
  evidence_id uuid,
  goal_id     uuid not null,
  constraint node_is_known check (node in ('principal', 'credential', 'resource', 'identity', 'other')),
  constraint goal_has_no_next check ((hops = 0) = (next_id is null) and num_nonnulls(edge, next_id, evidence_id) in (0, 3))
);
comment on table escalation is 'A row is the first step of the shortest way from one thing to tier 0. Derived from what sources told and the record; rebuilt as a whole.';
comment on column escalation.hops is '0: it is tier 0 itself.';
comment on column escalation.edge is 'What lets it go on: membership, trust, a secret it can read.';
comment on column escalation.evidence_id is 'The row that says so: a grant, a trust, a credential, a reference, an account.';
create index escalation_list on escalation (node, hops, id);
create index escalation_goal on escalation (goal_id, node, hops, id);
create index escalation_source on escalation (source_id, node, hops, id);

create unlogged table escalation_stage (
  id          uuid primary key,
  hops        smallint not null,
  edge        text,
  next_id     uuid,
  evidence_id uuid,
  goal_id     uuid not null
);
comment on table escalation_stage is 'A row is what the last look at the graph came to, before it is told apart from the one before.';

create table graph_pass (
  is_only  boolean primary key default true constraint there_is_only_one check (is_only),
  began_at timestamptz not null,
  ended_at timestamptz,
  nodes    bigint not null default 0,
  edges    bigint not null default 0,
  reaching bigint not null default 0
);
comment on table graph_pass is 'A row is the last time that the whole graph was looked at.';

create index observed_principal_everybody on observed_principal (scope_id) where facts @> '{"everybody": true}';

create table owner_candidate (
  identity_id uuid not null constraint identity_fkey references identity,
  owner_id    uuid not null constraint owner_fkey references identity,
  team        text,
  score       smallint not null,
  evidence    jsonb not null,
  constraint owner_candidate_pkey primary key (identity_id, owner_id),
  constraint score_is_a_percentage check (score between 0 and 100),
  constraint nobody_owns_itself check (identity_id <> owner_id)
);
comment on table owner_candidate is 'A row is a person who may answer for an identity, by evidence and its weights. It gives nobody anything: a person has to accept.';
create index owner_candidate_owner on owner_candidate (owner_id, (-score), identity_id);
create index owner_candidate_identity on owner_candidate (identity_id);

create index owner_candidate_best on owner_candidate ((-score), identity_id, owner_id);

create table owner_decline (
  identity_id uuid not null constraint identity_fkey references identity,
  owner_id    uuid not null constraint owner_fkey references identity,
  declined_at timestamptz not null,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint owner_decline_pkey primary key (identity_id, owner_id)
);
comment on table owner_decline is 'A row is a person''s word that they do not answer for an identity: they are not proposed again.';
create index owner_decline_owner on owner_decline (owner_id);
create index owner_decline_cause on owner_decline (cause);
select hold_cause('owner_decline');
