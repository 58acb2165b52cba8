create table spiffe_authority (
  id          uuid primary key,
  kind        text not null,
  public_key  bytea not null,
  certificate bytea,
  sealed_key  bytea,
  state       text not null,
  created_at  timestamptz not null,
  signs_at    timestamptz,
  retired_at  timestamptz,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint kind_is_known check (kind in ('x509', 'jwt')),
  constraint state_is_known check (state in ('next', 'signing', 'trusted', 'retired')),
  constraint x509_has_a_certificate check ((kind = 'x509') = (certificate is not null)),
  constraint only_what_may_sign_is_sealed check ((sealed_key is not null) = (state in ('next', 'signing'))),
  constraint signing_says_since_when check (state = 'next' or signs_at is not null)
);
comment on table spiffe_authority is 'A row is a key of the trust domain. It is in the bundle before it signs and while anything it signed may be in use.';
comment on column spiffe_authority.public_key is 'SubjectPublicKeyInfo.';
comment on column spiffe_authority.certificate is 'Of a key for X509-SVIDs: what verifiers trust, in DER.';
comment on column spiffe_authority.sealed_key is 'PKCS #8, or the name of a key that is held elsewhere, sealed for this row; destroyed when the key stops signing.';
create unique index spiffe_authority_next on spiffe_authority (kind) where state = 'next';
create unique index spiffe_authority_signing on spiffe_authority (kind) where state = 'signing';
create unique index spiffe_authority_trusted on spiffe_authority (kind) where state = 'trusted';
create index spiffe_authority_cause on spiffe_authority (cause);
select hold_cause('spiffe_authority');
create trigger spiffe_authority_is_hinted after insert or update on spiffe_authority for each statement
  execute function hint_record_kind('spiffe-keys');
