-- What a client asks for before a browser is sent, and whom it tells of an answer.

create table pushed_request (
  request_uri_sha256 bytea primary key,
  client_id          text not null,
  fields             jsonb not null,
  key_kind           text not null,
  key_sha256         bytea not null,
  created_at         timestamptz not null,
  expires_at         timestamptz not null,
  used_at            timestamptz,
  constraint key_kind_is_known check (key_kind in ('dpop', 'mtls'))
);
comment on table pushed_request is 'A row is what a client will send a browser for, told beforehand and answered once (RFC 9126).';
comment on column pushed_request.key_sha256 is 'Of the key it came with: the code that comes of it is redeemed by the same key alone.';
create index pushed_request_expires on pushed_request (expires_at);

alter table api_token
  add column login_link_id uuid constraint login_link_fkey references login_link,
  add column link_rule_id uuid constraint link_rule_fkey references trust_rule,
  add constraint a_link_has_a_rule check ((login_link_id is null) = (link_rule_id is null));
comment on column api_token.login_link_id is 'The link by which a provider named the person it is for (ID-JAG); it ends with the link.';
comment on column api_token.link_rule_id is 'The rule by which that provider is believed; it ends with the rule.';
create index api_token_login_link on api_token (login_link_id);
create index api_token_link_rule on api_token (link_rule_id);
