-- Derived from the migrated database by `npm run generate`. Partitions are left out.

create table access_grant (
  id uuid not null,
  request_id uuid not null,
  subject_id uuid not null,
  on_behalf_of_id uuid,
  target_id uuid not null,
  account_id uuid not null,
  actions text[] not null,
  parser_enforced text[] not null,
  purpose_id uuid not null,
  ticket text,
  task text,
  recording text not null,
  max_uses integer,
  uses integer not null default 0,
  max_connections integer not null,
  is_kept_alive boolean not null,
  starts_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  end_reason text,
  end_comment text,
  ended_by_id uuid,
  policy_version text not null,
  version integer not null default 1,
  cause bigint not null,
  risk_score smallint,
  risk jsonb,
  constraint access_grant_pkey PRIMARY KEY (id),
  constraint request_is_granted_once UNIQUE (request_id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint ended_by_fkey FOREIGN KEY (ended_by_id) REFERENCES identity(id),
  constraint on_behalf_of_fkey FOREIGN KEY (on_behalf_of_id) REFERENCES identity(id),
  constraint purpose_fkey FOREIGN KEY (purpose_id) REFERENCES purpose(id),
  constraint request_fkey FOREIGN KEY (request_id) REFERENCES access_request(id),
  constraint subject_fkey FOREIGN KEY (subject_id) REFERENCES identity(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint comment_is_of_an_end CHECK (((ended_at IS NOT NULL) OR (end_comment IS NULL))),
  constraint end_reason_is_known CHECK ((end_reason = ANY (ARRAY['done'::text, 'expired'::text, 'revoked'::text, 'identity-suspended'::text, 'identity-retired'::text, 'owner-lost'::text, 'heartbeat-missed'::text, 'used-up'::text, 'purpose-ended'::text, 'policy-changed'::text, 'risk-rose'::text, 'signal-received'::text, 'target-retired'::text, 'account-retired'::text]))),
  constraint end_says_why CHECK (((ended_at IS NULL) = (end_reason IS NULL))),
  constraint ends_after_start CHECK ((expires_at > starts_at)),
  constraint recording_is_known CHECK ((recording = ANY (ARRAY['none'::text, 'meta'::text, 'full'::text]))),
  constraint risk_is_a_share CHECK (((risk_score >= 0) AND (risk_score <= 100))),
  constraint uses_stay_within CHECK (((uses >= 0) AND ((max_uses IS NULL) OR (uses <= max_uses))))
);
CREATE INDEX access_grant_account ON access_grant USING btree (account_id);
CREATE INDEX access_grant_cause ON access_grant USING btree (cause);
CREATE INDEX access_grant_ended_by ON access_grant USING btree (ended_by_id);
CREATE INDEX access_grant_latest ON access_grant USING btree (subject_id, starts_at DESC);
CREATE INDEX access_grant_live ON access_grant USING btree (expires_at) WHERE (ended_at IS NULL);
CREATE INDEX access_grant_on_behalf_of ON access_grant USING btree (on_behalf_of_id);
CREATE INDEX access_grant_purpose ON access_grant USING btree (purpose_id);
CREATE INDEX access_grant_target ON access_grant USING btree (target_id);
comment on table access_grant is 'A row is one decision to let one identity act on one account of one target until an instant. It is the only authority.';
comment on column access_grant.end_comment is 'What who ended it said about it; the client whose session it cuts is told.';
comment on column access_grant.risk is 'Of the moment it was made, factor by factor; what rose since is told from it.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON access_grant FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER grant_ends_once BEFORE UPDATE ON access_grant FOR EACH ROW EXECUTE FUNCTION grant_ends_once();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON access_grant FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON access_grant FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table access_refusal (
  id uuid not null,
  subject_id uuid not null,
  target_id uuid not null,
  account_id uuid not null,
  actions text[] not null,
  problem text not null,
  at timestamp with time zone not null,
  cause bigint not null,
  constraint access_refusal_pkey PRIMARY KEY (id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint subject_fkey FOREIGN KEY (subject_id) REFERENCES identity(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id)
);
CREATE INDEX access_refusal_account ON access_refusal USING btree (account_id);
CREATE INDEX access_refusal_cause ON access_refusal USING btree (cause);
CREATE INDEX access_refusal_subject ON access_refusal USING btree (subject_id);
CREATE INDEX access_refusal_target ON access_refusal USING btree (target_id, at);
comment on table access_refusal is 'A row is a request that was refused at once. Whether the same was granted later tells friction from protection.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON access_refusal FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON access_refusal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON access_refusal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table access_request (
  id uuid not null,
  requester_id uuid not null,
  subject_id uuid not null,
  on_behalf_of_id uuid,
  triggered_by_id uuid,
  proof text not null,
  target_id uuid not null,
  account_id uuid not null,
  actions text[] not null,
  parser_enforced text[] not null,
  purpose_id uuid not null,
  ticket text,
  task text,
  reason text,
  asked_ttl_seconds integer not null,
  ttl_seconds integer not null,
  uses integer,
  connections integer not null,
  is_kept_alive boolean not null,
  obligations jsonb not null,
  policies jsonb not null,
  policy_version text not null,
  approver_teams text[] not null,
  bound_sha256 bytea not null,
  state text not null,
  refusal text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  decided_at timestamp with time zone,
  version integer not null default 1,
  cause bigint not null,
  asked_uses integer,
  mode text not null default 'enforce'::text,
  waived text[] not null default '{}'::text[],
  step_up text not null default 'none'::text,
  step_up_id uuid,
  constraint access_request_pkey PRIMARY KEY (id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint on_behalf_of_fkey FOREIGN KEY (on_behalf_of_id) REFERENCES identity(id),
  constraint purpose_fkey FOREIGN KEY (purpose_id) REFERENCES purpose(id),
  constraint requester_fkey FOREIGN KEY (requester_id) REFERENCES identity(id),
  constraint step_up_fkey FOREIGN KEY (step_up_id) REFERENCES step_up(id),
  constraint subject_fkey FOREIGN KEY (subject_id) REFERENCES identity(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint triggered_by_fkey FOREIGN KEY (triggered_by_id) REFERENCES identity(id),
  constraint connections_are_bounded CHECK (((connections >= 1) AND (connections <= 10000))),
  constraint ends_after_start CHECK ((expires_at > created_at)),
  constraint mode_is_known CHECK ((mode = ANY (ARRAY['observe'::text, 'warn'::text, 'enforce'::text]))),
  constraint names_actions CHECK ((cardinality(actions) > 0)),
  constraint only_a_lenient_mode_waives CHECK (((mode <> 'enforce'::text) OR (cardinality(waived) = 0))),
  constraint pending_is_undecided CHECK (((state = 'pending'::text) = (decided_at IS NULL))),
  constraint proof_is_known CHECK ((proof = ANY (ARRAY['token'::text, 'bound-token'::text, 'mtls'::text, 'spiffe'::text, 'kubernetes'::text, 'oidc'::text, 'dpop'::text, 'passkey'::text]))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['pending'::text, 'granted'::text, 'denied'::text, 'expired'::text, 'withdrawn'::text, 'void'::text]))),
  constraint step_up_is_known CHECK ((step_up = ANY (ARRAY['none'::text, 'mfa'::text, 'phishing-resistant'::text]))),
  constraint step_up_is_named CHECK (((step_up = 'none'::text) = (step_up_id IS NULL))),
  constraint ttl_is_bounded CHECK (((ttl_seconds >= 1) AND (ttl_seconds <= 2592000))),
  constraint ttl_is_no_more_than_asked CHECK ((ttl_seconds <= asked_ttl_seconds)),
  constraint uses_are_bounded CHECK (((uses >= 1) AND (uses <= 1000000))),
  constraint uses_are_no_more_than_asked CHECK (((asked_uses IS NULL) OR (uses <= asked_uses)))
);
CREATE INDEX access_request_account ON access_request USING btree (account_id);
CREATE INDEX access_request_asked ON access_request USING btree (target_id, created_at);
CREATE INDEX access_request_cause ON access_request USING btree (cause);
CREATE INDEX access_request_inbox ON access_request USING gin (approver_teams) WHERE (state = 'pending'::text);
CREATE INDEX access_request_on_behalf_of ON access_request USING btree (on_behalf_of_id);
CREATE INDEX access_request_pending ON access_request USING btree (expires_at) WHERE (state = 'pending'::text);
CREATE INDEX access_request_purpose ON access_request USING btree (purpose_id);
CREATE INDEX access_request_requester ON access_request USING btree (requester_id);
CREATE INDEX access_request_step_up ON access_request USING btree (step_up_id);
CREATE INDEX access_request_subject ON access_request USING btree (subject_id);
CREATE INDEX access_request_target ON access_request USING btree (target_id);
CREATE INDEX access_request_triggered_by ON access_request USING btree (triggered_by_id);
comment on table access_request is 'A row asks for actions on an account of a target, for a purpose, and keeps what was decided about it.';
comment on column access_request.proof is 'How the subject proved itself when it asked, in the words of the policies; decided again with it.';
comment on column access_request.parser_enforced is 'The actions that no narrower role at the target bounds (core 19).';
comment on column access_request.ttl_seconds is 'What is given of asked_ttl_seconds: the policies may allow less.';
comment on column access_request.uses is 'How many admissions the grant will carry; null is as many as its time allows.';
comment on column access_request.approver_teams is 'The teams its obligations name: whose inbox it is in.';
comment on column access_request.bound_sha256 is 'Hash of all that will be granted and of the policies that decided (rule 8); an approval names it.';
comment on column access_request.asked_uses is 'Of which uses is what was given: the policies may allow less.';
comment on column access_request.mode is 'Of its target when it was asked.';
comment on column access_request.waived is 'What was owed and not asked for, a sentence each, because the target did not enforce. Worth nothing once it does.';
comment on column access_request.step_up is 'What its person showed for exactly this request.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON access_request FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER request_is_decided_once BEFORE UPDATE ON access_request FOR EACH ROW EXECUTE FUNCTION request_is_decided_once();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON access_request FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON access_request FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER waived_stays BEFORE UPDATE ON access_request FOR EACH ROW WHEN ((((new.asked_uses IS DISTINCT FROM old.asked_uses) OR (new.mode IS DISTINCT FROM old.mode)) OR (new.waived IS DISTINCT FROM old.waived))) EXECUTE FUNCTION waived_stays();

create table account (
  id uuid not null,
  target_id uuid not null,
  name text not null,
  identity_id uuid,
  mode text not null,
  databases text[] not null default '{}'::text[],
  tier smallint not null,
  sealed_credential bytea,
  attributes jsonb not null default '{}'::jsonb,
  state text not null default 'active'::text,
  seen_at timestamp with time zone,
  version integer not null default 1,
  cause bigint not null,
  principal text,
  constraint account_pkey PRIMARY KEY (id),
  constraint account_name_is_unique_per_target UNIQUE (target_id, name),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint mode_is_known CHECK ((mode = ANY (ARRAY['lease'::text, 'static'::text, 'seen'::text]))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['active'::text, 'retired'::text]))),
  constraint static_has_a_credential CHECK (((mode <> 'static'::text) OR (sealed_credential IS NOT NULL))),
  constraint tier_is_known CHECK (((tier >= 0) AND (tier <= 3)))
);
CREATE INDEX account_cause ON account USING btree (cause);
CREATE INDEX account_identity ON account USING btree (identity_id);
comment on table account is 'A row is a principal inside a target: one to act as (lease, static), or one that stands there (seen).';
comment on column account.identity_id is 'Who claims it; an account nobody claims is a finding.';
comment on column account.attributes is 'What was read at the target: rights, memberships, password expiry.';
comment on column account.principal is 'The login it stands for at the target by now, where two take turns. Null: its own name.';
CREATE CONSTRAINT TRIGGER account_change_is_hinted AFTER UPDATE ON account DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((((old.state IS DISTINCT FROM new.state) OR (old.mode IS DISTINCT FROM new.mode)) OR (old.tier IS DISTINCT FROM new.tier))) EXECUTE FUNCTION hint_second_look('account', 'account_id = $1');
CREATE TRIGGER account_is_hinted AFTER UPDATE ON account FOR EACH ROW WHEN (((((old.name IS DISTINCT FROM new.name) OR (old.target_id IS DISTINCT FROM new.target_id)) OR (old.tier IS DISTINCT FROM new.tier)) OR (old.state IS DISTINCT FROM new.state))) EXECUTE FUNCTION hint_record('account');
CREATE TRIGGER account_moves_reach AFTER INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION account_moves_reach();
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON account FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON account FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON account FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table account_role (
  account_id uuid not null,
  action text not null,
  role text not null,
  cause bigint not null,
  constraint account_role_pkey PRIMARY KEY (account_id, action),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint action_fkey FOREIGN KEY (action) REFERENCES privileged_action(name),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id)
);
CREATE INDEX account_role_action ON account_role USING btree (action);
CREATE INDEX account_role_cause ON account_role USING btree (cause);
comment on table account_role is 'A row maps an action on an account to the group role at the target that bounds it (core 19).';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON account_role FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER role_moves_reach AFTER INSERT OR UPDATE ON account_role FOR EACH ROW EXECUTE FUNCTION role_moves_reach();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON account_role FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON account_role FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table adoption (
  id uuid not null,
  run_id uuid,
  thing_id uuid not null,
  source_id uuid not null,
  identity_id uuid not null,
  evidence jsonb not null,
  account_ids uuid[] not null,
  state text not null default 'active'::text,
  made_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  cause bigint not null,
  constraint adoption_pkey PRIMARY KEY (id),
  constraint adoption_identity_is_unique UNIQUE (identity_id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint run_fkey FOREIGN KEY (run_id) REFERENCES adoption_run(id),
  constraint source_fkey FOREIGN KEY (source_id) REFERENCES source(id),
  constraint ended_says_when CHECK (((state = 'active'::text) = (ended_at IS NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['active'::text, 'ended'::text])))
);
CREATE INDEX adoption_cause ON adoption USING btree (cause);
CREATE UNIQUE INDEX adoption_one_at_a_time ON adoption USING btree (thing_id, source_id) WHERE (state = 'active'::text);
CREATE INDEX adoption_run_members ON adoption USING btree (run_id, id);
CREATE INDEX adoption_source ON adoption USING btree (source_id);
CREATE INDEX adoption_thing ON adoption USING btree (thing_id);
comment on table adoption is 'A row says that an identity was made of a principal that a source told and nobody claimed. Ending it is the way back.';
comment on column adoption.run_id is 'The act by a rule that made it; null where it was named.';
comment on column adoption.thing_id is 'The principal, or the definition that principals are instances of: all of them are this one identity.';
comment on column adoption.source_id is 'Who told it: another source that names instances of the same definition gets no part in the identity.';
comment on column adoption.account_ids is 'Accounts nobody claimed that were claimed with it; they are freed with it.';
CREATE TRIGGER adoption_moves_legally BEFORE UPDATE ON adoption FOR EACH ROW EXECUTE FUNCTION adoption_moves_legally();
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON adoption FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON adoption FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON adoption FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table adoption_run (
  id uuid not null,
  rule jsonb not null,
  by_id uuid not null,
  state text not null default 'running'::text,
  looked_at integer not null default 0,
  of_about integer not null,
  adopted integer not null default 0,
  unmatched integer not null default 0,
  left_out jsonb not null default '{}'::jsonb,
  undone integer not null default 0,
  after_thing uuid,
  after_source uuid,
  started_at timestamp with time zone not null,
  last_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  version integer not null default 1,
  cause bigint not null,
  constraint adoption_run_pkey PRIMARY KEY (id),
  constraint by_fkey FOREIGN KEY (by_id) REFERENCES identity(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint ended_says_when CHECK (((state = ANY (ARRAY['done'::text, 'undone'::text])) = (ended_at IS NOT NULL))),
  constraint place_is_whole CHECK (((after_thing IS NULL) = (after_source IS NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['running'::text, 'done'::text, 'undoing'::text, 'undone'::text])))
);
CREATE INDEX adoption_run_by ON adoption_run USING btree (by_id);
CREATE INDEX adoption_run_cause ON adoption_run USING btree (cause);
comment on table adoption_run is 'A row is an act that adopts by a rule, batch by batch; each batch has one entry that names all it covered.';
comment on column adoption_run.rule is 'Which principals that nobody claims, and what is said of them where no fact says it.';
comment on column adoption_run.of_about is 'How many things were nobody''s when it began: what it walks over.';
comment on column adoption_run.left_out is 'Why how many were no identities after it.';
comment on column adoption_run.after_thing is 'Behind which thing of which source the next batch begins.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON adoption_run FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON adoption_run FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON adoption_run FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table api_token (
  id uuid not null,
  identity_id uuid not null,
  label text not null,
  token_sha256 bytea not null,
  key_sha256 bytea,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  revoked_at timestamp with time zone,
  cause bigint not null,
  dpop_key_sha256 bytea,
  proof text,
  audience text,
  details jsonb,
  trust_rule_id uuid,
  on_behalf_of_id uuid,
  actor_ids uuid[] not null default '{}'::uuid[],
  parent_id uuid,
  login_session_id uuid,
  login_link_id uuid,
  link_rule_id uuid,
  constraint api_token_pkey PRIMARY KEY (id),
  constraint token_is_unique UNIQUE (token_sha256),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint link_rule_fkey FOREIGN KEY (link_rule_id) REFERENCES trust_rule(id),
  constraint login_link_fkey FOREIGN KEY (login_link_id) REFERENCES login_link(id),
  constraint login_session_fkey FOREIGN KEY (login_session_id) REFERENCES login_session(id),
  constraint on_behalf_of_fkey FOREIGN KEY (on_behalf_of_id) REFERENCES identity(id),
  constraint parent_fkey FOREIGN KEY (parent_id) REFERENCES api_token(id),
  constraint trust_rule_fkey FOREIGN KEY (trust_rule_id) REFERENCES trust_rule(id),
  constraint a_link_has_a_rule CHECK (((login_link_id IS NULL) = (link_rule_id IS NULL))),
  constraint ends_after_start CHECK ((expires_at > created_at)),
  constraint one_key_at_most CHECK (((key_sha256 IS NULL) OR (dpop_key_sha256 IS NULL))),
  constraint proof_is_known CHECK ((proof = ANY (ARRAY['token'::text, 'bound-token'::text, 'mtls'::text, 'spiffe'::text, 'kubernetes'::text, 'oidc'::text, 'dpop'::text, 'passkey'::text]))),
  constraint strong_proof_is_bound CHECK (((proof IS NULL) OR (proof = 'token'::text) OR (key_sha256 IS NOT NULL) OR (dpop_key_sha256 IS NOT NULL)))
);
CREATE INDEX api_token_cause ON api_token USING btree (cause);
CREATE INDEX api_token_identity ON api_token USING btree (identity_id);
CREATE INDEX api_token_link_rule ON api_token USING btree (link_rule_id);
CREATE INDEX api_token_login_link ON api_token USING btree (login_link_id);
CREATE INDEX api_token_login_session ON api_token USING btree (login_session_id);
CREATE INDEX api_token_on_behalf_of ON api_token USING btree (on_behalf_of_id);
CREATE INDEX api_token_parent ON api_token USING btree (parent_id);
CREATE INDEX api_token_trust_rule ON api_token USING btree (trust_rule_id);
comment on table api_token is 'A row is an opaque bearer token, kept as its hash, that proves an identity to the API until it expires.';
comment on column api_token.key_sha256 is 'Of the public key it is bound to: it proves nothing without a TLS handshake by that key (RFC 8705 §3).';
comment on column api_token.dpop_key_sha256 is 'RFC 7638 thumbprint of the key it is bound to by DPoP (RFC 9449 §6).';
comment on column api_token.proof is 'Of a token of the token service: how its holder proved itself, in the words of the policies.';
comment on column api_token.audience is 'Where it is good, when that is not this API alone (RFC 8707).';
comment on column api_token.details is 'What it is narrowed to (RFC 9396).';
comment on column api_token.actor_ids is 'Who acted before in a chain of delegations, the last one first.';
comment on column api_token.parent_id is 'The token it was exchanged for, and ends with.';
comment on column api_token.login_session_id is 'The login it was given for, and ends with.';
comment on column api_token.login_link_id is 'The link by which a provider named the person it is for (ID-JAG); it ends with the link.';
comment on column api_token.link_rule_id is 'The rule by which that provider is believed; it ends with the rule.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON api_token FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE CONSTRAINT TRIGGER credential_change_is_hinted AFTER INSERT OR UPDATE ON api_token DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hint_credential();
CREATE TRIGGER removed_token_is_hinted AFTER DELETE ON api_token FOR EACH ROW EXECUTE FUNCTION hint_record('token');
CREATE TRIGGER rows_are_kept BEFORE DELETE ON api_token FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON api_token FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER token_is_hinted AFTER UPDATE ON api_token FOR EACH ROW WHEN ((((((old.token_sha256 IS DISTINCT FROM new.token_sha256) OR (old.key_sha256 IS DISTINCT FROM new.key_sha256)) OR (old.identity_id IS DISTINCT FROM new.identity_id)) OR (old.expires_at IS DISTINCT FROM new.expires_at)) OR (old.revoked_at IS DISTINCT FROM new.revoked_at))) EXECUTE FUNCTION hint_record('token');

create table authorization_code (
  code_sha256 bytea not null,
  client_id text not null,
  redirect_uri text not null,
  code_challenge text not null,
  key_kind text,
  key_sha256 bytea,
  login_session_id uuid not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  token_id uuid,
  constraint authorization_code_pkey PRIMARY KEY (code_sha256),
  constraint login_session_fkey FOREIGN KEY (login_session_id) REFERENCES login_session(id),
  constraint token_fkey FOREIGN KEY (token_id) REFERENCES api_token(id),
  constraint a_key_has_a_kind CHECK (((key_kind IS NULL) = (key_sha256 IS NULL))),
  constraint key_kind_is_known CHECK ((key_kind = ANY (ARRAY['dpop'::text, 'mtls'::text])))
);
CREATE INDEX authorization_code_expires ON authorization_code USING btree (expires_at);
CREATE INDEX authorization_code_login_session ON authorization_code USING btree (login_session_id);
CREATE INDEX authorization_code_token ON authorization_code USING btree (token_id);
comment on table authorization_code is 'A row is a code that a browser carries from here to a client, once (RFC 6749 §4.1.2).';
comment on column authorization_code.code_challenge is 'S256 of the verifier that the client keeps (RFC 7636 §4.2).';
comment on column authorization_code.key_sha256 is 'The key that alone redeems it: that a client named (RFC 9449 §10), or pushed its request with (RFC 9126).';
comment on column authorization_code.token_id is 'What it became: ended when the code is shown again.';

create table backchannel_request (
  auth_req_sha256 bytea not null,
  step_up_id uuid not null,
  client_id uuid not null,
  key_sha256 bytea not null,
  details jsonb not null,
  interval_seconds smallint not null,
  polled_at timestamp with time zone,
  notice_rule_id uuid,
  sealed_notice bytea,
  notice_next_at timestamp with time zone,
  notice_tries smallint not null default 0,
  constraint backchannel_request_pkey PRIMARY KEY (auth_req_sha256),
  constraint client_fkey FOREIGN KEY (client_id) REFERENCES identity(id),
  constraint notice_rule_fkey FOREIGN KEY (notice_rule_id) REFERENCES trust_rule(id),
  constraint step_up_fkey FOREIGN KEY (step_up_id) REFERENCES step_up(id),
  constraint a_notice_has_a_place CHECK ((((sealed_notice IS NULL) OR (notice_rule_id IS NOT NULL)) AND ((sealed_notice IS NULL) = (notice_next_at IS NULL))))
);
CREATE INDEX backchannel_request_client ON backchannel_request USING btree (client_id);
CREATE INDEX backchannel_request_notice ON backchannel_request USING btree (notice_next_at) WHERE (sealed_notice IS NOT NULL);
CREATE INDEX backchannel_request_notice_rule ON backchannel_request USING btree (notice_rule_id);
CREATE UNIQUE INDEX backchannel_request_step_up ON backchannel_request USING btree (step_up_id);
comment on table backchannel_request is 'A row is what a client holds of a question it put to a person: the id by which it fetches the answer, and the pace of asking.';
comment on column backchannel_request.key_sha256 is 'Of the key it came with: only the same key gets the token.';
comment on column backchannel_request.notice_rule_id is 'Of a client that is told of the answer: the rule that says where.';
comment on column backchannel_request.sealed_notice is 'The id, and the word by which the client knows us; sealed for this row, and gone once it was told or the time is over.';

create table certification (
  id uuid not null,
  account_id uuid not null,
  certifier_id uuid not null,
  certified_at timestamp with time zone not null,
  good_before timestamp with time zone not null,
  cause bigint not null,
  constraint certification_pkey PRIMARY KEY (id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint certifier_fkey FOREIGN KEY (certifier_id) REFERENCES identity(id),
  constraint good_for_a_while CHECK ((good_before > certified_at))
);
CREATE INDEX certification_account ON certification USING btree (account_id);
CREATE INDEX certification_cause ON certification USING btree (cause);
CREATE INDEX certification_certifier ON certification USING btree (certifier_id);
comment on table certification is 'A row is a person''s word that an account and its login are still right, good until a date.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON certification FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON certification FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON certification FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table change (
  id uuid not null,
  requester_id uuid not null,
  proof text not null,
  operation text not null,
  resource_type text not null,
  resource_id text not null,
  resource_facts jsonb not null,
  params jsonb not null,
  query jsonb not null,
  shown jsonb not null,
  hidden text[] not null,
  preview text[] not null,
  sealed_input bytea,
  reason text not null,
  obligations jsonb not null,
  policies jsonb not null,
  policy_version text not null,
  approver_teams text[] not null,
  owner_of_target text,
  owner_of_subject text,
  tied_ids text[] not null,
  bound_sha256 bytea not null,
  state text not null,
  refusal text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  decided_at timestamp with time zone,
  used_at timestamp with time zone,
  version integer not null default 1,
  cause bigint not null,
  simulation text[] not null,
  constraint change_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint requester_fkey FOREIGN KEY (requester_id) REFERENCES identity(id),
  constraint ends_after_start CHECK ((expires_at > created_at)),
  constraint input_is_kept_while_open CHECK (((state = ANY (ARRAY['pending'::text, 'approved'::text])) = (sealed_input IS NOT NULL))),
  constraint pending_is_undecided CHECK (((state = 'pending'::text) = (decided_at IS NULL))),
  constraint proof_is_known CHECK ((proof = ANY (ARRAY['token'::text, 'bound-token'::text, 'mtls'::text, 'spiffe'::text, 'kubernetes'::text, 'oidc'::text, 'dpop'::text, 'passkey'::text]))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['pending'::text, 'approved'::text, 'used'::text, 'denied'::text, 'expired'::text, 'withdrawn'::text, 'void'::text]))),
  constraint used_says_when CHECK (((state = 'used'::text) = (used_at IS NOT NULL)))
);
CREATE INDEX change_cause ON change USING btree (cause);
CREATE INDEX change_inbox ON change USING gin (approver_teams) WHERE (state = 'pending'::text);
CREATE INDEX change_open ON change USING btree (expires_at) WHERE (state = ANY (ARRAY['pending'::text, 'approved'::text]));
CREATE INDEX change_requester ON change USING btree (requester_id);
comment on table change is 'A row is one call of an operation that others have to approve before it runs, once, exactly as it was shown to them.';
comment on column change.proof is 'How the caller proved itself when it asked, in the words of the policies.';
comment on column change.resource_facts is 'What policies were told of the resource; a difference when it is used voids the change.';
comment on column change.shown is 'The public part of the input. The whole of it is in sealed_input, until the change is over.';
comment on column change.hidden is 'The parts of the input that are not in shown: personal ones, which approvers are told, and secret ones, which nobody is.';
comment on column change.preview is 'What the change would do, in sentences, as approvers read it.';
comment on column change.sealed_input is 'The whole input with the salt of its digest, sealed; destroyed when the change is over.';
comment on column change.approver_teams is 'The teams its obligations name: whose inbox it is in.';
comment on column change.tied_ids is 'Identities whose people do not decide on it: who asked, and who it is about.';
comment on column change.bound_sha256 is 'Hash of the call, of what was shown of it and of the policies that decided (rule 8); an approval names it.';
comment on column change.simulation is 'What the call would have meant for recorded decisions, in sentences, found when it was asked for.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON change FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER change_moves_forward BEFORE UPDATE ON change FOR EACH ROW EXECUTE FUNCTION change_moves_forward();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON change FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON change FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table change_approval (
  change_id uuid not null,
  approver_id uuid not null,
  verdict text not null,
  bound_sha256 bytea not null,
  comment text,
  at timestamp with time zone not null,
  cause bigint not null,
  constraint change_approval_pkey PRIMARY KEY (change_id, approver_id),
  constraint approver_fkey FOREIGN KEY (approver_id) REFERENCES identity(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint change_fkey FOREIGN KEY (change_id) REFERENCES change(id),
  constraint verdict_is_known CHECK ((verdict = ANY (ARRAY['approve'::text, 'deny'::text])))
);
CREATE INDEX change_approval_approver ON change_approval USING btree (approver_id);
CREATE INDEX change_approval_cause ON change_approval USING btree (cause);
comment on table change_approval is 'A row is what one distinct person said about a change exactly as it was shown to them.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON change_approval FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER change_approver_is_another BEFORE INSERT OR UPDATE ON change_approval FOR EACH ROW EXECUTE FUNCTION change_approver_is_another();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON change_approval FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON change_approval FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table credential_consumer (
  id uuid not null,
  account_id uuid not null,
  name text not null,
  origin text not null,
  application_name text,
  address text,
  owner_team text,
  seen_at timestamp with time zone,
  seen_on uuid,
  reference_id uuid,
  source text,
  location text,
  read_at timestamp with time zone,
  withdrawn_at timestamp with time zone,
  cause bigint not null,
  constraint credential_consumer_pkey PRIMARY KEY (id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint seen_on_fkey FOREIGN KEY (seen_on) REFERENCES rotation(id),
  constraint declared_has_an_owner CHECK (((origin = 'declared'::text) = (owner_team IS NOT NULL))),
  constraint origin_is_known CHECK ((origin = ANY (ARRAY['declared'::text, 'seen'::text, 'gateway'::text, 'reference'::text]))),
  constraint reference_says_where CHECK (((origin = 'reference'::text) = (num_nulls(reference_id, source, location, read_at) = 0)))
);
CREATE UNIQUE INDEX consumer_name_is_unique ON credential_consumer USING btree (account_id, name) WHERE (withdrawn_at IS NULL);
CREATE INDEX credential_consumer_account ON credential_consumer USING btree (account_id);
CREATE INDEX credential_consumer_cause ON credential_consumer USING btree (cause);
CREATE INDEX credential_consumer_seen_on ON credential_consumer USING btree (seen_on);
comment on table credential_consumer is 'A row is one that uses an account: by a copy of its secret (declared, seen at the target, or read by a connector where it is kept), or through the gateway.';
comment on column credential_consumer.application_name is 'What it calls itself at the target. It chooses that itself, so it never speaks for another one.';
comment on column credential_consumer.seen_on is 'The rotation whose new secret it was seen with last.';
comment on column credential_consumer.reference_id is 'The place in the inventory that keeps the secret; a row outlives what it was read from.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON credential_consumer FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON credential_consumer FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON credential_consumer FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table delivery (
  source_id uuid not null,
  item_id text not null,
  place bigint not null,
  content jsonb,
  received_at timestamp with time zone not null,
  constraint delivery_pkey PRIMARY KEY (source_id, item_id),
  constraint place_is_taken_once UNIQUE (source_id, place),
  constraint inbox_fkey FOREIGN KEY (source_id) REFERENCES source_inbox(source_id)
);
comment on table delivery is 'A row is one thing that a source posted, which waits until its scope is read.';
comment on column delivery.item_id is 'Its id at the source: posted again, it is known by it.';
comment on column delivery.content is 'Null once it is in the inventory.';

create table deposit (
  id uuid not null,
  name text not null,
  owner_team text not null,
  purpose text not null,
  state text not null default 'kept'::text,
  version integer not null,
  created_at timestamp with time zone not null,
  changed_at timestamp with time zone not null,
  retired_at timestamp with time zone,
  cause bigint not null,
  constraint deposit_pkey PRIMARY KEY (id),
  constraint name_is_unique UNIQUE (name),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint retired_says_when CHECK (((state = 'retired'::text) = (retired_at IS NOT NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['kept'::text, 'retired'::text]))),
  constraint version_is_counted CHECK ((version > 0))
);
CREATE INDEX deposit_cause ON deposit USING btree (cause);
comment on table deposit is 'A row is a secret in custody that is nobody''s login at a target.';
comment on column deposit.version is 'The last one; who reveals or exports gets it unless they ask for another.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON deposit FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER deposit_only_grows BEFORE UPDATE ON deposit FOR EACH ROW EXECUTE FUNCTION deposit_only_grows();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON deposit FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON deposit FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table deposit_sight (
  id uuid not null,
  deposit_id uuid not null,
  number integer not null,
  identity_id uuid not null,
  how text not null,
  at timestamp with time zone not null,
  cause bigint not null,
  constraint deposit_sight_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint deposit_fkey FOREIGN KEY (deposit_id) REFERENCES deposit(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint how_is_known CHECK ((how = ANY (ARRAY['put'::text, 'revealed'::text, 'exported'::text])))
);
CREATE INDEX deposit_sight_cause ON deposit_sight USING btree (cause);
CREATE INDEX deposit_sight_deposit ON deposit_sight USING btree (deposit_id);
CREATE INDEX deposit_sight_identity ON deposit_sight USING btree (identity_id);
comment on table deposit_sight is 'A row is somebody who knows a value of a deposit since then: they put it, had it revealed or exported it.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON deposit_sight FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON deposit_sight FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON deposit_sight FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table deposit_version (
  id uuid not null,
  deposit_id uuid not null,
  number integer not null,
  sealed_value bytea,
  size_bytes integer not null,
  created_at timestamp with time zone not null,
  destroyed_at timestamp with time zone,
  cause bigint not null,
  constraint deposit_version_pkey PRIMARY KEY (id),
  constraint version_stands_once UNIQUE (deposit_id, number),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint deposit_fkey FOREIGN KEY (deposit_id) REFERENCES deposit(id),
  constraint number_is_counted CHECK ((number > 0)),
  constraint value_or_destruction CHECK (((sealed_value IS NULL) = (destroyed_at IS NOT NULL)))
);
CREATE INDEX deposit_version_cause ON deposit_version USING btree (cause);
comment on table deposit_version is 'A row is one value of a deposit.';
comment on column deposit_version.sealed_value is 'The value under a key of its own, and that key under the root key; both destroyed when the deposit is retired.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON deposit_version FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER deposit_version_stays BEFORE UPDATE ON deposit_version FOR EACH ROW EXECUTE FUNCTION deposit_version_stays();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON deposit_version FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON deposit_version FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table device_authorization (
  id uuid not null,
  device_code_sha256 bytea not null,
  user_code_fingerprint text not null,
  client_id text not null,
  key_kind text not null,
  key_sha256 bytea not null,
  client_address text not null,
  client_agent text not null,
  state text not null default 'pending'::text,
  login_session_id uuid,
  interval_seconds smallint not null,
  polled_at timestamp with time zone,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint device_authorization_pkey PRIMARY KEY (id),
  constraint device_code_is_unique UNIQUE (device_code_sha256),
  constraint login_session_fkey FOREIGN KEY (login_session_id) REFERENCES login_session(id),
  constraint approval_names_a_session CHECK (((state = ANY (ARRAY['approved'::text, 'redeemed'::text])) = (login_session_id IS NOT NULL))),
  constraint key_kind_is_known CHECK ((key_kind = ANY (ARRAY['dpop'::text, 'mtls'::text]))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['pending'::text, 'approved'::text, 'denied'::text, 'redeemed'::text])))
);
CREATE INDEX device_authorization_expires ON device_authorization USING btree (expires_at);
CREATE INDEX device_authorization_login_session ON device_authorization USING btree (login_session_id);
CREATE UNIQUE INDEX device_authorization_user_code ON device_authorization USING btree (user_code_fingerprint);
comment on table device_authorization is 'A row is a program without a browser that waits for its person (RFC 8628).';
comment on column device_authorization.key_sha256 is 'Of the key it came with: only the same key gets the token.';

create table enrolment (
  id uuid not null,
  identity_id uuid,
  secret_sha256 bytea not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  needs_key boolean not null default false,
  cause bigint not null,
  is_own boolean not null default false,
  constraint enrolment_pkey PRIMARY KEY (id),
  constraint enrolment_secret_is_unique UNIQUE (secret_sha256),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint ends_after_start CHECK ((expires_at > created_at))
);
CREATE INDEX enrolment_cause ON enrolment USING btree (cause);
CREATE INDEX enrolment_identity ON enrolment USING btree (identity_id);
comment on table enrolment is 'A row is a one-time link by which an identity gets its first token. Without an identity it makes the founder.';
comment on column enrolment.needs_key is 'Whether its token must be bound to a key: who made it for themselves had one that is.';
comment on column enrolment.is_own is 'Whether the person made it for themselves: without a key that is no way to a stronger credential than they had.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON enrolment FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON enrolment FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON enrolment FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table escalation (
  id uuid not null,
  node text not null,
  source_id uuid,
  hops smallint not null,
  edge text,
  next_id uuid,
  evidence_id uuid,
  goal_id uuid not null,
  constraint escalation_pkey PRIMARY KEY (id),
  constraint goal_has_no_next CHECK ((((hops = 0) = (next_id IS NULL)) AND (num_nonnulls(edge, next_id, evidence_id) = ANY (ARRAY[0, 3])))),
  constraint node_is_known CHECK ((node = ANY (ARRAY['principal'::text, 'credential'::text, 'resource'::text, 'identity'::text, 'other'::text])))
);
CREATE INDEX escalation_goal ON escalation USING btree (goal_id, node, hops, id);
CREATE INDEX escalation_list ON escalation USING btree (node, hops, id);
CREATE INDEX escalation_source ON escalation USING btree (source_id, node, hops, id);
comment on table escalation is 'A row is the first step of the shortest way from one thing to tier 0. Derived from what sources told and the record; rebuilt as a whole.';
comment on column escalation.hops is '0: it is tier 0 itself.';
comment on column escalation.edge is 'What lets it go on: membership, trust, a secret it can read.';
comment on column escalation.evidence_id is 'The row that says so: a grant, a trust, a credential, a reference, an account.';

create table escalation_stage (
  id uuid not null,
  hops smallint not null,
  edge text,
  next_id uuid,
  evidence_id uuid,
  goal_id uuid not null,
  constraint escalation_stage_pkey PRIMARY KEY (id)
);
comment on table escalation_stage is 'A row is what the last look at the graph came to, before it is told apart from the one before.';

create table finding (
  id uuid not null,
  rule text not null,
  subject_kind text not null,
  subject_id uuid not null,
  subject_name text not null,
  identity_id uuid,
  severity smallint not null,
  evidence jsonb not null,
  uncertainty jsonb not null,
  state text not null,
  opened_at timestamp with time zone not null,
  found_at timestamp with time zone not null,
  fixed_at timestamp with time zone,
  reopened_because text,
  accepted_by_id uuid,
  accepted_because text,
  accepted_before timestamp with time zone,
  accepted_severity smallint,
  version integer not null default 1,
  cause bigint not null,
  constraint finding_pkey PRIMARY KEY (id),
  constraint one_per_rule_and_subject UNIQUE (subject_id, rule),
  constraint accepted_by_fkey FOREIGN KEY (accepted_by_id) REFERENCES identity(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint accepted_says_by_whom_why_and_until CHECK ((((state = 'accepted'::text) = (num_nonnulls(accepted_by_id, accepted_because, accepted_before, accepted_severity) = 4)) AND (num_nonnulls(accepted_by_id, accepted_because, accepted_before, accepted_severity) = ANY (ARRAY[0, 4])))),
  constraint fixed_says_when CHECK (((state = 'fixed'::text) = (fixed_at IS NOT NULL))),
  constraint reopened_says_why CHECK (((state = 'reopened'::text) = (reopened_because IS NOT NULL))),
  constraint severity_is_known CHECK (((severity >= 0) AND (severity <= 3))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['open'::text, 'accepted'::text, 'fixed'::text, 'reopened'::text]))),
  constraint subject_kind_is_known CHECK ((subject_kind = ANY (ARRAY['identity'::text, 'account'::text, 'principal'::text, 'credential'::text, 'trust'::text, 'grant'::text, 'trust-rule'::text, 'tool'::text])))
);
CREATE INDEX finding_accepted_by ON finding USING btree (accepted_by_id);
CREATE INDEX finding_identity ON finding USING btree (identity_id);
CREATE INDEX finding_not_open ON finding USING btree (state, severity, id) WHERE (state <> 'open'::text);
CREATE INDEX finding_rule ON finding USING btree (rule, severity, id);
CREATE INDEX finding_subject_kind ON finding USING btree (subject_kind, subject_id) WHERE (state <> 'fixed'::text);
CREATE INDEX finding_worst ON finding USING btree (severity, id);
comment on table finding is 'A row is one thing that a rule found wrong with one subject; there is one for both, and what it went through is in the ledger.';
comment on column finding.identity_id is 'Whose it is, where an identity of the record holds the subject; it counts in the risk of what that identity does.';
comment on column finding.severity is '0 is the worst.';
comment on column finding.uncertainty is 'What could not be seen and might change the picture.';
comment on column finding.found_at is 'When the facts it stands on were read: only facts that were read later can say that it is fixed.';
comment on column finding.accepted_before is 'An acceptance ends; then the finding is reopened.';
comment on column finding.accepted_severity is 'What was accepted: a finding that grows worse is reopened.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON finding REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON finding REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER finding_moves_legally BEFORE UPDATE ON finding FOR EACH ROW EXECUTE FUNCTION finding_moves_legally();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON finding FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON finding FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table finding_pass (
  is_only boolean not null default true,
  began_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  looks jsonb not null default '[]'::jsonb,
  constraint finding_pass_pkey PRIMARY KEY (is_only),
  constraint there_is_only_one CHECK (is_only)
);
comment on table finding_pass is 'A row is the last time that every rule looked at every subject: how many it judged, and how many it could not and why.';

create table fingerprint_key (
  id uuid not null,
  is_only boolean not null default true,
  sealed_key bytea not null,
  created_at timestamp with time zone not null,
  constraint fingerprint_key_pkey PRIMARY KEY (id),
  constraint there_is_only_one UNIQUE (is_only),
  constraint only_is_true CHECK (is_only)
);
comment on table fingerprint_key is 'A row is the key under which secrets are recognised without being kept; sealed under the root key, and there is one.';

create table foreign_domain (
  name text not null,
  bundle_url text not null,
  profile text not null,
  endpoint_id text,
  bundle text,
  sequence bigint,
  refresh_seconds integer not null,
  bundled_at timestamp with time zone,
  created_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  cause bigint not null,
  constraint foreign_domain_pkey PRIMARY KEY (name),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint https_spiffe_begins_with_a_bundle CHECK (((profile = 'https_web'::text) OR (bundle IS NOT NULL))),
  constraint https_spiffe_names_its_endpoint CHECK (((profile = 'https_spiffe'::text) = (endpoint_id IS NOT NULL))),
  constraint profile_is_known CHECK ((profile = ANY (ARRAY['https_web'::text, 'https_spiffe'::text])))
);
CREATE INDEX foreign_domain_cause ON foreign_domain USING btree (cause);
comment on table foreign_domain is 'A row is a trust domain of others whose identities are believed, with the bundle that verifies them: the last good one.';
comment on column foreign_domain.bundle is 'JWK set (SPIFFE Trust Domain and Bundle §4), as it was fetched.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON foreign_domain FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON foreign_domain FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON foreign_domain FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table foreign_domain_poll (
  name text not null,
  asked_at timestamp with time zone,
  fetched_at timestamp with time zone,
  next_at timestamp with time zone not null,
  failure text,
  constraint foreign_domain_poll_pkey PRIMARY KEY (name),
  constraint foreign_domain_fkey FOREIGN KEY (name) REFERENCES foreign_domain(name)
);
comment on table foreign_domain_poll is 'A row says when the bundle of a trust domain was last asked for, and what came of it.';

create table grant_heartbeat (
  grant_id uuid not null,
  at timestamp with time zone not null,
  constraint grant_heartbeat_pkey PRIMARY KEY (grant_id),
  constraint grant_fkey FOREIGN KEY (grant_id) REFERENCES access_grant(id)
);
comment on table grant_heartbeat is 'A row says when the command a grant was made for last proved that it lives. Not a change to the record, so it has no cause.';

create table grant_proof (
  id uuid not null,
  grant_id uuid not null,
  kind text not null,
  sha256 bytea not null,
  is_single_use boolean not null,
  created_at timestamp with time zone not null,
  first_use_before timestamp with time zone not null,
  first_used_at timestamp with time zone,
  first_address text,
  cause bigint not null,
  constraint grant_proof_pkey PRIMARY KEY (id),
  constraint proof_is_unique UNIQUE (sha256),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint grant_fkey FOREIGN KEY (grant_id) REFERENCES access_grant(id),
  constraint first_use_says_from_where CHECK (((first_used_at IS NULL) = (first_address IS NULL))),
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['ticket'::text, 'key'::text])))
);
CREATE INDEX grant_proof_cause ON grant_proof USING btree (cause);
CREATE INDEX grant_proof_grant ON grant_proof USING btree (grant_id);
comment on table grant_proof is 'A row is what a caller shows a gateway to use a grant: a ticket (hash of a bearer secret) or a key (hash of a public key).';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON grant_proof FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER proof_is_used_from_one_place BEFORE UPDATE ON grant_proof FOR EACH ROW EXECUTE FUNCTION proof_is_used_from_one_place();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON grant_proof FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON grant_proof FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table grant_use (
  id uuid not null,
  grant_id uuid not null,
  proof_id uuid not null,
  node_id uuid not null,
  address text not null,
  state text not null,
  reserved_at timestamp with time zone not null,
  begun_at timestamp with time zone,
  closed_at timestamp with time zone,
  cause bigint not null,
  constraint grant_use_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint grant_fkey FOREIGN KEY (grant_id) REFERENCES access_grant(id),
  constraint proof_fkey FOREIGN KEY (proof_id) REFERENCES grant_proof(id),
  constraint begun_unless_released CHECK (((begun_at IS NOT NULL) = (state = ANY (ARRAY['live'::text, 'closed'::text])))),
  constraint over_says_when CHECK (((closed_at IS NOT NULL) = (state = ANY (ARRAY['closed'::text, 'released'::text])))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['reserved'::text, 'live'::text, 'closed'::text, 'released'::text])))
);
CREATE INDEX grant_use_cause ON grant_use USING btree (cause);
CREATE INDEX grant_use_latest ON grant_use USING btree (grant_id, reserved_at DESC);
CREATE INDEX grant_use_open ON grant_use USING btree (node_id) WHERE (state = ANY (ARRAY['reserved'::text, 'live'::text]));
CREATE INDEX grant_use_proof ON grant_use USING btree (proof_id);
comment on table grant_use is 'A row is one use of a grant: reserved before the upstream connection, live from when that is ready, released if it never was (core 24).';
comment on column grant_use.node_id is 'The process that holds it (a row of node); the uses of a dead node are closed or released for it.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON grant_use FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON grant_use FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON grant_use FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER use_moves_legally BEFORE UPDATE ON grant_use FOR EACH ROW EXECUTE FUNCTION use_moves_legally();

create table graph_pass (
  is_only boolean not null default true,
  began_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  nodes bigint not null default 0,
  edges bigint not null default 0,
  reaching bigint not null default 0,
  constraint graph_pass_pkey PRIMARY KEY (is_only),
  constraint there_is_only_one CHECK (is_only)
);
comment on table graph_pass is 'A row is the last time that the whole graph was looked at.';

create table held_operation (
  id uuid not null,
  grant_id uuid not null,
  use_id uuid not null,
  class text not null,
  action text not null,
  label text not null,
  statement text not null,
  gates text[] not null,
  owner_of_target text not null,
  owner_of_subject text,
  approver_teams text[] not null,
  bound_sha256 bytea not null,
  state text not null default 'held'::text,
  refusal text,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  decided_at timestamp with time zone,
  used_at timestamp with time zone,
  version integer not null default 1,
  cause bigint not null,
  constraint held_operation_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint grant_fkey FOREIGN KEY (grant_id) REFERENCES access_grant(id),
  constraint use_fkey FOREIGN KEY (use_id) REFERENCES grant_use(id),
  constraint ends_after_start CHECK ((expires_at > created_at)),
  constraint held_is_undecided CHECK (((state = 'held'::text) = (decided_at IS NULL))),
  constraint names_gates CHECK ((cardinality(gates) > 0)),
  constraint only_a_release_is_used CHECK (((state = 'used'::text) = (used_at IS NOT NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['held'::text, 'released'::text, 'used'::text, 'refused'::text, 'expired'::text, 'dropped'::text]))),
  constraint statement_is_shown_whole CHECK (((length(statement) >= 1) AND (length(statement) <= 20000)))
);
CREATE INDEX held_operation_cause ON held_operation USING btree (cause);
CREATE INDEX held_operation_grant ON held_operation USING btree (grant_id);
CREATE INDEX held_operation_inbox ON held_operation USING gin (approver_teams) WHERE (state = 'held'::text);
CREATE INDEX held_operation_open ON held_operation USING btree (expires_at) WHERE (state = ANY (ARRAY['held'::text, 'released'::text]));
CREATE INDEX held_operation_use ON held_operation USING btree (use_id);
CREATE UNIQUE INDEX one_operation_of_a_use_is_held ON held_operation USING btree (use_id) WHERE (state = ANY (ARRAY['held'::text, 'released'::text]));
comment on table held_operation is 'A row is one operation of a session that waits for another person. It runs once, if its session moves it from released to used.';
comment on column held_operation.statement is 'Normalised, without literals (core 13).';
comment on column held_operation.gates is 'Approval expressions, all of which who releases must satisfy.';
comment on column held_operation.bound_sha256 is 'Hash of what is shown of it; a release names it.';
comment on column held_operation.used_at is 'The release was spent here; what became of the operation is in the recording.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON held_operation FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER hold_moves_legally BEFORE UPDATE ON held_operation FOR EACH ROW EXECUTE FUNCTION hold_moves_legally();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON held_operation FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON held_operation FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table hold_approval (
  hold_id uuid not null,
  approver_id uuid not null,
  verdict text not null,
  bound_sha256 bytea not null,
  comment text,
  at timestamp with time zone not null,
  cause bigint not null,
  constraint hold_approval_pkey PRIMARY KEY (hold_id, approver_id),
  constraint approver_fkey FOREIGN KEY (approver_id) REFERENCES identity(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint hold_fkey FOREIGN KEY (hold_id) REFERENCES held_operation(id),
  constraint verdict_is_known CHECK ((verdict = ANY (ARRAY['release'::text, 'refuse'::text])))
);
CREATE INDEX hold_approval_approver ON hold_approval USING btree (approver_id);
CREATE INDEX hold_approval_cause ON hold_approval USING btree (cause);
comment on table hold_approval is 'A row is what one distinct person said about exactly the operation that was shown to them.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON hold_approval FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER releaser_is_another BEFORE INSERT OR UPDATE ON hold_approval FOR EACH ROW EXECUTE FUNCTION releaser_is_another();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON hold_approval FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON hold_approval FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table idempotency (
  caller_id uuid not null,
  key text not null,
  request_sha256 bytea not null,
  status smallint,
  sealed_body bytea,
  created_at timestamp with time zone not null,
  constraint idempotency_pkey PRIMARY KEY (caller_id, key),
  constraint caller_fkey FOREIGN KEY (caller_id) REFERENCES identity(id),
  constraint key_is_bounded CHECK (((length(key) >= 1) AND (length(key) <= 200)))
);
CREATE INDEX idempotency_created ON idempotency USING btree (created_at);
comment on table idempotency is 'A row remembers the answer to a write that carried an Idempotency-Key, so that a repeat gets the same answer. Removed after a day.';

create table identity (
  id uuid not null,
  kind text not null,
  name text not null,
  display_name text,
  profile text not null,
  purpose text,
  business_service text,
  environment text not null,
  tier smallint not null,
  owner_team text,
  owner_id uuid,
  owner_state text not null default 'none'::text,
  owner_evidence text,
  owner_proposed_by uuid,
  sponsor_id uuid,
  state text not null,
  is_founder boolean not null default false,
  review_by timestamp with time zone,
  expires_at timestamp with time zone,
  created_at timestamp with time zone not null,
  version integer not null default 1,
  cause bigint not null,
  search tsvector generated always as (to_tsvector('simple'::regconfig, ((((((((((name || ' '::text) || COALESCE(display_name, ''::text)) || ' '::text) || COALESCE(purpose, ''::text)) || ' '::text) || COALESCE(business_service, ''::text)) || ' '::text) || COALESCE(owner_team, ''::text)) || ' '::text) || translate(name, '-._'::text, ' '::text)))) stored,
  traits text[] not null default '{}'::text[],
  tier_set smallint not null default 2,
  tier_reached smallint,
  vendor text,
  constraint identity_pkey PRIMARY KEY (id),
  constraint identity_name_is_unique UNIQUE (name),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint owner_fkey FOREIGN KEY (owner_id) REFERENCES identity(id),
  constraint owner_proposed_by_fkey FOREIGN KEY (owner_proposed_by) REFERENCES identity(id),
  constraint sponsor_fkey FOREIGN KEY (sponsor_id) REFERENCES identity(id),
  constraint agent_has_sponsor CHECK (((kind <> 'agent'::text) OR (state = 'discovered'::text) OR (sponsor_id IS NOT NULL))),
  constraint environment_is_known CHECK ((environment = ANY (ARRAY['production'::text, 'staging'::text, 'test'::text, 'development'::text]))),
  constraint founder_is_human CHECK (((NOT is_founder) OR (kind = 'human'::text))),
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['human'::text, 'machine'::text, 'workload'::text, 'agent'::text]))),
  constraint nobody_owns_itself CHECK (((owner_id IS DISTINCT FROM id) OR (kind = 'human'::text))),
  constraint owner_state_is_known CHECK ((owner_state = ANY (ARRAY['none'::text, 'suggested'::text, 'attested'::text, 'lost'::text]))),
  constraint owner_state_says_who CHECK ((((owner_state = 'none'::text) AND (owner_id IS NULL)) OR (owner_state = 'lost'::text) OR ((owner_state = ANY (ARRAY['suggested'::text, 'attested'::text])) AND (owner_id IS NOT NULL)))),
  constraint person_profile_is_human CHECK (((profile = ANY (ARRAY['person'::text, 'break-glass'::text])) = (kind = 'human'::text))),
  constraint profile_is_known CHECK ((profile = ANY (ARRAY['person'::text, 'service'::text, 'pipeline'::text, 'integration'::text, 'device'::text, 'agent'::text, 'break-glass'::text, 'remediation-bot'::text]))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['discovered'::text, 'registered'::text, 'active'::text, 'suspended'::text, 'retired'::text]))),
  constraint tier_is_known CHECK (((tier >= 0) AND (tier <= 3))),
  constraint tier_reached_is_known CHECK (((tier_reached >= 0) AND (tier_reached <= 3))),
  constraint tier_set_is_known CHECK (((tier_set >= 0) AND (tier_set <= 3))),
  constraint traits_are_known CHECK ((traits <@ ARRAY['interactive'::text, 'autonomous'::text, 'exposed'::text, 'embedded'::text]))
);
CREATE INDEX identity_cause ON identity USING btree (cause);
CREATE UNIQUE INDEX identity_founder ON identity USING btree (is_founder) WHERE is_founder;
CREATE INDEX identity_owner ON identity USING btree (owner_id);
CREATE INDEX identity_owner_proposed_by ON identity USING btree (owner_proposed_by);
CREATE INDEX identity_search ON identity USING gin (search);
CREATE INDEX identity_sponsor ON identity USING btree (sponsor_id);
CREATE INDEX identity_vendor ON identity USING btree (vendor) WHERE (vendor IS NOT NULL);
comment on table identity is 'A row is one thing that acts: a human, machine, workload or agent, with the person and team who answer for it.';
comment on column identity.tier is 'What counts: the stricter one of tier_set and tier_reached.';
comment on column identity.traits is 'What makes it more dangerous than another of its profile: people log in as it, it decides for itself, strangers reach it, its credential is shipped.';
comment on column identity.tier_set is 'What a person said.';
comment on column identity.tier_reached is 'What its reach came to when it was last seen; null before that.';
comment on column identity.vendor is 'The business partner on whose behalf it acts, where it is not the company''s own.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON identity FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE CONSTRAINT TRIGGER identity_change_is_hinted AFTER UPDATE ON identity DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((((((((((((((old.state IS DISTINCT FROM new.state) OR (old.environment IS DISTINCT FROM new.environment)) OR (old.tier IS DISTINCT FROM new.tier)) OR (old.profile IS DISTINCT FROM new.profile)) OR (old.owner_state IS DISTINCT FROM new.owner_state)) OR (old.owner_team IS DISTINCT FROM new.owner_team)) OR (old.owner_id IS DISTINCT FROM new.owner_id)) OR (old.sponsor_id IS DISTINCT FROM new.sponsor_id)) OR (old.traits IS DISTINCT FROM new.traits)) OR (old.purpose IS DISTINCT FROM new.purpose)) OR (old.business_service IS DISTINCT FROM new.business_service)) OR (old.review_by IS DISTINCT FROM new.review_by)) OR (old.expires_at IS DISTINCT FROM new.expires_at))) EXECUTE FUNCTION hint_second_look('identity', 'subject_id = $1 or on_behalf_of_id = $1');
CREATE TRIGGER identity_is_hinted AFTER UPDATE ON identity FOR EACH ROW WHEN ((((((((((((old.name IS DISTINCT FROM new.name) OR (old.profile IS DISTINCT FROM new.profile)) OR (old.tier IS DISTINCT FROM new.tier)) OR (old.state IS DISTINCT FROM new.state)) OR (old.environment IS DISTINCT FROM new.environment)) OR (old.owner_state IS DISTINCT FROM new.owner_state)) OR (old.expires_at IS DISTINCT FROM new.expires_at)) OR (old.owner_team IS DISTINCT FROM new.owner_team)) OR (old.owner_id IS DISTINCT FROM new.owner_id)) OR (old.owner_proposed_by IS DISTINCT FROM new.owner_proposed_by)) OR (old.sponsor_id IS DISTINCT FROM new.sponsor_id))) EXECUTE FUNCTION hint_record('identity');
CREATE TRIGGER identity_moves_legally BEFORE UPDATE ON identity FOR EACH ROW EXECUTE FUNCTION identity_moves_legally();
CREATE TRIGGER identity_tier_counts BEFORE INSERT OR UPDATE ON identity FOR EACH ROW EXECUTE FUNCTION identity_tier_counts();
CREATE TRIGGER new_person_is_hinted AFTER INSERT ON identity FOR EACH ROW WHEN (((new.kind = 'human'::text) AND (new.state = 'active'::text))) EXECUTE FUNCTION hint_record_kind('people');
CREATE TRIGGER person_is_hinted AFTER UPDATE ON identity FOR EACH ROW WHEN (((new.kind = 'human'::text) AND ((old.state = 'active'::text) IS DISTINCT FROM (new.state = 'active'::text)))) EXECUTE FUNCTION hint_record_kind('people');
CREATE TRIGGER rows_are_kept BEFORE DELETE ON identity FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON identity FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table identity_merge (
  id uuid not null,
  identity_id uuid not null,
  into_id uuid not null,
  state text not null default 'active'::text,
  made_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  cause bigint not null,
  constraint identity_merge_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint into_fkey FOREIGN KEY (into_id) REFERENCES identity(id),
  constraint ended_says_when CHECK (((state = 'active'::text) = (ended_at IS NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['active'::text, 'ended'::text]))),
  constraint two_different_ones CHECK ((identity_id <> into_id))
);
CREATE INDEX identity_merge_cause ON identity_merge USING btree (cause);
CREATE INDEX identity_merge_identity ON identity_merge USING btree (identity_id);
CREATE INDEX identity_merge_into ON identity_merge USING btree (into_id);
CREATE UNIQUE INDEX identity_merge_one_at_a_time ON identity_merge USING btree (identity_id) WHERE (state = 'active'::text);
comment on table identity_merge is 'A row is a person''s word that two identities of the record are one; ending it is the split, and nothing was moved meanwhile.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON identity_merge FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER identity_merge_moves_legally BEFORE INSERT OR UPDATE ON identity_merge FOR EACH ROW EXECUTE FUNCTION identity_merge_moves_legally();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON identity_merge FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON identity_merge FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table identity_reach (
  identity_id uuid not null,
  reached jsonb not null default '[]'::jsonb,
  is_complete boolean not null default false,
  is_in_scope boolean not null default false,
  looked_at timestamp with time zone,
  is_stale boolean not null default true,
  constraint identity_reach_pkey PRIMARY KEY (identity_id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id)
);
CREATE INDEX identity_reach_due ON identity_reach USING btree (is_stale DESC, looked_at NULLS FIRST);
comment on table identity_reach is 'A row is what was last seen of the reach of an identity. What follows from it is in the row of the identity, with an entry.';

create table inventory_block (
  scope_id uuid not null,
  number bigint not null,
  digest bytea not null,
  ids uuid[] not null,
  constraint inventory_block_pkey PRIMARY KEY (scope_id, number)
);
comment on table inventory_block is 'A row is a block that the last complete reading of a scope told, of things that all stand just so: told again, none of them is looked at.';
comment on column inventory_block.number is 'Names it in its scope; those that were first told one after the other have one after the other.';
comment on column inventory_block.ids is 'All blocks of a scope together have each thing that stands in it once, but for what is missed; or it has none.';

create table inventory_measure (
  at timestamp with time zone not null,
  percent jsonb not null,
  cause bigint not null,
  constraint inventory_measure_pkey PRIMARY KEY (at),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id)
);
CREATE INDEX inventory_measure_cause ON inventory_measure USING btree (cause);
comment on table inventory_measure is 'A row is how much of the identities was owned, justified and observable after a reading: what later ones are compared with.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON inventory_measure FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON inventory_measure FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON inventory_measure FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table inventory_stage (
  reading_id uuid not null,
  scope_id uuid not null,
  object_id uuid not null,
  kind text not null,
  content jsonb not null,
  constraint inventory_stage_pkey PRIMARY KEY (reading_id, scope_id, object_id)
);
comment on table inventory_stage is 'A row is uses of one page, added up, or a window of them: they enter the inventory when the scope is closed.';

create table inventory_told (
  reading_id uuid not null,
  scope_id uuid not null,
  place bigint not null,
  digest bytea,
  ids uuid[],
  known int8multirange,
  blocks integer not null,
  things integer not null,
  constraint inventory_told_pkey PRIMARY KEY (reading_id, scope_id, place),
  constraint is_known_or_another CHECK ((((known IS NULL) = (digest IS NOT NULL)) AND ((known IS NULL) = (ids IS NOT NULL))))
);
comment on table inventory_told is 'A row is what the scope now being read told one after the other: a block of a few things, or blocks that it told before.';
comment on column inventory_told.place is 'The number of the page, and where in it: what is told later counts.';
comment on column inventory_told.digest is 'Of all that was told of the things of one block.';
comment on column inventory_told.known is 'Numbers of blocks that the last complete reading told as well, in the place of a digest and ids.';
comment on column inventory_told.blocks is 'How many blocks were told; more than are known where one was told again.';

create table issued_credential (
  lease_id uuid not null,
  use_id uuid not null,
  valid_before timestamp with time zone,
  cause bigint not null,
  constraint issued_credential_pkey PRIMARY KEY (lease_id),
  constraint use_has_one_credential UNIQUE (use_id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint lease_fkey FOREIGN KEY (lease_id) REFERENCES lease(id),
  constraint use_fkey FOREIGN KEY (use_id) REFERENCES grant_use(id)
);
CREATE INDEX issued_credential_cause ON issued_credential USING btree (cause);
CREATE INDEX issued_credential_end ON issued_credential USING btree (valid_before);
comment on table issued_credential is 'A row is a lease whose credential was handed to the holder of the grant.';
comment on column issued_credential.use_id is 'The use of the grant that it is; closed when the credential ran out or was ended.';
comment on column issued_credential.valid_before is 'When it stops by itself; null until the target made it.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON issued_credential FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON issued_credential FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON issued_credential FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table issuer_keys (
  url text not null,
  issuer text not null,
  keys_sha256 bytea not null,
  kids text[] not null,
  seen_at timestamp with time zone not null,
  cause bigint not null,
  constraint issuer_keys_pkey PRIMARY KEY (url),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id)
);
CREATE INDEX issuer_keys_cause ON issuer_keys USING btree (cause);
comment on table issuer_keys is 'A row is the set of keys that an issuer was last seen with: a change of it is an entry.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON issuer_keys FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON issuer_keys FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON issuer_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table lease (
  id uuid not null,
  grant_id uuid not null,
  target_id uuid not null,
  account_id uuid not null,
  node_id uuid not null,
  kind text not null,
  principal text not null,
  terms jsonb not null,
  details jsonb,
  sealed_secret bytea,
  state text not null,
  revocability text not null,
  announced_at timestamp with time zone not null,
  issued_at timestamp with time zone,
  ending_at timestamp with time zone,
  dead_at timestamp with time zone,
  next_try_at timestamp with time zone,
  attempts integer not null default 0,
  last_error text,
  escalation text not null default 'none'::text,
  evidence jsonb,
  cause bigint not null,
  residual_before timestamp with time zone,
  constraint lease_pkey PRIMARY KEY (id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint grant_fkey FOREIGN KEY (grant_id) REFERENCES access_grant(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint dead_has_evidence CHECK (((state = 'dead'::text) = ((dead_at IS NOT NULL) AND (evidence IS NOT NULL)))),
  constraint dead_keeps_no_secret CHECK (((state <> 'dead'::text) OR (sealed_secret IS NULL))),
  constraint ending_is_retried CHECK (((state <> 'ending'::text) OR (next_try_at IS NOT NULL))),
  constraint escalation_is_known CHECK ((escalation = ANY (ARRAY['none'::text, 'owner'::text, 'security'::text]))),
  constraint revocability_is_known CHECK ((revocability = ANY (ARRAY['immediate'::text, 'next-login'::text, 'expires-only'::text, 'none'::text]))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['announced'::text, 'issued'::text, 'ending'::text, 'dead'::text])))
);
CREATE UNIQUE INDEX grant_has_one_usable_lease ON lease USING btree (grant_id) WHERE (state = ANY (ARRAY['announced'::text, 'issued'::text]));
CREATE INDEX lease_account ON lease USING btree (account_id);
CREATE INDEX lease_announced ON lease USING btree (announced_at) WHERE (state = 'announced'::text);
CREATE INDEX lease_cause ON lease USING btree (cause);
CREATE INDEX lease_grant ON lease USING btree (grant_id);
CREATE INDEX lease_open ON lease USING btree (next_try_at) WHERE (state = 'ending'::text);
CREATE INDEX lease_principal ON lease USING btree (target_id, principal);
CREATE INDEX lease_target ON lease USING btree (target_id);
comment on table lease is 'A row is a credential issued under a grant. It stays an open obligation until a negative probe proves it dead (rule 6).';
comment on column lease.node_id is 'The process that makes it (a row of node); what a dead node announced is ended like any other.';
comment on column lease.terms is 'What was asked of the target: group roles, databases, until when, how many connections.';
comment on column lease.details is 'What the writer noted when it had made the credential, so that it finds it again; null before.';
comment on column lease.next_try_at is 'When the next attempt to end it is due; a running attempt has moved it ahead, so a killed one is repeated.';
comment on column lease.escalation is 'Who should know by now that it does not end.';
comment on column lease.residual_before is 'Until when its target may take it although it was ended; null: no longer than its end takes.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON lease FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER lease_moves_legally BEFORE UPDATE ON lease FOR EACH ROW EXECUTE FUNCTION lease_moves_legally();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON lease FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON lease FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table ledger_checkpoint (
  log_id smallint not null,
  size bigint not null,
  note text not null,
  at timestamp with time zone not null,
  constraint ledger_checkpoint_pkey PRIMARY KEY (log_id, size),
  constraint log_fkey FOREIGN KEY (log_id) REFERENCES ledger_log(id)
);
comment on table ledger_checkpoint is 'A row is a signed tree head over the first size leaves.';

create table ledger_cosignature (
  log_id smallint not null,
  size bigint not null,
  witness text not null,
  line text not null,
  at timestamp with time zone not null,
  constraint ledger_cosignature_pkey PRIMARY KEY (log_id, size, witness),
  constraint checkpoint_fkey FOREIGN KEY (log_id, size) REFERENCES ledger_checkpoint(log_id, size)
);
comment on table ledger_cosignature is 'A row is what a witness signed under a checkpoint (C2SP tlog-witness); witness is its verifier key.';

create table ledger_entry (
  id bigint not null generated always as identity,
  xid xid8 not null,
  at timestamp with time zone not null,
  kind text not null,
  actor_id uuid,
  resource_id uuid,
  grant_id uuid,
  leaf bytea not null,
  constraint ledger_entry_pkey PRIMARY KEY (id),
  constraint kind_is_dotted CHECK ((kind ~ '^[a-z-]+(\.[a-z-]+)+$'::text)),
  constraint leaf_fits_a_tile CHECK (((octet_length(leaf) >= 1) AND (octet_length(leaf) <= 65535)))
) partition by RANGE (id);
CREATE INDEX ledger_entry_grant ON ONLY ledger_entry USING btree (grant_id, id) WHERE (grant_id IS NOT NULL);
CREATE INDEX ledger_entry_resource ON ONLY ledger_entry USING btree (resource_id, id) WHERE (resource_id IS NOT NULL);
comment on table ledger_entry is 'A row is one fact that caused a change of this database, written in the transaction of that change.';
comment on column ledger_entry.xid is 'The transaction that wrote it; set by a trigger, compared by require_cause().';
comment on column ledger_entry.leaf is 'The exact bytes that are hashed into the tree: canonical JSON of public fields and salted commitments.';
CREATE TRIGGER ledger_entry_enqueue AFTER INSERT ON ledger_entry REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION ledger_enqueue_all('entry');
CREATE TRIGGER ledger_entry_is_immutable BEFORE DELETE OR UPDATE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entry_is_kept BEFORE TRUNCATE ON ledger_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entry_stamp BEFORE INSERT ON ledger_entry FOR EACH ROW EXECUTE FUNCTION ledger_stamp();

create table ledger_leaf (
  log_id smallint not null,
  first_position bigint not null,
  size integer not null,
  entry_id bigint,
  segment_id bigint,
  constraint ledger_leaf_pkey PRIMARY KEY (log_id, first_position),
  constraint entry_is_placed_once UNIQUE (entry_id),
  constraint segment_is_placed_once UNIQUE (segment_id),
  constraint entry_fkey FOREIGN KEY (entry_id) REFERENCES ledger_entry(id),
  constraint log_fkey FOREIGN KEY (log_id) REFERENCES ledger_log(id),
  constraint segment_fkey FOREIGN KEY (segment_id) REFERENCES ledger_segment(id),
  constraint leaf_has_one_source CHECK ((num_nonnulls(entry_id, segment_id) = 1)),
  constraint position_is_not_negative CHECK ((first_position >= 0)),
  constraint size_is_positive CHECK ((size > 0))
);
comment on table ledger_leaf is 'A row says at which positions of the tree an entry (one) or a segment (a run) stands.';

create table ledger_log (
  id smallint not null,
  origin text not null,
  verifier_key text not null,
  sealed_key bytea not null,
  previous_note text,
  started_at timestamp with time zone not null,
  constraint ledger_log_pkey PRIMARY KEY (id),
  constraint origin_is_unique UNIQUE (origin)
);
comment on table ledger_log is 'A row is one life of the log. A restored or failed-over database starts a new one that names the last checkpoint of the old.';
comment on column ledger_log.sealed_key is 'The 32 bytes of the Ed25519 seed that signs this log, sealed under the root key.';
comment on column ledger_log.previous_note is 'The last checkpoint of the log this one continues, as it was kept outside the database.';

create table ledger_pending (
  id bigint not null,
  source text not null,
  constraint ledger_pending_pkey PRIMARY KEY (source, id),
  constraint source_is_known CHECK ((source = ANY (ARRAY['entry'::text, 'segment'::text])))
);
comment on table ledger_pending is 'A row is a committed entry or segment that the sequencer has not yet placed. Filled by triggers, so no watermark can pass a late commit.';

create table ledger_private (
  entry_id bigint not null,
  field text not null,
  subject_id uuid not null,
  sealed bytea not null,
  constraint ledger_private_pkey PRIMARY KEY (entry_id, field),
  constraint entry_fkey FOREIGN KEY (entry_id) REFERENCES ledger_entry(id),
  constraint subject_key_fkey FOREIGN KEY (subject_id) REFERENCES subject_key(subject_id)
);
CREATE INDEX ledger_private_subject ON ledger_private USING btree (subject_id);
comment on table ledger_private is 'A row is the salt and value behind one commitment of an entry, sealed under its subject''s key.';

create table ledger_segment (
  id bigint not null generated always as identity,
  at timestamp with time zone not null,
  node_id uuid not null,
  size integer not null,
  bodies bytea not null,
  constraint ledger_segment_pkey PRIMARY KEY (id),
  constraint segment_is_not_empty CHECK (((size > 0) AND (octet_length(bodies) > 0)))
) partition by RANGE (id);
comment on table ledger_segment is 'A row is a batch of observations (decisions, operations, seals) that one node made durable in one commit.';
comment on column ledger_segment.bodies is 'The leaves in order, each behind its big-endian 16-bit length, as in a tlog-tiles entry bundle.';
CREATE TRIGGER ledger_segment_enqueue AFTER INSERT ON ledger_segment FOR EACH ROW EXECUTE FUNCTION ledger_enqueue('segment');
CREATE TRIGGER ledger_segment_is_immutable BEFORE DELETE OR UPDATE ON ledger_segment FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_segment_is_kept BEFORE TRUNCATE ON ledger_segment FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table ledger_tile (
  log_id smallint not null,
  level smallint not null,
  n bigint not null,
  hashes bytea not null,
  constraint ledger_tile_pkey PRIMARY KEY (log_id, level, n),
  constraint log_fkey FOREIGN KEY (log_id) REFERENCES ledger_log(id),
  constraint tile_holds_whole_hashes CHECK ((((octet_length(hashes) >= 32) AND (octet_length(hashes) <= 8192)) AND ((octet_length(hashes) % 32) = 0)))
);
comment on table ledger_tile is 'A row is a tile of up to 256 hashes (C2SP tlog-tiles); the last one of a level grows.';

create table ledger_writer (
  id uuid not null,
  batch bigint not null default 0,
  constraint ledger_writer_pkey PRIMARY KEY (id),
  constraint batch_is_counted CHECK ((batch >= 0))
);
comment on table ledger_writer is 'A row is one connection that appends observations, and the last batch it made durable: a batch sent again is recognised.';

create table lifecycle_case (
  id uuid not null,
  identity_id uuid not null,
  reason text not null,
  detail text not null,
  event_id uuid,
  state text not null,
  held_because text,
  soak_days smallint not null,
  opened_at timestamp with time zone not null,
  suspended_at timestamp with time zone,
  checked_at timestamp with time zone,
  soak_ends_at timestamp with time zone,
  retired_at timestamp with time zone,
  over_at timestamp with time zone,
  dependencies jsonb,
  evidence jsonb,
  next_look_at timestamp with time zone,
  version integer not null default 1,
  cause bigint not null,
  constraint lifecycle_case_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint event_fkey FOREIGN KEY (event_id) REFERENCES lifecycle_event(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint closed_has_evidence CHECK (((state <> 'closed'::text) OR (evidence IS NOT NULL))),
  constraint open_is_looked_at CHECK (((state = ANY (ARRAY['closed'::text, 'reopened'::text])) = (next_look_at IS NULL))),
  constraint over_says_when CHECK (((state = ANY (ARRAY['closed'::text, 'reopened'::text])) = (over_at IS NOT NULL))),
  constraint reason_is_known CHECK ((reason = ANY (ARRAY['leaver'::text, 'owner-lost'::text, 'expired'::text, 'vendor'::text, 'event'::text, 'person'::text]))),
  constraint soak_is_bounded CHECK (((soak_days >= 0) AND (soak_days <= 365))),
  constraint soaking_says_until_when CHECK (((state <> 'soaking'::text) OR (soak_ends_at IS NOT NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['opened'::text, 'suspended'::text, 'checked'::text, 'soaking'::text, 'retired'::text, 'closed'::text, 'reopened'::text])))
);
CREATE UNIQUE INDEX identity_has_one_open_case ON lifecycle_case USING btree (identity_id) WHERE (over_at IS NULL);
CREATE INDEX lifecycle_case_cause ON lifecycle_case USING btree (cause);
CREATE INDEX lifecycle_case_due ON lifecycle_case USING btree (next_look_at) WHERE (over_at IS NULL);
CREATE INDEX lifecycle_case_event ON lifecycle_case USING btree (event_id);
CREATE INDEX lifecycle_case_identity ON lifecycle_case USING btree (identity_id);
comment on table lifecycle_case is 'A row is the way of one identity out of the record: suspended, what hangs on it looked at, soaked, retired, and closed when all it held is proven dead.';
comment on column lifecycle_case.held_because is 'Why it waits for a person; null while it goes on by itself.';
comment on column lifecycle_case.evidence is 'Of a closed case: what it held, each with how it is known to be dead.';
CREATE TRIGGER case_moves_legally BEFORE UPDATE ON lifecycle_case FOR EACH ROW EXECUTE FUNCTION case_moves_legally();
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON lifecycle_case FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON lifecycle_case FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON lifecycle_case FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table lifecycle_event (
  id uuid not null,
  sender_id uuid not null,
  event_id text not null,
  type text not null,
  subject text not null,
  occurred_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  outcome jsonb not null,
  cause bigint not null,
  constraint lifecycle_event_pkey PRIMARY KEY (id),
  constraint lifecycle_event_is_received_once UNIQUE (sender_id, event_id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint sender_fkey FOREIGN KEY (sender_id) REFERENCES identity(id),
  constraint type_is_known CHECK ((type = ANY (ARRAY['repository-archived'::text, 'pipeline-deleted'::text, 'deployment-gone'::text, 'vendor-offboarded'::text, 'job-finished'::text, 'ticket-closed'::text])))
);
CREATE INDEX lifecycle_event_cause ON lifecycle_event USING btree (cause);
comment on table lifecycle_event is 'A row is what one sender reported once of the end of something, and what it led to.';
comment on column lifecycle_event.event_id is 'The sender''s own name for it: sent again it is the same event.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON lifecycle_event FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON lifecycle_event FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON lifecycle_event FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table lifecycle_item (
  id uuid not null,
  case_id uuid not null,
  kind text not null,
  ref_id uuid not null,
  label text not null,
  opened_at timestamp with time zone not null,
  closed_at timestamp with time zone,
  evidence text,
  cause bigint not null,
  constraint lifecycle_item_pkey PRIMARY KEY (id),
  constraint item_stands_once_in_a_case UNIQUE (case_id, kind, ref_id),
  constraint case_fkey FOREIGN KEY (case_id) REFERENCES lifecycle_case(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint closed_has_evidence CHECK (((closed_at IS NULL) = (evidence IS NULL))),
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['login'::text, 'object'::text, 'deposit'::text])))
);
CREATE INDEX lifecycle_item_cause ON lifecycle_item USING btree (cause);
comment on table lifecycle_item is 'A row is something that has to be dealt with elsewhere before a case closes: a login whose secret a leaver may know, or a right that a connector saw.';
comment on column lifecycle_item.opened_at is 'Only what happened to it after this counts.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON lifecycle_item FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON lifecycle_item FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON lifecycle_item FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table local_secret (
  id uuid not null,
  account_id uuid not null,
  identity_id uuid not null,
  sha256 bytea not null,
  address text not null,
  created_at timestamp with time zone not null,
  revoked_at timestamp with time zone,
  cause bigint not null,
  constraint local_secret_pkey PRIMARY KEY (id),
  constraint local_secret_is_unique UNIQUE (sha256),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id)
);
CREATE INDEX local_secret_account ON local_secret USING btree (account_id);
CREATE INDEX local_secret_cause ON local_secret USING btree (cause);
CREATE INDEX local_secret_identity ON local_secret USING btree (identity_id);
comment on table local_secret is 'A row is the fixed secret by which an application that cannot reload proves itself to a gateway, from one address, under whatever grant it has then.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON local_secret FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON local_secret FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON local_secret FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table login_activity (
  session_id uuid not null,
  seen_at timestamp with time zone not null,
  constraint login_activity_pkey PRIMARY KEY (session_id),
  constraint session_fkey FOREIGN KEY (session_id) REFERENCES login_session(id)
);
comment on table login_activity is 'A row says when a login was used last, to the half minute.';

create table login_attempt (
  state_sha256 bytea not null,
  browser_sha256 bytea not null,
  provider text not null,
  issuer text not null,
  sealed_checks bytea not null,
  return_to text not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  step_up_id uuid,
  constraint login_attempt_pkey PRIMARY KEY (state_sha256),
  constraint step_up_fkey FOREIGN KEY (step_up_id) REFERENCES step_up(id)
);
CREATE INDEX login_attempt_expires ON login_attempt USING btree (expires_at);
CREATE INDEX login_attempt_step_up ON login_attempt USING btree (step_up_id);
comment on table login_attempt is 'A row is a browser that was sent to a provider and is waited for.';
comment on column login_attempt.sealed_checks is 'The nonce, the verifier of PKCE and the one-time link that is to be spent on it, if one is; sealed for this row.';
comment on column login_attempt.step_up_id is 'The one act that this login is a fresh proof for; such an attempt logs nobody in.';

create table login_cookie (
  cookie_sha256 bytea not null,
  session_id uuid not null,
  created_at timestamp with time zone not null,
  replaced_at timestamp with time zone,
  constraint login_cookie_pkey PRIMARY KEY (cookie_sha256),
  constraint session_fkey FOREIGN KEY (session_id) REFERENCES login_session(id)
);
CREATE INDEX login_cookie_session ON login_cookie USING btree (session_id);
comment on table login_cookie is 'A row is one value of the cookie of a login, kept as its hash. A value that was replaced and comes back was stolen.';

create table login_link (
  id uuid not null,
  identity_id uuid not null,
  provider text not null,
  issuer text not null,
  subject text not null,
  state text not null default 'active'::text,
  linked_by uuid not null,
  created_at timestamp with time zone not null,
  cause bigint not null,
  constraint login_link_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint linked_by_fkey FOREIGN KEY (linked_by) REFERENCES identity(id),
  constraint state_is_known CHECK ((state = ANY (ARRAY['active'::text, 'retired'::text])))
);
CREATE INDEX login_link_cause ON login_link USING btree (cause);
CREATE INDEX login_link_identity ON login_link USING btree (identity_id);
CREATE INDEX login_link_linked_by ON login_link USING btree (linked_by);
CREATE UNIQUE INDEX login_link_subject ON login_link USING btree (issuer, subject) WHERE (state = 'active'::text);
comment on table login_link is 'A row lets what one provider calls one subject log in as one person. An address of mail never does.';
comment on column login_link.subject is 'The `sub` of the provider, which it never gives to somebody else (OpenID Connect Core §2).';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON login_link FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON login_link FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON login_link FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table login_session (
  id uuid not null,
  identity_id uuid not null,
  channel text not null,
  method text not null,
  provider text,
  issuer text,
  subject text,
  provider_session text,
  sealed_id_token bytea,
  acr text,
  amr text[] not null default '{}'::text[],
  authenticated_at timestamp with time zone not null,
  client_address text not null,
  client_agent text not null,
  parent_id uuid,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  idle_seconds integer not null,
  ended_at timestamp with time zone,
  end_reason text,
  cause bigint not null,
  constraint login_session_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint parent_fkey FOREIGN KEY (parent_id) REFERENCES login_session(id),
  constraint a_provider_is_named_whole CHECK (((method = 'oidc'::text) = ((issuer IS NOT NULL) AND (subject IS NOT NULL) AND (provider IS NOT NULL)))),
  constraint an_end_has_a_reason CHECK (((ended_at IS NULL) = (end_reason IS NULL))),
  constraint an_end_keeps_no_token CHECK (((ended_at IS NULL) OR (sealed_id_token IS NULL))),
  constraint channel_is_known CHECK ((channel = ANY (ARRAY['browser'::text, 'cli'::text]))),
  constraint end_reason_is_known CHECK ((end_reason = ANY (ARRAY['logged-out'::text, 'ended'::text, 'replaced'::text, 'idle'::text, 'expired'::text, 'identity-ended'::text, 'link-retired'::text, 'provider-logout'::text, 'cookie-replayed'::text, 'code-replayed'::text]))),
  constraint ends_after_start CHECK ((expires_at > created_at)),
  constraint idle_is_bounded CHECK (((idle_seconds >= 60) AND (idle_seconds <= 86400))),
  constraint method_is_known CHECK ((method = ANY (ARRAY['oidc'::text, 'passkey'::text])))
);
CREATE INDEX login_session_cause ON login_session USING btree (cause);
CREATE INDEX login_session_identity ON login_session USING btree (identity_id);
CREATE INDEX login_session_open ON login_session USING btree (expires_at) WHERE (ended_at IS NULL);
CREATE INDEX login_session_parent ON login_session USING btree (parent_id);
CREATE INDEX login_session_subject ON login_session USING btree (issuer, subject) WHERE (ended_at IS NULL);
comment on table login_session is 'A row is one login of one person, and the authority of everything that was given for it: cookies, codes and tokens end with it.';
comment on column login_session.provider_session is 'The `sid` by which the provider ends it (OpenID Connect Back-Channel Logout §2.4).';
comment on column login_session.sealed_id_token is 'By which the provider knows the login that is to end there (OpenID Connect RP-Initiated Logout §2), sealed for this row; gone with the login.';
comment on column login_session.parent_id is 'Of a program: the session of the browser in which it was let in.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON login_session FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON login_session FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON login_session FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table machine_attestation (
  id uuid not null,
  identity_id uuid not null,
  invitation_id uuid not null,
  method text not null,
  host_key text,
  boot_id uuid not null,
  key_sha256 bytea not null,
  token_id uuid not null,
  previous_token_id uuid,
  joined_at timestamp with time zone not null,
  renewed_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  end_reason text,
  cause bigint not null,
  constraint machine_attestation_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint invitation_fkey FOREIGN KEY (invitation_id) REFERENCES machine_invitation(id),
  constraint previous_token_fkey FOREIGN KEY (previous_token_id) REFERENCES api_token(id),
  constraint token_fkey FOREIGN KEY (token_id) REFERENCES api_token(id),
  constraint a_host_key_was_shown CHECK (((method = 'token'::text) OR (host_key IS NOT NULL))),
  constraint an_end_has_a_reason CHECK (((ended_at IS NULL) = (end_reason IS NULL))),
  constraint method_is_known CHECK ((method = ANY (ARRAY['token'::text, 'host-key'::text])))
);
CREATE INDEX machine_attestation_cause ON machine_attestation USING btree (cause);
CREATE INDEX machine_attestation_identity ON machine_attestation USING btree (identity_id);
CREATE INDEX machine_attestation_invitation ON machine_attestation USING btree (invitation_id);
CREATE UNIQUE INDEX machine_attestation_live ON machine_attestation USING btree (identity_id) WHERE (ended_at IS NULL);
CREATE INDEX machine_attestation_previous_token ON machine_attestation USING btree (previous_token_id);
CREATE INDEX machine_attestation_token ON machine_attestation USING btree (token_id);
comment on table machine_attestation is 'A row is what one machine proved when its agent joined, and by which token it speaks now. Every renewal proves the same again.';
comment on column machine_attestation.host_key is 'The SSH host key it showed, as a line of a .pub file; shown again at every renewal.';
comment on column machine_attestation.previous_token_id is 'Good until the one after it is used: an agent that never got the answer to a renewal asks again with it.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON machine_attestation FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON machine_attestation FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON machine_attestation FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table machine_invitation (
  id uuid not null,
  identity_id uuid not null,
  method text not null,
  secret_sha256 bytea,
  target_id uuid,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  ended_at timestamp with time zone,
  cause bigint not null,
  constraint machine_invitation_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint a_host_key_is_pinned CHECK (((method = 'host-key'::text) = (target_id IS NOT NULL))),
  constraint a_token_is_short CHECK (((method = 'token'::text) = ((secret_sha256 IS NOT NULL) AND (expires_at IS NOT NULL)))),
  constraint method_is_known CHECK ((method = ANY (ARRAY['token'::text, 'host-key'::text])))
);
CREATE INDEX machine_invitation_cause ON machine_invitation USING btree (cause);
CREATE INDEX machine_invitation_identity ON machine_invitation USING btree (identity_id);
CREATE UNIQUE INDEX machine_invitation_open ON machine_invitation USING btree (identity_id) WHERE (ended_at IS NULL);
CREATE INDEX machine_invitation_secret ON machine_invitation USING btree (secret_sha256);
CREATE INDEX machine_invitation_target ON machine_invitation USING btree (target_id);
comment on table machine_invitation is 'A row lets one machine join: once by a token, or by the host key that a target pins for as long as the row is open.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON machine_invitation FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON machine_invitation FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON machine_invitation FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table node (
  id uuid not null,
  name text not null,
  roles text[] not null,
  version text not null,
  started_at timestamp with time zone not null,
  heartbeat_at timestamp with time zone not null,
  clock_offset_ms double precision not null,
  worker_pool text,
  stopped_at timestamp with time zone,
  constraint node_pkey PRIMARY KEY (id)
);
comment on table node is 'A row is one running process of Reeve. Not a change to the record, so it has no cause.';
comment on column node.worker_pool is 'Under which name its jobs are locked; those of a dead node are unlocked.';

create table observed_credential (
  id uuid not null,
  scope_id uuid not null,
  native_kind text not null,
  native_id text not null,
  principal_id uuid,
  type text not null,
  name text not null,
  state text,
  created_at timestamp with time zone,
  rotated_at timestamp with time zone,
  expires_at timestamp with time zone,
  never_expires boolean not null,
  fingerprints text[],
  scopes text[],
  bindings text[],
  strength text,
  strength_why text[] not null,
  held_by text,
  facts jsonb not null,
  unknown jsonb not null,
  digest bytea not null,
  first_seen_at timestamp with time zone not null,
  changed_at timestamp with time zone not null,
  last_seen_at timestamp with time zone,
  missed_at timestamp with time zone,
  gone_at timestamp with time zone,
  cause bigint not null,
  constraint observed_credential_pkey PRIMARY KEY (id)
);
CREATE INDEX observed_credential_fingerprints ON observed_credential USING gin (fingerprints) WHERE (fingerprints IS NOT NULL);
CREATE INDEX observed_credential_gone ON observed_credential USING btree (id) WHERE (gone_at IS NOT NULL);
CREATE INDEX observed_credential_missed ON observed_credential USING btree (scope_id, id) WHERE ((missed_at IS NOT NULL) AND (gone_at IS NULL));
CREATE INDEX observed_credential_name ON observed_credential USING btree (name, id);
CREATE INDEX observed_credential_principal ON observed_credential USING btree (principal_id);
CREATE INDEX observed_credential_scope ON observed_credential USING btree (scope_id, id);
CREATE INDEX observed_credential_type ON observed_credential USING btree (type, id);
CREATE INDEX observed_credential_vaulted ON observed_credential USING btree (id) WHERE (held_by = 'vault'::text);
comment on table observed_credential is 'A row is a credential as a source shows it: what it is, how old, whose. Never its value.';
comment on column observed_credential.fingerprints is 'As <algorithm>:<value>; keyed ones match one secret across sources.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON observed_credential REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON observed_credential REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON observed_credential FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER scopes_are_held AFTER UPDATE ON observed_credential REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER scopes_are_held_at_birth AFTER INSERT ON observed_credential REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON observed_credential FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table observed_grant (
  id uuid not null,
  scope_id uuid not null,
  native_kind text not null,
  native_id text not null,
  principal_id uuid not null,
  on_id uuid not null,
  privilege text not null,
  level text not null,
  via uuid[] not null,
  grantable boolean,
  granted_by_id uuid,
  expires_at timestamp with time zone,
  never_expires boolean not null,
  facts jsonb not null,
  unknown jsonb not null,
  digest bytea not null,
  first_seen_at timestamp with time zone not null,
  changed_at timestamp with time zone not null,
  last_seen_at timestamp with time zone,
  missed_at timestamp with time zone,
  gone_at timestamp with time zone,
  cause bigint not null,
  constraint observed_grant_pkey PRIMARY KEY (id)
);
CREATE INDEX observed_grant_gone ON observed_grant USING btree (id) WHERE (gone_at IS NOT NULL);
CREATE INDEX observed_grant_missed ON observed_grant USING btree (scope_id, id) WHERE ((missed_at IS NOT NULL) AND (gone_at IS NULL));
CREATE INDEX observed_grant_on ON observed_grant USING btree (on_id, id);
CREATE INDEX observed_grant_principal ON observed_grant USING btree (principal_id, id);
CREATE INDEX observed_grant_scope ON observed_grant USING btree (scope_id, id);
CREATE INDEX observed_grant_wildcard ON observed_grant USING btree (id) WHERE (facts @> '{"isWildcard": true}'::jsonb);
comment on table observed_grant is 'A row is a right that stands at a source, a membership among them: who, what, on which.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON observed_grant REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON observed_grant REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON observed_grant FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER scopes_are_held AFTER UPDATE ON observed_grant REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER scopes_are_held_at_birth AFTER INSERT ON observed_grant REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON observed_grant FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table observed_principal (
  id uuid not null,
  scope_id uuid not null,
  native_kind text not null,
  native_id text not null,
  type text not null,
  name text not null,
  aliases text[] not null,
  state text,
  created_at timestamp with time zone,
  created_by_id uuid,
  interactive boolean,
  environment text,
  instance_of_id uuid,
  tags jsonb not null,
  facts jsonb not null,
  unknown jsonb not null,
  account_id uuid,
  digest bytea not null,
  first_seen_at timestamp with time zone not null,
  changed_at timestamp with time zone not null,
  last_seen_at timestamp with time zone,
  missed_at timestamp with time zone,
  gone_at timestamp with time zone,
  cause bigint not null,
  constraint observed_principal_pkey PRIMARY KEY (id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id)
);
CREATE INDEX observed_principal_account ON observed_principal USING btree (account_id) WHERE (account_id IS NOT NULL);
CREATE INDEX observed_principal_everybody ON observed_principal USING btree (scope_id) WHERE (facts @> '{"everybody": true}'::jsonb);
CREATE INDEX observed_principal_gone ON observed_principal USING btree (id) WHERE (gone_at IS NOT NULL);
CREATE INDEX observed_principal_missed ON observed_principal USING btree (scope_id, id) WHERE ((missed_at IS NOT NULL) AND (gone_at IS NULL));
CREATE INDEX observed_principal_name ON observed_principal USING btree (name, id);
CREATE INDEX observed_principal_scope ON observed_principal USING btree (scope_id, id);
CREATE INDEX observed_principal_thing ON observed_principal USING btree (COALESCE(instance_of_id, id), id);
CREATE INDEX observed_principal_type ON observed_principal USING btree (type, id);
comment on table observed_principal is 'A row is something that can hold rights at a source: an account, a group, a role, a client.';
comment on column observed_principal.unknown is 'Of fields that are null: why they are not known. A null that is not named here is known to be nothing.';
comment on column observed_principal.account_id is 'The account of the shared record that it is.';
comment on column observed_principal.digest is 'Of all that was told of it: a reading that tells the same changes nothing.';
comment on column observed_principal.last_seen_at is 'When it last stood there; null while it does, and then it is its scope''s.';
comment on column observed_principal.missed_at is 'The first complete reading without it.';
comment on column observed_principal.gone_at is 'The second complete reading without it: it is gone. Rows stay.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON observed_principal REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON observed_principal REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON observed_principal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER scopes_are_held AFTER UPDATE ON observed_principal REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER scopes_are_held_at_birth AFTER INSERT ON observed_principal REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON observed_principal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table observed_reference (
  id uuid not null,
  scope_id uuid not null,
  native_kind text not null,
  native_id text not null,
  consumer_id uuid not null,
  credential_id uuid,
  fingerprint text,
  how text not null,
  location text not null,
  evidence text not null,
  facts jsonb not null,
  unknown jsonb not null,
  digest bytea not null,
  first_seen_at timestamp with time zone not null,
  changed_at timestamp with time zone not null,
  last_seen_at timestamp with time zone,
  missed_at timestamp with time zone,
  gone_at timestamp with time zone,
  cause bigint not null,
  constraint observed_reference_pkey PRIMARY KEY (id),
  constraint refers_to_one_thing CHECK ((num_nonnulls(credential_id, fingerprint) = 1))
);
CREATE INDEX observed_reference_consumer ON observed_reference USING btree (consumer_id);
CREATE INDEX observed_reference_credential ON observed_reference USING btree (credential_id);
CREATE INDEX observed_reference_fingerprint ON observed_reference USING btree (fingerprint) WHERE (fingerprint IS NOT NULL);
CREATE INDEX observed_reference_gone ON observed_reference USING btree (id) WHERE (gone_at IS NOT NULL);
CREATE INDEX observed_reference_missed ON observed_reference USING btree (scope_id, id) WHERE ((missed_at IS NOT NULL) AND (gone_at IS NULL));
CREATE INDEX observed_reference_scope ON observed_reference USING btree (scope_id, id);
comment on table observed_reference is 'A row is a place where a credential is kept or used: an edge of the consumer map.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON observed_reference REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON observed_reference REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON observed_reference FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER scopes_are_held AFTER UPDATE ON observed_reference REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER scopes_are_held_at_birth AFTER INSERT ON observed_reference REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON observed_reference FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table observed_resource (
  id uuid not null,
  scope_id uuid not null,
  native_kind text not null,
  native_id text not null,
  type text not null,
  name text not null,
  parent_id uuid,
  environment text,
  sensitivity smallint,
  tags jsonb not null,
  facts jsonb not null,
  unknown jsonb not null,
  digest bytea not null,
  first_seen_at timestamp with time zone not null,
  changed_at timestamp with time zone not null,
  last_seen_at timestamp with time zone,
  missed_at timestamp with time zone,
  gone_at timestamp with time zone,
  cause bigint not null,
  constraint observed_resource_pkey PRIMARY KEY (id)
);
CREATE INDEX observed_resource_gone ON observed_resource USING btree (id) WHERE (gone_at IS NOT NULL);
CREATE INDEX observed_resource_missed ON observed_resource USING btree (scope_id, id) WHERE ((missed_at IS NOT NULL) AND (gone_at IS NULL));
CREATE INDEX observed_resource_name ON observed_resource USING btree (name, id);
CREATE INDEX observed_resource_offered ON observed_resource USING btree (id) WHERE (type = ANY (ARRAY['mcp-server'::text, 'mcp-tool'::text, 'mcp-prompt'::text, 'mcp-resource'::text, 'mcp-template'::text]));
CREATE INDEX observed_resource_parent ON observed_resource USING btree (parent_id);
CREATE INDEX observed_resource_scope ON observed_resource USING btree (scope_id, id);
CREATE INDEX observed_resource_type ON observed_resource USING btree (type, id);
comment on table observed_resource is 'A row is something that rights are held on.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON observed_resource REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON observed_resource REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON observed_resource FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER scopes_are_held AFTER UPDATE ON observed_resource REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER scopes_are_held_at_birth AFTER INSERT ON observed_resource REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON observed_resource FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table observed_trust (
  id uuid not null,
  scope_id uuid not null,
  native_kind text not null,
  native_id text not null,
  from_id uuid,
  issuer text,
  claims jsonb,
  to_id uuid not null,
  is_wildcard boolean not null,
  facts jsonb not null,
  unknown jsonb not null,
  digest bytea not null,
  first_seen_at timestamp with time zone not null,
  changed_at timestamp with time zone not null,
  last_seen_at timestamp with time zone,
  missed_at timestamp with time zone,
  gone_at timestamp with time zone,
  cause bigint not null,
  constraint observed_trust_pkey PRIMARY KEY (id),
  constraint trusts_one_thing CHECK ((num_nonnulls(from_id, issuer) = 1))
);
CREATE INDEX observed_trust_from ON observed_trust USING btree (from_id);
CREATE INDEX observed_trust_gone ON observed_trust USING btree (id) WHERE (gone_at IS NOT NULL);
CREATE INDEX observed_trust_issuer ON observed_trust USING btree (issuer);
CREATE INDEX observed_trust_missed ON observed_trust USING btree (scope_id, id) WHERE ((missed_at IS NOT NULL) AND (gone_at IS NULL));
CREATE INDEX observed_trust_scope ON observed_trust USING btree (scope_id, id);
CREATE INDEX observed_trust_to ON observed_trust USING btree (to_id);
comment on table observed_trust is 'A row says whom something at a source believes: a principal, or an issuer with the claims it must show.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON observed_trust REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON observed_trust REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON observed_trust FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER scopes_are_held AFTER UPDATE ON observed_trust REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER scopes_are_held_at_birth AFTER INSERT ON observed_trust REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON observed_trust FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table observed_usage (
  id uuid not null,
  scope_id uuid not null,
  subject_id uuid not null,
  semantics text not null,
  privilege text,
  on_id uuid,
  actor_id uuid,
  address text,
  agent text,
  day_at timestamp with time zone,
  first_at timestamp with time zone not null,
  last_at timestamp with time zone not null,
  count bigint not null,
  instances bigint not null,
  cause bigint not null,
  constraint observed_usage_pkey PRIMARY KEY (id),
  constraint times_are_in_order CHECK ((first_at <= last_at))
);
CREATE INDEX observed_usage_scope ON observed_usage USING btree (scope_id);
CREATE INDEX observed_usage_subject ON observed_usage USING btree (subject_id, last_at);
comment on table observed_usage is 'A row adds up one way of using one thing on one day, or is the last use that a source knows.';
comment on column observed_usage.day_at is 'The beginning of the day (UTC); null when the source tells only the last use.';
comment on column observed_usage.count is '0 when the source does not count.';
comment on column observed_usage.instances is 'How many short-lived instances of the subject it stands for.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON observed_usage REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON observed_usage REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON observed_usage FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER scopes_are_held AFTER UPDATE ON observed_usage REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER scopes_are_held_at_birth AFTER INSERT ON observed_usage REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON observed_usage FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table owner_candidate (
  identity_id uuid not null,
  owner_id uuid not null,
  team text,
  score smallint not null,
  evidence jsonb not null,
  constraint owner_candidate_pkey PRIMARY KEY (identity_id, owner_id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint owner_fkey FOREIGN KEY (owner_id) REFERENCES identity(id),
  constraint nobody_owns_itself CHECK ((identity_id <> owner_id)),
  constraint score_is_a_percentage CHECK (((score >= 0) AND (score <= 100)))
);
CREATE INDEX owner_candidate_best ON owner_candidate USING btree (((- score)), identity_id, owner_id);
CREATE INDEX owner_candidate_identity ON owner_candidate USING btree (identity_id);
CREATE INDEX owner_candidate_owner ON owner_candidate USING btree (owner_id, ((- score)), identity_id);
comment on table owner_candidate is 'A row is a person who may answer for an identity, by evidence and its weights. It gives nobody anything: a person has to accept.';

create table owner_decline (
  identity_id uuid not null,
  owner_id uuid not null,
  declined_at timestamp with time zone not null,
  cause bigint not null,
  constraint owner_decline_pkey PRIMARY KEY (identity_id, owner_id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint owner_fkey FOREIGN KEY (owner_id) REFERENCES identity(id)
);
CREATE INDEX owner_decline_cause ON owner_decline USING btree (cause);
CREATE INDEX owner_decline_owner ON owner_decline USING btree (owner_id);
comment on table owner_decline is 'A row is a person''s word that they do not answer for an identity: they are not proposed again.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON owner_decline FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON owner_decline FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON owner_decline FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table passkey (
  id uuid not null,
  identity_id uuid not null,
  credential_id bytea not null,
  public_key bytea not null,
  counter bigint not null,
  transports text[] not null,
  aaguid uuid not null,
  is_backup_eligible boolean not null,
  is_backed_up boolean not null,
  label text not null,
  created_at timestamp with time zone not null,
  used_at timestamp with time zone,
  removed_at timestamp with time zone,
  cause bigint not null,
  constraint passkey_pkey PRIMARY KEY (id),
  constraint credential_is_unique UNIQUE (credential_id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint counter_is_of_four_bytes CHECK (((counter >= 0) AND (counter <= '4294967295'::bigint)))
);
CREATE INDEX passkey_cause ON passkey USING btree (cause);
CREATE INDEX passkey_identity ON passkey USING btree (identity_id);
comment on table passkey is 'A row is a key pair of one person, kept by an authenticator of theirs: a proof that no other site gets (WebAuthn Level 3).';
comment on column passkey.public_key is 'As COSE_Key (RFC 9052 §7).';
comment on column passkey.counter is 'Of the last assertion; one that is not higher was made by a copy, unless the authenticator does not count.';
comment on column passkey.is_backup_eligible is 'Whether it may be on several devices; that does not change over its life.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON passkey FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER passkey_stays_the_same BEFORE UPDATE ON passkey FOR EACH ROW EXECUTE FUNCTION passkey_stays_the_same();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON passkey FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON passkey FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table passkey_ceremony (
  id uuid not null,
  kind text not null,
  challenge bytea not null,
  user_handle bytea,
  identity_id uuid,
  enrolment_id uuid,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  constraint passkey_ceremony_pkey PRIMARY KEY (id),
  constraint enrolment_fkey FOREIGN KEY (enrolment_id) REFERENCES enrolment(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint ends_after_start CHECK ((expires_at > created_at)),
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['enrol'::text, 'add'::text, 'sign-in'::text])))
);
CREATE INDEX passkey_ceremony_enrolment ON passkey_ceremony USING btree (enrolment_id);
CREATE INDEX passkey_ceremony_expires ON passkey_ceremony USING btree (expires_at);
CREATE INDEX passkey_ceremony_identity ON passkey_ceremony USING btree (identity_id);
comment on table passkey_ceremony is 'A row is a challenge that a browser was given, taken once on whichever node.';

create table placement (
  id uuid not null,
  machine_id uuid not null,
  identity_id uuid not null,
  selectors text[] not null,
  hint text,
  created_by uuid not null,
  created_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  cause bigint not null,
  constraint placement_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint created_by_fkey FOREIGN KEY (created_by) REFERENCES identity(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint machine_fkey FOREIGN KEY (machine_id) REFERENCES identity(id),
  constraint a_workload_is_not_its_machine CHECK ((machine_id <> identity_id)),
  constraint somebody_is_selected CHECK (((cardinality(selectors) >= 1) AND (cardinality(selectors) <= 16)))
);
CREATE INDEX placement_cause ON placement USING btree (cause);
CREATE INDEX placement_created_by ON placement USING btree (created_by);
CREATE INDEX placement_identity ON placement USING btree (identity_id);
CREATE INDEX placement_machine ON placement USING btree (machine_id);
comment on table placement is 'A row lets the agent of one machine vouch for one identity, to processes that all of the selectors fit.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON placement FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON placement FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON placement FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table privileged_action (
  name text not null,
  protocol text not null,
  class text not null,
  tier smallint not null,
  summary text not null,
  obligations jsonb not null,
  cause bigint not null,
  enforcement text not null default 'gateway'::text,
  tier_elsewhere smallint,
  deciders jsonb not null default '{"owns": "pam", "holds": "iam", "credentials": "nhi"}'::jsonb,
  constraint privileged_action_pkey PRIMARY KEY (name),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint class_is_known CHECK ((class = ANY (ARRAY['read'::text, 'change'::text, 'admin'::text]))),
  constraint enforcement_is_known CHECK ((enforcement = ANY (ARRAY['gateway'::text, 'target'::text, 'reeve'::text, 'none'::text]))),
  constraint tier_elsewhere_is_known CHECK (((tier_elsewhere >= tier) AND (tier_elsewhere <= 3))),
  constraint tier_is_known CHECK (((tier >= 0) AND (tier <= 3)))
);
CREATE INDEX privileged_action_cause ON privileged_action USING btree (cause);
comment on table privileged_action is 'A row is an entry of the catalog of privileged actions. Its obligations are a floor that no policy lowers.';
comment on column privileged_action.enforcement is 'A gateway, the target by the credential alone, Reeve itself (its own operations), or nobody yet: then it is listed and cannot be granted.';
comment on column privileged_action.tier_elsewhere is 'Outside production, where it may be less sensitive and never more; null is the same.';
comment on column privileged_action.deciders is 'Which function owns the action, says who may hold it, and answers for how its credentials live.';
CREATE TRIGGER action_is_hinted AFTER INSERT OR DELETE OR UPDATE ON privileged_action FOR EACH STATEMENT EXECUTE FUNCTION hint_record_kind('actions');
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON privileged_action FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON privileged_action FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON privileged_action FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table provisioned_group (
  id uuid not null,
  provider_id uuid not null,
  display_name text not null,
  external_id text,
  created_at timestamp with time zone not null,
  modified_at timestamp with time zone not null,
  deleted_at timestamp with time zone,
  version integer not null default 1,
  cause bigint not null,
  constraint provisioned_group_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint provider_fkey FOREIGN KEY (provider_id) REFERENCES identity(id)
);
CREATE INDEX provisioned_group_cause ON provisioned_group USING btree (cause);
CREATE UNIQUE INDEX provisioned_group_external_id_is_unique ON provisioned_group USING btree (provider_id, external_id) WHERE ((deleted_at IS NULL) AND (external_id IS NOT NULL));
CREATE INDEX provisioned_group_provider ON provisioned_group USING btree (provider_id, id);
comment on table provisioned_group is 'A row is one group of one identity provider (RFC 7643 §4.2). It gives nothing by itself: a team follows it only where a version of the teams says so.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON provisioned_group FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER provisioned_group_stays BEFORE UPDATE ON provisioned_group FOR EACH ROW EXECUTE FUNCTION provisioned_stays_its_providers();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON provisioned_group FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON provisioned_group FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table provisioned_member (
  group_id uuid not null,
  user_id uuid not null,
  is_member boolean not null,
  cause bigint not null,
  constraint provisioned_member_pkey PRIMARY KEY (group_id, user_id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint group_fkey FOREIGN KEY (group_id) REFERENCES provisioned_group(id),
  constraint user_fkey FOREIGN KEY (user_id) REFERENCES provisioned_user(id)
);
CREATE INDEX provisioned_member_cause ON provisioned_member USING btree (cause);
CREATE INDEX provisioned_member_user ON provisioned_member USING btree (user_id);
comment on table provisioned_member is 'A row says whether a user of a provider is in one of its groups; who left stays as not a member.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON provisioned_member FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON provisioned_member FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON provisioned_member FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table provisioned_user (
  id uuid not null,
  provider_id uuid not null,
  identity_id uuid not null,
  user_name text,
  external_id text,
  is_active boolean not null,
  resource jsonb not null,
  created_at timestamp with time zone not null,
  modified_at timestamp with time zone not null,
  deleted_at timestamp with time zone,
  version integer not null default 1,
  cause bigint not null,
  constraint provisioned_user_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint provider_fkey FOREIGN KEY (provider_id) REFERENCES identity(id),
  constraint deleted_keeps_nothing CHECK ((((deleted_at IS NULL) = (user_name IS NOT NULL)) AND ((deleted_at IS NULL) OR ((external_id IS NULL) AND (resource = '{}'::jsonb) AND (NOT is_active))))),
  constraint nobody_provisions_itself CHECK ((provider_id <> identity_id))
);
CREATE INDEX provisioned_user_cause ON provisioned_user USING btree (cause);
CREATE UNIQUE INDEX provisioned_user_external_id_is_unique ON provisioned_user USING btree (provider_id, external_id) WHERE ((deleted_at IS NULL) AND (external_id IS NOT NULL));
CREATE INDEX provisioned_user_identity ON provisioned_user USING btree (identity_id);
CREATE UNIQUE INDEX provisioned_user_is_one_person ON provisioned_user USING btree (provider_id, identity_id) WHERE (deleted_at IS NULL);
CREATE UNIQUE INDEX provisioned_user_name_is_unique ON provisioned_user USING btree (provider_id, user_name) WHERE (deleted_at IS NULL);
CREATE INDEX provisioned_user_provider ON provisioned_user USING btree (provider_id, id);
comment on table provisioned_user is 'A row is one user of one identity provider (RFC 7643 §4.1) and the person of the record it stands for. What was deleted keeps no personal data.';
comment on column provisioned_user.user_name is 'As it was sent, folded to lower case: unique for its provider (RFC 7643 §4.1.1).';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON provisioned_user FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER provisioned_user_stays BEFORE UPDATE ON provisioned_user FOR EACH ROW EXECUTE FUNCTION provisioned_stays_its_providers();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON provisioned_user FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON provisioned_user FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table purpose (
  id uuid not null,
  name text not null,
  statement text not null,
  owner_team text not null,
  actions text[] not null,
  state text not null,
  proposed_by uuid not null,
  approved_by uuid,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  version integer not null default 1,
  cause bigint not null,
  constraint purpose_pkey PRIMARY KEY (id),
  constraint purpose_name_is_unique UNIQUE (name),
  constraint approved_by_fkey FOREIGN KEY (approved_by) REFERENCES identity(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint proposed_by_fkey FOREIGN KEY (proposed_by) REFERENCES identity(id),
  constraint approved_says_by_whom CHECK (((state = 'proposed'::text) OR (state = 'ended'::text) OR (approved_by IS NOT NULL))),
  constraint ends_after_start CHECK ((expires_at > created_at)),
  constraint names_actions CHECK ((cardinality(actions) > 0)),
  constraint nobody_approves_their_own CHECK ((approved_by IS DISTINCT FROM proposed_by)),
  constraint state_is_known CHECK ((state = ANY (ARRAY['proposed'::text, 'approved'::text, 'ended'::text])))
);
CREATE INDEX purpose_approved_by ON purpose USING btree (approved_by);
CREATE INDEX purpose_cause ON purpose USING btree (cause);
CREATE INDEX purpose_proposed_by ON purpose USING btree (proposed_by);
comment on table purpose is 'A row is a registered reason to act: which actions on which targets, until when.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON purpose FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE CONSTRAINT TRIGGER purpose_change_is_hinted AFTER UPDATE ON purpose DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((((old.state IS DISTINCT FROM new.state) OR (old.actions IS DISTINCT FROM new.actions)) OR (old.expires_at IS DISTINCT FROM new.expires_at))) EXECUTE FUNCTION hint_second_look('purpose', 'purpose_id = $1');
CREATE TRIGGER purpose_is_hinted AFTER UPDATE ON purpose FOR EACH ROW WHEN (((((old.name IS DISTINCT FROM new.name) OR (old.actions IS DISTINCT FROM new.actions)) OR (old.state IS DISTINCT FROM new.state)) OR (old.expires_at IS DISTINCT FROM new.expires_at))) EXECUTE FUNCTION hint_record('purpose');
CREATE TRIGGER rows_are_kept BEFORE DELETE ON purpose FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON purpose FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table purpose_target (
  purpose_id uuid not null,
  target_id uuid not null,
  cause bigint not null,
  constraint purpose_target_pkey PRIMARY KEY (purpose_id, target_id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint purpose_fkey FOREIGN KEY (purpose_id) REFERENCES purpose(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id)
);
CREATE INDEX purpose_target_cause ON purpose_target USING btree (cause);
CREATE INDEX purpose_target_target ON purpose_target USING btree (target_id);
comment on table purpose_target is 'A row lets a purpose reach a target.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON purpose_target FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER purpose_target_is_hinted AFTER INSERT OR UPDATE ON purpose_target FOR EACH ROW EXECUTE FUNCTION hint_purpose_target();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON purpose_target FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON purpose_target FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table pushed_request (
  request_uri_sha256 bytea not null,
  client_id text not null,
  fields jsonb not null,
  key_kind text not null,
  key_sha256 bytea not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  constraint pushed_request_pkey PRIMARY KEY (request_uri_sha256),
  constraint key_kind_is_known CHECK ((key_kind = ANY (ARRAY['dpop'::text, 'mtls'::text])))
);
CREATE INDEX pushed_request_expires ON pushed_request USING btree (expires_at);
comment on table pushed_request is 'A row is what a client will send a browser for, told beforehand and answered once (RFC 9126).';
comment on column pushed_request.key_sha256 is 'Of the key it came with: the code that comes of it is redeemed by the same key alone.';

create table reading_progress (
  source_id uuid not null,
  reading_id uuid not null,
  holder_id uuid not null,
  beat_at timestamp with time zone not null,
  scope text,
  cursor text,
  pages integer not null default 0,
  refused integer not null default 0,
  from_future integer not null default 0,
  constraint reading_progress_pkey PRIMARY KEY (source_id)
);
comment on table reading_progress is 'A row is a reading under way: who reads, and behind which page it goes on should they die.';
comment on column reading_progress.scope is 'The one that is read now. The one before it may still be entering the inventory: until that has its report, it counts as unread.';
comment on column reading_progress.refused is 'Observations of this scope that broke the contract and were not kept: whoever goes on must not take them for gone.';
comment on column reading_progress.from_future is 'Uses of this scope that the source dated ahead of now.';

create table record_link (
  id uuid not null,
  observed_kind text not null,
  observed_id uuid not null,
  identity_id uuid not null,
  how text not null,
  evidence jsonb not null,
  state text not null,
  made_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  cause bigint not null,
  constraint record_link_pkey PRIMARY KEY (id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint ended_says_when CHECK (((state = 'active'::text) = (ended_at IS NULL))),
  constraint how_is_known CHECK ((how = ANY (ARRAY['native-id'::text, 'fingerprint'::text, 'attested'::text]))),
  constraint observed_kind_is_known CHECK ((observed_kind = ANY (ARRAY['principal'::text, 'credential'::text]))),
  constraint only_fingerprints_are_declined CHECK (((state <> 'declined'::text) OR (how = 'fingerprint'::text))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['active'::text, 'ended'::text, 'declined'::text])))
);
CREATE INDEX record_link_identity ON record_link USING btree (identity_id);
CREATE INDEX record_link_observed ON record_link USING btree (observed_id);
CREATE UNIQUE INDEX record_link_one_at_a_time ON record_link USING btree (observed_id) WHERE (state = 'active'::text);
comment on table record_link is 'A row says that what a source told is an identity of the record, and by what: an id that the source gave, the fingerprint of a secret, a person. Never a name.';
comment on column record_link.id is 'The hash of what is linked, to what and how: the same link is the same row each time.';
comment on column record_link.state is 'declined: a person took it apart, and it is not made again by itself.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON record_link REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON record_link REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER record_link_moves_legally BEFORE UPDATE ON record_link FOR EACH ROW EXECUTE FUNCTION record_link_moves_legally();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON record_link FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON record_link FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table request_approval (
  request_id uuid not null,
  approver_id uuid not null,
  verdict text not null,
  bound_sha256 bytea not null,
  comment text,
  at timestamp with time zone not null,
  cause bigint not null,
  constraint request_approval_pkey PRIMARY KEY (request_id, approver_id),
  constraint approver_fkey FOREIGN KEY (approver_id) REFERENCES identity(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint request_fkey FOREIGN KEY (request_id) REFERENCES access_request(id),
  constraint verdict_is_known CHECK ((verdict = ANY (ARRAY['approve'::text, 'deny'::text])))
);
CREATE INDEX request_approval_approver ON request_approval USING btree (approver_id);
CREATE INDEX request_approval_cause ON request_approval USING btree (cause);
comment on table request_approval is 'A row is what one distinct person said about exactly what was shown to them.';
CREATE TRIGGER approver_is_another BEFORE INSERT OR UPDATE ON request_approval FOR EACH ROW EXECUTE FUNCTION approver_is_another();
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON request_approval FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON request_approval FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON request_approval FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table review_risk (
  id uuid not null,
  score smallint not null,
  risk jsonb not null,
  weighed_at timestamp with time zone not null,
  constraint review_risk_pkey PRIMARY KEY (id),
  constraint score_is_a_share CHECK (((score >= 0) AND (score <= 100)))
);
comment on table review_risk is 'A row is the risk of a request or change as it was last weighed; id is that of the request or change.';

create table root_key (
  generation integer not null,
  key_id text not null,
  since_at timestamp with time zone not null,
  is_entered boolean not null default false,
  constraint root_key_pkey PRIMARY KEY (generation),
  constraint key_seals_once UNIQUE (key_id),
  constraint generation_is_counted CHECK ((generation > 0))
);
comment on table root_key is 'A row is a root key that this database was sealed under, by what is known of it without knowing it; the last one seals.';
comment on column root_key.key_id is 'Twelve hexadecimal digits of an HMAC under the key: it tells which backup of a key is needed.';
comment on column root_key.is_entered is 'Whether the ledger knows: it is made while no node runs, and the first one that starts enters it.';

create table rotation (
  id uuid not null,
  target_id uuid not null,
  account_id uuid,
  principal text not null,
  state text not null,
  started_by_id uuid,
  ends_sessions boolean not null,
  generation integer not null default 1,
  was_sha256 bytea not null,
  sealed_next bytea,
  sealed_previous bytea,
  planned_at timestamp with time zone not null,
  issued_at timestamp with time zone,
  verified_at timestamp with time zone,
  adopted_at timestamp with time zone,
  over_at timestamp with time zone,
  next_try_at timestamp with time zone,
  attempts integer not null default 0,
  last_error text,
  escalation text not null default 'none'::text,
  evidence jsonb,
  cause bigint not null,
  strategy text not null default 'cut-over'::text,
  occasion text not null default 'person'::text,
  next_principal text,
  soak_seconds integer not null default 0,
  soak_before timestamp with time zone,
  distributed_at timestamp with time zone,
  disabled_at timestamp with time zone,
  revoked_at timestamp with time zone,
  state_at timestamp with time zone not null,
  waits_for text,
  told_at timestamp with time zone,
  deadline_at timestamp with time zone,
  alarmed_at timestamp with time zone,
  campaign_id uuid,
  constraint rotation_pkey PRIMARY KEY (id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint campaign_fkey FOREIGN KEY (campaign_id) REFERENCES rotation_campaign(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint started_by_fkey FOREIGN KEY (started_by_id) REFERENCES identity(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint dead_has_evidence CHECK (((state = 'dead'::text) <= (evidence IS NOT NULL))),
  constraint distributed_knows_the_previous_secret CHECK (((state = ANY (ARRAY['distributed'::text, 'adopted'::text, 'disabled'::text, 'soaking'::text, 'revoked'::text])) = (sealed_previous IS NOT NULL))),
  constraint escalation_is_known CHECK ((escalation = ANY (ARRAY['none'::text, 'owner'::text, 'security'::text]))),
  constraint occasion_is_known CHECK ((occasion = ANY (ARRAY['person'::text, 'schedule'::text, 'age'::text, 'leak'::text, 'owner-left'::text, 'break-glass'::text, 'campaign'::text]))),
  constraint open_is_retried CHECK (((state = ANY (ARRAY['dead'::text, 'superseded'::text, 'aborted'::text])) = (next_try_at IS NULL))),
  constraint open_knows_the_next_secret CHECK (((state = ANY (ARRAY['planned'::text, 'aborting'::text, 'dead'::text, 'superseded'::text, 'aborted'::text])) OR (sealed_next IS NOT NULL))),
  constraint over_keeps_no_secret CHECK (((state <> ALL (ARRAY['dead'::text, 'superseded'::text, 'aborted'::text])) OR (sealed_next IS NULL))),
  constraint over_says_when CHECK (((state = ANY (ARRAY['dead'::text, 'superseded'::text, 'aborted'::text])) = (over_at IS NOT NULL))),
  constraint soaking_says_until_when CHECK (((state <> 'soaking'::text) OR (soak_before IS NOT NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['planned'::text, 'issued'::text, 'verified'::text, 'distributed'::text, 'adopted'::text, 'disabled'::text, 'soaking'::text, 'revoked'::text, 'dead'::text, 'superseded'::text, 'aborting'::text, 'aborted'::text]))),
  constraint strategy_is_known CHECK ((strategy = ANY (ARRAY['cut-over'::text, 'alternating'::text, 'dual-slot'::text, 'retain-old'::text, 'restart-hook'::text, 'broker-only'::text, 'by-hand'::text])))
);
CREATE UNIQUE INDEX account_has_one_open_rotation ON rotation USING btree (account_id) WHERE ((account_id IS NOT NULL) AND (over_at IS NULL));
CREATE UNIQUE INDEX provisioner_has_one_open_rotation ON rotation USING btree (target_id) WHERE ((account_id IS NULL) AND (over_at IS NULL));
CREATE INDEX rotation_account ON rotation USING btree (account_id);
CREATE INDEX rotation_campaign_id ON rotation USING btree (campaign_id);
CREATE INDEX rotation_cause ON rotation USING btree (cause);
CREATE INDEX rotation_open ON rotation USING btree (next_try_at) WHERE (over_at IS NULL);
CREATE INDEX rotation_started_by ON rotation USING btree (started_by_id);
CREATE INDEX rotation_target ON rotation USING btree (target_id);
comment on table rotation is 'A row is one change of the secret of a login that stands at a target: an open obligation until the old secret is proven dead.';
comment on column rotation.account_id is 'Null: the login by which leases are made and ended at the target.';
comment on column rotation.principal is 'The name of the login at the target.';
comment on column rotation.started_by_id is 'Null: its schedule.';
comment on column rotation.generation is 'Counts the secrets that were tried: a target may refuse one by its own rules.';
comment on column rotation.was_sha256 is 'Of the sealed login as it was when this was planned: one that somebody replaced meanwhile is not overwritten.';
comment on column rotation.sealed_next is 'Sealed beside the old one before the target hears of it, so that there is no moment in which neither is known.';
comment on column rotation.sealed_previous is 'The old secret from the moment the new one took its place until it is proven dead.';
comment on column rotation.next_try_at is 'When the next attempt is due; a running attempt has moved it ahead, so a killed one is repeated.';
comment on column rotation.occasion is 'Why now: a person, the schedule, its age, a leak, who knew it left, break-glass was used, or one of many.';
comment on column rotation.next_principal is 'The login that the new secret is of, where that is another one than the old.';
comment on column rotation.state_at is 'When it came to this state.';
comment on column rotation.waits_for is 'What it waits for, in a sentence; null while nothing keeps it.';
comment on column rotation.told_at is 'When the hook of its consumers answered: it is known to them, which is not that they took it up.';
comment on column rotation.alarmed_at is 'When it was said that secrets are issued again and again and nobody takes them up.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON rotation FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rotation_moves_legally BEFORE UPDATE ON rotation FOR EACH ROW EXECUTE FUNCTION rotation_moves_legally();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON rotation FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON rotation FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table rotation_campaign (
  id uuid not null,
  started_by_id uuid not null,
  reason text not null,
  ends_sessions boolean not null,
  per_target smallint not null,
  most_failures smallint not null,
  state text not null,
  started_at timestamp with time zone not null,
  over_at timestamp with time zone,
  cause bigint not null,
  constraint rotation_campaign_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint started_by_fkey FOREIGN KEY (started_by_id) REFERENCES identity(id),
  constraint over_says_when CHECK (((state = 'over'::text) = (over_at IS NOT NULL))),
  constraint pace_is_bounded CHECK ((((per_target >= 1) AND (per_target <= 50)) AND ((most_failures >= 0) AND (most_failures <= 1000)))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['running'::text, 'stopped'::text, 'over'::text])))
);
CREATE INDEX rotation_campaign_cause ON rotation_campaign USING btree (cause);
CREATE INDEX rotation_campaign_running ON rotation_campaign USING btree (id) WHERE (state = 'running'::text);
CREATE INDEX rotation_campaign_started_by ON rotation_campaign USING btree (started_by_id);
comment on table rotation_campaign is 'A row is one order to rotate many logins. It stops by itself when more fail than it may.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON rotation_campaign FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON rotation_campaign FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON rotation_campaign FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table rotation_schedule (
  id uuid not null,
  target_id uuid not null,
  account_id uuid,
  every_days smallint,
  due_at timestamp with time zone,
  cause bigint not null,
  constraint rotation_schedule_pkey PRIMARY KEY (id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint every_days_is_a_pace CHECK (((every_days >= 1) AND (every_days <= 365))),
  constraint kept_says_when CHECK (((every_days IS NULL) = (due_at IS NULL)))
);
CREATE UNIQUE INDEX account_has_one_schedule ON rotation_schedule USING btree (account_id) WHERE (account_id IS NOT NULL);
CREATE UNIQUE INDEX provisioner_has_one_schedule ON rotation_schedule USING btree (target_id) WHERE (account_id IS NULL);
CREATE INDEX rotation_schedule_account ON rotation_schedule USING btree (account_id);
CREATE INDEX rotation_schedule_cause ON rotation_schedule USING btree (cause);
CREATE INDEX rotation_schedule_due ON rotation_schedule USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX rotation_schedule_target ON rotation_schedule USING btree (target_id);
comment on table rotation_schedule is 'A row says how often the login of an account or a provisioner gets a new secret; without a pace it is not kept any more.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON rotation_schedule FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON rotation_schedule FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON rotation_schedule FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table rotation_task (
  campaign_id uuid not null,
  place integer not null,
  target_id uuid not null,
  account_id uuid,
  rotation_id uuid,
  refusal text,
  cause bigint not null,
  constraint rotation_task_pkey PRIMARY KEY (campaign_id, place),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint campaign_fkey FOREIGN KEY (campaign_id) REFERENCES rotation_campaign(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint rotation_fkey FOREIGN KEY (rotation_id) REFERENCES rotation(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id)
);
CREATE INDEX rotation_task_account ON rotation_task USING btree (account_id);
CREATE INDEX rotation_task_cause ON rotation_task USING btree (cause);
CREATE INDEX rotation_task_rotation ON rotation_task USING btree (rotation_id);
CREATE INDEX rotation_task_target ON rotation_task USING btree (target_id);
comment on table rotation_task is 'A row is one login of a campaign, in the order in which they are rotated: what reaches most comes first.';
comment on column rotation_task.refusal is 'Why it cannot be rotated, in a sentence.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON rotation_task FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON rotation_task FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON rotation_task FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table rotation_way (
  id uuid not null,
  account_id uuid not null,
  strategy text not null,
  alternate text,
  soak_seconds integer not null default 0,
  hook_url text,
  sealed_key bytea,
  instructions text,
  owner_team text,
  deadline_days smallint,
  cause bigint not null,
  constraint rotation_way_pkey PRIMARY KEY (id),
  constraint account_has_one_way UNIQUE (account_id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint hand_knows_what_to_do CHECK ((((strategy = 'by-hand'::text) = (instructions IS NOT NULL)) AND ((instructions IS NULL) = (owner_team IS NULL)) AND ((instructions IS NULL) = (deadline_days IS NULL)))),
  constraint hook_is_signed CHECK ((((strategy = 'restart-hook'::text) = (hook_url IS NOT NULL)) AND ((hook_url IS NULL) = (sealed_key IS NULL)))),
  constraint soak_is_bounded CHECK (((soak_seconds >= 0) AND (soak_seconds <= 2592000))),
  constraint strategy_is_known CHECK ((strategy = ANY (ARRAY['cut-over'::text, 'alternating'::text, 'dual-slot'::text, 'retain-old'::text, 'restart-hook'::text, 'broker-only'::text, 'by-hand'::text]))),
  constraint two_take_turns CHECK (((strategy = 'alternating'::text) = (alternate IS NOT NULL)))
);
CREATE INDEX rotation_way_cause ON rotation_way USING btree (cause);
comment on table rotation_way is 'A row says how the login of an account gets another secret; without one it is cut over.';
comment on column rotation_way.sealed_key is 'What calls of the hook and their answers are signed with.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON rotation_way FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON rotation_way FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON rotation_way FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table rule_activation (
  seq bigint not null,
  version_id uuid not null,
  back_to bigint,
  activated_by uuid,
  activated_at timestamp with time zone not null,
  cause bigint not null,
  kind text not null,
  constraint rule_activation_pkey PRIMARY KEY (kind, seq),
  constraint activated_by_fkey FOREIGN KEY (activated_by) REFERENCES identity(id),
  constraint back_to_fkey FOREIGN KEY (kind, back_to) REFERENCES rule_activation(kind, seq),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint version_fkey FOREIGN KEY (kind, version_id) REFERENCES rule_version(kind, id),
  constraint goes_back_in_time CHECK ((back_to < seq)),
  constraint is_counted CHECK ((seq > 0))
);
CREATE INDEX rule_activation_activated_by ON rule_activation USING btree (activated_by);
CREATE INDEX rule_activation_back_to ON rule_activation USING btree (kind, back_to);
CREATE INDEX rule_activation_cause ON rule_activation USING btree (cause);
CREATE INDEX rule_activation_version ON rule_activation USING btree (kind, version_id);
comment on table rule_activation is 'A row says which version of a kind of rules decides from then on; of each kind the one with the highest number holds.';
comment on column rule_activation.seq is 'One more than the one before of its kind: of two that would follow the same one, the database takes one.';
comment on column rule_activation.back_to is 'The activation that a way back leads to; null where there is none.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON rule_activation FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON rule_activation FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON rule_activation FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table rule_version (
  id uuid not null,
  sha256 bytea not null,
  files jsonb not null,
  origin text not null,
  note text,
  proposed_by uuid,
  created_at timestamp with time zone not null,
  cause bigint not null,
  kind text not null,
  constraint rule_version_pkey PRIMARY KEY (id),
  constraint rule_version_kind_is_unique UNIQUE (kind, id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint proposed_by_fkey FOREIGN KEY (proposed_by) REFERENCES identity(id),
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['policies'::text, 'teams'::text, 'calendar'::text, 'catalog'::text]))),
  constraint origin_is_known CHECK ((origin = ANY (ARRAY['shipped'::text, 'proposed'::text]))),
  constraint proposed_by_somebody CHECK (((origin = 'proposed'::text) = (proposed_by IS NOT NULL)))
);
CREATE INDEX rule_version_cause ON rule_version USING btree (cause);
CREATE INDEX rule_version_proposed_by ON rule_version USING btree (proposed_by);
comment on table rule_version is 'A row is one version of one kind of rules, whole and never changed: the text of each file, as it was found valid.';
comment on column rule_version.sha256 is 'Hash of what was made of it; of policies with the schema of the release that made it.';
comment on column rule_version.origin is 'shipped: came with a release or the files of the first start; proposed: by an identity.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON rule_version FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON rule_version FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON rule_version FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table scope_report (
  reading_id uuid not null,
  scope_id uuid not null,
  status text not null,
  items integer not null,
  added integer not null,
  changed integer not null,
  missed integer not null,
  gone integer not null,
  missing jsonb not null,
  read_at timestamp with time zone not null,
  cause bigint not null,
  constraint scope_report_pkey PRIMARY KEY (reading_id, scope_id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint reading_fkey FOREIGN KEY (reading_id) REFERENCES source_reading(id),
  constraint scope_fkey FOREIGN KEY (scope_id) REFERENCES source_scope(id),
  constraint status_is_known CHECK ((status = ANY (ARRAY['complete'::text, 'partial'::text, 'denied'::text, 'unsupported'::text, 'unchanged'::text])))
);
CREATE INDEX scope_report_cause ON scope_report USING btree (cause);
CREATE INDEX scope_report_scope ON scope_report USING btree (scope_id, read_at);
comment on table scope_report is 'A row is how one scope ended in one reading: what coverage was, kept.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON scope_report FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON scope_report FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON scope_report FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table service_attestation (
  identity_id uuid not null,
  service text not null,
  person_id uuid not null,
  evidence text not null,
  attested_at timestamp with time zone not null,
  cause bigint not null,
  constraint service_attestation_pkey PRIMARY KEY (identity_id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint person_fkey FOREIGN KEY (person_id) REFERENCES identity(id)
);
CREATE INDEX service_attestation_cause ON service_attestation USING btree (cause);
CREATE INDEX service_attestation_person ON service_attestation USING btree (person_id);
comment on table service_attestation is 'A row is a person''s word which business service an identity belongs to.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON service_attestation FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON service_attestation FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON service_attestation FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table service_candidate (
  identity_id uuid not null,
  service text not null,
  score smallint not null,
  evidence jsonb not null,
  constraint service_candidate_pkey PRIMARY KEY (identity_id, service),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint score_is_a_percentage CHECK (((score >= 0) AND (score <= 100)))
);
CREATE INDEX service_candidate_best ON service_candidate USING btree (((- score)), identity_id, service);
comment on table service_candidate is 'A row is a business service that an identity may belong to, by evidence and its weights. Nothing follows from it until who answers for the identity accepts.';

create table session (
  id uuid not null,
  grant_id uuid not null,
  subject_id uuid not null,
  target_id uuid not null,
  account_id uuid not null,
  node_id uuid not null,
  gateway text not null,
  client_address text not null,
  proof_id uuid not null,
  started_at timestamp with time zone not null,
  stop_asked_at timestamp with time zone,
  ended_at timestamp with time zone,
  end_reason text,
  recording text,
  recording_sha256 bytea,
  sealed_key bytea,
  operations bigint not null default 0,
  row_count bigint not null default 0,
  size_bytes bigint not null default 0,
  late_operations integer not null default 0,
  cause bigint not null,
  constraint session_pkey PRIMARY KEY (id),
  constraint account_fkey FOREIGN KEY (account_id) REFERENCES account(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint grant_fkey FOREIGN KEY (grant_id) REFERENCES access_grant(id),
  constraint node_fkey FOREIGN KEY (node_id) REFERENCES node(id),
  constraint proof_fkey FOREIGN KEY (proof_id) REFERENCES grant_proof(id),
  constraint subject_fkey FOREIGN KEY (subject_id) REFERENCES identity(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint end_says_why CHECK (((ended_at IS NULL) = (end_reason IS NULL)))
);
CREATE INDEX session_account ON session USING btree (account_id);
CREATE INDEX session_cause ON session USING btree (cause);
CREATE INDEX session_grant ON session USING btree (grant_id);
CREATE INDEX session_node ON session USING btree (node_id) WHERE (ended_at IS NULL);
CREATE INDEX session_node_all ON session USING btree (node_id);
CREATE INDEX session_proof ON session USING btree (proof_id);
CREATE INDEX session_subject ON session USING btree (subject_id);
CREATE INDEX session_target ON session USING btree (target_id);
comment on table session is 'A row is one brokered connection under a grant.';
comment on column session.stop_asked_at is 'Somebody asked to end it; the node that holds it cuts it, seals the recording and sets ended_at.';
comment on column session.recording is 'Name of the recording in the recording store; null when nothing was recorded.';
comment on column session.sealed_key is 'The key of the recording''s sealed literals; opening them is a privileged action.';
comment on column session.late_operations is 'Operations that began within the push bound after the grant had ended (core 5).';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON session FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON session FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON session FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table signal (
  id uuid not null,
  sender_id uuid not null,
  jti text not null,
  type text not null,
  about text not null,
  about_id uuid not null,
  identity_id uuid,
  target_id uuid,
  severity text not null,
  reason text not null,
  occurred_at timestamp with time zone not null,
  received_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  ended_grants integer not null,
  withdrawn_at timestamp with time zone,
  withdrawn_by_id uuid,
  version integer not null default 1,
  cause bigint not null,
  constraint signal_pkey PRIMARY KEY (id),
  constraint signal_is_received_once UNIQUE (sender_id, jti),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint sender_fkey FOREIGN KEY (sender_id) REFERENCES identity(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint withdrawn_by_fkey FOREIGN KEY (withdrawn_by_id) REFERENCES identity(id),
  constraint about_is_known CHECK ((about = ANY (ARRAY['identity'::text, 'session'::text, 'credential'::text, 'target'::text]))),
  constraint about_says_whom CHECK ((((about = 'target'::text) = (target_id IS NOT NULL)) AND ((identity_id IS NULL) = (about = 'target'::text)))),
  constraint ends_after_receipt CHECK ((expires_at > received_at)),
  constraint severity_is_known CHECK ((severity = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'critical'::text]))),
  constraint withdrawn_says_by_whom CHECK (((withdrawn_at IS NULL) = (withdrawn_by_id IS NULL)))
);
CREATE INDEX signal_cause ON signal USING btree (cause);
CREATE INDEX signal_identity ON signal USING btree (identity_id, expires_at);
CREATE INDEX signal_latest ON signal USING btree (received_at DESC, id DESC);
CREATE INDEX signal_sender ON signal USING btree (sender_id, expires_at);
CREATE INDEX signal_target ON signal USING btree (target_id, expires_at);
CREATE INDEX signal_withdrawn_by ON signal USING btree (withdrawn_by_id);
comment on table signal is 'A row is what one sender reported once of an identity, a session or credential of one, or a target.';
comment on column signal.jti is 'The sender''s own name for it: sent again it is the same signal.';
comment on column signal.about_id is 'The identity, session, token, proof or target that was named; identity_id and target_id are what it comes to.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON signal FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON signal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER signal_is_hinted AFTER INSERT OR UPDATE ON signal DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hint_signal();
CREATE TRIGGER signal_is_only_withdrawn BEFORE UPDATE ON signal FOR EACH ROW EXECUTE FUNCTION signal_is_only_withdrawn();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON signal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table signing_key (
  id uuid not null,
  kid text not null,
  algorithm text not null,
  public_jwk jsonb not null,
  sealed_key bytea,
  state text not null,
  created_at timestamp with time zone not null,
  signs_at timestamp with time zone,
  retires_at timestamp with time zone,
  cause bigint not null,
  constraint signing_key_pkey PRIMARY KEY (id),
  constraint kid_is_unique UNIQUE (kid),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint algorithm_is_known CHECK ((algorithm = ANY (ARRAY['ES256'::text, 'EdDSA'::text]))),
  constraint current_says_since_when CHECK (((state = 'next'::text) OR (signs_at IS NOT NULL))),
  constraint only_a_retired_key_is_gone CHECK (((sealed_key IS NULL) = (state = ANY (ARRAY['previous'::text, 'retired'::text])))),
  constraint previous_says_until_when CHECK (((state = ANY (ARRAY['next'::text, 'current'::text])) OR (retires_at IS NOT NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['next'::text, 'current'::text, 'previous'::text, 'retired'::text])))
);
CREATE INDEX signing_key_cause ON signing_key USING btree (cause);
CREATE UNIQUE INDEX signing_key_current ON signing_key USING btree (state) WHERE (state = 'current'::text);
CREATE UNIQUE INDEX signing_key_next ON signing_key USING btree (state) WHERE (state = 'next'::text);
comment on table signing_key is 'A row is a key that access tokens are signed with. It is published before it signs and until its last token has expired.';
comment on column signing_key.sealed_key is 'PKCS #8, or the name of a key that is held elsewhere, sealed for this row; destroyed when the key stops signing.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON signing_key FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON signing_key FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON signing_key FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table source (
  id uuid not null,
  name text not null,
  connector text not null,
  settings jsonb not null,
  sealed_credential bytea,
  target_id uuid,
  owner_team text not null,
  environment text not null,
  authority text,
  system text,
  schedule text not null,
  next_read_at timestamp with time zone,
  read_at timestamp with time zone,
  problem text,
  state text not null default 'active'::text,
  created_at timestamp with time zone not null,
  version integer not null default 1,
  cause bigint not null,
  constraint source_pkey PRIMARY KEY (id),
  constraint source_name_is_unique UNIQUE (name),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint target_fkey FOREIGN KEY (target_id) REFERENCES target(id),
  constraint environment_is_known CHECK ((environment = ANY (ARRAY['production'::text, 'staging'::text, 'test'::text, 'development'::text]))),
  constraint schedule_is_known CHECK ((schedule = ANY (ARRAY['never'::text, 'daily'::text, 'weekly'::text]))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['active'::text, 'retired'::text])))
);
CREATE UNIQUE INDEX source_authority ON source USING btree (authority) WHERE ((state = 'active'::text) AND (authority IS NOT NULL));
CREATE INDEX source_cause ON source USING btree (cause);
CREATE INDEX source_due ON source USING btree (next_read_at) WHERE (state = 'active'::text);
CREATE INDEX source_target ON source USING btree (target_id);
comment on table source is 'A row is a system that a connector reads: where it is, as whom, how often.';
comment on column source.settings is 'Address and the like; the schema is the connector''s, and nothing is read anywhere else.';
comment on column source.sealed_credential is 'The login to read with, sealed for this row.';
comment on column source.target_id is 'The target it is as well: its accounts are then known to the catalog.';
comment on column source.authority is 'The system itself, by what does not change with its address; learnt at the first reading. Another one is not read.';
comment on column source.problem is 'Why the last reading could not begin; null when it did.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON source FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON source FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON source FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table source_inbox (
  source_id uuid not null,
  last_place bigint not null default 0,
  read_place bigint not null default 0,
  refused bigint not null default 0,
  constraint source_inbox_pkey PRIMARY KEY (source_id),
  constraint source_fkey FOREIGN KEY (source_id) REFERENCES source(id),
  constraint nothing_is_read_before_it_came CHECK ((read_place <= last_place))
);
comment on table source_inbox is 'A row is where a source posts by itself: how far it has come, and how far that is in the inventory.';
comment on column source_inbox.refused is 'How many things were posted and not kept.';

create table source_reading (
  id uuid not null,
  source_id uuid not null,
  began_at timestamp with time zone not null,
  ended_at timestamp with time zone,
  outcome text,
  problem text,
  cause bigint not null,
  constraint source_reading_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint source_fkey FOREIGN KEY (source_id) REFERENCES source(id),
  constraint ended_has_an_outcome CHECK (((ended_at IS NULL) = (outcome IS NULL))),
  constraint outcome_is_known CHECK ((outcome = ANY (ARRAY['complete'::text, 'partial'::text, 'failed'::text, 'cancelled'::text])))
);
CREATE INDEX source_reading_cause ON source_reading USING btree (cause);
CREATE INDEX source_reading_source ON source_reading USING btree (source_id, began_at);
comment on table source_reading is 'A row is one run of a connector over a source.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON source_reading FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON source_reading FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON source_reading FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table source_scope (
  id uuid not null,
  source_id uuid not null,
  scope text not null,
  title text,
  is_feed boolean not null,
  status text,
  missing jsonb not null default '[]'::jsonb,
  validator text,
  cursor text,
  items integer not null default 0,
  read_at timestamp with time zone,
  seen_at timestamp with time zone,
  missed_at timestamp with time zone,
  state text not null default 'active'::text,
  version integer not null default 1,
  cause bigint not null,
  constraint source_scope_pkey PRIMARY KEY (id),
  constraint scope_is_unique_per_source UNIQUE (source_id, scope),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint source_fkey FOREIGN KEY (source_id) REFERENCES source(id),
  constraint state_is_known CHECK ((state = ANY (ARRAY['active'::text, 'gone'::text, 'retired'::text]))),
  constraint status_is_known CHECK ((status = ANY (ARRAY['complete'::text, 'partial'::text, 'denied'::text, 'unsupported'::text, 'unchanged'::text])))
);
CREATE INDEX source_scope_cause ON source_scope USING btree (cause);
comment on table source_scope is 'A row is a part of a source that is read and reported on by itself. Coverage is its status.';
comment on column source_scope.status is 'How its last reading ended; null: it was never read.';
comment on column source_scope.missing is 'What the last reading could not see, why, and which permission would show it.';
comment on column source_scope.validator is 'What the source gave to say later that nothing changed.';
comment on column source_scope.cursor is 'Of a feed: behind which page the next reading goes on.';
comment on column source_scope.items is 'How many things the last reading that saw all of them told.';
comment on column source_scope.seen_at is 'When everything in it was last seen: what is not marked as missed stood there then.';
comment on column source_scope.missed_at is 'When the source first did not name it any more; the second time it is gone, with what it told.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON source_scope FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON source_scope FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON source_scope FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table spiffe_authority (
  id uuid not null,
  kind text not null,
  public_key bytea not null,
  certificate bytea,
  sealed_key bytea,
  state text not null,
  created_at timestamp with time zone not null,
  signs_at timestamp with time zone,
  retired_at timestamp with time zone,
  cause bigint not null,
  constraint spiffe_authority_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['x509'::text, 'jwt'::text]))),
  constraint only_what_may_sign_is_sealed CHECK (((sealed_key IS NOT NULL) = (state = ANY (ARRAY['next'::text, 'signing'::text])))),
  constraint signing_says_since_when CHECK (((state = 'next'::text) OR (signs_at IS NOT NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['next'::text, 'signing'::text, 'trusted'::text, 'retired'::text]))),
  constraint x509_has_a_certificate CHECK (((kind = 'x509'::text) = (certificate IS NOT NULL)))
);
CREATE INDEX spiffe_authority_cause ON spiffe_authority USING btree (cause);
CREATE UNIQUE INDEX spiffe_authority_next ON spiffe_authority USING btree (kind) WHERE (state = 'next'::text);
CREATE UNIQUE INDEX spiffe_authority_signing ON spiffe_authority USING btree (kind) WHERE (state = 'signing'::text);
CREATE UNIQUE INDEX spiffe_authority_trusted ON spiffe_authority USING btree (kind) WHERE (state = 'trusted'::text);
comment on table spiffe_authority is 'A row is a key of the trust domain. It is in the bundle before it signs and while anything it signed may be in use.';
comment on column spiffe_authority.public_key is 'SubjectPublicKeyInfo.';
comment on column spiffe_authority.certificate is 'Of a key for X509-SVIDs: what verifiers trust, in DER.';
comment on column spiffe_authority.sealed_key is 'PKCS #8, or the name of a key that is held elsewhere, sealed for this row; destroyed when the key stops signing.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON spiffe_authority FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON spiffe_authority FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER spiffe_authority_is_hinted AFTER INSERT OR UPDATE ON spiffe_authority FOR EACH STATEMENT EXECUTE FUNCTION hint_record_kind('spiffe-keys');
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON spiffe_authority FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table ssh_authority (
  id uuid not null,
  public_key bytea not null,
  sealed_seed bytea not null,
  created_at timestamp with time zone not null,
  retired_at timestamp with time zone,
  distrusted boolean not null default false,
  cause bigint not null,
  constraint ssh_authority_pkey PRIMARY KEY (id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint distrusted_is_retired CHECK (((NOT distrusted) OR (retired_at IS NOT NULL))),
  constraint public_key_is_ed25519 CHECK ((octet_length(public_key) = 32))
);
CREATE UNIQUE INDEX one_ssh_authority_signs ON ssh_authority USING btree ((true)) WHERE (retired_at IS NULL);
CREATE INDEX ssh_authority_cause ON ssh_authority USING btree (cause);
comment on table ssh_authority is 'A row is a key that signs certificates for hosts. One of them signs; those before it are trusted until their certificates have run out.';
comment on column ssh_authority.distrusted is 'Servers are not to trust it any more, whatever it signed.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON ssh_authority FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON ssh_authority FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON ssh_authority FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table ssh_certificate (
  serial bigint not null generated always as identity,
  lease_id uuid not null,
  use_id uuid not null,
  authority_id uuid not null,
  key_sha256 bytea not null,
  valid_before timestamp with time zone not null,
  issued_at timestamp with time zone not null,
  cause bigint not null,
  constraint ssh_certificate_pkey PRIMARY KEY (serial),
  constraint use_has_one_certificate UNIQUE (use_id),
  constraint authority_fkey FOREIGN KEY (authority_id) REFERENCES ssh_authority(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint lease_fkey FOREIGN KEY (lease_id) REFERENCES lease(id),
  constraint use_fkey FOREIGN KEY (use_id) REFERENCES grant_use(id)
);
CREATE INDEX ssh_certificate_authority ON ssh_certificate USING btree (authority_id);
CREATE INDEX ssh_certificate_cause ON ssh_certificate USING btree (cause);
CREATE INDEX ssh_certificate_end ON ssh_certificate USING btree (valid_before);
CREATE INDEX ssh_certificate_lease ON ssh_certificate USING btree (lease_id);
comment on table ssh_certificate is 'A row is a certificate that lets the holder of a key in at a host. Whether it is revoked is the state of its lease.';
comment on column ssh_certificate.use_id is 'The use of the grant that it is; closed when it has run out.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON ssh_certificate FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON ssh_certificate FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON ssh_certificate FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table staged_credential (
  reading_id uuid not null,
  place bigint not null,
  id uuid not null,
  scope_id uuid not null,
  native_kind text,
  native_id text,
  principal_id uuid,
  type text,
  name text,
  state text,
  created_at timestamp with time zone,
  rotated_at timestamp with time zone,
  expires_at timestamp with time zone,
  never_expires boolean,
  fingerprints text[],
  scopes text[],
  bindings text[],
  strength text,
  strength_why text[],
  held_by text,
  facts jsonb,
  unknown jsonb,
  digest bytea not null,
  constraint staged_credential_pkey PRIMARY KEY (reading_id, scope_id, place)
);
comment on table staged_credential is 'A row is a credential that the scope now being read told, new or otherwise than it stands: it enters the inventory when the scope is closed.';

create table staged_grant (
  reading_id uuid not null,
  place bigint not null,
  id uuid not null,
  scope_id uuid not null,
  native_kind text,
  native_id text,
  principal_id uuid,
  on_id uuid,
  privilege text,
  level text,
  via uuid[],
  grantable boolean,
  granted_by_id uuid,
  expires_at timestamp with time zone,
  never_expires boolean,
  facts jsonb,
  unknown jsonb,
  digest bytea not null,
  constraint staged_grant_pkey PRIMARY KEY (reading_id, scope_id, place)
);
comment on table staged_grant is 'A row is a grant that the scope now being read told, new or otherwise than it stands: it enters the inventory when the scope is closed.';

create table staged_page (
  reading_id uuid not null,
  scope_id uuid not null,
  kind text not null,
  place bigint not null,
  things integer not null,
  lines text not null,
  constraint staged_page_pkey PRIMARY KEY (reading_id, scope_id, kind, place)
);
comment on table staged_page is 'A row is the things of one kind that a page of a scope told which was never read before: rows already, written as COPY takes them.';
comment on column staged_page.lines is 'Kept as they come: they are read once, whole.';

create table staged_principal (
  reading_id uuid not null,
  place bigint not null,
  id uuid not null,
  scope_id uuid not null,
  native_kind text,
  native_id text,
  type text,
  name text,
  aliases text[],
  state text,
  created_at timestamp with time zone,
  created_by_id uuid,
  interactive boolean,
  environment text,
  instance_of_id uuid,
  tags jsonb,
  facts jsonb,
  unknown jsonb,
  digest bytea not null,
  constraint staged_principal_pkey PRIMARY KEY (reading_id, scope_id, place)
);
comment on table staged_principal is 'A row is a principal that the scope now being read told, new or otherwise than it stands: it enters the inventory when the scope is closed.';

create table staged_reference (
  reading_id uuid not null,
  place bigint not null,
  id uuid not null,
  scope_id uuid not null,
  native_kind text,
  native_id text,
  consumer_id uuid,
  credential_id uuid,
  fingerprint text,
  how text,
  location text,
  evidence text,
  facts jsonb,
  unknown jsonb,
  digest bytea not null,
  constraint staged_reference_pkey PRIMARY KEY (reading_id, scope_id, place)
);
comment on table staged_reference is 'A row is a reference that the scope now being read told, new or otherwise than it stands: it enters the inventory when the scope is closed.';

create table staged_resource (
  reading_id uuid not null,
  place bigint not null,
  id uuid not null,
  scope_id uuid not null,
  native_kind text,
  native_id text,
  type text,
  name text,
  parent_id uuid,
  environment text,
  sensitivity smallint,
  tags jsonb,
  facts jsonb,
  unknown jsonb,
  digest bytea not null,
  constraint staged_resource_pkey PRIMARY KEY (reading_id, scope_id, place)
);
comment on table staged_resource is 'A row is a resource that the scope now being read told, new or otherwise than it stands: it enters the inventory when the scope is closed.';

create table staged_trust (
  reading_id uuid not null,
  place bigint not null,
  id uuid not null,
  scope_id uuid not null,
  native_kind text,
  native_id text,
  from_id uuid,
  issuer text,
  claims jsonb,
  to_id uuid,
  is_wildcard boolean,
  facts jsonb,
  unknown jsonb,
  digest bytea not null,
  constraint staged_trust_pkey PRIMARY KEY (reading_id, scope_id, place)
);
comment on table staged_trust is 'A row is a trust that the scope now being read told, new or otherwise than it stands: it enters the inventory when the scope is closed.';

create table step_up (
  id uuid not null,
  kind text not null,
  person_id uuid not null,
  asker_id uuid not null,
  proof_id uuid,
  operation text not null,
  shown text[] not null,
  level text not null,
  nonce bytea not null,
  act_sha256 bytea not null,
  inner_sha256 bytea,
  sealed_code bytea not null,
  misses smallint not null default 0,
  client_address text not null,
  state text not null default 'pending'::text,
  proven_by text,
  passkey_id uuid,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  proven_at timestamp with time zone,
  used_at timestamp with time zone,
  cause bigint not null,
  constraint step_up_pkey PRIMARY KEY (id),
  constraint asker_fkey FOREIGN KEY (asker_id) REFERENCES identity(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint passkey_fkey FOREIGN KEY (passkey_id) REFERENCES passkey(id),
  constraint person_fkey FOREIGN KEY (person_id) REFERENCES identity(id),
  constraint a_passkey_is_named CHECK (((proven_by = 'passkey'::text) = (passkey_id IS NOT NULL))),
  constraint is_short CHECK (((expires_at > created_at) AND (expires_at <= (created_at + '01:00:00'::interval)))),
  constraint kind_is_known CHECK ((kind = ANY (ARRAY['call'::text, 'backchannel'::text]))),
  constraint level_is_known CHECK ((level = ANY (ARRAY['mfa'::text, 'phishing-resistant'::text]))),
  constraint login_is_the_weaker_proof CHECK (((proven_by <> 'login'::text) OR (level = 'mfa'::text))),
  constraint misses_are_few CHECK (((misses >= 0) AND (misses <= 5))),
  constraint proven_by_is_known CHECK ((proven_by = ANY (ARRAY['passkey'::text, 'login'::text]))),
  constraint proven_says_how CHECK (((state = ANY (ARRAY['proven'::text, 'used'::text])) = ((proven_by IS NOT NULL) AND (proven_at IS NOT NULL)))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['pending'::text, 'proven'::text, 'used'::text, 'refused'::text]))),
  constraint used_says_when CHECK (((state = 'used'::text) = (used_at IS NOT NULL)))
);
CREATE INDEX step_up_asker ON step_up USING btree (asker_id);
CREATE INDEX step_up_cause ON step_up USING btree (cause);
CREATE INDEX step_up_passkey ON step_up USING btree (passkey_id);
CREATE INDEX step_up_person ON step_up USING btree (person_id);
comment on table step_up is 'A row is one act for which its person shows freshly that it is them: asked for, proven once, used once.';
comment on column step_up.kind is 'call: one call of the API. backchannel: a token that a client asked its person for (OpenID Connect CIBA).';
comment on column step_up.asker_id is 'Who will act: the person, or an agent of theirs.';
comment on column step_up.proof_id is 'The token it was asked with: with another one, or after its end, it is worth nothing.';
comment on column step_up.act_sha256 is 'Of everything that will be done; the challenge that the passkey signs is a hash over this, the nonce and the id.';
comment on column step_up.inner_sha256 is 'Of a request for access: the hash that its approvers sign off.';
comment on column step_up.sealed_code is 'What whoever asks shows to the person, and the person enters in the browser.';
comment on column step_up.proven_by is 'login: somebody logged in again at a provider, which signs who and when, and not what for.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON step_up FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON step_up FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER step_up_moves_forward BEFORE UPDATE ON step_up FOR EACH ROW EXECUTE FUNCTION step_up_moves_forward();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON step_up FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table subject_key (
  subject_id uuid not null,
  sealed_key bytea,
  destroyed_at timestamp with time zone,
  constraint subject_key_pkey PRIMARY KEY (subject_id),
  constraint key_or_destruction CHECK (((sealed_key IS NULL) = (destroyed_at IS NOT NULL)))
);
comment on table subject_key is 'A row is the key that opens one subject''s personal fields; destroying it erases them. Keep this table out of long-lived backups.';

create table target (
  id uuid not null,
  name text not null,
  protocol text not null,
  environment text not null,
  sensitivity smallint not null,
  business_service text,
  owner_team text not null,
  settings jsonb not null,
  sealed_provisioner bytea,
  on_control_loss text not null default 'end'::text,
  on_recorder_loss text not null default 'end'::text,
  state text not null default 'active'::text,
  created_at timestamp with time zone not null,
  version integer not null default 1,
  cause bigint not null,
  mode text not null default 'enforce'::text,
  constraint target_pkey PRIMARY KEY (id),
  constraint target_name_is_unique UNIQUE (name),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint control_loss_is_known CHECK ((on_control_loss = ANY (ARRAY['end'::text, 'continue'::text]))),
  constraint environment_is_known CHECK ((environment = ANY (ARRAY['production'::text, 'staging'::text, 'test'::text, 'development'::text]))),
  constraint mode_is_known CHECK ((mode = ANY (ARRAY['observe'::text, 'warn'::text, 'enforce'::text]))),
  constraint nothing_continues_at_tier_0 CHECK (((sensitivity > 0) OR ((on_control_loss = 'end'::text) AND (on_recorder_loss = 'end'::text)))),
  constraint recorder_loss_is_known CHECK ((on_recorder_loss = ANY (ARRAY['end'::text, 'continue'::text]))),
  constraint sensitivity_is_known CHECK (((sensitivity >= 0) AND (sensitivity <= 3))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['active'::text, 'retired'::text]))),
  constraint tier_0_enforces CHECK (((sensitivity > 0) OR (mode = 'enforce'::text)))
);
CREATE INDEX target_cause ON target USING btree (cause);
comment on table target is 'A row is a system that can be reached through a gateway.';
comment on column target.sensitivity is 'As a tier: 0 is the most sensitive.';
comment on column target.settings is 'Address, TLS mode and the like; the schema is the protocol''s.';
comment on column target.sealed_provisioner is 'The login by which leases are made and ended, sealed for this row.';
comment on column target.mode is 'observe: what obligations and grants would refuse goes through and is recorded. warn: the caller is told too. enforce: it is refused.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON target FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON target FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON target FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE CONSTRAINT TRIGGER target_change_is_hinted AFTER UPDATE ON target DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((((((old.state IS DISTINCT FROM new.state) OR (old.environment IS DISTINCT FROM new.environment)) OR (old.sensitivity IS DISTINCT FROM new.sensitivity)) OR (old.owner_team IS DISTINCT FROM new.owner_team)) OR (old.mode IS DISTINCT FROM new.mode))) EXECUTE FUNCTION hint_second_look('target', 'target_id = $1');
CREATE TRIGGER target_is_hinted AFTER UPDATE ON target FOR EACH ROW WHEN (((((((old.name IS DISTINCT FROM new.name) OR (old.protocol IS DISTINCT FROM new.protocol)) OR (old.environment IS DISTINCT FROM new.environment)) OR (old.sensitivity IS DISTINCT FROM new.sensitivity)) OR (old.owner_team IS DISTINCT FROM new.owner_team)) OR (old.state IS DISTINCT FROM new.state))) EXECUTE FUNCTION hint_record('target');
CREATE TRIGGER target_moves_reach AFTER UPDATE ON target FOR EACH ROW WHEN ((((old.state IS DISTINCT FROM new.state) OR (old.environment IS DISTINCT FROM new.environment)) OR (old.sensitivity IS DISTINCT FROM new.sensitivity))) EXECUTE FUNCTION target_moves_reach();

create table tool_approval (
  resource_id uuid not null,
  digest text not null,
  approver_id uuid not null,
  approved_at timestamp with time zone not null,
  cause bigint not null,
  constraint tool_approval_pkey PRIMARY KEY (resource_id),
  constraint approver_fkey FOREIGN KEY (approver_id) REFERENCES identity(id),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id)
);
CREATE INDEX tool_approval_approver ON tool_approval USING btree (approver_id);
CREATE INDEX tool_approval_cause ON tool_approval USING btree (cause);
comment on table tool_approval is 'A row is a tool of a server as a person approved it: what it is called, says and takes, by its digest.';
comment on column tool_approval.resource_id is 'Of the inventory; approving it anew is another digest of the same tool.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON tool_approval FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON tool_approval FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON tool_approval FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table trust_rule (
  id uuid not null,
  name text not null,
  identity_id uuid not null,
  preset text not null,
  issuer text not null,
  audience text not null,
  subject jsonb not null,
  claims jsonb not null,
  keys_url text,
  keys jsonb,
  notify_url text,
  review jsonb,
  sealed_reviewer bytea,
  is_bound boolean not null,
  ttl_seconds integer not null,
  state text not null default 'active'::text,
  created_by uuid not null,
  created_at timestamp with time zone not null,
  version integer not null default 1,
  cause bigint not null,
  constraint trust_rule_pkey PRIMARY KEY (id),
  constraint trust_rule_name_is_unique UNIQUE (name),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint created_by_fkey FOREIGN KEY (created_by) REFERENCES identity(id),
  constraint identity_fkey FOREIGN KEY (identity_id) REFERENCES identity(id),
  constraint a_client_has_keys CHECK (((preset <> 'client-key'::text) OR (keys IS NOT NULL))),
  constraint keys_come_from_one_place CHECK (((keys IS NULL) OR (keys_url IS NULL))),
  constraint only_clients_are_told CHECK (((preset = 'client-key'::text) OR (notify_url IS NULL))),
  constraint preset_is_known CHECK ((preset = ANY (ARRAY['oidc'::text, 'github-actions'::text, 'gitlab-ci'::text, 'kubernetes'::text, 'buildkite'::text, 'circleci'::text, 'client-key'::text, 'spiffe'::text, 'id-jag'::text]))),
  constraint reviewer_belongs_to_a_review CHECK (((review IS NOT NULL) OR (sealed_reviewer IS NULL))),
  constraint state_is_known CHECK ((state = ANY (ARRAY['active'::text, 'retired'::text]))),
  constraint ttl_is_short CHECK (((ttl_seconds >= 60) AND (ttl_seconds <= 3600)))
);
CREATE INDEX trust_rule_cause ON trust_rule USING btree (cause);
CREATE INDEX trust_rule_created_by ON trust_rule USING btree (created_by);
CREATE INDEX trust_rule_identity ON trust_rule USING btree (identity_id);
CREATE INDEX trust_rule_issuer ON trust_rule USING btree (issuer) WHERE (state = 'active'::text);
comment on table trust_rule is 'A row lets what one issuer says of one subject prove one registered identity.';
comment on column trust_rule.subject is 'Exactly, or how the `sub` begins. Of id-jag: the `client_id`, which is the name of the identity.';
comment on column trust_rule.claims is 'Further claims that must be there, each exactly or by its beginning.';
comment on column trust_rule.keys is 'The keys themselves (RFC 7517), of a client or of an issuer that cannot be asked.';
comment on column trust_rule.notify_url is 'Where a client is told that a person answered it (OpenID Connect CIBA §10.2).';
comment on column trust_rule.review is 'Of Kubernetes: where a token is held up for review as well.';
comment on column trust_rule.sealed_reviewer is 'The token that may ask for reviews, sealed for this row.';
comment on column trust_rule.is_bound is 'Whether tokens under it are bound to a key; those of tiers 0 and 1 always are.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON trust_rule FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON trust_rule FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON trust_rule FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER trust_rule_is_hinted AFTER INSERT OR UPDATE ON trust_rule FOR EACH STATEMENT EXECUTE FUNCTION hint_record_kind('trust-rules');

create table usage_window (
  id uuid not null,
  scope_id uuid not null,
  subject_id uuid,
  semantics text not null,
  sees text not null,
  seen tstzmultirange not null,
  cause bigint not null,
  constraint usage_window_pkey PRIMARY KEY (id),
  constraint sees_is_known CHECK ((sees = ANY (ARRAY['every-use'::text, 'samples'::text])))
);
CREATE INDEX usage_window_scope ON usage_window USING btree (scope_id);
CREATE INDEX usage_window_subject ON usage_window USING btree (subject_id);
comment on table usage_window is 'A row says when use of something would have been seen. Its holes are the gaps: nothing is known to be unused over one.';
comment on column usage_window.subject_id is 'Null: of every principal of the source.';
CREATE TRIGGER causes_are_held AFTER UPDATE ON usage_window REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER causes_are_held_at_birth AFTER INSERT ON usage_window REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_causes();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON usage_window FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER scopes_are_held AFTER UPDATE ON usage_window REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER scopes_are_held_at_birth AFTER INSERT ON usage_window REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION require_scopes();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON usage_window FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table use_refusal (
  use_id uuid not null,
  action text not null,
  outcome text not null,
  count bigint not null,
  cause bigint not null,
  constraint use_refusal_pkey PRIMARY KEY (use_id, action, outcome),
  constraint cause_fkey FOREIGN KEY (cause) REFERENCES ledger_entry(id),
  constraint use_fkey FOREIGN KEY (use_id) REFERENCES grant_use(id),
  constraint count_is_positive CHECK ((count > 0)),
  constraint outcome_is_known CHECK ((outcome = ANY (ARRAY['refused'::text, 'would-refuse'::text])))
);
CREATE INDEX use_refusal_cause ON use_refusal USING btree (cause);
comment on table use_refusal is 'A row says how many operations of one session were refused, or would have been where the target does not enforce. Written when the session closes.';
CREATE TRIGGER cause_is_held BEFORE INSERT OR UPDATE ON use_refusal FOR EACH ROW EXECUTE FUNCTION require_cause();
CREATE TRIGGER rows_are_kept BEFORE DELETE ON use_refusal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER table_is_kept BEFORE TRUNCATE ON use_refusal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

create table used_proof (
  proof_sha256 bytea not null,
  expires_at timestamp with time zone not null,
  constraint used_proof_pkey PRIMARY KEY (proof_sha256)
);
CREATE INDEX used_proof_expires ON used_proof USING btree (expires_at);
comment on table used_proof is 'A row is a proof that was shown (the jti of an assertion or of a DPoP proof), so that no node takes it again. Removed when it has expired.';

CREATE OR REPLACE FUNCTION account_moves_reach()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform reach_is_stale(array[new.identity_id, case when tg_op = 'UPDATE' then old.identity_id end]);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION adoption_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (new.id, new.run_id, new.thing_id, new.source_id, new.identity_id, new.evidence, new.account_ids, new.made_at)
     is distinct from (old.id, old.run_id, old.thing_id, old.source_id, old.identity_id, old.evidence, old.account_ids, old.made_at) or old.state = 'ended' then
    raise exception 'an adoption goes from active to ended and nowhere else' using errcode = 'RV042';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION approver_is_another()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (select from access_request r where r.id = new.request_id
             and new.approver_id in (r.requester_id, r.subject_id, r.on_behalf_of_id, r.triggered_by_id)) then
    raise exception 'nobody decides on their own request' using errcode = 'RV007';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION case_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (new.id, new.identity_id, new.reason, new.opened_at) is distinct from (old.id, old.identity_id, old.reason, old.opened_at)
     or old.over_at is not null
     or (old.state <> new.state and (old.state, new.state) not in (
       ('opened', 'suspended'), ('suspended', 'checked'), ('checked', 'soaking'), ('soaking', 'retired'), ('retired', 'closed'),
       ('opened', 'reopened'), ('suspended', 'reopened'), ('checked', 'reopened'), ('soaking', 'reopened'))) then
    raise exception 'a case does not go from % to %', old.state, new.state using errcode = 'RV031';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION change_approver_is_another()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (select from change c where c.id = new.change_id and (new.approver_id = c.requester_id or new.approver_id::text = any (c.tied_ids))) then
    raise exception 'nobody decides on their own change' using errcode = 'RV007';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION change_moves_forward()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if old.state not in ('pending', 'approved') or (old.state = 'approved' and new.state = 'pending')
     or (old.state = 'pending' and new.state = 'used') then
    raise exception 'a change that is % does not become %', old.state, new.state using errcode = 'RV006';
  end if;
  if (new.requester_id, new.proof, new.operation, new.resource_type, new.resource_id, new.resource_facts, new.params, new.query, new.shown,
      new.hidden, new.preview, new.simulation, new.reason, new.obligations, new.policies, new.approver_teams, new.owner_of_target,
      new.owner_of_subject, new.tied_ids, new.bound_sha256)
     is distinct from
     (old.requester_id, old.proof, old.operation, old.resource_type, old.resource_id, old.resource_facts, old.params, old.query, old.shown,
      old.hidden, old.preview, old.simulation, old.reason, old.obligations, old.policies, old.approver_teams, old.owner_of_target,
      old.owner_of_subject, old.tied_ids, old.bound_sha256) then
    raise exception 'what a change asks for does not change' using errcode = 'RV006';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION deposit_only_grows()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if old.state = 'retired' or new.version < old.version
     or (new.id, new.name, new.owner_team, new.created_at) is distinct from (old.id, old.name, old.owner_team, old.created_at) then
    raise exception 'a deposit is of one team, its versions count up, and a retired one stays so' using errcode = 'RV006';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION deposit_version_stays()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (new.id, new.deposit_id, new.number, new.size_bytes, new.created_at)
     is distinct from (old.id, old.deposit_id, old.number, old.size_bytes, old.created_at)
     or (new.sealed_value is not null and new.sealed_value is distinct from old.sealed_value)
     or old.destroyed_at is not null then
    raise exception 'a version of a deposit stays as it was put, until it is destroyed' using errcode = 'RV006';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION empty_stages()
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '3s'
AS $function$
declare
  stages constant regclass[] := array['inventory_stage', 'staged_page', 'inventory_told', 'staged_principal', 'staged_credential', 'staged_resource',
                                      'staged_grant', 'staged_trust', 'staged_reference']::regclass[];
begin
  -- A new file costs more than few rows.
  if exists (select from reading_progress) or (select sum(pg_total_relation_size(s)) from unnest(stages) s) < 16000000 then
    return false;
  end if;
  lock table inventory_stage, staged_page, inventory_told, staged_principal, staged_credential, staged_resource, staged_grant, staged_trust,
             staged_reference in access exclusive mode;
  -- Who begins a reading from here on waits with the first page; one that is under way has its pages here.
  if exists (select from reading_progress) then
    return false;
  end if;
  truncate inventory_stage, staged_page, inventory_told, staged_principal, staged_credential, staged_resource, staged_grant, staged_trust,
           staged_reference;
  return true;
exception when lock_not_available or deadlock_detected then
  return false;
end $function$;

CREATE OR REPLACE FUNCTION finding_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (new.id, new.rule, new.subject_kind, new.subject_id, new.opened_at) is distinct from
     (old.id, old.rule, old.subject_kind, old.subject_id, old.opened_at)
     or (old.state <> new.state and (old.state, new.state) not in (
       ('open', 'accepted'), ('reopened', 'accepted'),
       ('open', 'fixed'), ('reopened', 'fixed'), ('accepted', 'fixed'),
       ('accepted', 'reopened'), ('fixed', 'reopened'))) then
    raise exception 'a finding does not go from % to %', old.state, new.state using errcode = 'RV024';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION grant_ends_once()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if old.ended_at is not null then
    raise exception 'a grant that ended does not change' using errcode = 'RV004';
  end if;
  if (new.request_id, new.subject_id, new.on_behalf_of_id, new.target_id, new.account_id, new.actions, new.purpose_id, new.max_uses, new.starts_at)
     is distinct from
     (old.request_id, old.subject_id, old.on_behalf_of_id, old.target_id, old.account_id, old.actions, old.purpose_id, old.max_uses, old.starts_at)
     or new.expires_at > old.expires_at or new.max_connections > old.max_connections then
    raise exception 'what a grant carries never grows' using errcode = 'RV004';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION hashed_id(words text)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN (OVERLAY(OVERLAY(md5(words) PLACING '8'::text FROM 13) PLACING '8'::text FROM 17))::uuid;

CREATE OR REPLACE FUNCTION hint_credential()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if exists (select from access_grant where ended_at is null and (subject_id = new.identity_id or on_behalf_of_id = new.identity_id)) then
    perform pg_notify('reeve_end', 'identity:' || new.identity_id);
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION hint_purpose_target()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if exists (select from purpose where id = new.purpose_id and state <> 'proposed') then
    perform pg_notify('reeve_record', 'purpose:' || new.purpose_id);
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION hint_record()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform pg_notify('reeve_record', tg_argv[0] || ':' || coalesce(new.id, old.id));
  return null;
end $function$;

CREATE OR REPLACE FUNCTION hint_record_kind()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform pg_notify('reeve_record', tg_argv[0]);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION hint_second_look()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  stands boolean;
begin
  execute format('select exists (select from access_grant where ended_at is null and (%s))', tg_argv[1]) into stands using new.id;
  if stands then
    perform pg_notify('reeve_end', tg_argv[0] || ':' || new.id);
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION hint_signal()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  if new.target_id is not null then
    if exists (select from access_grant where ended_at is null and target_id = new.target_id) then
      perform pg_notify('reeve_end', 'target:' || new.target_id);
    end if;
  elsif exists (select from access_grant where ended_at is null and (subject_id = new.identity_id or on_behalf_of_id = new.identity_id)) then
    perform pg_notify('reeve_end', 'identity:' || new.identity_id);
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION hold_cause(held regclass)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  execute format('create trigger cause_is_held before insert or update on %s for each row execute function require_cause()', held);
  execute format('create trigger rows_are_kept before delete on %s for each row execute function refuse_change()', held);
  execute format('create trigger table_is_kept before truncate on %s for each statement execute function refuse_change()', held);
end $function$;

CREATE OR REPLACE FUNCTION hold_causes(held regclass)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  execute format('create trigger causes_are_held_at_birth after insert on %s referencing new table as changed for each statement execute function require_causes()', held);
  execute format('create trigger causes_are_held after update on %s referencing new table as changed for each statement execute function require_causes()', held);
  execute format('create trigger rows_are_kept before delete on %s for each row execute function refuse_change()', held);
  execute format('create trigger table_is_kept before truncate on %s for each statement execute function refuse_change()', held);
end $function$;

CREATE OR REPLACE FUNCTION hold_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (old.state, new.state) not in (('held', 'released'), ('held', 'refused'), ('held', 'expired'), ('held', 'dropped'),
                                    ('released', 'used'), ('released', 'refused'), ('released', 'expired'), ('released', 'dropped')) then
    raise exception 'a held operation does not go from % to %', old.state, new.state using errcode = 'RV009';
  end if;
  if (new.id, new.grant_id, new.use_id, new.class, new.action, new.label, new.statement, new.gates, new.owner_of_target, new.owner_of_subject,
      new.approver_teams, new.bound_sha256, new.created_at, new.expires_at)
     is distinct from
     (old.id, old.grant_id, old.use_id, old.class, old.action, old.label, old.statement, old.gates, old.owner_of_target, old.owner_of_subject,
      old.approver_teams, old.bound_sha256, old.created_at, old.expires_at) then
    raise exception 'what is held does not change' using errcode = 'RV009';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION hold_observed(held regclass)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  perform hold_causes(held);
  execute format('create trigger scopes_are_held_at_birth after insert on %s referencing new table as changed for each statement execute function require_scopes()', held);
  execute format('create trigger scopes_are_held after update on %s referencing new table as changed for each statement execute function require_scopes()', held);
end $function$;

CREATE OR REPLACE FUNCTION identity_merge_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'UPDATE' and ((new.id, new.identity_id, new.into_id, new.made_at) is distinct from (old.id, old.identity_id, old.into_id, old.made_at)
     or old.state = 'ended') then
    raise exception 'a merge goes from active to ended and nowhere else' using errcode = 'RV031';
  end if;
  if new.state = 'active' and exists (
    select from identity_merge m where m.state = 'active' and m.id <> new.id and (m.identity_id = new.into_id or m.into_id = new.identity_id)) then
    raise exception 'merges have one hop' using errcode = 'RV031';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION identity_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if new.state <> old.state and (old.state, new.state) not in (
    ('discovered', 'registered'), ('discovered', 'retired'),
    ('registered', 'active'), ('registered', 'retired'),
    ('active', 'suspended'), ('active', 'retired'),
    ('suspended', 'active'), ('suspended', 'retired')) then
    raise exception 'an identity does not go from % to %', old.state, new.state using errcode = 'RV003';
  end if;
  if new.id <> old.id or new.kind <> old.kind or new.is_founder <> old.is_founder then
    raise exception 'id, kind and founder of an identity do not change' using errcode = 'RV003';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION identity_tier_counts()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'INSERT' then
    new.tier_set := new.tier;
  elsif new.tier <> old.tier and new.tier_set = old.tier_set then
    new.tier_set := new.tier;
  end if;
  new.tier := least(new.tier_set, new.tier_reached);
  return new;
end $function$;

CREATE OR REPLACE FUNCTION lease_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (old.state, new.state) not in (('announced', 'announced'), ('announced', 'issued'), ('announced', 'ending'),
    ('issued', 'issued'), ('issued', 'ending'), ('ending', 'ending'), ('ending', 'dead')) then
    raise exception 'a lease does not go from % to %', old.state, new.state using errcode = 'RV005';
  end if;
  if (new.grant_id, new.target_id, new.account_id, new.node_id, new.kind, new.principal, new.terms)
     is distinct from
     (old.grant_id, old.target_id, old.account_id, old.node_id, old.kind, old.principal, old.terms) then
    raise exception 'what a lease is stays as it was announced' using errcode = 'RV005';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION ledger_enqueue()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into ledger_pending (source, id) values (tg_argv[0], new.id);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION ledger_enqueue_all()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  insert into ledger_pending (source, id) select tg_argv[0], id from fresh order by id;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION ledger_extend(per_partition bigint DEFAULT 10000000)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '2s'
AS $function$
declare
  parent text;
  top    bigint;
  used   bigint;
  made   integer := 0;
begin
  foreach parent in array array['ledger_entry', 'ledger_segment'] loop
    loop
      select coalesce(max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''(\d+)''\)'))[1]::bigint), 1)
        into top
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
       where i.inhparent = parent::regclass;
      execute format('select coalesce(max(id), 0) from %I', parent) into used;
      exit when used < top - per_partition;
      execute format('create table %I partition of %I for values from (%s) to (%s)', parent || '_' || top, parent, top, top + per_partition);
      execute format('comment on table %I is %L', parent || '_' || top, 'Entries by id; see ' || parent || '.');
      made := made + 1;
    end loop;
  end loop;
  return made;
end $function$;

CREATE OR REPLACE FUNCTION ledger_requeue()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
AS $function$
declare
  found integer;
begin
  with missing as (
    insert into ledger_pending (source, id)
    select 'entry', e.id
      from ledger_entry e
     where e.id > (select coalesce(max(id), 0) - 1000000 from ledger_entry)
       and not exists (select from ledger_leaf l where l.entry_id = e.id)
       and not exists (select from ledger_pending p where p.source = 'entry' and p.id = e.id)
     union all
    select 'segment', s.id
      from ledger_segment s
     where s.id > (select coalesce(max(id), 0) - 1000000 from ledger_segment)
       and not exists (select from ledger_leaf l where l.segment_id = s.id)
       and not exists (select from ledger_pending p where p.source = 'segment' and p.id = s.id)
        on conflict do nothing
    returning id
  )
  select count(*) into found from missing;
  return found;
end $function$;

CREATE OR REPLACE FUNCTION ledger_stamp()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  new.xid := pg_current_xact_id();
  return new;
end $function$;

CREATE OR REPLACE FUNCTION passkey_stays_the_same()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (new.identity_id, new.credential_id, new.public_key, new.aaguid, new.is_backup_eligible, new.created_at)
     is distinct from (old.identity_id, old.credential_id, old.public_key, old.aaguid, old.is_backup_eligible, old.created_at)
     or new.counter < old.counter or old.removed_at is not null then
    raise exception 'a passkey is of one person and one key, and only counts up' using errcode = 'RV006';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION proof_is_used_from_one_place()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if old.first_used_at is not null
     or (new.id, new.grant_id, new.kind, new.sha256, new.is_single_use, new.created_at, new.first_use_before)
        is distinct from
        (old.id, old.grant_id, old.kind, old.sha256, old.is_single_use, old.created_at, old.first_use_before) then
    raise exception 'a proof has one first use and is otherwise as it was issued' using errcode = 'RV008';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION provisioned_stays_its_providers()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (new.id, new.provider_id, new.created_at) is distinct from (old.id, old.provider_id, old.created_at) or old.deleted_at is not null then
    raise exception 'what a provider made stays its own, and what it deleted stays deleted' using errcode = 'RV030';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION reach_is_stale(ids uuid[])
 RETURNS void
 LANGUAGE sql
 SET search_path TO 'public', 'pg_temp'
AS $function$
  insert into identity_reach (identity_id)
  select distinct id from unnest(ids) id where id is not null order by id
  on conflict (identity_id) do update set is_stale = true where not identity_reach.is_stale
$function$;

CREATE OR REPLACE FUNCTION record_link_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (new.id, new.observed_kind, new.observed_id, new.identity_id, new.how)
     is distinct from (old.id, old.observed_kind, old.observed_id, old.identity_id, old.how) then
    raise exception 'a link is of one thing to one identity for good' using errcode = 'RV031';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION refresh_statistics()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'public', 'pg_temp'
 SET lock_timeout TO '100ms'
AS $function$
declare
  grown text;
  made  integer := 0;
begin
  for grown in
    select c.relname
      from pg_class c
     where c.oid = any (array['observed_principal', 'observed_credential', 'observed_resource', 'observed_grant', 'observed_trust',
                              'observed_reference', 'observed_usage', 'finding']::regclass[])
       -- By a fifth since it was counted, and by what is worth the while.
       and pg_relation_size(c.oid) / current_setting('block_size')::integer > c.relpages * 1.2 + 100
     order by c.relname
  loop
    begin
      execute format('analyze %I', grown);
      made := made + 1;
    exception when lock_not_available then
      null;
    end;
  end loop;
  return made;
end $function$;

CREATE OR REPLACE FUNCTION refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'rows of % are never changed or removed', tg_table_name using errcode = 'RV001';
end $function$;

CREATE OR REPLACE FUNCTION releaser_is_another()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (select from held_operation h
             join access_grant g on g.id = h.grant_id
             join access_request r on r.id = g.request_id
             where h.id = new.hold_id and new.approver_id in (r.requester_id, r.subject_id, r.on_behalf_of_id, r.triggered_by_id)) then
    raise exception 'nobody releases their own operation' using errcode = 'RV007';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION request_is_decided_once()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if old.state <> 'pending' then
    raise exception 'a request that is decided does not change' using errcode = 'RV006';
  end if;
  if (new.requester_id, new.subject_id, new.on_behalf_of_id, new.triggered_by_id, new.proof, new.target_id, new.account_id, new.actions,
      new.purpose_id, new.ticket, new.task, new.reason, new.asked_ttl_seconds, new.ttl_seconds, new.uses, new.connections, new.is_kept_alive, new.obligations,
      new.policies, new.approver_teams, new.bound_sha256)
     is distinct from
     (old.requester_id, old.subject_id, old.on_behalf_of_id, old.triggered_by_id, old.proof, old.target_id, old.account_id, old.actions,
      old.purpose_id, old.ticket, old.task, old.reason, old.asked_ttl_seconds, old.ttl_seconds, old.uses, old.connections, old.is_kept_alive, old.obligations,
      old.policies, old.approver_teams, old.bound_sha256) then
    raise exception 'what a request asks for does not change' using errcode = 'RV006';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION require_cause()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if not exists (select from ledger_entry e where e.id = new.cause and e.xid = pg_current_xact_id()) then
    raise exception 'a change of % needs an entry of its own transaction as its cause', tg_table_name using errcode = 'RV002';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION require_causes()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (
    select from (select distinct cause from changed) c
     where (select e.xid = pg_current_xact_id() from ledger_entry e where e.id = c.cause) is not true) then
    raise exception 'a change of % needs an entry of its own transaction as its cause', tg_table_name using errcode = 'RV002';
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION require_scopes()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (
    select from (select distinct scope_id from changed) c
     where not exists (select from source_scope s where s.id = c.scope_id)) then
    raise exception 'a row of % belongs to a scope of a source', tg_table_name using errcode = 'RV020';
  end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION role_moves_reach()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform reach_is_stale(array(select identity_id from account where id = new.account_id));
  return null;
end $function$;

CREATE OR REPLACE FUNCTION rotation_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if old.over_at is not null
     or (new.id, new.target_id, new.account_id, new.principal, new.started_by_id, new.was_sha256, new.strategy, new.occasion, new.campaign_id)
        is distinct from
        (old.id, old.target_id, old.account_id, old.principal, old.started_by_id, old.was_sha256, old.strategy, old.occasion, old.campaign_id)
     or (old.ends_sessions and not new.ends_sessions)
     or (old.state <> new.state and (old.state, new.state) not in (
          ('planned', 'issued'), ('issued', 'verified'), ('verified', 'distributed'), ('distributed', 'adopted'), ('adopted', 'disabled'),
          ('disabled', 'soaking'), ('soaking', 'revoked'), ('revoked', 'dead'),
          -- The target came back from a backup and knows the old secret again.
          ('issued', 'planned'), ('verified', 'planned'),
          -- The way back, as long as the old one lives; and it turns out that it does not.
          ('planned', 'aborting'), ('issued', 'aborting'), ('verified', 'aborting'), ('distributed', 'aborting'), ('adopted', 'aborting'),
          ('aborting', 'aborted'), ('aborting', 'issued'),
          ('planned', 'superseded'), ('issued', 'superseded'), ('verified', 'superseded'),
          -- The target knows a later one than this record does.
          ('distributed', 'superseded'), ('adopted', 'superseded'), ('disabled', 'superseded'), ('soaking', 'superseded'),
          ('revoked', 'superseded'), ('aborting', 'superseded')))
     or (old.sealed_next is distinct from new.sealed_next and old.state <> 'planned' and new.over_at is null)
     or (old.next_principal is distinct from new.next_principal and old.state <> 'planned') then
    raise exception 'a rotation does not go from % to %', old.state, new.state using errcode = 'RV022';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION signal_is_only_withdrawn()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if old.withdrawn_at is not null or
     (to_jsonb(new) - '{withdrawn_at,withdrawn_by_id,version,cause}'::text[])
       is distinct from (to_jsonb(old) - '{withdrawn_at,withdrawn_by_id,version,cause}'::text[]) then
    raise exception 'a signal stays as it was received; it is withdrawn once' using errcode = 'RV017';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION step_up_moves_forward()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (old.state, new.state) not in (('pending', 'pending'), ('pending', 'proven'), ('pending', 'refused'), ('proven', 'used'), ('proven', 'refused')) then
    raise exception 'a step-up does not go from % to %', old.state, new.state using errcode = 'RV006';
  end if;
  if (new.kind, new.person_id, new.asker_id, new.proof_id, new.operation, new.shown, new.level, new.nonce, new.act_sha256, new.inner_sha256,
      new.created_at) is distinct from
     (old.kind, old.person_id, old.asker_id, old.proof_id, old.operation, old.shown, old.level, old.nonce, old.act_sha256, old.inner_sha256,
      old.created_at) then
    raise exception 'what a step-up is for does not change' using errcode = 'RV006';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION target_moves_reach()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'public', 'pg_temp'
AS $function$
begin
  perform reach_is_stale(array(select identity_id from account where target_id = new.id)
    || array(select subject_id from access_grant where target_id = new.id and ended_at is null));
  return null;
end $function$;

CREATE OR REPLACE FUNCTION use_moves_legally()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if (old.state, new.state) not in (('reserved', 'live'), ('reserved', 'released'), ('live', 'closed'))
     or (new.id, new.grant_id, new.proof_id, new.node_id) is distinct from (old.id, old.grant_id, old.proof_id, old.node_id) then
    raise exception 'a use does not go from % to %', old.state, new.state using errcode = 'RV009';
  end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION waived_stays()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'what a request asks for does not change' using errcode = 'RV006';
end $function$;
