-- What restrict.sql would have taken away, had the caller been allowed to: by kind, in words.
select format('%s functions that do more than read, such as %s', count(*),
    (array_agg(p.proname order by p.proname))[1])
from pg_proc p
where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind <> 'a'
    and p.proname in ('lo_create', 'lo_creat', 'lo_from_bytea', 'lo_put', 'lo_unlink', 'lowrite',
        'pg_advisory_lock', 'pg_notify', 'pg_sleep', 'set_config', 'pg_logical_emit_message')
    and has_function_privilege('readonly_public', p.oid, 'execute')
having count(*) > 0
union all
select 'temporary tables'
where has_database_privilege('readonly_public', current_database(), 'temporary')
union all
select format('the membership in %s', string_agg(pg_get_userbyid(m.roleid), ', '))
from pg_auth_members m where m.member = 'readonly_public'::regrole
having count(*) > 0;
