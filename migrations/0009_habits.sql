-- The latest uses of an identity are read at each decision (its risk), so finding them may not cost more as the past grows.
create index access_grant_latest on access_grant (subject_id, starts_at desc);
drop index access_grant_subject;
create index grant_use_latest on grant_use (grant_id, reserved_at desc);
drop index grant_use_grant;
