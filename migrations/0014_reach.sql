-- Tiering of identities follows what they reach: the tier a person set and the tier that reach comes to; the stricter one counts.

alter table identity add column tier_set smallint not null default 2
  constraint tier_set_is_known check (tier_set between 0 and 3);
alter table identity add column tier_reached smallint
  constraint tier_reached_is_known check (tier_reached between 0 and 3);
comment on column identity.tier is 'What counts: the stricter one of tier_set and tier_reached.';
comment on column identity.tier_set is 'What a person said.';
comment on column identity.tier_reached is 'What its reach came to when it was last seen; null before that.';

create function identity_tier_counts() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    new.tier_set := new.tier;
  elsif new.tier <> old.tier and new.tier_set = old.tier_set then
    new.tier_set := new.tier;
  end if;
  new.tier := least(new.tier_set, new.tier_reached);
  return new;
end $$;
create trigger identity_tier_counts before insert or update on identity for each row execute function identity_tier_counts();

create table identity_reach (
  identity_id uuid primary key constraint identity_fkey references identity,
  reached     jsonb not null default '[]',
  is_complete boolean not null default false,
  is_in_scope boolean not null default false,
  looked_at   timestamptz,
  is_stale    boolean not null default true
);
comment on table identity_reach is 'A row is what was last seen of the reach of an identity. What follows from it is in the row of the identity, with an entry.';
create index identity_reach_due on identity_reach (is_stale desc, looked_at nulls first);

-- What reach is read from changed: the next round looks at these first.
create function reach_is_stale(ids uuid[]) returns void language sql set search_path = public, pg_temp as $$
  insert into identity_reach (identity_id)
  select distinct id from unnest(ids) id where id is not null order by id
  on conflict (identity_id) do update set is_stale = true where not identity_reach.is_stale
$$;

create function account_moves_reach() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  perform reach_is_stale(array[new.identity_id, case when tg_op = 'UPDATE' then old.identity_id end]);
  return null;
end $$;
create trigger account_moves_reach after insert or update on account for each row execute function account_moves_reach();

create function role_moves_reach() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  perform reach_is_stale(array(select identity_id from account where id = new.account_id));
  return null;
end $$;
create trigger role_moves_reach after insert or update on account_role for each row execute function role_moves_reach();

create function target_moves_reach() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  perform reach_is_stale(array(select identity_id from account where target_id = new.id)
    || array(select subject_id from access_grant where target_id = new.id and ended_at is null));
  return null;
end $$;
create trigger target_moves_reach after update on target for each row
  when ((old.state, old.environment, old.sensitivity) is distinct from (new.state, new.environment, new.sensitivity))
  execute function target_moves_reach();
