-- People log in: by whose word they are known, the sessions that come of it, and what waits between a browser and a program.

create table login_link (
  id          uuid primary key,
  identity_id uuid not null constraint identity_fkey references identity,
  provider    text not null,
  issuer      text not null,
  subject     text not null,
  state       text not null default 'active',
  linked_by   uuid not null constraint linked_by_fkey references identity,
  created_at  timestamptz not null,
  cause       bigint not null constraint cause_fkey references ledger_entry,
  constraint state_is_known check (state in ('active', 'retired'))
);
comment on table login_link is 'A row lets what one provider calls one subject log in as one person. An address of mail never does.';
comment on column login_link.subject is 'The `sub` of the provider, which it never gives to somebody else (OpenID Connect Core §2).';
create unique index login_link_subject on login_link (issuer, subject) where state = 'active';
create index login_link_identity on login_link (identity_id);
create index login_link_linked_by on login_link (linked_by);
create index login_link_cause on login_link (cause);
select hold_cause('login_link');

create table login_session (
  id               uuid primary key,
  identity_id      uuid not null constraint identity_fkey references identity,
  channel          text not null,
  method           text not null,
  provider         text,
  issuer           text,
  subject          text,
  provider_session text,
  sealed_id_token  bytea,
  acr              text,
  amr              text[] not null default '{}',
  authenticated_at timestamptz not null,
  client_address   text not null,
  client_agent     text not null,
  parent_id        uuid constraint parent_fkey references login_session,
  created_at       timestamptz not null,
  expires_at       timestamptz not null,
  idle_seconds     integer not null,
  ended_at         timestamptz,
  end_reason       text,
  cause            bigint not null constraint cause_fkey references ledger_entry,
  constraint channel_is_known check (channel in ('browser', 'cli')),
  constraint method_is_known check (method in ('oidc', 'passkey')),
  constraint a_provider_is_named_whole check ((method = 'oidc') = (issuer is not null and subject is not null and provider is not null)),
  constraint ends_after_start check (expires_at > created_at),
  constraint idle_is_bounded check (idle_seconds between 60 and 86400),
  constraint end_reason_is_known check (end_reason in ('logged-out', 'ended', 'replaced', 'idle', 'expired', 'identity-ended', 'link-retired',
    'provider-logout', 'cookie-replayed', 'code-replayed')),
  constraint an_end_has_a_reason check ((ended_at is null) = (end_reason is null)),
  constraint an_end_keeps_no_token check (ended_at is null or sealed_id_token is null)
);
comment on table login_session is 'A row is one login of one person, and the authority of everything that was given for it: cookies, codes and tokens end with it.';
comment on column login_session.provider_session is 'The `sid` by which the provider ends it (OpenID Connect Back-Channel Logout §2.4).';
comment on column login_session.sealed_id_token is 'By which the provider knows the login that is to end there (OpenID Connect RP-Initiated Logout §2), sealed for this row; gone with the login.';
comment on column login_session.parent_id is 'Of a program: the session of the browser in which it was let in.';
create index login_session_identity on login_session (identity_id);
create index login_session_parent on login_session (parent_id);
create index login_session_subject on login_session (issuer, subject) where ended_at is null;
create index login_session_open on login_session (expires_at) where ended_at is null;
create index login_session_cause on login_session (cause);
select hold_cause('login_session');

create table login_activity (
  session_id uuid primary key constraint session_fkey references login_session,
  seen_at    timestamptz not null
);
comment on table login_activity is 'A row says when a login was used last, to the half minute.';

create table login_cookie (
  cookie_sha256 bytea primary key,
  session_id    uuid not null constraint session_fkey references login_session,
  created_at    timestamptz not null,
  replaced_at   timestamptz
);
comment on table login_cookie is 'A row is one value of the cookie of a login, kept as its hash. A value that was replaced and comes back was stolen.';
create index login_cookie_session on login_cookie (session_id);

create table login_attempt (
  state_sha256     bytea primary key,
  browser_sha256   bytea not null,
  provider         text not null,
  issuer           text not null,
  sealed_checks    bytea not null,
  return_to        text not null,
  created_at       timestamptz not null,
  expires_at       timestamptz not null,
  used_at          timestamptz
);
comment on table login_attempt is 'A row is a browser that was sent to a provider and is waited for.';
comment on column login_attempt.sealed_checks is 'The nonce, the verifier of PKCE and the one-time link that is to be spent on it, if one is; sealed for this row.';
create index login_attempt_expires on login_attempt (expires_at);

create table device_authorization (
  id                    uuid primary key,
  device_code_sha256    bytea not null constraint device_code_is_unique unique,
  user_code_fingerprint text not null,
  client_id             text not null,
  key_kind              text not null,
  key_sha256            bytea not null,
  client_address        text not null,
  client_agent          text not null,
  state                 text not null default 'pending',
  login_session_id      uuid constraint login_session_fkey references login_session,
  interval_seconds      smallint not null,
  polled_at             timestamptz,
  created_at            timestamptz not null,
  expires_at            timestamptz not null,
  constraint state_is_known check (state in ('pending', 'approved', 'denied', 'redeemed')),
  constraint key_kind_is_known check (key_kind in ('dpop', 'mtls')),
  constraint approval_names_a_session check ((state in ('approved', 'redeemed')) = (login_session_id is not null))
);
comment on table device_authorization is 'A row is a program without a browser that waits for its person (RFC 8628).';
comment on column device_authorization.key_sha256 is 'Of the key it came with: only the same key gets the token.';
create unique index device_authorization_user_code on device_authorization (user_code_fingerprint);
create index device_authorization_login_session on device_authorization (login_session_id);
create index device_authorization_expires on device_authorization (expires_at);

create table authorization_code (
  code_sha256      bytea primary key,
  client_id        text not null,
  redirect_uri     text not null,
  code_challenge   text not null,
  key_kind         text,
  key_sha256       bytea,
  login_session_id uuid not null constraint login_session_fkey references login_session,
  created_at       timestamptz not null,
  expires_at       timestamptz not null,
  used_at          timestamptz,
  token_id         uuid constraint token_fkey references api_token,
  constraint key_kind_is_known check (key_kind in ('dpop', 'mtls')),
  constraint a_key_has_a_kind check ((key_kind is null) = (key_sha256 is null))
);
comment on table authorization_code is 'A row is a code that a browser carries from here to a client, once (RFC 6749 §4.1.2).';
comment on column authorization_code.code_challenge is 'S256 of the verifier that the client keeps (RFC 7636 §4.2).';
comment on column authorization_code.key_sha256 is 'The key that alone redeems it: that a client named (RFC 9449 §10), or pushed its request with (RFC 9126).';
comment on column authorization_code.token_id is 'What it became: ended when the code is shown again.';
create index authorization_code_login_session on authorization_code (login_session_id);
create index authorization_code_token on authorization_code (token_id);
create index authorization_code_expires on authorization_code (expires_at);

alter table api_token add column login_session_id uuid constraint login_session_fkey references login_session;
comment on column api_token.login_session_id is 'The login it was given for, and ends with.';
create index api_token_login_session on api_token (login_session_id);
