-- Machines that run `reeve agent`, the workloads on them, and trust domains of others.

create table machine_invitation (
  id            uuid primary key,
  identity_id   uuid not null constraint identity_fkey references identity,
  method        text not null,
  secret_sha256 bytea,
  target_id     uuid constraint target_fkey references target,
  created_at    timestamptz not null,
  expires_at    timestamptz,
  ended_at      timestamptz,
  cause         bigint not null constraint cause_fkey references ledger_entry,
  constraint method_is_known check (method in ('token', 'host-key')),
  constraint a_token_is_short check ((method = 'token') = (secret_sha256 is not null and expires_at is not null)),
  constraint a_host_key_is_pinned check ((method = 'host-key') = (target_id is not null))
);
comment on table machine_invitation is 'A row lets one machine join: once by a token, or by the host key that a target pins for as long as the row is open.';
create unique index machine_invitation_open on machine_invitation (identity_id) where ended_at is null;
create index machine_invitation_identity on machine_invitation (identity_id);
create index machine_invitation_secret on machine_invitation (secret_sha256);
create index machine_invitation_target on machine_invitation (target_id);
create index machine_invitation_cause on machine_invitation (cause);
select hold_cause('machine_invitation');

create table machine_attestation (
  id            uuid primary key,
  identity_id   uuid not null constraint identity_fkey references identity,
  invitation_id uuid not null constraint invitation_fkey references machine_invitation,
  method        text not null,
  host_key      text,
  boot_id       uuid not null,
  key_sha256    bytea not null,
  token_id      uuid not null constraint token_fkey references api_token,
  previous_token_id uuid constraint previous_token_fkey references api_token,
  joined_at     timestamptz not null,
  renewed_at    timestamptz not null,
  expires_at    timestamptz not null,
  ended_at      timestamptz,
  end_reason    text,
  cause         bigint not null constraint cause_fkey references ledger_entry,
  constraint method_is_known check (method in ('token', 'host-key')),
  constraint a_host_key_was_shown check (method = 'token' or host_key is not null),
  constraint an_end_has_a_reason check ((ended_at is null) = (end_reason is null))
);
comment on table machine_attestation is 'A row is what one machine proved when its agent joined, and by which token it speaks now. Every renewal proves the same again.';
comment on column machine_attestation.host_key is 'The SSH host key it showed, as a line of a .pub file; shown again at every renewal.';
comment on column machine_attestation.previous_token_id is 'Good until the one after it is used: an agent that never got the answer to a renewal asks again with it.';
create unique index machine_attestation_live on machine_attestation (identity_id) where ended_at is null;
create index machine_attestation_identity on machine_attestation (identity_id);
create index machine_attestation_invitation on machine_attestation (invitation_id);
create index machine_attestation_token on machine_attestation (token_id);
create index machine_attestation_previous_token on machine_attestation (previous_token_id);
create index machine_attestation_cause on machine_attestation (cause);
select hold_cause('machine_attestation');

create table placement (
  id          uuid primary key,
  machine_id  uuid not null constraint machine_fkey references identity,
  identity_id uuid not null constraint identity_fkey references identity,
  selectors   text[] not null,
  hint        text,
  created_by  uuid not null constraint created_by_fkey references identity,
  created_at  timestamptz not null,
  ended_at    timestamptz,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint somebody_is_selected check (cardinality(selectors) between 1 and 16),
  constraint a_workload_is_not_its_machine check (machine_id <> identity_id)
);
comment on table placement is 'A row lets the agent of one machine vouch for one identity, to processes that all of the selectors fit.';
create index placement_machine on placement (machine_id);
create index placement_identity on placement (identity_id);
create index placement_created_by on placement (created_by);
create index placement_cause on placement (cause);
select hold_cause('placement');

create table foreign_domain (
  name         text primary key,
  bundle_url   text not null,
  profile      text not null,
  endpoint_id  text,
  bundle       text,
  sequence     bigint,
  refresh_seconds integer not null,
  bundled_at   timestamptz,
  created_at   timestamptz not null,
  ended_at     timestamptz,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint profile_is_known check (profile in ('https_web', 'https_spiffe')),
  constraint https_spiffe_names_its_endpoint check ((profile = 'https_spiffe') = (endpoint_id is not null)),
  constraint https_spiffe_begins_with_a_bundle check (profile = 'https_web' or bundle is not null)
);
comment on table foreign_domain is 'A row is a trust domain of others whose identities are believed, with the bundle that verifies them: the last good one.';
comment on column foreign_domain.bundle is 'JWK set (SPIFFE Trust Domain and Bundle §4), as it was fetched.';
create index foreign_domain_cause on foreign_domain (cause);
select hold_cause('foreign_domain');

create table foreign_domain_poll (
  name        text primary key constraint foreign_domain_fkey references foreign_domain,
  asked_at    timestamptz,
  fetched_at  timestamptz,
  next_at     timestamptz not null,
  failure     text
);
comment on table foreign_domain_poll is 'A row says when the bundle of a trust domain was last asked for, and what came of it.';
