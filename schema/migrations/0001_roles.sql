-- Why: three roles share the database. `admin` is what services work as, `readonly_public` runs the
-- catalogue's questions and sees nothing but views, `readonly_system` is for monitoring tools.
-- Roles belong to the whole server, so they may exist already, or be made by another database's
-- migration at this very moment.
do $$
declare
    role text;
begin
    foreach role in array array['admin', 'readonly_public', 'readonly_system'] loop
        if not exists (select from pg_roles where rolname = role) then
            begin
                execute format('create role %I nologin', role);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
        -- The services' login needs to be able to act as each of them.
        if not pg_has_role(current_user, role, 'member') then
            execute format('grant %I to current_user', role);
        end if;
    end loop;
end
$$;

revoke create on schema public from public;
grant usage on schema public to readonly_public, readonly_system;
grant usage, create on schema public to admin;
