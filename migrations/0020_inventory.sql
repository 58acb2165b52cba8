-- What connectors saw, where they could not look, and under which key secrets are recognised.

create table fingerprint_key (
  id         uuid primary key,
  is_only    boolean not null default true constraint there_is_only_one unique,
  sealed_key bytea not null,
  created_at timestamptz not null,
  constraint only_is_true check (is_only)
);
comment on table fingerprint_key is 'A row is the key under which secrets are recognised without being kept; sealed under the root key, and there is one.';

create table source (
  id                uuid primary key,
  name              text not null constraint source_name_is_unique unique,
  connector         text not null,
  settings          jsonb not null,
  sealed_credential bytea,
  target_id         uuid constraint target_fkey references target,
  owner_team        text not null,
  environment       text not null,
  authority         text,
  system            text,
  schedule          text not null,
  next_read_at      timestamptz,
  read_at           timestamptz,
  problem           text,
  state             text not null default 'active',
  created_at        timestamptz not null,
  version           integer not null default 1,
  cause             bigint not null constraint cause_fkey references ledger_entry,
  constraint environment_is_known check (environment in ('production', 'staging', 'test', 'development')),
  constraint schedule_is_known check (schedule in ('never', 'daily', 'weekly')),
  constraint state_is_known check (state in ('active', 'retired'))
);
comment on table source is 'A row is a system that a connector reads: where it is, as whom, how often.';
comment on column source.settings is 'Address and the like; the schema is the connector''s, and nothing is read anywhere else.';
comment on column source.sealed_credential is 'The login to read with, sealed for this row.';
comment on column source.target_id is 'The target it is as well: its accounts are then known to the catalog.';
comment on column source.authority is 'The system itself, by what does not change with its address; learnt at the first reading. Another one is not read.';
comment on column source.problem is 'Why the last reading could not begin; null when it did.';
create unique index source_authority on source (authority) where state = 'active' and authority is not null;
create index source_target on source (target_id);
create index source_due on source (next_read_at) where state = 'active';
create index source_cause on source (cause);
select hold_cause('source');

create table source_scope (
  id           uuid primary key,
  source_id    uuid not null constraint source_fkey references source,
  scope        text not null,
  title        text,
  is_feed      boolean not null,
  status       text,
  missing      jsonb not null default '[]',
  validator    text,
  cursor       text,
  items        integer not null default 0,
  read_at      timestamptz,
  seen_at      timestamptz,
  missed_at    timestamptz,
  state        text not null default 'active',
  version      integer not null default 1,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint scope_is_unique_per_source unique (source_id, scope),
  constraint status_is_known check (status in ('complete', 'partial', 'denied', 'unsupported', 'unchanged')),
  constraint state_is_known check (state in ('active', 'gone', 'retired'))
);
comment on table source_scope is 'A row is a part of a source that is read and reported on by itself. Coverage is its status.';
comment on column source_scope.status is 'How its last reading ended; null: it was never read.';
comment on column source_scope.missing is 'What the last reading could not see, why, and which permission would show it.';
comment on column source_scope.validator is 'What the source gave to say later that nothing changed.';
comment on column source_scope.cursor is 'Of a feed: behind which page the next reading goes on.';
comment on column source_scope.items is 'How many things the last reading that saw all of them told.';
comment on column source_scope.seen_at is 'When everything in it was last seen: what is not marked as missed stood there then.';
comment on column source_scope.missed_at is 'When the source first did not name it any more; the second time it is gone, with what it told.';
create index source_scope_cause on source_scope (cause);
select hold_cause('source_scope');

create table source_reading (
  id        uuid primary key,
  source_id uuid not null constraint source_fkey references source,
  began_at  timestamptz not null,
  ended_at  timestamptz,
  outcome   text,
  problem   text,
  cause     bigint not null constraint cause_fkey references ledger_entry,
  constraint outcome_is_known check (outcome in ('complete', 'partial', 'failed', 'cancelled')),
  constraint ended_has_an_outcome check ((ended_at is null) = (outcome is null))
);
comment on table source_reading is 'A row is one run of a connector over a source.';
create index source_reading_source on source_reading (source_id, began_at);
create index source_reading_cause on source_reading (cause);
select hold_cause('source_reading');

create table scope_report (
  reading_id uuid not null constraint reading_fkey references source_reading,
  scope_id   uuid not null constraint scope_fkey references source_scope,
  status     text not null,
  items      integer not null,
  added      integer not null,
  changed    integer not null,
  missed     integer not null,
  gone       integer not null,
  missing    jsonb not null,
  read_at    timestamptz not null,
  cause      bigint not null constraint cause_fkey references ledger_entry,
  constraint scope_report_pkey primary key (reading_id, scope_id),
  constraint status_is_known check (status in ('complete', 'partial', 'denied', 'unsupported', 'unchanged'))
);
comment on table scope_report is 'A row is how one scope ended in one reading: what coverage was, kept.';
create index scope_report_scope on scope_report (scope_id, read_at);
create index scope_report_cause on scope_report (cause);
select hold_cause('scope_report');

-- The rule of hold_cause() for tables that are written by the hundred thousand: checked once per statement over all its rows. That the entry is
-- one of this very transaction includes that it exists, and entries are never removed, so a foreign key would only ask again, row by row.
-- Each is looked up: joined, all of the ledger would be read for them where the database does not know yet how large it became.
create function require_causes() returns trigger language plpgsql as $$
begin
  if exists (
    select from (select distinct cause from changed) c
     where (select e.xid = pg_current_xact_id() from public.ledger_entry e where e.id = c.cause) is not true) then
    raise exception 'a change of % needs an entry of its own transaction as its cause', tg_table_name using errcode = 'RV002';
  end if;
  return null;
end $$;
create function hold_causes(held regclass) returns void language plpgsql as $$
begin
  execute format('create trigger causes_are_held_at_birth after insert on %s referencing new table as changed for each statement execute function require_causes()', held);
  execute format('create trigger causes_are_held after update on %s referencing new table as changed for each statement execute function require_causes()', held);
  execute format('create trigger rows_are_kept before delete on %s for each row execute function refuse_change()', held);
  execute format('create trigger table_is_kept before truncate on %s for each statement execute function refuse_change()', held);
end $$;
-- The same of the scope a row belongs to. Scopes are never removed, so what there is when a row is written is there for good.
create function require_scopes() returns trigger language plpgsql as $$
begin
  if exists (
    select from (select distinct scope_id from changed) c
     where not exists (select from public.source_scope s where s.id = c.scope_id)) then
    raise exception 'a row of % belongs to a scope of a source', tg_table_name using errcode = 'RV020';
  end if;
  return null;
end $$;
create function hold_observed(held regclass) returns void language plpgsql as $$
begin
  perform hold_causes(held);
  execute format('create trigger scopes_are_held_at_birth after insert on %s referencing new table as changed for each statement execute function require_scopes()', held);
  execute format('create trigger scopes_are_held after update on %s referencing new table as changed for each statement execute function require_scopes()', held);
end $$;

-- What was seen. An id is the hash of authority, kind and native id, so that things name each other before, and whether or not, they are seen.
create table observed_principal (
  id            uuid primary key,
  scope_id      uuid not null,
  native_kind   text not null,
  native_id     text not null,
  type          text not null,
  name          text not null,
  aliases       text[] not null,
  state         text,
  created_at    timestamptz,
  created_by_id uuid,
  interactive   boolean,
  environment   text,
  instance_of_id uuid,
  tags          jsonb not null,
  facts         jsonb not null,
  unknown       jsonb not null,
  account_id    uuid constraint account_fkey references account,
  digest        bytea not null,
  first_seen_at timestamptz not null,
  changed_at    timestamptz not null,
  last_seen_at  timestamptz,
  missed_at     timestamptz,
  gone_at       timestamptz,
  cause         bigint not null
);
comment on table observed_principal is 'A row is something that can hold rights at a source: an account, a group, a role, a client.';
comment on column observed_principal.unknown is 'Of fields that are null: why they are not known. A null that is not named here is known to be nothing.';
comment on column observed_principal.account_id is 'The account of the shared record that it is.';
comment on column observed_principal.digest is 'Of all that was told of it: a reading that tells the same changes nothing.';
comment on column observed_principal.last_seen_at is 'When it last stood there; null while it does, and then it is its scope''s.';
comment on column observed_principal.missed_at is 'The first complete reading without it.';
comment on column observed_principal.gone_at is 'The second complete reading without it: it is gone. Rows stay.';
create index observed_principal_scope on observed_principal (scope_id, id);
create index observed_principal_name on observed_principal (name, id);
create index observed_principal_type on observed_principal (type, id);
create index observed_principal_account on observed_principal (account_id) where account_id is not null;
select hold_observed('observed_principal');

create table observed_credential (
  id            uuid primary key,
  scope_id      uuid not null,
  native_kind   text not null,
  native_id     text not null,
  principal_id  uuid,
  type          text not null,
  name          text not null,
  state         text,
  created_at    timestamptz,
  rotated_at    timestamptz,
  expires_at    timestamptz,
  never_expires boolean not null,
  fingerprints  text[],
  scopes        text[],
  bindings      text[],
  strength      text,
  strength_why  text[] not null,
  held_by       text,
  facts         jsonb not null,
  unknown       jsonb not null,
  digest        bytea not null,
  first_seen_at timestamptz not null,
  changed_at    timestamptz not null,
  last_seen_at  timestamptz,
  missed_at     timestamptz,
  gone_at       timestamptz,
  cause         bigint not null
);
comment on table observed_credential is 'A row is a credential as a source shows it: what it is, how old, whose. Never its value.';
comment on column observed_credential.fingerprints is 'As <algorithm>:<value>; keyed ones match one secret across sources.';
create index observed_credential_scope on observed_credential (scope_id, id);
create index observed_credential_name on observed_credential (name, id);
create index observed_credential_type on observed_credential (type, id);
create index observed_credential_principal on observed_credential (principal_id);
create index observed_credential_fingerprints on observed_credential using gin (fingerprints) where fingerprints is not null;
select hold_observed('observed_credential');

create table observed_resource (
  id            uuid primary key,
  scope_id      uuid not null,
  native_kind   text not null,
  native_id     text not null,
  type          text not null,
  name          text not null,
  parent_id     uuid,
  environment   text,
  sensitivity   smallint,
  tags          jsonb not null,
  facts         jsonb not null,
  unknown       jsonb not null,
  digest        bytea not null,
  first_seen_at timestamptz not null,
  changed_at    timestamptz not null,
  last_seen_at  timestamptz,
  missed_at     timestamptz,
  gone_at       timestamptz,
  cause         bigint not null
);
comment on table observed_resource is 'A row is something that rights are held on.';
create index observed_resource_scope on observed_resource (scope_id, id);
create index observed_resource_name on observed_resource (name, id);
create index observed_resource_type on observed_resource (type, id);
create index observed_resource_parent on observed_resource (parent_id);
select hold_observed('observed_resource');

create table observed_grant (
  id            uuid primary key,
  scope_id      uuid not null,
  native_kind   text not null,
  native_id     text not null,
  principal_id  uuid not null,
  on_id         uuid not null,
  privilege     text not null,
  level         text not null,
  via           uuid[] not null,
  grantable     boolean,
  granted_by_id uuid,
  expires_at    timestamptz,
  never_expires boolean not null,
  facts         jsonb not null,
  unknown       jsonb not null,
  digest        bytea not null,
  first_seen_at timestamptz not null,
  changed_at    timestamptz not null,
  last_seen_at  timestamptz,
  missed_at     timestamptz,
  gone_at       timestamptz,
  cause         bigint not null
);
comment on table observed_grant is 'A row is a right that stands at a source, a membership among them: who, what, on which.';
create index observed_grant_scope on observed_grant (scope_id, id);
create index observed_grant_principal on observed_grant (principal_id, id);
create index observed_grant_on on observed_grant (on_id, id);
select hold_observed('observed_grant');

create table observed_trust (
  id            uuid primary key,
  scope_id      uuid not null,
  native_kind   text not null,
  native_id     text not null,
  from_id       uuid,
  issuer        text,
  claims        jsonb,
  to_id         uuid not null,
  is_wildcard   boolean not null,
  facts         jsonb not null,
  unknown       jsonb not null,
  digest        bytea not null,
  first_seen_at timestamptz not null,
  changed_at    timestamptz not null,
  last_seen_at  timestamptz,
  missed_at     timestamptz,
  gone_at       timestamptz,
  cause         bigint not null,
  constraint trusts_one_thing check (num_nonnulls(from_id, issuer) = 1)
);
comment on table observed_trust is 'A row says whom something at a source believes: a principal, or an issuer with the claims it must show.';
create index observed_trust_scope on observed_trust (scope_id, id);
create index observed_trust_to on observed_trust (to_id);
create index observed_trust_from on observed_trust (from_id);
create index observed_trust_issuer on observed_trust (issuer);
select hold_observed('observed_trust');

create table observed_reference (
  id            uuid primary key,
  scope_id      uuid not null,
  native_kind   text not null,
  native_id     text not null,
  consumer_id   uuid not null,
  credential_id uuid,
  fingerprint   text,
  how           text not null,
  location      text not null,
  evidence      text not null,
  facts         jsonb not null,
  unknown       jsonb not null,
  digest        bytea not null,
  first_seen_at timestamptz not null,
  changed_at    timestamptz not null,
  last_seen_at  timestamptz,
  missed_at     timestamptz,
  gone_at       timestamptz,
  cause         bigint not null,
  constraint refers_to_one_thing check (num_nonnulls(credential_id, fingerprint) = 1)
);
comment on table observed_reference is 'A row is a place where a credential is kept or used: an edge of the consumer map.';
create index observed_reference_scope on observed_reference (scope_id, id);
create index observed_reference_consumer on observed_reference (consumer_id);
create index observed_reference_credential on observed_reference (credential_id);
create index observed_reference_fingerprint on observed_reference (fingerprint) where fingerprint is not null;
select hold_observed('observed_reference');

create table observed_usage (
  id         uuid primary key,
  scope_id   uuid not null,
  subject_id uuid not null,
  semantics  text not null,
  privilege  text,
  on_id      uuid,
  actor_id   uuid,
  address    text,
  agent      text,
  day_at     timestamptz,
  first_at   timestamptz not null,
  last_at    timestamptz not null,
  count      bigint not null,
  instances  bigint not null,
  cause      bigint not null,
  constraint times_are_in_order check (first_at <= last_at)
);
comment on table observed_usage is 'A row adds up one way of using one thing on one day, or is the last use that a source knows.';
comment on column observed_usage.day_at is 'The beginning of the day (UTC); null when the source tells only the last use.';
comment on column observed_usage.count is '0 when the source does not count.';
comment on column observed_usage.instances is 'How many short-lived instances of the subject it stands for.';
create index observed_usage_scope on observed_usage (scope_id);
create index observed_usage_subject on observed_usage (subject_id, last_at);
select hold_observed('observed_usage');

create table usage_window (
  id         uuid primary key,
  scope_id   uuid not null,
  subject_id uuid,
  semantics  text not null,
  sees       text not null,
  seen       tstzmultirange not null,
  cause      bigint not null,
  constraint sees_is_known check (sees in ('every-use', 'samples'))
);
comment on table usage_window is 'A row says when use of something would have been seen. Its holes are the gaps: nothing is known to be unused over one.';
comment on column usage_window.subject_id is 'Null: of every principal of the source.';
create index usage_window_scope on usage_window (scope_id);
create index usage_window_subject on usage_window (subject_id);
select hold_observed('usage_window');

create table inventory_measure (
  at      timestamptz primary key,
  percent jsonb not null,
  cause   bigint not null constraint cause_fkey references ledger_entry
);
comment on table inventory_measure is 'A row is how much of the identities was owned, justified and observable after a reading: what later ones are compared with.';
create index inventory_measure_cause on inventory_measure (cause);
select hold_cause('inventory_measure');
