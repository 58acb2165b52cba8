-- The ledger: causes, observations, their positions in one Merkle tree.

create table ledger_entry (
  id          bigint generated always as identity,
  xid         xid8 not null,
  at          timestamptz not null,
  kind        text not null,
  actor_id    uuid,
  resource_id uuid,
  grant_id    uuid,
  leaf        bytea not null,
  constraint ledger_entry_pkey primary key (id),
  constraint kind_is_dotted check (kind ~ '^[a-z-]+(\.[a-z-]+)+$'),
  constraint leaf_fits_a_tile check (octet_length(leaf) between 1 and 65535)
) partition by range (id);
comment on table ledger_entry is 'A row is one fact that caused a change of this database, written in the transaction of that change.';
comment on column ledger_entry.xid is 'The transaction that wrote it; set by a trigger, compared by require_cause().';
comment on column ledger_entry.leaf is 'The exact bytes that are hashed into the tree: canonical JSON of public fields and salted commitments.';
create index ledger_entry_grant on ledger_entry (grant_id, id) where grant_id is not null;
create index ledger_entry_resource on ledger_entry (resource_id, id) where resource_id is not null;

create table ledger_segment (
  id      bigint generated always as identity,
  at      timestamptz not null,
  node_id uuid not null,
  size    integer not null,
  bodies  bytea not null,
  constraint ledger_segment_pkey primary key (id),
  constraint segment_is_not_empty check (size > 0 and octet_length(bodies) > 0)
) partition by range (id);
comment on table ledger_segment is 'A row is a batch of observations (decisions, operations, seals) that one node made durable in one commit.';
comment on column ledger_segment.bodies is 'The leaves in order, each behind its big-endian 16-bit length, as in a tlog-tiles entry bundle.';
-- Compressing a batch would cost more than writing it, inside the commit that others wait for.
alter table ledger_segment alter column bodies set storage external;

create table ledger_writer (
  id    uuid primary key,
  batch bigint not null default 0,
  constraint batch_is_counted check (batch >= 0)
) with (fillfactor = 50);
comment on table ledger_writer is 'A row is one connection that appends observations, and the last batch it made durable: a batch sent again is recognised.';

create table ledger_log (
  id            smallint primary key,
  origin        text not null constraint origin_is_unique unique,
  verifier_key  text not null,
  sealed_key    bytea not null,
  previous_note text,
  started_at    timestamptz not null
);
comment on table ledger_log is 'A row is one life of the log. A restored or failed-over database starts a new one that names the last checkpoint of the old.';
comment on column ledger_log.sealed_key is 'The 32 bytes of the Ed25519 seed that signs this log, sealed under the root key.';
comment on column ledger_log.previous_note is 'The last checkpoint of the log this one continues, as it was kept outside the database.';

create table ledger_leaf (
  log_id         smallint not null constraint log_fkey references ledger_log,
  first_position bigint not null,
  size           integer not null,
  entry_id       bigint constraint entry_is_placed_once unique constraint entry_fkey references ledger_entry,
  segment_id     bigint constraint segment_is_placed_once unique constraint segment_fkey references ledger_segment,
  constraint ledger_leaf_pkey primary key (log_id, first_position),
  constraint leaf_has_one_source check (num_nonnulls(entry_id, segment_id) = 1),
  constraint size_is_positive check (size > 0),
  constraint position_is_not_negative check (first_position >= 0)
);
comment on table ledger_leaf is 'A row says at which positions of the tree an entry (one) or a segment (a run) stands.';

create table ledger_pending (
  id     bigint not null,
  source text not null,
  constraint ledger_pending_pkey primary key (source, id),
  constraint source_is_known check (source in ('entry', 'segment'))
);
comment on table ledger_pending is 'A row is a committed entry or segment that the sequencer has not yet placed. Filled by triggers, so no watermark can pass a late commit.';

create table ledger_tile (
  log_id smallint not null constraint log_fkey references ledger_log,
  level  smallint not null,
  n      bigint not null,
  hashes bytea not null,
  constraint ledger_tile_pkey primary key (log_id, level, n),
  constraint tile_holds_whole_hashes check (octet_length(hashes) between 32 and 8192 and octet_length(hashes) % 32 = 0)
);
comment on table ledger_tile is 'A row is a tile of up to 256 hashes (C2SP tlog-tiles); the last one of a level grows.';

create table ledger_checkpoint (
  log_id smallint not null constraint log_fkey references ledger_log,
  size   bigint not null,
  note   text not null,
  at     timestamptz not null,
  constraint ledger_checkpoint_pkey primary key (log_id, size)
);
comment on table ledger_checkpoint is 'A row is a signed tree head over the first size leaves.';

create table ledger_cosignature (
  log_id  smallint not null,
  size    bigint not null,
  witness text not null,
  line    text not null,
  at      timestamptz not null,
  constraint ledger_cosignature_pkey primary key (log_id, size, witness),
  constraint checkpoint_fkey foreign key (log_id, size) references ledger_checkpoint
);
comment on table ledger_cosignature is 'A row is what a witness signed under a checkpoint (C2SP tlog-witness); witness is its verifier key.';

create table subject_key (
  subject_id   uuid primary key,
  sealed_key   bytea,
  destroyed_at timestamptz,
  constraint key_or_destruction check ((sealed_key is null) = (destroyed_at is not null))
);
comment on table subject_key is 'A row is the key that opens one subject''s personal fields; destroying it erases them. Keep this table out of long-lived backups.';

create table ledger_private (
  entry_id   bigint not null constraint entry_fkey references ledger_entry,
  field      text not null,
  subject_id uuid not null constraint subject_key_fkey references subject_key,
  sealed     bytea not null,
  constraint ledger_private_pkey primary key (entry_id, field)
);
comment on table ledger_private is 'A row is the salt and value behind one commitment of an entry, sealed under its subject''s key.';
create index ledger_private_subject on ledger_private (subject_id);

create function ledger_stamp() returns trigger language plpgsql as $$
begin
  new.xid := pg_current_xact_id();
  return new;
end $$;
create trigger ledger_entry_stamp before insert on ledger_entry for each row execute function ledger_stamp();

-- The owner's rights, so that the server's role needs none on the queue but reading and deleting.
create function ledger_enqueue() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into ledger_pending (source, id) values (tg_argv[0], new.id);
  return null;
end $$;
-- Entries come by the thousand, and a call for each took half of what writing them takes. Rows put into a partition itself would pass this by,
-- so the server's role may insert into none (server-rights.sql).
create function ledger_enqueue_all() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into ledger_pending (source, id) select tg_argv[0], id from fresh order by id;
  return null;
end $$;
create trigger ledger_entry_enqueue after insert on ledger_entry referencing new table as fresh
  for each statement execute function ledger_enqueue_all('entry');
create trigger ledger_segment_enqueue after insert on ledger_segment for each row execute function ledger_enqueue('segment');

-- What has neither a leaf nor a place in the queue goes back into the queue. Looks at the last million of each.
create function ledger_requeue() returns integer language plpgsql security definer set search_path = public, pg_temp as $$
declare
  found integer;
begin
  with missing as (
    insert into ledger_pending (source, id)
    select 'entry', e.id
      from ledger_entry e
     where e.id > (select coalesce(max(id), 0) - 1000000 from ledger_entry)
       and not exists (select from ledger_leaf l where l.entry_id = e.id)
       and not exists (select from ledger_pending p where p.source = 'entry' and p.id = e.id)
     union all
    select 'segment', s.id
      from ledger_segment s
     where s.id > (select coalesce(max(id), 0) - 1000000 from ledger_segment)
       and not exists (select from ledger_leaf l where l.segment_id = s.id)
       and not exists (select from ledger_pending p where p.source = 'segment' and p.id = s.id)
        on conflict do nothing
    returning id
  )
  select count(*) into found from missing;
  return found;
end $$;

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % are never changed or removed', tg_table_name using errcode = 'RV001';
end $$;
create trigger ledger_entry_is_immutable before update or delete on ledger_entry for each row execute function refuse_change();
create trigger ledger_entry_is_kept before truncate on ledger_entry for each statement execute function refuse_change();
create trigger ledger_segment_is_immutable before update or delete on ledger_segment for each row execute function refuse_change();
create trigger ledger_segment_is_kept before truncate on ledger_segment for each statement execute function refuse_change();

-- Rule 4: a row's cause is an entry of the very transaction that writes the row. Its schema is named, since a session's temporary
-- tables are looked at before any other: one called ledger_entry would let every change through.
create function require_cause() returns trigger language plpgsql as $$
begin
  if not exists (select from public.ledger_entry e where e.id = new.cause and e.xid = pg_current_xact_id()) then
    raise exception 'a change of % needs an entry of its own transaction as its cause', tg_table_name using errcode = 'RV002';
  end if;
  return new;
end $$;

-- Puts the rule on a table: cause checked on insert and update, nothing deleted, nothing truncated.
create function hold_cause(held regclass) returns void language plpgsql as $$
begin
  execute format('create trigger cause_is_held before insert or update on %s for each row execute function require_cause()', held);
  execute format('create trigger rows_are_kept before delete on %s for each row execute function refuse_change()', held);
  execute format('create trigger table_is_kept before truncate on %s for each statement execute function refuse_change()', held);
end $$;

-- Partitions by id are made ahead of use: the next one exists when the last one begins to fill.
create function ledger_extend(per_partition bigint default 10000000) returns integer language plpgsql security definer
  -- Whoever waits for this lock makes every writer wait behind it; it is tried again long before it is needed.
  set search_path = public, pg_temp set lock_timeout = '2s' as $$
declare
  parent text;
  top    bigint;
  used   bigint;
  made   integer := 0;
begin
  foreach parent in array array['ledger_entry', 'ledger_segment'] loop
    loop
      select coalesce(max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''(\d+)''\)'))[1]::bigint), 1)
        into top
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = parent::regclass;
      execute format('select coalesce(max(id), 0) from %I', parent) into used;
      exit when used < top - per_partition;
      execute format('create table %I partition of %I for values from (%s) to (%s)', parent || '_' || top, parent, top, top + per_partition);
      execute format('comment on table %I is %L', parent || '_' || top, 'Entries by id; see ' || parent || '.');
      made := made + 1;
    end loop;
  end loop;
  return made;
end $$;
select ledger_extend();

-- What runs with the owner's rights is for whom it is given to; a trigger needs no right to run.
revoke execute on function ledger_enqueue(), ledger_enqueue_all(), ledger_requeue(), ledger_extend(bigint) from public;
