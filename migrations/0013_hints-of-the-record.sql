-- What policies and authentication see of the record changed, so nodes forget what they remember of it. On a channel of its own: sessions
-- listen on the other one. A hint only where it tells something, since commits that notify take turns (core 15). What is new needs none:
-- nobody remembers that something is not there.
create function hint_record() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  perform pg_notify('reeve_record', tg_argv[0] || ':' || coalesce(new.id, old.id));
  return null;
end $$;

create function hint_record_kind() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  perform pg_notify('reeve_record', tg_argv[0]);
  return null;
end $$;

create trigger identity_is_hinted after update on identity for each row
  when ((old.name, old.profile, old.tier, old.state, old.environment, old.owner_state, old.expires_at, old.owner_team,
      old.owner_id, old.owner_proposed_by, old.sponsor_id)
    is distinct from (new.name, new.profile, new.tier, new.state, new.environment, new.owner_state, new.expires_at,
      new.owner_team, new.owner_id, new.owner_proposed_by, new.sponsor_id))
  execute function hint_record('identity');

-- Whether there are two people who can act is what tells a beginning from an installation at work (core 7).
create trigger new_person_is_hinted after insert on identity for each row
  when (new.kind = 'human' and new.state = 'active')
  execute function hint_record_kind('people');
create trigger person_is_hinted after update on identity for each row
  when (new.kind = 'human' and (old.state = 'active') is distinct from (new.state = 'active'))
  execute function hint_record_kind('people');

create trigger token_is_hinted after update on api_token for each row
  when ((old.token_sha256, old.key_sha256, old.identity_id, old.expires_at, old.revoked_at)
    is distinct from (new.token_sha256, new.key_sha256, new.identity_id, new.expires_at, new.revoked_at))
  execute function hint_record('token');
create trigger removed_token_is_hinted after delete on api_token for each row execute function hint_record('token');

create trigger target_is_hinted after update on target for each row
  when ((old.name, old.protocol, old.environment, old.sensitivity, old.owner_team, old.state)
    is distinct from (new.name, new.protocol, new.environment, new.sensitivity, new.owner_team, new.state))
  execute function hint_record('target');

create trigger account_is_hinted after update on account for each row
  when ((old.name, old.target_id, old.tier, old.state) is distinct from (new.name, new.target_id, new.tier, new.state))
  execute function hint_record('account');

create trigger purpose_is_hinted after update on purpose for each row
  when ((old.name, old.actions, old.state, old.expires_at) is distinct from (new.name, new.actions, new.state, new.expires_at))
  execute function hint_record('purpose');

-- Its targets are written with it. One that came later would be news.
create function hint_purpose_target() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (select from purpose where id = new.purpose_id and state <> 'proposed') then
    perform pg_notify('reeve_record', 'purpose:' || new.purpose_id);
  end if;
  return null;
end $$;
create trigger purpose_target_is_hinted after insert or update on purpose_target for each row execute function hint_purpose_target();

create trigger action_is_hinted after insert or update or delete on privileged_action for each statement
  execute function hint_record_kind('actions');
