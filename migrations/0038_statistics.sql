-- A first reading fills tables that the database knows as empty, and for about a minute, until it counts them by itself, it plans as if they were:
-- a page of a list reads and sorts all of a table. Only their owner may have them counted, so the server asks for it here.
create function refresh_statistics() returns integer language plpgsql security definer
  -- Whoever counts a table already holds this lock; there is no use in waiting for them.
  set search_path = public, pg_temp set lock_timeout = '100ms' as $$
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
end $$;
comment on function refresh_statistics() is 'Counts those tables anew that grew by a fifth since they were; says how many.';
revoke execute on function refresh_statistics() from public;
