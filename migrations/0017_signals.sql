-- What others say of who acts here and of what is reached (SSF, CAEP, RISC). It raises the risk until it is over, and some end grants at once.

create table signal (
  id              uuid primary key,
  sender_id       uuid not null constraint sender_fkey references identity,
  jti             text not null,
  type            text not null,
  about           text not null,
  about_id        uuid not null,
  identity_id     uuid constraint identity_fkey references identity,
  target_id       uuid constraint target_fkey references target,
  severity        text not null,
  reason          text not null,
  occurred_at     timestamptz not null,
  received_at     timestamptz not null,
  expires_at      timestamptz not null,
  ended_grants    integer not null,
  withdrawn_at    timestamptz,
  withdrawn_by_id uuid constraint withdrawn_by_fkey references identity,
  version         integer not null default 1,
  cause           bigint not null constraint cause_fkey references ledger_entry,
  constraint signal_is_received_once unique (sender_id, jti),
  constraint about_is_known check (about in ('identity', 'session', 'credential', 'target')),
  constraint about_says_whom check ((about = 'target') = (target_id is not null) and (identity_id is null) = (about = 'target')),
  constraint severity_is_known check (severity in ('low', 'medium', 'high', 'critical')),
  constraint ends_after_receipt check (expires_at > received_at),
  constraint withdrawn_says_by_whom check ((withdrawn_at is null) = (withdrawn_by_id is null))
);
comment on table signal is 'A row is what one sender reported once of an identity, a session or credential of one, or a target.';
comment on column signal.jti is 'The sender''s own name for it: sent again it is the same signal.';
comment on column signal.about_id is 'The identity, session, token, proof or target that was named; identity_id and target_id are what it comes to.';
create index signal_identity on signal (identity_id, expires_at);
create index signal_target on signal (target_id, expires_at);
create index signal_sender on signal (sender_id, expires_at);
create index signal_withdrawn_by on signal (withdrawn_by_id);
create index signal_cause on signal (cause);
create index signal_latest on signal (received_at desc, id desc);
select hold_cause('signal');

create function signal_is_only_withdrawn() returns trigger language plpgsql as $$
begin
  if old.withdrawn_at is not null or
     (to_jsonb(new) - '{withdrawn_at,withdrawn_by_id,version,cause}'::text[])
       is distinct from (to_jsonb(old) - '{withdrawn_at,withdrawn_by_id,version,cause}'::text[]) then
    raise exception 'a signal stays as it was received; it is withdrawn once' using errcode = 'RV017';
  end if;
  return new;
end $$;
create trigger signal_is_only_withdrawn before update on signal for each row execute function signal_is_only_withdrawn();

-- The second look: whoever is in session is decided again with what was just heard.
create function hint_signal() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if new.target_id is not null then
    if exists (select from access_grant where ended_at is null and target_id = new.target_id) then
      perform pg_notify('reeve_end', 'target:' || new.target_id);
    end if;
  elsif exists (select from access_grant where ended_at is null and (subject_id = new.identity_id or on_behalf_of_id = new.identity_id)) then
    perform pg_notify('reeve_end', 'identity:' || new.identity_id);
  end if;
  return null;
end $$;
create constraint trigger signal_is_hinted after insert or update on signal deferrable initially deferred for each row
  execute function hint_signal();

-- What the standard reads of an identity besides what the second look watched already, and the credentials that prove it.
drop trigger identity_change_is_hinted on identity;
create constraint trigger identity_change_is_hinted after update on identity deferrable initially deferred for each row
  when ((old.state, old.environment, old.tier, old.profile, old.owner_state, old.owner_team, old.owner_id, old.sponsor_id, old.traits,
         old.purpose, old.business_service, old.review_by, old.expires_at)
    is distinct from (new.state, new.environment, new.tier, new.profile, new.owner_state, new.owner_team, new.owner_id, new.sponsor_id, new.traits,
         new.purpose, new.business_service, new.review_by, new.expires_at))
  execute function hint_second_look('identity', 'subject_id = $1 or on_behalf_of_id = $1');

create function hint_credential() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (select from access_grant where ended_at is null and (subject_id = new.identity_id or on_behalf_of_id = new.identity_id)) then
    perform pg_notify('reeve_end', 'identity:' || new.identity_id);
  end if;
  return null;
end $$;
create constraint trigger credential_change_is_hinted after insert or update on api_token deferrable initially deferred for each row
  execute function hint_credential();

-- The risk a grant was given at: what it may not rise over is what the policies say of that at the moment it is looked at.
alter table access_grant add column risk_score smallint constraint risk_is_a_share check (risk_score between 0 and 100);
alter table access_grant add column risk jsonb;
comment on column access_grant.risk is 'Of the moment it was made, factor by factor; what rose since is told from it.';
