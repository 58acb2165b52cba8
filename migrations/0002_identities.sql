-- The shared record: everything that acts, who answers for it, and how it proves itself to the API.

create table identity (
  id                uuid primary key,
  kind              text not null,
  name              text not null constraint identity_name_is_unique unique,
  display_name      text,
  profile           text not null,
  purpose           text,
  business_service  text,
  environment       text not null,
  tier              smallint not null,
  owner_team        text,
  owner_id          uuid constraint owner_fkey references identity,
  owner_state       text not null default 'none',
  owner_evidence    text,
  owner_proposed_by uuid constraint owner_proposed_by_fkey references identity,
  sponsor_id        uuid constraint sponsor_fkey references identity,
  state             text not null,
  is_founder        boolean not null default false,
  review_by         timestamptz,
  expires_at        timestamptz,
  created_at        timestamptz not null,
  version           integer not null default 1,
  cause             bigint not null constraint cause_fkey references ledger_entry,
  search            tsvector generated always as (
    to_tsvector('simple', name || ' ' || coalesce(display_name, '') || ' ' || coalesce(purpose, '') || ' ' ||
      coalesce(business_service, '') || ' ' || coalesce(owner_team, '') || ' ' || translate(name, '-._', '   '))
  ) stored,
  constraint kind_is_known check (kind in ('human', 'machine', 'workload', 'agent')),
  constraint profile_is_known check (profile in ('person', 'service', 'pipeline', 'integration', 'device', 'agent', 'break-glass', 'remediation-bot')),
  constraint environment_is_known check (environment in ('production', 'staging', 'test', 'development')),
  constraint state_is_known check (state in ('discovered', 'registered', 'active', 'suspended', 'retired')),
  constraint owner_state_is_known check (owner_state in ('none', 'suggested', 'attested', 'lost')),
  constraint tier_is_known check (tier between 0 and 3),
  constraint owner_state_says_who check (
    (owner_state = 'none' and owner_id is null) or (owner_state = 'lost') or (owner_state in ('suggested', 'attested') and owner_id is not null)),
  constraint agent_has_sponsor check (kind <> 'agent' or state = 'discovered' or sponsor_id is not null),
  constraint person_profile_is_human check ((profile in ('person', 'break-glass')) = (kind = 'human')),
  constraint founder_is_human check (not is_founder or kind = 'human'),
  constraint nobody_owns_itself check (owner_id is distinct from id or kind = 'human')
);
comment on table identity is 'A row is one thing that acts: a human, machine, workload or agent, with the person and team who answer for it.';
create unique index identity_founder on identity (is_founder) where is_founder;
create index identity_owner on identity (owner_id);
create index identity_owner_proposed_by on identity (owner_proposed_by);
create index identity_sponsor on identity (sponsor_id);
create index identity_cause on identity (cause);
create index identity_search on identity using gin (search);
select hold_cause('identity');

create function identity_moves_legally() returns trigger language plpgsql as $$
begin
  if new.state <> old.state and (old.state, new.state) not in (
    ('discovered', 'registered'), ('discovered', 'retired'),
    ('registered', 'active'), ('registered', 'retired'),
    ('active', 'suspended'), ('active', 'retired'),
    ('suspended', 'active'), ('suspended', 'retired')) then
    raise exception 'an identity does not go from % to %', old.state, new.state using errcode = 'RV003';
  end if;
  if new.id <> old.id or new.kind <> old.kind or new.is_founder <> old.is_founder then
    raise exception 'id, kind and founder of an identity do not change' using errcode = 'RV003';
  end if;
  return new;
end $$;
create trigger identity_moves_legally before update on identity for each row execute function identity_moves_legally();

create table enrolment (
  id            uuid primary key,
  identity_id   uuid constraint identity_fkey references identity,
  secret_sha256 bytea not null constraint enrolment_secret_is_unique unique,
  created_at    timestamptz not null,
  expires_at    timestamptz not null,
  used_at       timestamptz,
  needs_key     boolean not null default false,
  cause         bigint not null constraint cause_fkey references ledger_entry,
  constraint ends_after_start check (expires_at > created_at)
);
comment on table enrolment is 'A row is a one-time link by which an identity gets its first token. Without an identity it makes the founder.';
comment on column enrolment.needs_key is 'Whether its token must be bound to a key: who made it for themselves had one that is.';
create index enrolment_identity on enrolment (identity_id);
create index enrolment_cause on enrolment (cause);
select hold_cause('enrolment');

create table api_token (
  id           uuid primary key,
  identity_id  uuid not null constraint identity_fkey references identity,
  label        text not null,
  token_sha256 bytea not null constraint token_is_unique unique,
  key_sha256   bytea,
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  revoked_at   timestamptz,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint ends_after_start check (expires_at > created_at)
);
comment on column api_token.key_sha256 is 'Of the public key it is bound to: it proves nothing without a TLS handshake by that key (RFC 8705 §3).';
comment on table api_token is 'A row is an opaque bearer token, kept as its hash, that proves an identity to the API until it expires.';
create index api_token_identity on api_token (identity_id);
create index api_token_cause on api_token (cause);
select hold_cause('api_token');
