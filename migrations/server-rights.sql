-- What the role the server runs as may do (core 10). Run after every migration; :server is that role, quoted.
-- It owns nothing. It inserts and reads; it updates where a state moves; it deletes only from queues.
grant usage on schema public to :server;
revoke create on schema public from public;
revoke all on all tables in schema public from :server;
grant select on all tables in schema public to :server;
grant insert on all tables in schema public to :server;
-- What is entered passes the triggers of the whole table, which a partition of it does not have.
do $$
declare
  part regclass;
begin
  for part in select inhrelid from pg_inherits where inhparent in ('public.ledger_entry'::regclass, 'public.ledger_segment'::regclass) loop
    execute format('revoke insert on %s from %s', part,
      $role$:server$role$);
  end loop;
end $$;
grant usage on all sequences in schema public to :server;
grant update on
  identity, identity_reach, review_risk, enrolment, api_token, signal, privileged_action, target, account, account_role, purpose, access_request, access_grant, change,
  grant_proof, grant_use, held_operation, grant_heartbeat, node, lease, session, ledger_tile, ledger_writer, subject_key, idempotency
to :server;
grant delete on ledger_pending, idempotency to :server;
grant update on
  source, source_scope, source_reading, reading_progress, observed_principal, observed_credential, observed_resource,
  observed_grant, observed_trust, observed_reference, observed_usage, usage_window, source_inbox, delivery
to :server;
grant delete on reading_progress, inventory_stage, staged_page, inventory_told, inventory_block, staged_principal, staged_credential, staged_resource,
  staged_grant, staged_trust, staged_reference, delivery to :server;
revoke insert on ledger_pending from :server;
revoke insert on schema_migration, schema_migration_lock, schema_checksum from :server;
grant execute on function ledger_extend(bigint), ledger_requeue(), refresh_statistics(), empty_stages() to :server;
-- The token service.
grant update on signing_key, trust_rule, issuer_keys to :server;
grant update on ssh_authority, spiffe_authority, issued_credential to :server;
grant delete on used_proof to :server;
grant update on rotation, rotation_schedule, rotation_way, rotation_campaign, rotation_task, credential_consumer, local_secret to :server;
grant update on finding, finding_pass to :server;
-- Logins of people.
grant update on login_link, login_session, login_activity, login_cookie, login_attempt, device_authorization, authorization_code,
  pushed_request to :server;
grant delete on login_cookie, login_attempt, device_authorization, authorization_code, pushed_request to :server;
grant update on provisioned_user, provisioned_group, provisioned_member, lifecycle_case, lifecycle_item to :server;
-- Machines, placements and trust domains of others.
grant update on machine_invitation, machine_attestation, placement, foreign_domain, foreign_domain_poll to :server;
grant delete on foreign_domain_poll to :server;
-- Passkeys and step-up.
grant update on passkey, passkey_ceremony, step_up, backchannel_request to :server;
grant delete on passkey_ceremony to :server;
-- The record behind what sources told, and the graph.
grant update on record_link, identity_merge, escalation, graph_pass, owner_candidate, adoption, adoption_run, service_candidate, service_attestation, tool_approval to :server;
grant delete on escalation, escalation_stage, owner_candidate, service_candidate to :server;
-- Secrets in custody.
grant update on root_key, deposit, deposit_version to :server;
