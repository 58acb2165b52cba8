-- What decides are four kinds of rules, each a line of versions: policies, teams, calendar, catalog. And a change keeps what was simulated for it.

alter table policy_version rename to rule_version;
alter table policy_activation rename to rule_activation;
alter index policy_version_proposed_by rename to rule_version_proposed_by;
alter index policy_version_cause rename to rule_version_cause;
alter index policy_activation_version rename to rule_activation_version;
alter index policy_activation_back_to rename to rule_activation_back_to;
alter index policy_activation_activated_by rename to rule_activation_activated_by;
alter index policy_activation_cause rename to rule_activation_cause;
alter table rule_version rename constraint policy_version_pkey to rule_version_pkey;

alter table rule_version
  add column kind text not null default 'policies' constraint kind_is_known check (kind in ('policies', 'teams', 'calendar', 'catalog')),
  add constraint rule_version_kind_is_unique unique (kind, id);
alter table rule_version alter column kind drop default;
comment on table rule_version is 'A row is one version of one kind of rules, whole and never changed: the text of each file, as it was found valid.';
comment on column rule_version.sha256 is 'Hash of what was made of it; of policies with the schema of the release that made it.';
comment on column rule_version.origin is 'shipped: came with a release or the files of the first start; proposed: by an identity.';

alter table rule_activation add column kind text not null default 'policies';
alter table rule_activation alter column kind drop default;
alter table rule_activation
  drop constraint back_to_fkey,
  drop constraint version_fkey,
  drop constraint policy_activation_pkey;
alter table rule_activation
  add constraint rule_activation_pkey primary key (kind, seq),
  add constraint version_fkey foreign key (kind, version_id) references rule_version (kind, id),
  add constraint back_to_fkey foreign key (kind, back_to) references rule_activation (kind, seq);
drop index rule_activation_version;
drop index rule_activation_back_to;
create index rule_activation_version on rule_activation (kind, version_id);
create index rule_activation_back_to on rule_activation (kind, back_to);
comment on table rule_activation is 'A row says which version of a kind of rules decides from then on; of each kind the one with the highest number holds.';
comment on column rule_activation.seq is 'One more than the one before of its kind: of two that would follow the same one, the database takes one.';

alter table change add column simulation text[] not null default '{}';
alter table change alter column simulation drop default;
comment on column change.simulation is 'What the call would have meant for recorded decisions, in sentences, found when it was asked for.';

create or replace function change_moves_forward() returns trigger language plpgsql as $$
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
end $$;
