-- Credentials that the holder of a grant uses at the target itself, and how long they outlive their end.

alter table lease add column residual_before timestamptz;
comment on column lease.residual_before is 'Until when its target may take it although it was ended; null: no longer than its end takes.';

create table issued_credential (
  lease_id     uuid primary key constraint lease_fkey references lease,
  use_id       uuid not null constraint use_fkey references grant_use,
  valid_before timestamptz,
  cause        bigint not null constraint cause_fkey references ledger_entry,
  constraint use_has_one_credential unique (use_id)
);
comment on table issued_credential is 'A row is a lease whose credential was handed to the holder of the grant.';
comment on column issued_credential.use_id is 'The use of the grant that it is; closed when the credential ran out or was ended.';
comment on column issued_credential.valid_before is 'When it stops by itself; null until the target made it.';
create index issued_credential_end on issued_credential (valid_before);
create index issued_credential_cause on issued_credential (cause);
select hold_cause('issued_credential');
