-- The catalog says of each action who enforces it, what it is worth outside production, and which function decides what about it.
alter table privileged_action
  add column enforcement text not null default 'gateway' constraint enforcement_is_known check (enforcement in ('gateway', 'target', 'reeve', 'none')),
  add column tier_elsewhere smallint constraint tier_elsewhere_is_known check (tier_elsewhere between tier and 3),
  add column deciders jsonb not null default '{"owns": "pam", "holds": "iam", "credentials": "nhi"}';
comment on column privileged_action.enforcement is 'A gateway, the target by the credential alone, Reeve itself (its own operations), or nobody yet: then it is listed and cannot be granted.';
comment on column privileged_action.tier_elsewhere is 'Outside production, where it may be less sensitive and never more; null is the same.';
comment on column privileged_action.deciders is 'Which function owns the action, says who may hold it, and answers for how its credentials live.';
