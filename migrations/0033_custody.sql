-- Secrets that are nobody's login at a target, who saw them, and which root key seals what is sealed.

create table root_key (
  generation integer primary key,
  key_id     text not null constraint key_seals_once unique,
  since_at   timestamptz not null,
  is_entered boolean not null default false,
  constraint generation_is_counted check (generation > 0)
);
comment on table root_key is 'A row is a root key that this database was sealed under, by what is known of it without knowing it; the last one seals.';
comment on column root_key.key_id is 'Twelve hexadecimal digits of an HMAC under the key: it tells which backup of a key is needed.';
comment on column root_key.is_entered is 'Whether the ledger knows: it is made while no node runs, and the first one that starts enters it.';

create table deposit (
  id         uuid primary key,
  name       text not null constraint name_is_unique unique,
  owner_team text not null,
  purpose    text not null,
  state      text not null default 'kept',
  version    integer not null,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  retired_at timestamptz,
  cause      bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('kept', 'retired')),
  constraint retired_says_when check ((state = 'retired') = (retired_at is not null)),
  constraint version_is_counted check (version > 0)
);
comment on table deposit is 'A row is a secret in custody that is nobody''s login at a target.';
comment on column deposit.version is 'The last one; who reveals or exports gets it unless they ask for another.';
create index deposit_cause on deposit (cause);
select hold_cause('deposit');

create function deposit_only_grows() returns trigger language plpgsql as $$
begin
  if old.state = 'retired' or new.version < old.version
     or (new.id, new.name, new.owner_team, new.created_at) is distinct from (old.id, old.name, old.owner_team, old.created_at) then
    raise exception 'a deposit is of one team, its versions count up, and a retired one stays so' using errcode = 'RV006';
  end if;
  return new;
end $$;
create trigger deposit_only_grows before update on deposit for each row execute function deposit_only_grows();

create table deposit_version (
  id           uuid primary key,
  deposit_id   uuid not null constraint deposit_fkey references deposit,
  number       integer not null,
  sealed_value bytea,
  size_bytes   integer not null,
  created_at   timestamptz not null,
  destroyed_at timestamptz,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint version_stands_once unique (deposit_id, number),
  constraint value_or_destruction check ((sealed_value is null) = (destroyed_at is not null)),
  constraint number_is_counted check (number > 0)
);
comment on table deposit_version is 'A row is one value of a deposit.';
comment on column deposit_version.sealed_value is 'The value under a key of its own, and that key under the root key; both destroyed when the deposit is retired.';
create index deposit_version_cause on deposit_version (cause);
select hold_cause('deposit_version');

create function deposit_version_stays() returns trigger language plpgsql as $$
begin
  if (new.id, new.deposit_id, new.number, new.size_bytes, new.created_at)
     is distinct from (old.id, old.deposit_id, old.number, old.size_bytes, old.created_at)
     or (new.sealed_value is not null and new.sealed_value is distinct from old.sealed_value)
     or old.destroyed_at is not null then
    raise exception 'a version of a deposit stays as it was put, until it is destroyed' using errcode = 'RV006';
  end if;
  return new;
end $$;
create trigger deposit_version_stays before update on deposit_version for each row execute function deposit_version_stays();

create table deposit_sight (
  id          uuid primary key,
  deposit_id  uuid not null constraint deposit_fkey references deposit,
  number      integer not null,
  identity_id uuid not null constraint identity_fkey references identity,
  how         text not null,
  at          timestamptz not null,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint how_is_known check (how in ('put', 'revealed', 'exported'))
);
comment on table deposit_sight is 'A row is somebody who knows a value of a deposit since then: they put it, had it revealed or exported it.';
create index deposit_sight_deposit on deposit_sight (deposit_id);
create index deposit_sight_identity on deposit_sight (identity_id);
create index deposit_sight_cause on deposit_sight (cause);
select hold_cause('deposit_sight');

alter table lifecycle_item drop constraint kind_is_known;
alter table lifecycle_item add constraint kind_is_known check (kind in ('login', 'object', 'deposit'));
