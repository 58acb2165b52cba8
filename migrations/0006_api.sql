-- What the API keeps about its own calls.

create table idempotency (
  caller_id      uuid not null constraint caller_fkey references identity,
  key            text not null,
  request_sha256 bytea not null,
  status         smallint,
  sealed_body    bytea,
  created_at     timestamptz not null,
  constraint idempotency_pkey primary key (caller_id, key),
  constraint key_is_bounded check (length(key) between 1 and 200)
);
comment on table idempotency is 'A row remembers the answer to a write that carried an Idempotency-Key, so that a repeat gets the same answer. Removed after a day.';
create index idempotency_created on idempotency (created_at);
