-- Versions of the policies as data, and which of them decides.

create table policy_version (
  id          uuid primary key,
  sha256      bytea not null,
  files       jsonb not null,
  origin      text not null,
  note        text,
  proposed_by uuid constraint proposed_by_fkey references identity,
  created_at  timestamptz not null,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint origin_is_known check (origin in ('shipped', 'proposed')),
  constraint proposed_by_somebody check ((origin = 'proposed') = (proposed_by is not null))
);
comment on table policy_version is 'A row is one version of the policies, whole and never changed: the text of each file, as it was found valid.';
comment on column policy_version.sha256 is 'Hash of the set that was made of it, with the schema of the release that made it.';
comment on column policy_version.origin is 'shipped: came with a release; proposed: by an identity.';
create index policy_version_proposed_by on policy_version (proposed_by);
create index policy_version_cause on policy_version (cause);
select hold_cause('policy_version');

create table policy_activation (
  seq          bigint primary key,
  version_id   uuid not null constraint version_fkey references policy_version,
  back_to      bigint constraint back_to_fkey references policy_activation,
  activated_by uuid constraint activated_by_fkey references identity,
  activated_at timestamptz not null,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint is_counted check (seq > 0),
  constraint goes_back_in_time check (back_to < seq)
);
comment on table policy_activation is 'A row says which version of the policies decides from then on; the one with the highest number holds.';
comment on column policy_activation.seq is 'One more than the one before: of two that would follow the same one, the database takes one.';
comment on column policy_activation.back_to is 'The activation that a way back leads to; null where there is none.';
create index policy_activation_version on policy_activation (version_id);
create index policy_activation_back_to on policy_activation (back_to);
create index policy_activation_activated_by on policy_activation (activated_by);
create index policy_activation_cause on policy_activation (cause);
select hold_cause('policy_activation');
