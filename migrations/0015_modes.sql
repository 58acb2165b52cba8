-- How strictly a target holds what is decided about it, what that cost, and statements that wait for another person.

alter table target
  add column mode text not null default 'enforce',
  add constraint mode_is_known check (mode in ('observe', 'warn', 'enforce')),
  add constraint tier_0_enforces check (sensitivity > 0 or mode = 'enforce');
comment on column target.mode is 'observe: what obligations and grants would refuse goes through and is recorded. warn: the caller is told too. enforce: it is refused.';

drop trigger target_change_is_hinted on target;
create constraint trigger target_change_is_hinted after update on target deferrable initially deferred for each row
  when ((old.state, old.environment, old.sensitivity, old.owner_team, old.mode)
    is distinct from (new.state, new.environment, new.sensitivity, new.owner_team, new.mode))
  execute function hint_second_look('target', 'target_id = $1');

alter table access_request
  add column asked_uses integer,
  add column mode text not null default 'enforce',
  add column waived text[] not null default '{}',
  add constraint mode_is_known check (mode in ('observe', 'warn', 'enforce')),
  add constraint only_a_lenient_mode_waives check (mode <> 'enforce' or cardinality(waived) = 0),
  add constraint uses_are_no_more_than_asked check (asked_uses is null or uses <= asked_uses);
comment on column access_request.asked_uses is 'Of which uses is what was given: the policies may allow less.';
comment on column access_request.mode is 'Of its target when it was asked.';
comment on column access_request.waived is 'What was owed and not asked for, a sentence each, because the target did not enforce. Worth nothing once it does.';
create index access_request_asked on access_request (target_id, created_at);

create function waived_stays() returns trigger language plpgsql as $$
begin
  raise exception 'what a request asks for does not change' using errcode = 'RV006';
end $$;
create trigger waived_stays before update on access_request for each row
  when ((new.asked_uses, new.mode, new.waived) is distinct from (old.asked_uses, old.mode, old.waived)) execute function waived_stays();

create table access_refusal (
  id         uuid primary key,
  subject_id uuid not null constraint subject_fkey references identity,
  target_id  uuid not null constraint target_fkey references target,
  account_id uuid not null constraint account_fkey references account,
  actions    text[] not null,
  problem    text not null,
  at         timestamptz not null,
  cause      bigint not null constraint cause_fkey references ledger_entry
);
comment on table access_refusal is 'A row is a request that was refused at once. Whether the same was granted later tells friction from protection.';
create index access_refusal_subject on access_refusal (subject_id);
create index access_refusal_target on access_refusal (target_id, at);
create index access_refusal_account on access_refusal (account_id);
create index access_refusal_cause on access_refusal (cause);
select hold_cause('access_refusal');

create table use_refusal (
  use_id  uuid not null constraint use_fkey references grant_use,
  action  text not null,
  outcome text not null,
  count   bigint not null,
  cause   bigint not null constraint cause_fkey references ledger_entry,
  constraint use_refusal_pkey primary key (use_id, action, outcome),
  constraint outcome_is_known check (outcome in ('refused', 'would-refuse')),
  constraint count_is_positive check (count > 0)
);
comment on table use_refusal is 'A row says how many operations of one session were refused, or would have been where the target does not enforce. Written when the session closes.';
create index use_refusal_cause on use_refusal (cause);
select hold_cause('use_refusal');

create table held_operation (
  id              uuid primary key,
  grant_id        uuid not null constraint grant_fkey references access_grant,
  use_id          uuid not null constraint use_fkey references grant_use,
  class           text not null,
  action          text not null,
  label           text not null,
  statement       text not null,
  gates           text[] not null,
  owner_of_target text not null,
  owner_of_subject text,
  approver_teams  text[] not null,
  bound_sha256    bytea not null,
  state           text not null default 'held',
  refusal         text,
  created_at      timestamptz not null,
  expires_at      timestamptz not null,
  decided_at      timestamptz,
  used_at         timestamptz,
  version         integer not null default 1,
  cause           bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('held', 'released', 'used', 'refused', 'expired', 'dropped')),
  constraint statement_is_shown_whole check (length(statement) between 1 and 20000),
  constraint names_gates check (cardinality(gates) > 0),
  constraint ends_after_start check (expires_at > created_at),
  constraint held_is_undecided check ((state = 'held') = (decided_at is null)),
  constraint only_a_release_is_used check ((state = 'used') = (used_at is not null))
);
comment on table held_operation is 'A row is one operation of a session that waits for another person. It runs once, if its session moves it from released to used.';
comment on column held_operation.statement is 'Normalised, without literals (core 13).';
comment on column held_operation.gates is 'Approval expressions, all of which who releases must satisfy.';
comment on column held_operation.bound_sha256 is 'Hash of what is shown of it; a release names it.';
comment on column held_operation.used_at is 'The release was spent here; what became of the operation is in the recording.';
create index held_operation_grant on held_operation (grant_id);
create index held_operation_use on held_operation (use_id);
create index held_operation_cause on held_operation (cause);
create index held_operation_inbox on held_operation using gin (approver_teams) where state = 'held';
create index held_operation_open on held_operation (expires_at) where state in ('held', 'released');
create unique index one_operation_of_a_use_is_held on held_operation (use_id) where state in ('held', 'released');
select hold_cause('held_operation');

create function hold_moves_legally() returns trigger language plpgsql as $$
begin
  if (old.state, new.state) not in (('held', 'released'), ('held', 'refused'), ('held', 'expired'), ('held', 'dropped'),
                                    ('released', 'used'), ('released', 'refused'), ('released', 'expired'), ('released', 'dropped')) then
    raise exception 'a held operation does not go from % to %', old.state, new.state using errcode = 'RV009';
  end if;
  if (new.id, new.grant_id, new.use_id, new.class, new.action, new.label, new.statement, new.gates, new.owner_of_target, new.owner_of_subject,
      new.approver_teams, new.bound_sha256, new.created_at, new.expires_at)
     is distinct from
     (old.id, old.grant_id, old.use_id, old.class, old.action, old.label, old.statement, old.gates, old.owner_of_target, old.owner_of_subject,
      old.approver_teams, old.bound_sha256, old.created_at, old.expires_at) then
    raise exception 'what is held does not change' using errcode = 'RV009';
  end if;
  return new;
end $$;
create trigger hold_moves_legally before update on held_operation for each row execute function hold_moves_legally();

create table hold_approval (
  hold_id      uuid not null constraint hold_fkey references held_operation,
  approver_id  uuid not null constraint approver_fkey references identity,
  verdict      text not null,
  bound_sha256 bytea not null,
  comment      text,
  at           timestamptz not null,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint hold_approval_pkey primary key (hold_id, approver_id),
  constraint verdict_is_known check (verdict in ('release', 'refuse'))
);
comment on table hold_approval is 'A row is what one distinct person said about exactly the operation that was shown to them.';
create index hold_approval_approver on hold_approval (approver_id);
create index hold_approval_cause on hold_approval (cause);
select hold_cause('hold_approval');

-- Core 6, the part a row can see: code also knows owners, sponsors and further identities.
create function releaser_is_another() returns trigger language plpgsql as $$
begin
  if exists (select from public.held_operation h
             join public.access_grant g on g.id = h.grant_id
             join public.access_request r on r.id = g.request_id
             where h.id = new.hold_id and new.approver_id in (r.requester_id, r.subject_id, r.on_behalf_of_id, r.triggered_by_id)) then
    raise exception 'nobody releases their own operation' using errcode = 'RV007';
  end if;
  return new;
end $$;
create trigger releaser_is_another before insert or update on hold_approval for each row execute function releaser_is_another();
