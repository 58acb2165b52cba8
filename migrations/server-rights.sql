-- What the role the server runs as may do (core 10). Run after every migration; :server is that role, quoted.
-- It owns nothing. It inserts and reads; it updates where a state moves; it deletes only from queues.
grant usage on schema public to :server;
revoke create on schema public from public;
revoke all on all tables in schema public from :server;
grant select on all tables in schema public to :server;
grant insert on all tables in schema public to :server;
grant usage on all sequences in schema public to :server;
grant update on
  identity, identity_reach, review_risk, enrolment, api_token, signal, privileged_action, target, account, account_role, purpose, access_request, access_grant, change,
  grant_proof, grant_use, held_operation, grant_heartbeat, node, lease, session, ledger_tile, ledger_writer, subject_key, idempotency
to :server;
grant delete on ledger_pending, idempotency to :server;
grant update on
  source, source_scope, source_reading, reading_progress, inventory_stage, observed_principal, observed_credential, observed_resource,
  observed_grant, observed_trust, observed_reference, observed_usage, usage_window
to :server;
grant delete on reading_progress, inventory_stage to :server;
revoke insert on ledger_pending from :server;
revoke insert on schema_migration, schema_migration_lock, schema_checksum from :server;
grant execute on function ledger_extend(bigint), ledger_requeue() to :server;
-- The token service.
grant update on signing_key, trust_rule, issuer_keys to :server;
grant update on ssh_authority, spiffe_authority to :server;
grant delete on used_proof to :server;
grant update on rotation, rotation_schedule to :server;
grant update on finding, finding_pass to :server;
