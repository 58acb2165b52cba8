-- Which identity of the record is what a source told, by what, and which identities are one and the same.
-- RFC 9562 §5.8 (version 8): an id out of words, for what has none of its own.
create function hashed_id(words text) returns uuid language sql immutable parallel safe
  return overlay(overlay(md5(words) placing '8' from 13) placing '8' from 17)::uuid;

create table record_link (
  id            uuid primary key,
  observed_kind text not null,
  observed_id   uuid not null,
  identity_id   uuid not null constraint identity_fkey references identity,
  how           text not null,
  evidence      jsonb not null,
  state         text not null,
  made_at       timestamptz not null,
  ended_at      timestamptz,
  cause         bigint not null,
  constraint observed_kind_is_known check (observed_kind in ('principal', 'credential')),
  constraint how_is_known check (how in ('native-id', 'fingerprint', 'attested')),
  constraint state_is_known check (state in ('active', 'ended', 'declined')),
  constraint ended_says_when check ((state = 'active') = (ended_at is null)),
  constraint only_fingerprints_are_declined check (state <> 'declined' or how = 'fingerprint')
);
comment on table record_link is 'A row says that what a source told is an identity of the record, and by what: an id that the source gave, the fingerprint of a secret, a person. Never a name.';
comment on column record_link.id is 'The hash of what is linked, to what and how: the same link is the same row each time.';
comment on column record_link.state is 'declined: a person took it apart, and it is not made again by itself.';
create unique index record_link_one_at_a_time on record_link (observed_id) where state = 'active';
create index record_link_observed on record_link (observed_id);
create index record_link_identity on record_link (identity_id);
select hold_causes('record_link');

create function record_link_moves_legally() returns trigger language plpgsql as $$
begin
  if (new.id, new.observed_kind, new.observed_id, new.identity_id, new.how)
     is distinct from (old.id, old.observed_kind, old.observed_id, old.identity_id, old.how) then
    raise exception 'a link is of one thing to one identity for good' using errcode = 'RV031';
  end if;
  return new;
end $$;
create trigger record_link_moves_legally before update on record_link for each row execute function record_link_moves_legally();

create table identity_merge (
  id          uuid primary key,
  identity_id uuid not null constraint identity_fkey references identity,
  into_id     uuid not null constraint into_fkey references identity,
  state       text not null default 'active',
  made_at     timestamptz not null,
  ended_at    timestamptz,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('active', 'ended')),
  constraint ended_says_when check ((state = 'active') = (ended_at is null)),
  constraint two_different_ones check (identity_id <> into_id)
);
comment on table identity_merge is 'A row is a person''s word that two identities of the record are one; ending it is the split, and nothing was moved meanwhile.';
create unique index identity_merge_one_at_a_time on identity_merge (identity_id) where state = 'active';
create index identity_merge_identity on identity_merge (identity_id);
create index identity_merge_into on identity_merge (into_id);
create index identity_merge_cause on identity_merge (cause);
select hold_cause('identity_merge');

-- One hop only: into what nothing is merged that something is merged into.
create function identity_merge_moves_legally() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and ((new.id, new.identity_id, new.into_id, new.made_at) is distinct from (old.id, old.identity_id, old.into_id, old.made_at)
     or old.state = 'ended') then
    raise exception 'a merge goes from active to ended and nowhere else' using errcode = 'RV031';
  end if;
  if new.state = 'active' and exists (
    select from identity_merge m where m.state = 'active' and m.id <> new.id and (m.identity_id = new.into_id or m.into_id = new.identity_id)) then
    raise exception 'merges have one hop' using errcode = 'RV031';
  end if;
  return new;
end $$;
create trigger identity_merge_moves_legally before insert or update on identity_merge for each row execute function identity_merge_moves_legally();

create view linked_identity as
  select l.observed_kind, l.observed_id, coalesce(m.into_id, l.identity_id) as identity_id, l.identity_id as linked_id, l.how
    from record_link l
    left join identity_merge m on m.identity_id = l.identity_id and m.state = 'active'
   where l.state = 'active';
comment on view linked_identity is 'A row is what a source told and the identity it counts as, merges followed.';
