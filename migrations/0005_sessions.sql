-- Nodes, leases (credentials issued under a grant) and brokered sessions.

create table node (
  id              uuid primary key,
  name            text not null,
  roles           text[] not null,
  version         text not null,
  started_at      timestamptz not null,
  heartbeat_at    timestamptz not null,
  clock_offset_ms double precision not null,
  worker_pool     text,
  stopped_at      timestamptz
);
comment on table node is 'A row is one running process of Reeve. Not a change to the record, so it has no cause.';
comment on column node.worker_pool is 'Under which name its jobs are locked; those of a dead node are unlocked.';

create table lease (
  id              uuid primary key,
  grant_id        uuid not null constraint grant_fkey references access_grant,
  target_id       uuid not null constraint target_fkey references target,
  account_id      uuid not null constraint account_fkey references account,
  node_id         uuid not null,
  kind            text not null,
  principal       text not null,
  terms           jsonb not null,
  details         jsonb,
  sealed_secret   bytea,
  state           text not null,
  revocability    text not null,
  announced_at    timestamptz not null,
  issued_at       timestamptz,
  ending_at       timestamptz,
  dead_at         timestamptz,
  next_try_at     timestamptz,
  attempts        integer not null default 0,
  last_error      text,
  escalation      text not null default 'none',
  evidence        jsonb,
  cause           bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('announced', 'issued', 'ending', 'dead')),
  constraint revocability_is_known check (revocability in ('immediate', 'next-login', 'expires-only', 'none')),
  constraint escalation_is_known check (escalation in ('none', 'owner', 'security')),
  constraint ending_is_retried check (state <> 'ending' or next_try_at is not null),
  constraint dead_has_evidence check ((state = 'dead') = (dead_at is not null and evidence is not null)),
  constraint dead_keeps_no_secret check (state <> 'dead' or sealed_secret is null)
);
comment on table lease is 'A row is a credential issued under a grant. It stays an open obligation until a negative probe proves it dead (rule 6).';
comment on column lease.node_id is 'The process that makes it (a row of node); what a dead node announced is ended like any other.';
comment on column lease.terms is 'What was asked of the target: group roles, databases, until when, how many connections.';
comment on column lease.details is 'What the writer noted when it had made the credential, so that it finds it again; null before.';
comment on column lease.next_try_at is 'When the next attempt to end it is due; a running attempt has moved it ahead, so a killed one is repeated.';
comment on column lease.escalation is 'Who should know by now that it does not end.';
-- A lease that failed to be made is ended like any other; the grant, still live, may then have another one.
create unique index grant_has_one_usable_lease on lease (grant_id) where state in ('announced', 'issued');
create index lease_grant on lease (grant_id);
create index lease_target on lease (target_id);
create index lease_account on lease (account_id);
create index lease_cause on lease (cause);
create index lease_open on lease (next_try_at) where state = 'ending';
create index lease_announced on lease (announced_at) where state = 'announced';
create index lease_principal on lease (target_id, principal);
select hold_cause('lease');

create function lease_moves_legally() returns trigger language plpgsql as $$
begin
  if (old.state, new.state) not in (('announced', 'announced'), ('announced', 'issued'), ('announced', 'ending'),
    ('issued', 'issued'), ('issued', 'ending'), ('ending', 'ending'), ('ending', 'dead')) then
    raise exception 'a lease does not go from % to %', old.state, new.state using errcode = 'RV005';
  end if;
  if (new.grant_id, new.target_id, new.account_id, new.node_id, new.kind, new.principal, new.terms)
     is distinct from
     (old.grant_id, old.target_id, old.account_id, old.node_id, old.kind, old.principal, old.terms) then
    raise exception 'what a lease is stays as it was announced' using errcode = 'RV005';
  end if;
  return new;
end $$;
create trigger lease_moves_legally before update on lease for each row execute function lease_moves_legally();

create table session (
  id               uuid primary key,
  grant_id         uuid not null constraint grant_fkey references access_grant,
  subject_id       uuid not null constraint subject_fkey references identity,
  target_id        uuid not null constraint target_fkey references target,
  account_id       uuid not null constraint account_fkey references account,
  node_id          uuid not null constraint node_fkey references node,
  gateway          text not null,
  client_address   text not null,
  proof_id         uuid not null constraint proof_fkey references grant_proof,
  started_at       timestamptz not null,
  stop_asked_at    timestamptz,
  ended_at         timestamptz,
  end_reason       text,
  recording        text,
  recording_sha256 bytea,
  sealed_key       bytea,
  operations       bigint not null default 0,
  row_count        bigint not null default 0,
  size_bytes       bigint not null default 0,
  late_operations  integer not null default 0,
  cause            bigint not null constraint cause_fkey references ledger_entry,
  constraint end_says_why check ((ended_at is null) = (end_reason is null))
);
comment on table session is 'A row is one brokered connection under a grant.';
comment on column session.stop_asked_at is 'Somebody asked to end it; the node that holds it cuts it, seals the recording and sets ended_at.';
comment on column session.recording is 'Name of the recording in the recording store; null when nothing was recorded.';
comment on column session.sealed_key is 'The key of the recording''s sealed literals; opening them is a privileged action.';
comment on column session.late_operations is 'Operations that began within the push bound after the grant had ended (core 5).';
create index session_grant on session (grant_id);
create index session_subject on session (subject_id);
create index session_target on session (target_id);
create index session_account on session (account_id);
create index session_node on session (node_id) where ended_at is null;
create index session_node_all on session (node_id);
create index session_proof on session (proof_id);
create index session_cause on session (cause);
select hold_cause('session');
