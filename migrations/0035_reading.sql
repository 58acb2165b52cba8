-- How far a reading is and what it has read so far. Unlogged: after a crash of the database a reading begins anew, and nothing was said yet.
create unlogged table reading_progress (
  source_id  uuid not null,
  reading_id uuid not null,
  holder_id  uuid not null,
  beat_at    timestamptz not null,
  scope      text,
  cursor     text,
  pages      integer not null default 0,
  items      integer not null default 0,
  constraint reading_progress_pkey primary key (source_id)
);
comment on table reading_progress is 'A row is a reading under way: who reads, and behind which page it goes on should they die.';
create unlogged table inventory_stage (
  reading_id uuid not null,
  object_id  uuid not null,
  kind       text not null,
  digest     bytea not null,
  content    jsonb,
  constraint inventory_stage_pkey primary key (reading_id, object_id)
);
comment on table inventory_stage is 'A row is a thing that the scope now being read told, new or otherwise than it stands: it enters the inventory when the scope is closed.';
comment on column inventory_stage.content is 'Its row of the inventory; null when it was told otherwise before and then as it stands.';
alter table inventory_stage set (autovacuum_vacuum_scale_factor = 0.5);
create unlogged table inventory_told (
  reading_id uuid not null,
  digest     bytea not null,
  ids        uuid[] not null,
  constraint inventory_told_pkey primary key (reading_id, digest)
);
comment on table inventory_told is 'A row is a part of a page of the scope now being read: things that it told just as they stand.';
comment on column inventory_told.digest is 'Of the ids, so that a page that comes again is one row.';
