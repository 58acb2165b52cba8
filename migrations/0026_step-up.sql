-- Passkeys of people, and the fresh proofs that they give for one exact act.

create table passkey (
  id                 uuid primary key,
  identity_id        uuid not null constraint identity_fkey references identity,
  credential_id      bytea not null constraint credential_is_unique unique,
  public_key         bytea not null,
  counter            bigint not null,
  transports         text[] not null,
  aaguid             uuid not null,
  is_backup_eligible boolean not null,
  is_backed_up       boolean not null,
  label              text not null,
  created_at         timestamptz not null,
  used_at            timestamptz,
  removed_at         timestamptz,
  cause              bigint not null constraint cause_fkey references ledger_entry,
  constraint counter_is_of_four_bytes check (counter between 0 and 4294967295)
);
comment on table passkey is 'A row is a key pair of one person, kept by an authenticator of theirs: a proof that no other site gets (WebAuthn Level 3).';
comment on column passkey.public_key is 'As COSE_Key (RFC 9052 §7).';
comment on column passkey.counter is 'Of the last assertion; one that is not higher was made by a copy, unless the authenticator does not count.';
comment on column passkey.is_backup_eligible is 'Whether it may be on several devices; that does not change over its life.';
create index passkey_identity on passkey (identity_id);
create index passkey_cause on passkey (cause);
select hold_cause('passkey');

create function passkey_stays_the_same() returns trigger language plpgsql as $$
begin
  if (new.identity_id, new.credential_id, new.public_key, new.aaguid, new.is_backup_eligible, new.created_at)
     is distinct from (old.identity_id, old.credential_id, old.public_key, old.aaguid, old.is_backup_eligible, old.created_at)
     or new.counter < old.counter or old.removed_at is not null then
    raise exception 'a passkey is of one person and one key, and only counts up' using errcode = 'RV006';
  end if;
  return new;
end $$;
create trigger passkey_stays_the_same before update on passkey for each row execute function passkey_stays_the_same();

create table passkey_ceremony (
  id           uuid primary key,
  kind         text not null,
  challenge    bytea not null,
  user_handle  bytea,
  identity_id  uuid constraint identity_fkey references identity,
  enrolment_id uuid constraint enrolment_fkey references enrolment,
  created_at   timestamptz not null,
  expires_at   timestamptz not null,
  used_at      timestamptz,
  constraint kind_is_known check (kind in ('enrol', 'add', 'sign-in')),
  constraint ends_after_start check (expires_at > created_at)
);
comment on table passkey_ceremony is 'A row is a challenge that a browser was given, taken once on whichever node.';
create index passkey_ceremony_identity on passkey_ceremony (identity_id);
create index passkey_ceremony_enrolment on passkey_ceremony (enrolment_id);
create index passkey_ceremony_expires on passkey_ceremony (expires_at);

create table step_up (
  id             uuid primary key,
  kind           text not null,
  person_id      uuid not null constraint person_fkey references identity,
  asker_id       uuid not null constraint asker_fkey references identity,
  proof_id       uuid,
  operation      text not null,
  shown          text[] not null,
  level          text not null,
  nonce          bytea not null,
  act_sha256     bytea not null,
  inner_sha256   bytea,
  sealed_code    bytea not null,
  misses         smallint not null default 0,
  client_address text not null,
  state          text not null default 'pending',
  proven_by      text,
  passkey_id     uuid constraint passkey_fkey references passkey,
  created_at     timestamptz not null,
  expires_at     timestamptz not null,
  proven_at      timestamptz,
  used_at        timestamptz,
  cause          bigint not null constraint cause_fkey references ledger_entry,
  constraint kind_is_known check (kind in ('call', 'backchannel')),
  constraint level_is_known check (level in ('mfa', 'phishing-resistant')),
  constraint state_is_known check (state in ('pending', 'proven', 'used', 'refused')),
  constraint proven_says_how check ((state in ('proven', 'used')) = (proven_by is not null and proven_at is not null)),
  constraint proven_by_is_known check (proven_by in ('passkey', 'login')),
  constraint login_is_the_weaker_proof check (proven_by <> 'login' or level = 'mfa'),
  constraint a_passkey_is_named check ((proven_by = 'passkey') = (passkey_id is not null)),
  constraint used_says_when check ((state = 'used') = (used_at is not null)),
  constraint misses_are_few check (misses between 0 and 5),
  constraint is_short check (expires_at > created_at and expires_at <= created_at + interval '1 hour')
);
comment on table step_up is 'A row is one act for which its person shows freshly that it is them: asked for, proven once, used once.';
comment on column step_up.kind is 'call: one call of the API. backchannel: a token that a client asked its person for (OpenID Connect CIBA).';
comment on column step_up.asker_id is 'Who will act: the person, or an agent of theirs.';
comment on column step_up.proof_id is 'The token it was asked with: with another one, or after its end, it is worth nothing.';
comment on column step_up.act_sha256 is 'Of everything that will be done; the challenge that the passkey signs is a hash over this, the nonce and the id.';
comment on column step_up.inner_sha256 is 'Of a request for access: the hash that its approvers sign off.';
comment on column step_up.sealed_code is 'What whoever asks shows to the person, and the person enters in the browser.';
create index step_up_person on step_up (person_id);
create index step_up_asker on step_up (asker_id);
create index step_up_passkey on step_up (passkey_id);
create index step_up_cause on step_up (cause);
select hold_cause('step_up');

create function step_up_moves_forward() returns trigger language plpgsql as $$
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
end $$;
create trigger step_up_moves_forward before update on step_up for each row execute function step_up_moves_forward();

comment on column step_up.proven_by is 'login: somebody logged in again at a provider, which signs who and when, and not what for.';

alter table login_attempt add column step_up_id uuid constraint step_up_fkey references step_up;
comment on column login_attempt.step_up_id is 'The one act that this login is a fresh proof for; such an attempt logs nobody in.';
create index login_attempt_step_up on login_attempt (step_up_id);

create table backchannel_request (
  auth_req_sha256  bytea primary key,
  step_up_id       uuid not null constraint step_up_fkey references step_up,
  client_id        uuid not null constraint client_fkey references identity,
  key_sha256       bytea not null,
  details          jsonb not null,
  interval_seconds smallint not null,
  polled_at        timestamptz,
  notice_rule_id   uuid constraint notice_rule_fkey references trust_rule,
  sealed_notice    bytea,
  notice_next_at   timestamptz,
  notice_tries     smallint not null default 0,
  constraint a_notice_has_a_place check ((sealed_notice is null or notice_rule_id is not null) and (sealed_notice is null) = (notice_next_at is null))
);
comment on table backchannel_request is 'A row is what a client holds of a question it put to a person: the id by which it fetches the answer, and the pace of asking.';
comment on column backchannel_request.key_sha256 is 'Of the key it came with: only the same key gets the token.';
comment on column backchannel_request.notice_rule_id is 'Of a client that is told of the answer: the rule that says where.';
comment on column backchannel_request.sealed_notice is 'The id, and the word by which the client knows us; sealed for this row, and gone once it was told or the time is over.';
create index backchannel_request_notice on backchannel_request (notice_next_at) where sealed_notice is not null;
create index backchannel_request_notice_rule on backchannel_request (notice_rule_id);
create unique index backchannel_request_step_up on backchannel_request (step_up_id);
create index backchannel_request_client on backchannel_request (client_id);

alter table access_request
  add column step_up text not null default 'none',
  add column step_up_id uuid constraint step_up_fkey references step_up,
  add constraint step_up_is_known check (step_up in ('none', 'mfa', 'phishing-resistant')),
  add constraint step_up_is_named check ((step_up = 'none') = (step_up_id is null));
comment on column access_request.step_up is 'What its person showed for exactly this request.';
create index access_request_step_up on access_request (step_up_id);

alter table enrolment add column is_own boolean not null default false;
comment on column enrolment.is_own is 'Whether the person made it for themselves: without a key that is no way to a stronger credential than they had.';
