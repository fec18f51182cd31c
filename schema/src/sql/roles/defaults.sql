-- The rights on what this login will create: those of migration 0012, for a database that another
-- login has migrated.
alter default privileges revoke execute on functions from public;
alter default privileges in schema public grant execute on functions to admin;
alter default privileges in schema public
    grant select, insert, update, delete on tables to admin;
alter default privileges in schema public grant usage on sequences to admin;
