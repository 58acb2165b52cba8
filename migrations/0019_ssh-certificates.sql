create table ssh_authority (
  id          uuid primary key,
  public_key  bytea not null,
  sealed_seed bytea not null,
  created_at  timestamptz not null,
  retired_at  timestamptz,
  distrusted  boolean not null default false,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint public_key_is_ed25519 check (octet_length(public_key) = 32),
  constraint distrusted_is_retired check (not distrusted or retired_at is not null)
);
comment on table ssh_authority is 'A row is a key that signs certificates for hosts. One of them signs; those before it are trusted until their certificates have run out.';
comment on column ssh_authority.distrusted is 'Servers are not to trust it any more, whatever it signed.';
create unique index one_ssh_authority_signs on ssh_authority ((true)) where retired_at is null;
create index ssh_authority_cause on ssh_authority (cause);
select hold_cause('ssh_authority');

create table ssh_certificate (
  serial       bigint primary key generated always as identity,
  lease_id     uuid not null constraint lease_fkey references lease,
  use_id       uuid not null constraint use_fkey references grant_use,
  authority_id uuid not null constraint authority_fkey references ssh_authority,
  key_sha256   bytea not null,
  valid_before timestamptz not null,
  issued_at    timestamptz not null,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint use_has_one_certificate unique (use_id)
);
comment on table ssh_certificate is 'A row is a certificate that lets the holder of a key in at a host. Whether it is revoked is the state of its lease.';
comment on column ssh_certificate.use_id is 'The use of the grant that it is; closed when it has run out.';
create index ssh_certificate_lease on ssh_certificate (lease_id);
create index ssh_certificate_authority on ssh_certificate (authority_id);
create index ssh_certificate_end on ssh_certificate (valid_before);
create index ssh_certificate_cause on ssh_certificate (cause);
select hold_cause('ssh_certificate');
