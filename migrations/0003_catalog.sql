-- What can be reached, as whom, what is privileged there, and for which approved purposes.

create table privileged_action (
  name        text primary key,
  protocol    text not null,
  class       text not null,
  tier        smallint not null,
  summary     text not null,
  obligations jsonb not null,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint class_is_known check (class in ('read', 'change', 'admin')),
  constraint tier_is_known check (tier between 0 and 3)
);
comment on table privileged_action is 'A row is an entry of the catalog of privileged actions. Its obligations are a floor that no policy lowers.';
create index privileged_action_cause on privileged_action (cause);
select hold_cause('privileged_action');

create table target (
  id                 uuid primary key,
  name               text not null constraint target_name_is_unique unique,
  protocol           text not null,
  environment        text not null,
  sensitivity        smallint not null,
  business_service   text,
  owner_team         text not null,
  settings           jsonb not null,
  sealed_provisioner bytea,
  on_control_loss    text not null default 'end',
  on_recorder_loss   text not null default 'end',
  state              text not null default 'active',
  created_at         timestamptz not null,
  version            integer not null default 1,
  cause              bigint not null constraint cause_fkey references ledger_entry,
  constraint environment_is_known check (environment in ('production', 'staging', 'test', 'development')),
  constraint sensitivity_is_known check (sensitivity between 0 and 3),
  constraint control_loss_is_known check (on_control_loss in ('end', 'continue')),
  constraint recorder_loss_is_known check (on_recorder_loss in ('end', 'continue')),
  constraint nothing_continues_at_tier_0 check (sensitivity > 0 or (on_control_loss = 'end' and on_recorder_loss = 'end')),
  constraint state_is_known check (state in ('active', 'retired'))
);
comment on table target is 'A row is a system that can be reached through a gateway.';
comment on column target.sensitivity is 'As a tier: 0 is the most sensitive.';
comment on column target.settings is 'Address, TLS mode and the like; the schema is the protocol''s.';
comment on column target.sealed_provisioner is 'The login by which leases are made and ended, sealed for this row.';
create index target_cause on target (cause);
select hold_cause('target');

create table account (
  id                uuid primary key,
  target_id         uuid not null constraint target_fkey references target,
  name              text not null,
  identity_id       uuid constraint identity_fkey references identity,
  mode              text not null,
  databases         text[] not null default '{}',
  tier              smallint not null,
  sealed_credential bytea,
  attributes        jsonb not null default '{}',
  state             text not null default 'active',
  seen_at           timestamptz,
  version           integer not null default 1,
  cause             bigint not null constraint cause_fkey references ledger_entry,
  constraint account_name_is_unique_per_target unique (target_id, name),
  constraint mode_is_known check (mode in ('lease', 'static', 'seen')),
  constraint static_has_a_credential check (mode <> 'static' or sealed_credential is not null),
  constraint tier_is_known check (tier between 0 and 3),
  constraint state_is_known check (state in ('active', 'retired'))
);
comment on table account is 'A row is a principal inside a target: one to act as (lease, static), or one that stands there (seen).';
comment on column account.attributes is 'What was read at the target: rights, memberships, password expiry.';
comment on column account.identity_id is 'Who claims it; an account nobody claims is a finding.';
create index account_identity on account (identity_id);
create index account_cause on account (cause);
select hold_cause('account');

create table account_role (
  account_id uuid not null constraint account_fkey references account,
  action     text not null constraint action_fkey references privileged_action,
  role       text not null,
  cause      bigint not null constraint cause_fkey references ledger_entry,
  constraint account_role_pkey primary key (account_id, action)
);
comment on table account_role is 'A row maps an action on an account to the group role at the target that bounds it (core 19).';
create index account_role_action on account_role (action);
create index account_role_cause on account_role (cause);
select hold_cause('account_role');

create table purpose (
  id          uuid primary key,
  name        text not null constraint purpose_name_is_unique unique,
  statement   text not null,
  owner_team  text not null,
  actions     text[] not null,
  state       text not null,
  proposed_by uuid not null constraint proposed_by_fkey references identity,
  approved_by uuid constraint approved_by_fkey references identity,
  created_at  timestamptz not null,
  expires_at  timestamptz not null,
  version     integer not null default 1,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('proposed', 'approved', 'ended')),
  constraint approved_says_by_whom check (state = 'proposed' or state = 'ended' or approved_by is not null),
  constraint nobody_approves_their_own check (approved_by is distinct from proposed_by),
  constraint names_actions check (cardinality(actions) > 0),
  constraint ends_after_start check (expires_at > created_at)
);
comment on table purpose is 'A row is a registered reason to act: which actions on which targets, until when.';
create index purpose_proposed_by on purpose (proposed_by);
create index purpose_approved_by on purpose (approved_by);
create index purpose_cause on purpose (cause);
select hold_cause('purpose');

create table purpose_target (
  purpose_id uuid not null constraint purpose_fkey references purpose,
  target_id  uuid not null constraint target_fkey references target,
  cause      bigint not null constraint cause_fkey references ledger_entry,
  constraint purpose_target_pkey primary key (purpose_id, target_id)
);
comment on table purpose_target is 'A row lets a purpose reach a target.';
create index purpose_target_target on purpose_target (target_id);
create index purpose_target_cause on purpose_target (cause);
select hold_cause('purpose_target');
