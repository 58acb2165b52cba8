-- How far a reading is and what it has read so far. Unlogged: after a crash of the database a reading begins anew, and nothing was said yet.
create unlogged table reading_progress (
  source_id  uuid not null,
  reading_id uuid not null,
  holder_id  uuid not null,
  beat_at    timestamptz not null,
  scope      text,
  cursor     text,
  pages      integer not null default 0,
  refused    integer not null default 0,
  from_future integer not null default 0,
  constraint reading_progress_pkey primary key (source_id)
);
comment on table reading_progress is 'A row is a reading under way: who reads, and behind which page it goes on should they die.';
comment on column reading_progress.refused is 'Observations of this scope that broke the contract and were not kept: whoever goes on must not take them for gone.';
comment on column reading_progress.from_future is 'Uses of this scope that the source dated ahead of now.';
comment on column reading_progress.scope is 'The one that is read now. The one before it may still be entering the inventory: until that has its report, it counts as unread.';
create unlogged table inventory_stage (
  reading_id uuid not null,
  scope_id   uuid not null,
  object_id  uuid not null,
  kind       text not null,
  content    jsonb not null,
  constraint inventory_stage_pkey primary key (reading_id, scope_id, object_id)
);
comment on table inventory_stage is 'A row is uses of one page, added up, or a window of them: they enter the inventory when the scope is closed.';
create unlogged table staged_page (
  reading_id uuid not null,
  scope_id   uuid not null,
  kind       text not null,
  place      bigint not null,
  things     integer not null,
  lines      text not null,
  constraint staged_page_pkey primary key (reading_id, scope_id, kind, place)
);
comment on table staged_page is 'A row is the things of one kind that a page of a scope told which was never read before: rows already, written as COPY takes them.';
comment on column staged_page.lines is 'Kept as they come: they are read once, whole.';
alter table staged_page alter column lines set storage external;
create unlogged table inventory_told (
  reading_id uuid not null,
  scope_id   uuid not null,
  place      bigint not null,
  digest     bytea,
  ids        uuid[],
  known      int8multirange,
  blocks     integer not null,
  things     integer not null,
  constraint inventory_told_pkey primary key (reading_id, scope_id, place),
  constraint is_known_or_another check ((known is null) = (digest is not null) and (known is null) = (ids is not null))
);
comment on table inventory_told is 'A row is what the scope now being read told one after the other: a block of a few things, or blocks that it told before.';
comment on column inventory_told.place is 'The number of the page, and where in it: what is told later counts.';
comment on column inventory_told.digest is 'Of all that was told of the things of one block.';
comment on column inventory_told.known is 'Numbers of blocks that the last complete reading told as well, in the place of a digest and ids.';
comment on column inventory_told.blocks is 'How many blocks were told; more than are known where one was told again.';
create unlogged table inventory_block (
  scope_id uuid not null,
  number   bigint not null,
  digest   bytea not null,
  ids      uuid[] not null,
  constraint inventory_block_pkey primary key (scope_id, number)
);
comment on table inventory_block is 'A row is a block that the last complete reading of a scope told, of things that all stand just so: told again, none of them is looked at.';
comment on column inventory_block.number is 'Names it in its scope; those that were first told one after the other have one after the other.';
comment on column inventory_block.ids is 'All blocks of a scope together have each thing that stands in it once, but for what is missed; or it has none.';

-- Of each kind what the scope now being read told, new or otherwise than it stands: columns as the inventory has them, and no index but by place.
-- By scope too: what earlier scopes of a reading left there, removed and not yet cleaned up, is not walked over.
create function make_stage(kind text) returns void language plpgsql as $$
begin
  execute format('create unlogged table staged_%1$s as select null::uuid as reading_id, null::bigint as place, o.* from observed_%1$s o with no data', kind);
  execute format('alter table staged_%1$s drop column first_seen_at, drop column changed_at, drop column last_seen_at,
                  drop column missed_at, drop column gone_at, drop column cause, alter column id set not null, alter column digest set not null,
                  add constraint staged_%1$s_pkey primary key (reading_id, scope_id, place)', kind);
  execute format('comment on table staged_%1$s is %2$L', kind,
                 format('A row is a %s that the scope now being read told, new or otherwise than it stands: it enters the inventory when the scope is closed.', kind));
  execute format('create index observed_%1$s_missed on observed_%1$s (scope_id, id) where missed_at is not null and gone_at is null', kind);
  execute format('create index observed_%1$s_gone on observed_%1$s (id) where gone_at is not null', kind);
end $$;
select make_stage(kind) from unnest(array['principal', 'credential', 'resource', 'grant', 'trust', 'reference']) kind;
alter table staged_principal drop column account_id;
drop function make_stage;

-- What a reading leaves behind there is nothing to anybody, and as much as the inventory itself: it is not vacuumed a little at a time, under that
-- reading and the next, but begun anew at its end. Only their owner may do that, so the server asks for it here.
alter table staged_page set (toast.autovacuum_vacuum_threshold = 500000);
alter table inventory_told set (autovacuum_vacuum_threshold = 200000, autovacuum_vacuum_insert_threshold = 200000);
create function empty_stages() returns boolean language plpgsql security definer
  -- Longer than it takes until a vacuum that holds one of them makes way.
  set search_path = public, pg_temp set lock_timeout = '3s' as $$
declare
  stages constant regclass[] := array['inventory_stage', 'staged_page', 'inventory_told', 'staged_principal', 'staged_credential', 'staged_resource',
                                      'staged_grant', 'staged_trust', 'staged_reference']::regclass[];
begin
  -- A new file costs more than few rows.
  if exists (select from reading_progress) or (select sum(pg_total_relation_size(s)) from unnest(stages) s) < 16000000 then
    return false;
  end if;
  lock table inventory_stage, staged_page, inventory_told, staged_principal, staged_credential, staged_resource, staged_grant, staged_trust,
             staged_reference in access exclusive mode;
  -- Who begins a reading from here on waits with the first page; one that is under way has its pages here.
  if exists (select from reading_progress) then
    return false;
  end if;
  truncate inventory_stage, staged_page, inventory_told, staged_principal, staged_credential, staged_resource, staged_grant, staged_trust,
           staged_reference;
  return true;
exception when lock_not_available or deadlock_detected then
  return false;
end $$;
comment on function empty_stages() is 'Begins anew what readings keep beside the inventory, when it is large and nobody reads; says whether it did.';
revoke execute on function empty_stages() from public;

-- What a source posts by itself is kept as safely as everything else: who posted it has the answer and will not post it again.
create table source_inbox (
  source_id  uuid primary key constraint source_fkey references source,
  last_place bigint not null default 0,
  read_place bigint not null default 0,
  refused    bigint not null default 0,
  constraint nothing_is_read_before_it_came check (read_place <= last_place)
);
comment on table source_inbox is 'A row is where a source posts by itself: how far it has come, and how far that is in the inventory.';
comment on column source_inbox.refused is 'How many things were posted and not kept.';
create table delivery (
  source_id   uuid not null constraint inbox_fkey references source_inbox,
  item_id     text not null,
  place       bigint not null,
  content     jsonb,
  received_at timestamptz not null,
  constraint delivery_pkey primary key (source_id, item_id),
  constraint place_is_taken_once unique (source_id, place)
);
comment on table delivery is 'A row is one thing that a source posted, which waits until its scope is read.';
comment on column delivery.item_id is 'Its id at the source: posted again, it is known by it.';
comment on column delivery.content is 'Null once it is in the inventory.';
