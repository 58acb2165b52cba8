-- What is wrong with an identity, an account, a credential or a rule of trust, by which evidence, and what was decided about it.
create table finding (
  id                uuid primary key,
  rule              text not null,
  subject_kind      text not null,
  subject_id        uuid not null,
  subject_name      text not null,
  identity_id       uuid constraint identity_fkey references identity,
  severity          smallint not null,
  evidence          jsonb not null,
  uncertainty       jsonb not null,
  state             text not null,
  opened_at         timestamptz not null,
  found_at          timestamptz not null,
  fixed_at          timestamptz,
  reopened_because  text,
  accepted_by_id    uuid constraint accepted_by_fkey references identity,
  accepted_because  text,
  accepted_before   timestamptz,
  accepted_severity smallint,
  version           integer not null default 1,
  cause             bigint not null,
  constraint one_per_rule_and_subject unique (subject_id, rule),
  constraint subject_kind_is_known check (subject_kind in ('identity', 'account', 'credential', 'trust')),
  constraint severity_is_known check (severity between 0 and 3),
  constraint state_is_known check (state in ('open', 'accepted', 'fixed', 'reopened')),
  constraint accepted_says_by_whom_why_and_until check (
    (state = 'accepted') = (num_nonnulls(accepted_by_id, accepted_because, accepted_before, accepted_severity) = 4)
    and num_nonnulls(accepted_by_id, accepted_because, accepted_before, accepted_severity) in (0, 4)),
  constraint fixed_says_when check ((state = 'fixed') = (fixed_at is not null)),
  constraint reopened_says_why check ((state = 'reopened') = (reopened_because is not null))
);
comment on table finding is 'A row is one thing that a rule found wrong with one subject; there is one for both, and what it went through is in the ledger.';
comment on column finding.severity is '0 is the worst.';
comment on column finding.identity_id is 'Whose it is, where an identity of the record holds the subject; it counts in the risk of what that identity does.';
comment on column finding.uncertainty is 'What could not be seen and might change the picture.';
comment on column finding.found_at is 'When the facts it stands on were read: only facts that were read later can say that it is fixed.';
comment on column finding.accepted_before is 'An acceptance ends; then the finding is reopened.';
comment on column finding.accepted_severity is 'What was accepted: a finding that grows worse is reopened.';
create index finding_worst on finding (severity, id);
create index finding_rule on finding (rule, severity, id);
create index finding_not_open on finding (state, severity, id) where state <> 'open';
create index finding_identity on finding (identity_id);
create index finding_accepted_by on finding (accepted_by_id);
select hold_causes('finding');

create function finding_moves_legally() returns trigger language plpgsql as $$
begin
  if (new.id, new.rule, new.subject_kind, new.subject_id, new.opened_at) is distinct from
     (old.id, old.rule, old.subject_kind, old.subject_id, old.opened_at)
     or (old.state <> new.state and (old.state, new.state) not in (
       ('open', 'accepted'), ('reopened', 'accepted'),
       ('open', 'fixed'), ('reopened', 'fixed'), ('accepted', 'fixed'),
       ('accepted', 'reopened'), ('fixed', 'reopened'))) then
    raise exception 'a finding does not go from % to %', old.state, new.state using errcode = 'RV024';
  end if;
  return new;
end $$;
create trigger finding_moves_legally before update on finding for each row execute function finding_moves_legally();

create table finding_pass (
  is_only  boolean primary key default true constraint there_is_only_one check (is_only),
  began_at timestamptz not null,
  ended_at timestamptz,
  looks    jsonb not null default '[]'
);
comment on table finding_pass is 'A row is the last time that every rule looked at every subject: how many it judged, and how many it could not and why.';
