-- Takes from everybody what nobody but the services needs, in this database: temporary tables,
-- and functions that do something. Postgres gives both to the pseudo-role `public`, so that
-- readonly_public has them too, and neither a read-only transaction nor a missing grant keeps it
-- from creating large objects, taking advisory locks, notifying listeners, or leaving its role by
-- set_config. Does what the caller may and is silent about the rest. May be repeated.
do $$
declare
    -- Volatile, but only to look at.
    harmless constant name[] := array['clock_timestamp', 'gen_random_uuid', 'pg_is_in_recovery',
        'random', 'random_normal', 'timeofday', 'uuidv4', 'uuidv7'];
    -- Called stable, and yet they use up transaction numbers.
    wasteful constant name[] := array['pg_current_xact_id', 'txid_current'];
    -- What monitoring tools look at.
    watched constant text := '^(pg_(stat|control|last|current|is|get_wal|partition)_.*|pg_.*_size'
        '|pg_blocking_pids|pg_lock_status|pg_notification_queue_usage|pg_prepared_xact'
        '|pg_sequence_last_value|set_config)$';
    item record;
begin
    for item in
        select p.oid::regprocedure as callable, p.pronamespace = 'pg_catalog'::regnamespace
            and p.proname ~ watched as is_watched
        from pg_proc p
        where has_function_privilege('public', p.oid, 'execute')
            and pg_has_role(p.proowner, 'usage')
            and p.prokind <> 'a'
            -- Not to be called from SQL anyway.
            and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype,
                'language_handler'::regtype)
            and not 'internal'::regtype = any (p.proargtypes::oid[])
            and case
                when p.pronamespace in ('pg_catalog'::regnamespace,
                    'information_schema'::regnamespace)
                then p.provolatile = 'v' and p.proname <> all (harmless)
                    or p.proname = any (wasteful)
                else true
            end
    loop
        execute format('revoke execute on function %s from public', item.callable);
        execute format('grant execute on function %s to admin', item.callable);
        if item.is_watched then
            execute format('grant execute on function %s to readonly_system', item.callable);
        end if;
    end loop;

    -- Anonymous blocks are loops without a query.
    for item in
        select lanname from pg_language
        where lanpltrusted and lanname <> 'sql' and pg_has_role(lanowner, 'usage')
            and has_language_privilege('public', oid, 'usage')
    loop
        execute format('revoke usage on language %I from public', item.lanname);
        execute format('grant usage on language %I to admin', item.lanname);
    end loop;

    -- An update of pg_settings is a call of set_config.
    if exists (select from pg_class where oid = 'pg_settings'::regclass
            and pg_has_role(relowner, 'usage')
            and has_table_privilege('public', oid, 'update')) then
        revoke update on pg_settings from public;
        grant update on pg_settings to admin;
    end if;

    if exists (select from pg_database where datname = current_database()
            and pg_has_role(datdba, 'usage')
            and has_database_privilege('public', oid, 'temporary')) then
        execute format('revoke temporary on database %I from public', current_database());
        execute format('grant temporary on database %I to admin', current_database());
    end if;
end
$$;
