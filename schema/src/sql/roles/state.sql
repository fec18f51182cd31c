-- One role that the schema needs: whether it is there, is no more than it should be, and can be
-- acted as. $1 is its name, $2 the privilege that `set role` needs on this server.
select current_user::text as login,
    r.oid is not null as is_there,
    coalesce(r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls,
        false) as is_mighty,
    coalesce(pg_has_role(r.oid, $2), false) as can_act,
    coalesce(r.rolconfig, '{}') as settings
from (select) as always
left join pg_roles r on r.rolname = $1;
