-- Core 5: something that live grants stand on changed in what policies see of it, so the nodes decide again. A hint only, sent where a grant
-- lives, since commits that notify take turns (core 15). Deferred, so that a change that ends its grants itself gives none.
create function hint_second_look() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  stands boolean;
begin
  execute format('select exists (select from access_grant where ended_at is null and (%s))', tg_argv[1]) into stands using new.id;
  if stands then
    perform pg_notify('reeve_end', tg_argv[0] || ':' || new.id);
  end if;
  return null;
end $$;

create constraint trigger target_change_is_hinted after update on target deferrable initially deferred for each row
  when ((old.state, old.environment, old.sensitivity, old.owner_team) is distinct from (new.state, new.environment, new.sensitivity, new.owner_team))
  execute function hint_second_look('target', 'target_id = $1');

create constraint trigger account_change_is_hinted after update on account deferrable initially deferred for each row
  when ((old.state, old.mode, old.tier) is distinct from (new.state, new.mode, new.tier))
  execute function hint_second_look('account', 'account_id = $1');

create constraint trigger purpose_change_is_hinted after update on purpose deferrable initially deferred for each row
  when ((old.state, old.actions, old.expires_at) is distinct from (new.state, new.actions, new.expires_at))
  execute function hint_second_look('purpose', 'purpose_id = $1');

create constraint trigger identity_change_is_hinted after update on identity deferrable initially deferred for each row
  when ((old.state, old.environment, old.tier, old.profile, old.owner_state, old.owner_team, old.owner_id, old.sponsor_id)
    is distinct from (new.state, new.environment, new.tier, new.profile, new.owner_state, new.owner_team, new.owner_id, new.sponsor_id))
  execute function hint_second_look('identity', 'subject_id = $1 or on_behalf_of_id = $1');
