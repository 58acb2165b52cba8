-- What a client asks for before a browser is sent, and whom it tells of an answer.

create table pushed_request (
  request_uri_sha256 bytea primary key,
  client_id          text not null,
  fields             jsonb not null,
  key_kind           text not null,
  key_sha256         bytea not null,
  created_at         timestamptz not null,
  expires_at         timestamptz not null,
  used_at            timestamptz,
  constraint key_kind_is_known check (key_kind in ('dpop', 'mtls'))
);
comment on table pushed_request is 'A row is what a client will send a browser for, told beforehand and answered once (RFC 9126).';
comment on column pushed_request.key_sha256 is 'Of the key it came with: the code that comes of it is redeemed by the same key alone.';
create index pushed_request_expires on pushed_request (expires_at);
