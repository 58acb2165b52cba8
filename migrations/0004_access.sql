-- Requests, approvals, grants: the grant row is the only authority (rule 1).

create table access_request (
  id                uuid primary key,
  requester_id      uuid not null constraint requester_fkey references identity,
  subject_id        uuid not null constraint subject_fkey references identity,
  on_behalf_of_id   uuid constraint on_behalf_of_fkey references identity,
  triggered_by_id   uuid constraint triggered_by_fkey references identity,
  proof             text not null,
  target_id         uuid not null constraint target_fkey references target,
  account_id        uuid not null constraint account_fkey references account,
  actions           text[] not null,
  parser_enforced   text[] not null,
  purpose_id        uuid not null constraint purpose_fkey references purpose,
  ticket            text,
  task              text,
  reason            text,
  asked_ttl_seconds integer not null,
  ttl_seconds       integer not null,
  uses              integer,
  connections       integer not null,
  is_kept_alive     boolean not null,
  obligations       jsonb not null,
  policies          jsonb not null,
  policy_version    text not null,
  approver_teams    text[] not null,
  bound_sha256      bytea not null,
  state             text not null,
  refusal           text,
  created_at        timestamptz not null,
  expires_at        timestamptz not null,
  decided_at        timestamptz,
  version           integer not null default 1,
  cause             bigint not null constraint cause_fkey references ledger_entry,
  constraint proof_is_known check (proof in ('token', 'bound-token', 'mtls', 'spiffe', 'kubernetes', 'oidc', 'dpop', 'passkey')),
  constraint state_is_known check (state in ('pending', 'granted', 'denied', 'expired', 'withdrawn', 'void')),
  constraint names_actions check (cardinality(actions) > 0),
  constraint ttl_is_bounded check (ttl_seconds between 1 and 2592000),
  constraint ttl_is_no_more_than_asked check (ttl_seconds <= asked_ttl_seconds),
  constraint uses_are_bounded check (uses between 1 and 1000000),
  constraint connections_are_bounded check (connections between 1 and 10000),
  constraint ends_after_start check (expires_at > created_at),
  constraint pending_is_undecided check ((state = 'pending') = (decided_at is null))
);
comment on table access_request is 'A row asks for actions on an account of a target, for a purpose, and keeps what was decided about it.';
comment on column access_request.bound_sha256 is 'Hash of all that will be granted and of the policies that decided (rule 8); an approval names it.';
comment on column access_request.proof is 'How the subject proved itself when it asked, in the words of the policies; decided again with it.';
comment on column access_request.approver_teams is 'The teams its obligations name: whose inbox it is in.';
comment on column access_request.parser_enforced is 'The actions that no narrower role at the target bounds (core 19).';
comment on column access_request.ttl_seconds is 'What is given of asked_ttl_seconds: the policies may allow less.';
comment on column access_request.uses is 'How many admissions the grant will carry; null is as many as its time allows.';
create index access_request_requester on access_request (requester_id);
create index access_request_subject on access_request (subject_id);
create index access_request_on_behalf_of on access_request (on_behalf_of_id);
create index access_request_triggered_by on access_request (triggered_by_id);
create index access_request_target on access_request (target_id);
create index access_request_account on access_request (account_id);
create index access_request_purpose on access_request (purpose_id);
create index access_request_cause on access_request (cause);
create index access_request_inbox on access_request using gin (approver_teams) where state = 'pending';
create index access_request_pending on access_request (expires_at) where state = 'pending';
select hold_cause('access_request');

-- Rule 8: what was bound stays as it was shown, and a request is decided once.
create function request_is_decided_once() returns trigger language plpgsql as $$
begin
  if old.state <> 'pending' then
    raise exception 'a request that is decided does not change' using errcode = 'RV006';
  end if;
  if (new.requester_id, new.subject_id, new.on_behalf_of_id, new.triggered_by_id, new.proof, new.target_id, new.account_id, new.actions,
      new.purpose_id, new.ticket, new.task, new.reason, new.asked_ttl_seconds, new.ttl_seconds, new.uses, new.connections, new.is_kept_alive, new.obligations,
      new.policies, new.approver_teams, new.bound_sha256)
     is distinct from
     (old.requester_id, old.subject_id, old.on_behalf_of_id, old.triggered_by_id, old.proof, old.target_id, old.account_id, old.actions,
      old.purpose_id, old.ticket, old.task, old.reason, old.asked_ttl_seconds, old.ttl_seconds, old.uses, old.connections, old.is_kept_alive, old.obligations,
      old.policies, old.approver_teams, old.bound_sha256) then
    raise exception 'what a request asks for does not change' using errcode = 'RV006';
  end if;
  return new;
end $$;
create trigger request_is_decided_once before update on access_request for each row execute function request_is_decided_once();

create table request_approval (
  request_id   uuid not null constraint request_fkey references access_request,
  approver_id  uuid not null constraint approver_fkey references identity,
  verdict      text not null,
  bound_sha256 bytea not null,
  comment      text,
  at           timestamptz not null,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint request_approval_pkey primary key (request_id, approver_id),
  constraint verdict_is_known check (verdict in ('approve', 'deny'))
);
comment on table request_approval is 'A row is what one distinct person said about exactly what was shown to them.';
create index request_approval_approver on request_approval (approver_id);
create index request_approval_cause on request_approval (cause);
select hold_cause('request_approval');

-- Core 6, the part a row can see: code also knows owners, sponsors and further identities.
create function approver_is_another() returns trigger language plpgsql as $$
begin
  if exists (select from public.access_request r where r.id = new.request_id
             and new.approver_id in (r.requester_id, r.subject_id, r.on_behalf_of_id, r.triggered_by_id)) then
    raise exception 'nobody decides on their own request' using errcode = 'RV007';
  end if;
  return new;
end $$;
create trigger approver_is_another before insert or update on request_approval for each row execute function approver_is_another();

create table access_grant (
  id              uuid primary key,
  request_id      uuid not null constraint request_is_granted_once unique constraint request_fkey references access_request,
  subject_id      uuid not null constraint subject_fkey references identity,
  on_behalf_of_id uuid constraint on_behalf_of_fkey references identity,
  target_id       uuid not null constraint target_fkey references target,
  account_id      uuid not null constraint account_fkey references account,
  actions         text[] not null,
  parser_enforced text[] not null,
  purpose_id      uuid not null constraint purpose_fkey references purpose,
  ticket          text,
  task            text,
  recording       text not null,
  max_uses        integer,
  uses            integer not null default 0,
  max_connections integer not null,
  is_kept_alive   boolean not null,
  starts_at       timestamptz not null,
  expires_at      timestamptz not null,
  ended_at        timestamptz,
  end_reason      text,
  end_comment     text,
  ended_by_id     uuid constraint ended_by_fkey references identity,
  policy_version  text not null,
  version         integer not null default 1,
  cause           bigint not null constraint cause_fkey references ledger_entry,
  constraint ends_after_start check (expires_at > starts_at),
  constraint uses_stay_within check (uses >= 0 and (max_uses is null or uses <= max_uses)),
  constraint end_says_why check ((ended_at is null) = (end_reason is null)),
  constraint comment_is_of_an_end check (ended_at is not null or end_comment is null),
  constraint end_reason_is_known check (end_reason in
    ('done', 'expired', 'revoked', 'identity-suspended', 'identity-retired', 'owner-lost', 'heartbeat-missed', 'used-up', 'purpose-ended', 'policy-changed', 'risk-rose', 'signal-received', 'target-retired', 'account-retired')),
  constraint recording_is_known check (recording in ('none', 'meta', 'full'))
);
comment on table access_grant is 'A row is one decision to let one identity act on one account of one target until an instant. It is the only authority.';
comment on column access_grant.end_comment is 'What who ended it said about it; the client whose session it cuts is told.';
create index access_grant_subject on access_grant (subject_id);
create index access_grant_on_behalf_of on access_grant (on_behalf_of_id);
create index access_grant_target on access_grant (target_id);
create index access_grant_account on access_grant (account_id);
create index access_grant_purpose on access_grant (purpose_id);
create index access_grant_ended_by on access_grant (ended_by_id);
create index access_grant_cause on access_grant (cause);
create index access_grant_live on access_grant (expires_at) where ended_at is null;
select hold_cause('access_grant');

create function grant_ends_once() returns trigger language plpgsql as $$
begin
  if old.ended_at is not null then
    raise exception 'a grant that ended does not change' using errcode = 'RV004';
  end if;
  if (new.request_id, new.subject_id, new.on_behalf_of_id, new.target_id, new.account_id, new.actions, new.purpose_id, new.max_uses, new.starts_at)
     is distinct from
     (old.request_id, old.subject_id, old.on_behalf_of_id, old.target_id, old.account_id, old.actions, old.purpose_id, old.max_uses, old.starts_at)
     or new.expires_at > old.expires_at or new.max_connections > old.max_connections then
    raise exception 'what a grant carries never grows' using errcode = 'RV004';
  end if;
  return new;
end $$;
create trigger grant_ends_once before update on access_grant for each row execute function grant_ends_once();

create table grant_proof (
  id               uuid primary key,
  grant_id         uuid not null constraint grant_fkey references access_grant,
  kind             text not null,
  sha256           bytea not null constraint proof_is_unique unique,
  is_single_use    boolean not null,
  created_at       timestamptz not null,
  first_use_before timestamptz not null,
  first_used_at    timestamptz,
  first_address    text,
  cause            bigint not null constraint cause_fkey references ledger_entry,
  constraint kind_is_known check (kind in ('ticket', 'key')),
  constraint first_use_says_from_where check ((first_used_at is null) = (first_address is null))
);
comment on table grant_proof is 'A row is what a caller shows a gateway to use a grant: a ticket (hash of a bearer secret) or a key (hash of a public key).';
create index grant_proof_grant on grant_proof (grant_id);
create index grant_proof_cause on grant_proof (cause);
select hold_cause('grant_proof');

create function proof_is_used_from_one_place() returns trigger language plpgsql as $$
begin
  if old.first_used_at is not null
     or (new.id, new.grant_id, new.kind, new.sha256, new.is_single_use, new.created_at, new.first_use_before)
        is distinct from
        (old.id, old.grant_id, old.kind, old.sha256, old.is_single_use, old.created_at, old.first_use_before) then
    raise exception 'a proof has one first use and is otherwise as it was issued' using errcode = 'RV008';
  end if;
  return new;
end $$;
create trigger proof_is_used_from_one_place before update on grant_proof for each row execute function proof_is_used_from_one_place();

create table grant_use (
  id          uuid primary key,
  grant_id    uuid not null constraint grant_fkey references access_grant,
  proof_id    uuid not null constraint proof_fkey references grant_proof,
  node_id     uuid not null,
  address     text not null,
  state       text not null,
  reserved_at timestamptz not null,
  begun_at    timestamptz,
  closed_at   timestamptz,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('reserved', 'live', 'closed', 'released')),
  constraint begun_unless_released check ((begun_at is not null) = (state in ('live', 'closed'))),
  constraint over_says_when check ((closed_at is not null) = (state in ('closed', 'released')))
);
comment on table grant_use is 'A row is one use of a grant: reserved before the upstream connection, live from when that is ready, released if it never was (core 24).';
comment on column grant_use.node_id is 'The process that holds it (a row of node); the uses of a dead node are closed or released for it.';
create index grant_use_grant on grant_use (grant_id);
create index grant_use_proof on grant_use (proof_id);
create index grant_use_open on grant_use (node_id) where state in ('reserved', 'live');
create index grant_use_cause on grant_use (cause);
select hold_cause('grant_use');

create function use_moves_legally() returns trigger language plpgsql as $$
begin
  if (old.state, new.state) not in (('reserved', 'live'), ('reserved', 'released'), ('live', 'closed'))
     or (new.id, new.grant_id, new.proof_id, new.node_id) is distinct from (old.id, old.grant_id, old.proof_id, old.node_id) then
    raise exception 'a use does not go from % to %', old.state, new.state using errcode = 'RV009';
  end if;
  return new;
end $$;
create trigger use_moves_legally before update on grant_use for each row execute function use_moves_legally();

create table grant_heartbeat (
  grant_id uuid primary key constraint grant_fkey references access_grant,
  at       timestamptz not null
);
comment on table grant_heartbeat is 'A row says when the command a grant was made for last proved that it lives. Not a change to the record, so it has no cause.';
