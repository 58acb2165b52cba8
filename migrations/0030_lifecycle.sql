-- Joiners, movers and leavers as an identity provider tells them (SCIM 2.0), what other systems report of the life of things, and the cases by
-- which an identity is stopped, looked at, retired and proven to be dead.

alter table identity add column vendor text;
comment on column identity.vendor is 'The business partner on whose behalf it acts, where it is not the company''s own.';
create index identity_vendor on identity (vendor) where vendor is not null;

create table provisioned_user (
  id               uuid primary key,
  provider_id      uuid not null constraint provider_fkey references identity,
  identity_id      uuid not null constraint identity_fkey references identity,
  user_name        text,
  external_id      text,
  is_active        boolean not null,
  resource         jsonb not null,
  created_at       timestamptz not null,
  modified_at      timestamptz not null,
  deleted_at       timestamptz,
  version          integer not null default 1,
  cause            bigint not null constraint cause_fkey references ledger_entry,
  constraint deleted_keeps_nothing check (
    (deleted_at is null) = (user_name is not null)
    and (deleted_at is null or (external_id is null and resource = '{}' and not is_active))),
  constraint nobody_provisions_itself check (provider_id <> identity_id)
);
comment on table provisioned_user is 'A row is one user of one identity provider (RFC 7643 §4.1) and the person of the record it stands for. What was deleted keeps no personal data.';
comment on column provisioned_user.user_name is 'As it was sent, folded to lower case: unique for its provider (RFC 7643 §4.1.1).';
create unique index provisioned_user_name_is_unique on provisioned_user (provider_id, user_name) where deleted_at is null;
create unique index provisioned_user_external_id_is_unique on provisioned_user (provider_id, external_id) where deleted_at is null and external_id is not null;
create unique index provisioned_user_is_one_person on provisioned_user (provider_id, identity_id) where deleted_at is null;
create index provisioned_user_provider on provisioned_user (provider_id, id);
create index provisioned_user_identity on provisioned_user (identity_id);
create index provisioned_user_cause on provisioned_user (cause);
select hold_cause('provisioned_user');

create table provisioned_group (
  id           uuid primary key,
  provider_id  uuid not null constraint provider_fkey references identity,
  display_name text not null,
  external_id  text,
  created_at   timestamptz not null,
  modified_at  timestamptz not null,
  deleted_at   timestamptz,
  version      integer not null default 1,
  cause        bigint not null constraint cause_fkey references ledger_entry
);
comment on table provisioned_group is 'A row is one group of one identity provider (RFC 7643 §4.2). It gives nothing by itself: a team follows it only where a version of the teams says so.';
create unique index provisioned_group_external_id_is_unique on provisioned_group (provider_id, external_id) where deleted_at is null and external_id is not null;
create index provisioned_group_provider on provisioned_group (provider_id, id);
create index provisioned_group_cause on provisioned_group (cause);
select hold_cause('provisioned_group');

create table provisioned_member (
  group_id  uuid not null constraint group_fkey references provisioned_group,
  user_id   uuid not null constraint user_fkey references provisioned_user,
  is_member boolean not null,
  cause     bigint not null constraint cause_fkey references ledger_entry,
  constraint provisioned_member_pkey primary key (group_id, user_id)
);
comment on table provisioned_member is 'A row says whether a user of a provider is in one of its groups; who left stays as not a member.';
create index provisioned_member_user on provisioned_member (user_id);
create index provisioned_member_cause on provisioned_member (cause);
select hold_cause('provisioned_member');

create function provisioned_stays_its_providers() returns trigger language plpgsql as $$
begin
  if (new.id, new.provider_id, new.created_at) is distinct from (old.id, old.provider_id, old.created_at) or old.deleted_at is not null then
    raise exception 'what a provider made stays its own, and what it deleted stays deleted' using errcode = 'RV030';
  end if;
  return new;
end $$;
create trigger provisioned_user_stays before update on provisioned_user for each row execute function provisioned_stays_its_providers();
create trigger provisioned_group_stays before update on provisioned_group for each row execute function provisioned_stays_its_providers();

create table lifecycle_event (
  id          uuid primary key,
  sender_id   uuid not null constraint sender_fkey references identity,
  event_id    text not null,
  type        text not null,
  subject     text not null,
  occurred_at timestamptz not null,
  received_at timestamptz not null,
  outcome     jsonb not null,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint lifecycle_event_is_received_once unique (sender_id, event_id),
  constraint type_is_known check (type in
    ('repository-archived', 'pipeline-deleted', 'deployment-gone', 'vendor-offboarded', 'job-finished', 'ticket-closed'))
);
comment on table lifecycle_event is 'A row is what one sender reported once of the end of something, and what it led to.';
comment on column lifecycle_event.event_id is 'The sender''s own name for it: sent again it is the same event.';
create index lifecycle_event_cause on lifecycle_event (cause);
select hold_cause('lifecycle_event');

create table lifecycle_case (
  id           uuid primary key,
  identity_id  uuid not null constraint identity_fkey references identity,
  reason       text not null,
  detail       text not null,
  event_id     uuid constraint event_fkey references lifecycle_event,
  state        text not null,
  held_because text,
  soak_days    smallint not null,
  opened_at    timestamptz not null,
  suspended_at timestamptz,
  checked_at   timestamptz,
  soak_ends_at   timestamptz,
  retired_at   timestamptz,
  over_at      timestamptz,
  dependencies jsonb,
  evidence     jsonb,
  next_look_at timestamptz,
  version      integer not null default 1,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint reason_is_known check (reason in ('leaver', 'owner-lost', 'expired', 'vendor', 'event', 'person')),
  constraint state_is_known check (state in ('opened', 'suspended', 'checked', 'soaking', 'retired', 'closed', 'reopened')),
  constraint soak_is_bounded check (soak_days between 0 and 365),
  constraint over_says_when check ((state in ('closed', 'reopened')) = (over_at is not null)),
  constraint open_is_looked_at check ((state in ('closed', 'reopened')) = (next_look_at is null)),
  constraint soaking_says_until_when check (state <> 'soaking' or soak_ends_at is not null),
  constraint closed_has_evidence check (state <> 'closed' or evidence is not null)
);
comment on table lifecycle_case is 'A row is the way of one identity out of the record: suspended, what hangs on it looked at, soaked, retired, and closed when all it held is proven dead.';
comment on column lifecycle_case.held_because is 'Why it waits for a person; null while it goes on by itself.';
comment on column lifecycle_case.evidence is 'Of a closed case: what it held, each with how it is known to be dead.';
create unique index identity_has_one_open_case on lifecycle_case (identity_id) where over_at is null;
create index lifecycle_case_identity on lifecycle_case (identity_id);
create index lifecycle_case_event on lifecycle_case (event_id);
create index lifecycle_case_due on lifecycle_case (next_look_at) where over_at is null;
create index lifecycle_case_cause on lifecycle_case (cause);
select hold_cause('lifecycle_case');

create function case_moves_legally() returns trigger language plpgsql as $$
begin
  if (new.id, new.identity_id, new.reason, new.opened_at) is distinct from (old.id, old.identity_id, old.reason, old.opened_at)
     or old.over_at is not null
     or (old.state <> new.state and (old.state, new.state) not in (
       ('opened', 'suspended'), ('suspended', 'checked'), ('checked', 'soaking'), ('soaking', 'retired'), ('retired', 'closed'),
       ('opened', 'reopened'), ('suspended', 'reopened'), ('checked', 'reopened'), ('soaking', 'reopened'))) then
    raise exception 'a case does not go from % to %', old.state, new.state using errcode = 'RV031';
  end if;
  return new;
end $$;
create trigger case_moves_legally before update on lifecycle_case for each row execute function case_moves_legally();

create table lifecycle_item (
  id         uuid primary key,
  case_id    uuid not null constraint case_fkey references lifecycle_case,
  kind       text not null,
  ref_id     uuid not null,
  label      text not null,
  opened_at  timestamptz not null,
  closed_at  timestamptz,
  evidence   text,
  cause      bigint not null constraint cause_fkey references ledger_entry,
  constraint kind_is_known check (kind in ('login', 'object')),
  constraint item_stands_once_in_a_case unique (case_id, kind, ref_id),
  constraint closed_has_evidence check ((closed_at is null) = (evidence is null))
);
comment on table lifecycle_item is 'A row is something that has to be dealt with elsewhere before a case closes: a login whose secret a leaver may know, or a right that a connector saw.';
comment on column lifecycle_item.opened_at is 'Only what happened to it after this counts.';
create index lifecycle_item_cause on lifecycle_item (cause);
select hold_cause('lifecycle_item');
