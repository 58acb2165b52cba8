-- Logins that stand at a target get a new secret behind whoever uses them, and the old one is proven dead.
create table rotation (
  id              uuid primary key,
  target_id       uuid not null constraint target_fkey references target,
  account_id      uuid constraint account_fkey references account,
  principal       text not null,
  state           text not null,
  started_by_id   uuid constraint started_by_fkey references identity,
  ends_sessions   boolean not null,
  generation      integer not null default 1,
  was_sha256      bytea not null,
  sealed_next     bytea,
  sealed_previous bytea,
  planned_at      timestamptz not null,
  issued_at       timestamptz,
  verified_at     timestamptz,
  adopted_at      timestamptz,
  over_at         timestamptz,
  next_try_at     timestamptz,
  attempts        integer not null default 0,
  last_error      text,
  escalation      text not null default 'none',
  evidence        jsonb,
  cause           bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('planned', 'issued', 'verified', 'adopted', 'dead', 'superseded')),
  constraint escalation_is_known check (escalation in ('none', 'owner', 'security')),
  constraint open_is_retried check ((state in ('dead', 'superseded')) = (next_try_at is null)),
  constraint over_says_when check ((state in ('dead', 'superseded')) = (over_at is not null)),
  constraint dead_has_evidence check ((state = 'dead') <= (evidence is not null)),
  constraint open_knows_the_next_secret check (state in ('dead', 'superseded') or sealed_next is not null),
  constraint adopted_knows_the_previous_secret check ((state = 'adopted') = (sealed_previous is not null)),
  constraint over_keeps_no_secret check (state not in ('dead', 'superseded') or sealed_next is null)
);
comment on table rotation is 'A row is one change of the secret of a login that stands at a target: an open obligation until the old secret is proven dead.';
comment on column rotation.account_id is 'Null: the login by which leases are made and ended at the target.';
comment on column rotation.principal is 'The name of the login at the target.';
comment on column rotation.started_by_id is 'Null: its schedule.';
comment on column rotation.generation is 'Counts the secrets that were tried: a target may refuse one by its own rules.';
comment on column rotation.was_sha256 is 'Of the sealed login as it was when this was planned: one that somebody replaced meanwhile is not overwritten.';
comment on column rotation.sealed_next is 'Sealed beside the old one before the target hears of it, so that there is no moment in which neither is known.';
comment on column rotation.sealed_previous is 'The old secret from the moment the new one took its place until it is proven dead.';
comment on column rotation.next_try_at is 'When the next attempt is due; a running attempt has moved it ahead, so a killed one is repeated.';
create unique index account_has_one_open_rotation on rotation (account_id) where account_id is not null and over_at is null;
create unique index provisioner_has_one_open_rotation on rotation (target_id) where account_id is null and over_at is null;
create index rotation_target on rotation (target_id);
create index rotation_account on rotation (account_id);
create index rotation_started_by on rotation (started_by_id);
create index rotation_cause on rotation (cause);
create index rotation_open on rotation (next_try_at) where over_at is null;
select hold_cause('rotation');

create function rotation_moves_legally() returns trigger language plpgsql as $$
begin
  if old.over_at is not null
     or (new.id, new.target_id, new.account_id, new.principal, new.started_by_id, new.ends_sessions, new.was_sha256)
        is distinct from
        (old.id, old.target_id, old.account_id, old.principal, old.started_by_id, old.ends_sessions, old.was_sha256)
     or (old.state <> new.state and (old.state, new.state) not in (
          ('planned', 'issued'), ('issued', 'verified'), ('verified', 'adopted'), ('adopted', 'dead'),
          -- The target came back from a backup and knows the old secret again.
          ('issued', 'planned'), ('verified', 'planned'),
          ('planned', 'superseded'), ('issued', 'superseded'), ('verified', 'superseded')))
     or (old.sealed_next is distinct from new.sealed_next and old.state <> 'planned' and new.state not in ('dead', 'superseded')) then
    raise exception 'a rotation does not go from % to %', old.state, new.state using errcode = 'RV022';
  end if;
  return new;
end $$;
create trigger rotation_moves_legally before update on rotation for each row execute function rotation_moves_legally();

create table rotation_schedule (
  id         uuid primary key,
  target_id  uuid not null constraint target_fkey references target,
  account_id uuid constraint account_fkey references account,
  every_days smallint,
  due_at     timestamptz,
  cause      bigint not null constraint cause_fkey references ledger_entry,
  constraint every_days_is_a_pace check (every_days between 1 and 365),
  constraint kept_says_when check ((every_days is null) = (due_at is null))
);
comment on table rotation_schedule is 'A row says how often the login of an account or a provisioner gets a new secret; without a pace it is not kept any more.';
create unique index account_has_one_schedule on rotation_schedule (account_id) where account_id is not null;
create unique index provisioner_has_one_schedule on rotation_schedule (target_id) where account_id is null;
create index rotation_schedule_target on rotation_schedule (target_id);
create index rotation_schedule_account on rotation_schedule (account_id);
create index rotation_schedule_cause on rotation_schedule (cause);
create index rotation_schedule_due on rotation_schedule (due_at) where due_at is not null;
select hold_cause('rotation_schedule');

create table certification (
  id           uuid primary key,
  account_id   uuid not null constraint account_fkey references account,
  certifier_id uuid not null constraint certifier_fkey references identity,
  certified_at timestamptz not null,
  good_before  timestamptz not null,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint good_for_a_while check (good_before > certified_at)
);
comment on table certification is 'A row is a person''s word that an account and its login are still right, good until a date.';
create index certification_account on certification (account_id);
create index certification_certifier on certification (certifier_id);
create index certification_cause on certification (cause);
select hold_cause('certification');
