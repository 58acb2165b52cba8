-- What connectors saw, where they could not look, and under which key secrets are recognised.

create table fingerprint_key (
  id         uuid primary key,
  is_only    boolean not null default true constraint there_is_only_one unique,
  sealed_key bytea not null,
  created_at timestamptz not null,
  constraint only_is_true check (is_only)
);
comment on table fingerprint_key is 'A row is the key under which secrets are recognised without being kept; sealed under the root key, and there is one.';
