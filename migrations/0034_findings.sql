-- Rules look at rights and at who acts as sources told them, and at our own rules of trust too.
alter table finding drop constraint subject_kind_is_known;
alter table finding add constraint subject_kind_is_known
  check (subject_kind in ('identity', 'account', 'principal', 'credential', 'trust', 'grant', 'trust-rule', 'tool'));
create index finding_subject_kind on finding (subject_kind, subject_id) where state <> 'fixed';
-- What is looked for among millions and is rare: rights by a star, and whether any store is read at all.
create index observed_grant_wildcard on observed_grant (id) where facts @> '{"isWildcard": true}';
create index observed_credential_vaulted on observed_credential (id) where held_by = 'vault';
