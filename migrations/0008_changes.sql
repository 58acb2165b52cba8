-- Changes: operations of Reeve itself that people have to approve before they run.

create table change (
  id               uuid primary key,
  requester_id     uuid not null constraint requester_fkey references identity,
  proof            text not null,
  operation        text not null,
  resource_type    text not null,
  resource_id      text not null,
  resource_facts   jsonb not null,
  params           jsonb not null,
  query            jsonb not null,
  shown            jsonb not null,
  hidden           text[] not null,
  preview          text[] not null,
  sealed_input     bytea,
  reason           text not null,
  obligations      jsonb not null,
  policies         jsonb not null,
  policy_version   text not null,
  approver_teams   text[] not null,
  owner_of_target  text,
  owner_of_subject text,
  tied_ids         text[] not null,
  bound_sha256     bytea not null,
  state            text not null,
  refusal          text,
  created_at       timestamptz not null,
  expires_at       timestamptz not null,
  decided_at       timestamptz,
  used_at          timestamptz,
  version          integer not null default 1,
  cause            bigint not null constraint cause_fkey references ledger_entry,
  constraint proof_is_known check (proof in ('token', 'bound-token', 'mtls', 'spiffe', 'kubernetes', 'oidc', 'dpop', 'passkey')),
  constraint state_is_known check (state in ('pending', 'approved', 'used', 'denied', 'expired', 'withdrawn', 'void')),
  constraint ends_after_start check (expires_at > created_at),
  constraint pending_is_undecided check ((state = 'pending') = (decided_at is null)),
  constraint used_says_when check ((state = 'used') = (used_at is not null)),
  constraint input_is_kept_while_open check ((state in ('pending', 'approved')) = (sealed_input is not null))
);
comment on table change is 'A row is one call of an operation that others have to approve before it runs, once, exactly as it was shown to them.';
comment on column change.proof is 'How the caller proved itself when it asked, in the words of the policies.';
comment on column change.resource_facts is 'What policies were told of the resource; a difference when it is used voids the change.';
comment on column change.shown is 'The public part of the input. The whole of it is in sealed_input, until the change is over.';
comment on column change.hidden is 'The parts of the input that are not in shown: personal ones, which approvers are told, and secret ones, which nobody is.';
comment on column change.preview is 'What the change would do, in sentences, as approvers read it.';
comment on column change.sealed_input is 'The whole input with the salt of its digest, sealed; destroyed when the change is over.';
comment on column change.approver_teams is 'The teams its obligations name: whose inbox it is in.';
comment on column change.tied_ids is 'Identities whose people do not decide on it: who asked, and who it is about.';
comment on column change.bound_sha256 is 'Hash of the call, of what was shown of it and of the policies that decided (rule 8); an approval names it.';
create index change_requester on change (requester_id);
create index change_cause on change (cause);
create index change_inbox on change using gin (approver_teams) where state = 'pending';
create index change_open on change (expires_at) where state in ('pending', 'approved');
select hold_cause('change');

-- Rule 8: what was bound stays as it was shown. A change is approved once and used once, and what is over stays so.
create function change_moves_forward() returns trigger language plpgsql as $$
begin
  if old.state not in ('pending', 'approved') or (old.state = 'approved' and new.state = 'pending')
     or (old.state = 'pending' and new.state = 'used') then
    raise exception 'a change that is % does not become %', old.state, new.state using errcode = 'RV006';
  end if;
  if (new.requester_id, new.proof, new.operation, new.resource_type, new.resource_id, new.resource_facts, new.params, new.query, new.shown,
      new.hidden, new.preview, new.reason, new.obligations, new.policies, new.approver_teams, new.owner_of_target, new.owner_of_subject,
      new.tied_ids, new.bound_sha256)
     is distinct from
     (old.requester_id, old.proof, old.operation, old.resource_type, old.resource_id, old.resource_facts, old.params, old.query, old.shown,
      old.hidden, old.preview, old.reason, old.obligations, old.policies, old.approver_teams, old.owner_of_target, old.owner_of_subject,
      old.tied_ids, old.bound_sha256) then
    raise exception 'what a change asks for does not change' using errcode = 'RV006';
  end if;
  return new;
end $$;
create trigger change_moves_forward before update on change for each row execute function change_moves_forward();

create table change_approval (
  change_id    uuid not null constraint change_fkey references change,
  approver_id  uuid not null constraint approver_fkey references identity,
  verdict      text not null,
  bound_sha256 bytea not null,
  comment      text,
  at           timestamptz not null,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint change_approval_pkey primary key (change_id, approver_id),
  constraint verdict_is_known check (verdict in ('approve', 'deny'))
);
comment on table change_approval is 'A row is what one distinct person said about a change exactly as it was shown to them.';
create index change_approval_approver on change_approval (approver_id);
create index change_approval_cause on change_approval (cause);
select hold_cause('change_approval');

-- Core 6, the part a row can see: code also knows owners, sponsors and further identities.
create function change_approver_is_another() returns trigger language plpgsql as $$
begin
  if exists (select from public.change c where c.id = new.change_id and (new.approver_id = c.requester_id or new.approver_id::text = any (c.tied_ids))) then
    raise exception 'nobody decides on their own change' using errcode = 'RV007';
  end if;
  return new;
end $$;
create trigger change_approver_is_another before insert or update on change_approval
  for each row execute function change_approver_is_another();
