-- Logins of which others hold a copy: several ways to rotate them, who uses them, many at once, and a way back.

alter table account add column principal text;
comment on column account.principal is 'The login it stands for at the target by now, where two take turns. Null: its own name.';

create table rotation_way (
  id           uuid primary key,
  account_id   uuid not null constraint account_fkey references account constraint account_has_one_way unique,
  strategy     text not null,
  alternate    text,
  soak_seconds integer not null default 0,
  hook_url     text,
  sealed_key   bytea,
  instructions text,
  owner_team   text,
  deadline_days smallint,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint strategy_is_known check (strategy in ('cut-over', 'alternating', 'dual-slot', 'retain-old', 'restart-hook', 'broker-only', 'by-hand')),
  constraint two_take_turns check ((strategy = 'alternating') = (alternate is not null)),
  constraint hook_is_signed check ((strategy = 'restart-hook') = (hook_url is not null) and (hook_url is null) = (sealed_key is null)),
  constraint hand_knows_what_to_do check ((strategy = 'by-hand') = (instructions is not null) and (instructions is null) = (owner_team is null)
    and (instructions is null) = (deadline_days is null)),
  constraint soak_is_bounded check (soak_seconds between 0 and 2592000)
);
comment on table rotation_way is 'A row says how the login of an account gets another secret; without one it is cut over.';
comment on column rotation_way.sealed_key is 'What calls of the hook and their answers are signed with.';
create index rotation_way_cause on rotation_way (cause);
select hold_cause('rotation_way');

create table rotation_campaign (
  id             uuid primary key,
  started_by_id  uuid not null constraint started_by_fkey references identity,
  reason         text not null,
  ends_sessions  boolean not null,
  per_target     smallint not null,
  most_failures  smallint not null,
  state          text not null,
  started_at     timestamptz not null,
  over_at        timestamptz,
  cause          bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('running', 'stopped', 'over')),
  constraint over_says_when check ((state = 'over') = (over_at is not null)),
  constraint pace_is_bounded check (per_target between 1 and 50 and most_failures between 0 and 1000)
);
comment on table rotation_campaign is 'A row is one order to rotate many logins. It stops by itself when more fail than it may.';
create index rotation_campaign_started_by on rotation_campaign (started_by_id);
create index rotation_campaign_running on rotation_campaign (id) where state = 'running';
create index rotation_campaign_cause on rotation_campaign (cause);
select hold_cause('rotation_campaign');

alter table rotation
  add column strategy text not null default 'cut-over',
  add column occasion text not null default 'person',
  add column next_principal text,
  add column soak_seconds integer not null default 0,
  add column soak_before timestamptz,
  add column distributed_at timestamptz,
  add column disabled_at timestamptz,
  add column revoked_at timestamptz,
  add column state_at timestamptz not null default now(),
  add column waits_for text,
  add column told_at timestamptz,
  add column deadline_at timestamptz,
  add column alarmed_at timestamptz,
  add column campaign_id uuid constraint campaign_fkey references rotation_campaign;
alter table rotation alter column state_at drop default;
create index rotation_campaign_id on rotation (campaign_id);
comment on column rotation.occasion is 'Why now: a person, the schedule, its age, a leak, who knew it left, break-glass was used, or one of many.';
comment on column rotation.next_principal is 'The login that the new secret is of, where that is another one than the old.';
comment on column rotation.state_at is 'When it came to this state.';
comment on column rotation.waits_for is 'What it waits for, in a sentence; null while nothing keeps it.';
comment on column rotation.told_at is 'When the hook of its consumers answered: it is known to them, which is not that they took it up.';
comment on column rotation.alarmed_at is 'When it was said that secrets are issued again and again and nobody takes them up.';

alter table rotation
  drop constraint state_is_known, drop constraint open_is_retried, drop constraint over_says_when,
  drop constraint open_knows_the_next_secret, drop constraint adopted_knows_the_previous_secret, drop constraint over_keeps_no_secret,
  add constraint state_is_known check (state in ('planned', 'issued', 'verified', 'distributed', 'adopted', 'disabled', 'soaking', 'revoked', 'dead',
    'superseded', 'aborting', 'aborted')),
  add constraint strategy_is_known check (strategy in ('cut-over', 'alternating', 'dual-slot', 'retain-old', 'restart-hook', 'broker-only', 'by-hand')),
  add constraint occasion_is_known check (occasion in ('person', 'schedule', 'age', 'leak', 'owner-left', 'break-glass', 'campaign')),
  add constraint open_is_retried check ((state in ('dead', 'superseded', 'aborted')) = (next_try_at is null)),
  add constraint over_says_when check ((state in ('dead', 'superseded', 'aborted')) = (over_at is not null)),
  add constraint open_knows_the_next_secret check (
    state in ('planned', 'aborting', 'dead', 'superseded', 'aborted') or sealed_next is not null),
  add constraint distributed_knows_the_previous_secret check (
    (state in ('distributed', 'adopted', 'disabled', 'soaking', 'revoked')) = (sealed_previous is not null)),
  add constraint over_keeps_no_secret check (state not in ('dead', 'superseded', 'aborted') or sealed_next is null),
  add constraint soaking_says_until_when check (state <> 'soaking' or soak_before is not null);

create or replace function rotation_moves_legally() returns trigger language plpgsql as $$
begin
  if old.over_at is not null
     or (new.id, new.target_id, new.account_id, new.principal, new.started_by_id, new.was_sha256, new.strategy, new.occasion, new.campaign_id)
        is distinct from
        (old.id, old.target_id, old.account_id, old.principal, old.started_by_id, old.was_sha256, old.strategy, old.occasion, old.campaign_id)
     or (old.ends_sessions and not new.ends_sessions)
     or (old.state <> new.state and (old.state, new.state) not in (
          ('planned', 'issued'), ('issued', 'verified'), ('verified', 'distributed'), ('distributed', 'adopted'), ('adopted', 'disabled'),
          ('disabled', 'soaking'), ('soaking', 'revoked'), ('revoked', 'dead'),
          -- The target came back from a backup and knows the old secret again.
          ('issued', 'planned'), ('verified', 'planned'),
          -- The way back, as long as the old one lives; and it turns out that it does not.
          ('planned', 'aborting'), ('issued', 'aborting'), ('verified', 'aborting'), ('distributed', 'aborting'), ('adopted', 'aborting'),
          ('aborting', 'aborted'), ('aborting', 'issued'),
          ('planned', 'superseded'), ('issued', 'superseded'), ('verified', 'superseded'),
          -- The target knows a later one than this record does.
          ('distributed', 'superseded'), ('adopted', 'superseded'), ('disabled', 'superseded'), ('soaking', 'superseded'),
          ('revoked', 'superseded'), ('aborting', 'superseded')))
     or (old.sealed_next is distinct from new.sealed_next and old.state <> 'planned' and new.over_at is null)
     or (old.next_principal is distinct from new.next_principal and old.state <> 'planned') then
    raise exception 'a rotation does not go from % to %', old.state, new.state using errcode = 'RV022';
  end if;
  return new;
end $$;

create table rotation_task (
  campaign_id uuid not null constraint campaign_fkey references rotation_campaign,
  place       integer not null,
  target_id   uuid not null constraint target_fkey references target,
  account_id  uuid constraint account_fkey references account,
  rotation_id uuid constraint rotation_fkey references rotation,
  refusal     text,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint rotation_task_pkey primary key (campaign_id, place)
);
comment on table rotation_task is 'A row is one login of a campaign, in the order in which they are rotated: what reaches most comes first.';
comment on column rotation_task.refusal is 'Why it cannot be rotated, in a sentence.';
create index rotation_task_target on rotation_task (target_id);
create index rotation_task_account on rotation_task (account_id);
create index rotation_task_rotation on rotation_task (rotation_id);
create index rotation_task_cause on rotation_task (cause);
select hold_cause('rotation_task');

create table credential_consumer (
  id               uuid primary key,
  account_id       uuid not null constraint account_fkey references account,
  name             text not null,
  origin           text not null,
  application_name text,
  address          text,
  owner_team       text,
  seen_at          timestamptz,
  seen_on          uuid constraint seen_on_fkey references rotation,
  reference_id     uuid,
  source           text,
  location         text,
  read_at          timestamptz,
  withdrawn_at     timestamptz,
  cause            bigint not null constraint cause_fkey references ledger_entry,
  constraint origin_is_known check (origin in ('declared', 'seen', 'gateway', 'reference')),
  constraint reference_says_where check ((origin = 'reference') = (num_nulls(reference_id, source, location, read_at) = 0)),
  constraint declared_has_an_owner check ((origin = 'declared') = (owner_team is not null))
);
comment on table credential_consumer is 'A row is one that uses an account: by a copy of its secret (declared, seen at the target, or read by a connector where it is kept), or through the gateway.';
comment on column credential_consumer.application_name is 'What it calls itself at the target. It chooses that itself, so it never speaks for another one.';
comment on column credential_consumer.seen_on is 'The rotation whose new secret it was seen with last.';
comment on column credential_consumer.reference_id is 'The place in the inventory that keeps the secret; a row outlives what it was read from.';
create unique index consumer_name_is_unique on credential_consumer (account_id, name) where withdrawn_at is null;
create index credential_consumer_account on credential_consumer (account_id);
create index credential_consumer_seen_on on credential_consumer (seen_on);
create index credential_consumer_cause on credential_consumer (cause);
select hold_cause('credential_consumer');

create table local_secret (
  id          uuid primary key,
  account_id  uuid not null constraint account_fkey references account,
  identity_id uuid not null constraint identity_fkey references identity,
  sha256      bytea not null constraint local_secret_is_unique unique,
  address     text not null,
  created_at  timestamptz not null,
  revoked_at  timestamptz,
  cause       bigint not null constraint cause_fkey references ledger_entry
);
comment on table local_secret is 'A row is the fixed secret by which an application that cannot reload proves itself to a gateway, from one address, under whatever grant it has then.';
create index local_secret_account on local_secret (account_id);
create index local_secret_identity on local_secret (identity_id);
create index local_secret_cause on local_secret (cause);
select hold_cause('local_secret');
