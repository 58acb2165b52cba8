-- The token service: keys it signs with, the rules by which it believes others, and what its tokens are bound to.

create table signing_key (
  id          uuid primary key,
  kid         text not null constraint kid_is_unique unique,
  algorithm   text not null,
  public_jwk  jsonb not null,
  sealed_key  bytea,
  state       text not null,
  created_at  timestamptz not null,
  signs_at    timestamptz,
  retires_at  timestamptz,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint algorithm_is_known check (algorithm in ('ES256', 'EdDSA')),
  constraint state_is_known check (state in ('next', 'current', 'previous', 'retired')),
  constraint only_a_retired_key_is_gone check ((sealed_key is null) = (state in ('previous', 'retired'))),
  constraint current_says_since_when check (state = 'next' or signs_at is not null),
  constraint previous_says_until_when check (state in ('next', 'current') or retires_at is not null)
);
comment on table signing_key is 'A row is a key that access tokens are signed with. It is published before it signs and until its last token has expired.';
comment on column signing_key.sealed_key is 'PKCS #8, or the name of a key that is held elsewhere, sealed for this row; destroyed when the key stops signing.';
create unique index signing_key_next on signing_key (state) where state = 'next';
create unique index signing_key_current on signing_key (state) where state = 'current';
create index signing_key_cause on signing_key (cause);
select hold_cause('signing_key');

create table trust_rule (
  id           uuid primary key,
  name         text not null constraint trust_rule_name_is_unique unique,
  identity_id  uuid not null constraint identity_fkey references identity,
  preset       text not null,
  issuer       text not null,
  audience     text not null,
  subject      jsonb not null,
  claims       jsonb not null,
  keys_url     text,
  keys         jsonb,
  notify_url   text,
  review       jsonb,
  sealed_reviewer bytea,
  is_bound     boolean not null,
  ttl_seconds  integer not null,
  state        text not null default 'active',
  created_by   uuid not null constraint created_by_fkey references identity,
  created_at   timestamptz not null,
  version      integer not null default 1,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint preset_is_known check (preset in ('oidc', 'github-actions', 'gitlab-ci', 'kubernetes', 'buildkite', 'circleci', 'client-key', 'spiffe', 'id-jag')),
  constraint state_is_known check (state in ('active', 'retired')),
  constraint ttl_is_short check (ttl_seconds between 60 and 3600),
  constraint keys_come_from_one_place check (keys is null or keys_url is null),
  constraint a_client_has_keys check (preset <> 'client-key' or keys is not null),
  constraint only_clients_are_told check (preset = 'client-key' or notify_url is null),
  constraint reviewer_belongs_to_a_review check (review is not null or sealed_reviewer is null)
);
comment on table trust_rule is 'A row lets what one issuer says of one subject prove one registered identity.';
comment on column trust_rule.subject is 'Exactly, or how the `sub` begins. Of id-jag: the `client_id`, which is the name of the identity.';
comment on column trust_rule.claims is 'Further claims that must be there, each exactly or by its beginning.';
comment on column trust_rule.keys is 'The keys themselves (RFC 7517), of a client or of an issuer that cannot be asked.';
comment on column trust_rule.notify_url is 'Where a client is told that a person answered it (OpenID Connect CIBA §10.2).';
comment on column trust_rule.review is 'Of Kubernetes: where a token is held up for review as well.';
comment on column trust_rule.sealed_reviewer is 'The token that may ask for reviews, sealed for this row.';
comment on column trust_rule.is_bound is 'Whether tokens under it are bound to a key; those of tiers 0 and 1 always are.';
create index trust_rule_identity on trust_rule (identity_id);
create index trust_rule_created_by on trust_rule (created_by);
create index trust_rule_issuer on trust_rule (issuer) where state = 'active';
create index trust_rule_cause on trust_rule (cause);
select hold_cause('trust_rule');
-- Which rules there are is remembered by issuer, and a new one changes that.
create trigger trust_rule_is_hinted after insert or update on trust_rule for each statement
  execute function hint_record_kind('trust-rules');

create table issuer_keys (
  url         text primary key,
  issuer      text not null,
  keys_sha256 bytea not null,
  kids        text[] not null,
  seen_at     timestamptz not null,
  cause       bigint not null constraint cause_fkey references ledger_entry
);
comment on table issuer_keys is 'A row is the set of keys that an issuer was last seen with: a change of it is an entry.';
create index issuer_keys_cause on issuer_keys (cause);
select hold_cause('issuer_keys');

create table used_proof (
  proof_sha256 bytea primary key,
  expires_at   timestamptz not null
);
comment on table used_proof is 'A row is a proof that was shown (the jti of an assertion or of a DPoP proof), so that no node takes it again. Removed when it has expired.';
create index used_proof_expires on used_proof (expires_at);

alter table api_token
  add column dpop_key_sha256 bytea,
  add column proof text,
  add column audience text,
  add column details jsonb,
  add column trust_rule_id uuid constraint trust_rule_fkey references trust_rule,
  add column on_behalf_of_id uuid constraint on_behalf_of_fkey references identity,
  add column actor_ids uuid[] not null default '{}',
  add column parent_id uuid constraint parent_fkey references api_token,
  add constraint one_key_at_most check (key_sha256 is null or dpop_key_sha256 is null),
  add constraint proof_is_known check (proof in ('token', 'bound-token', 'mtls', 'spiffe', 'kubernetes', 'oidc', 'dpop', 'passkey')),
  add constraint strong_proof_is_bound check (proof is null or proof = 'token' or key_sha256 is not null or dpop_key_sha256 is not null);
comment on column api_token.dpop_key_sha256 is 'RFC 7638 thumbprint of the key it is bound to by DPoP (RFC 9449 §6).';
comment on column api_token.proof is 'Of a token of the token service: how its holder proved itself, in the words of the policies.';
comment on column api_token.audience is 'Where it is good, when that is not this API alone (RFC 8707).';
comment on column api_token.details is 'What it is narrowed to (RFC 9396).';
comment on column api_token.actor_ids is 'Who acted before in a chain of delegations, the last one first.';
comment on column api_token.parent_id is 'The token it was exchanged for, and ends with.';
create index api_token_trust_rule on api_token (trust_rule_id);
create index api_token_on_behalf_of on api_token (on_behalf_of_id);
create index api_token_parent on api_token (parent_id);
