-- Traits of an identity: what the governance standard asks of it besides profile, tier and credentials.
alter table identity add column traits text[] not null default '{}'
  constraint traits_are_known check (traits <@ array['interactive', 'autonomous', 'exposed', 'embedded']);
comment on column identity.traits is 'What makes it more dangerous than another of its profile: people log in as it, it decides for itself, strangers reach it, its credential is shipped.';
