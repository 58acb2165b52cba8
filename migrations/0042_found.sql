-- What was found and taken into the record, which business service an identity belongs to, and which tools a person approved as they are.

-- What is governed: the definition of what lives for a moment, and everything else itself.
create index observed_principal_thing on observed_principal ((coalesce(instance_of_id, id)), id);

create table adoption_run (
  id           uuid primary key,
  rule         jsonb not null,
  by_id        uuid not null constraint by_fkey references identity,
  state        text not null default 'running',
  looked_at    integer not null default 0,
  of_about     integer not null,
  adopted      integer not null default 0,
  unmatched    integer not null default 0,
  left_out     jsonb not null default '{}',
  undone       integer not null default 0,
  after_thing  uuid,
  after_source uuid,
  started_at   timestamptz not null,
  last_at      timestamptz not null,
  ended_at     timestamptz,
  version      integer not null default 1,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('running', 'done', 'undoing', 'undone')),
  constraint ended_says_when check ((state in ('done', 'undone')) = (ended_at is not null)),
  constraint place_is_whole check ((after_thing is null) = (after_source is null))
);
comment on table adoption_run is 'A row is an act that adopts by a rule, batch by batch; each batch has one entry that names all it covered.';
comment on column adoption_run.rule is 'Which principals that nobody claims, and what is said of them where no fact says it.';
comment on column adoption_run.of_about is 'How many things were nobody''s when it began: what it walks over.';
comment on column adoption_run.left_out is 'Why how many were no identities after it.';
comment on column adoption_run.after_thing is 'Behind which thing of which source the next batch begins.';
create index adoption_run_by on adoption_run (by_id);
create index adoption_run_cause on adoption_run (cause);
select hold_cause('adoption_run');

create table adoption (
  id          uuid primary key,
  run_id      uuid constraint run_fkey references adoption_run,
  thing_id    uuid not null,
  source_id   uuid not null constraint source_fkey references source,
  identity_id uuid not null constraint identity_fkey references identity constraint adoption_identity_is_unique unique,
  evidence    jsonb not null,
  account_ids uuid[] not null,
  state       text not null default 'active',
  made_at     timestamptz not null,
  ended_at    timestamptz,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('active', 'ended')),
  constraint ended_says_when check ((state = 'active') = (ended_at is null))
);
comment on table adoption is 'A row says that an identity was made of a principal that a source told and nobody claimed. Ending it is the way back.';
comment on column adoption.run_id is 'The act by a rule that made it; null where it was named.';
comment on column adoption.thing_id is 'The principal, or the definition that principals are instances of: all of them are this one identity.';
comment on column adoption.account_ids is 'Accounts nobody claimed that were claimed with it; they are freed with it.';
comment on column adoption.source_id is 'Who told it: another source that names instances of the same definition gets no part in the identity.';
create unique index adoption_one_at_a_time on adoption (thing_id, source_id) where state = 'active';
create index adoption_thing on adoption (thing_id);
create index adoption_source on adoption (source_id);
create index adoption_run_members on adoption (run_id, id);
create index adoption_cause on adoption (cause);
select hold_cause('adoption');

create function adoption_moves_legally() returns trigger language plpgsql as $$
begin
  if (new.id, new.run_id, new.thing_id, new.source_id, new.identity_id, new.evidence, new.account_ids, new.made_at)
     is distinct from (old.id, old.run_id, old.thing_id, old.source_id, old.identity_id, old.evidence, old.account_ids, old.made_at) or old.state = 'ended' then
    raise exception 'an adoption goes from active to ended and nowhere else' using errcode = 'RV042';
  end if;
  return new;
end $$;
create trigger adoption_moves_legally before update on adoption for each row execute function adoption_moves_legally();

create table service_candidate (
  identity_id uuid not null constraint identity_fkey references identity,
  service     text not null,
  score       smallint not null,
  evidence    jsonb not null,
  constraint service_candidate_pkey primary key (identity_id, service),
  constraint score_is_a_percentage check (score between 0 and 100)
);
comment on table service_candidate is 'A row is a business service that an identity may belong to, by evidence and its weights. Nothing follows from it until who answers for the identity accepts.';
create index service_candidate_best on service_candidate ((-score), identity_id, service);

create table service_attestation (
  identity_id uuid primary key constraint identity_fkey references identity,
  service     text not null,
  person_id   uuid not null constraint person_fkey references identity,
  evidence    text not null,
  attested_at timestamptz not null,
  cause       bigint not null constraint cause_fkey references ledger_entry
);
comment on table service_attestation is 'A row is a person''s word which business service an identity belongs to.';
create index service_attestation_person on service_attestation (person_id);
create index service_attestation_cause on service_attestation (cause);
select hold_cause('service_attestation');

create view attested_service as
  select s.identity_id, s.service, s.person_id
    from service_attestation s
    join identity i on i.id = s.identity_id and i.business_service = s.service
    join identity p on p.id = s.person_id and p.state = 'active';
comment on view attested_service is 'A row is a business service that stands: the record still says so, and who said it can still act. With a leaver it is open again.';

create table tool_approval (
  resource_id uuid primary key,
  digest      text not null,
  approver_id uuid not null constraint approver_fkey references identity,
  approved_at timestamptz not null,
  cause       bigint not null constraint cause_fkey references ledger_entry
);
comment on table tool_approval is 'A row is a tool of a server as a person approved it: what it is called, says and takes, by its digest.';
comment on column tool_approval.resource_id is 'Of the inventory; approving it anew is another digest of the same tool.';
create index tool_approval_approver on tool_approval (approver_id);
create index tool_approval_cause on tool_approval (cause);
select hold_cause('tool_approval');

create index observed_resource_offered on observed_resource (id) where type in ('mcp-server', 'mcp-tool', 'mcp-prompt', 'mcp-resource', 'mcp-template');
