-- Why: what leaves the archive, whoever deletes it, leaves the statistics too, and the memories of
-- processes. Triggers see to it, so that there is no wrong way to delete.
-- Serves: the retention service, delete_orphan_events, delete_relay, operators with psql.

-- Provenance goes with its event; both are told to the statistics.
create function events_deleted() returns trigger language plpgsql as $$
begin
    if not exists (select from gone) then
        return null;
    end if;
    -- Writers that saw the events may still be recording who had them: waits for them.
    perform lock_archive_for_removal();
    with lost as (
        delete from events_relays er using gone g where er.event_num = g.num
        returning er.event_num, er.relay_id
    ), numbered as (
        select g.*, row_number() over (order by num)::integer as n from gone g
    ), pairs as (
        select m.n, l.relay_id from lost l join numbered m on m.num = l.event_num
    )
    insert into rollup_queue (removal, event_nums, created_ats, kinds, pubkeys, new_events,
        assoc_positions, assoc_relays)
    select true, array_agg(num order by n), array_agg(created_at order by n),
        array_agg(kind order by n), string_agg(pubkey, ''::bytea order by n), count(*),
        coalesce((select array_agg(n) from pairs), '{}'),
        coalesce((select array_agg(relay_id) from pairs), '{}')
    from numbered;
    return null;
end
$$;
create trigger events_deleted after delete on events
referencing old table as gone for each statement execute function events_deleted();

-- Provenance alone: its events are still there. (With its events they are not: see above.)
create function events_relays_deleted() returns trigger language plpgsql as $$
begin
    perform rollup_enqueue(true, '{}',
        array(select event_num from gone), array(select relay_id from gone))
    from gone limit 1;
    return null;
end
$$;
create trigger events_relays_deleted after delete on events_relays
referencing old table as gone for each statement execute function events_relays_deleted();

-- An archive that is emptied starts its statistics anew.
create function events_truncated() returns trigger language plpgsql as $$
begin
    perform lock_archive_for_removal();
    delete from events_relays;
    delete from rollup_queue;
    delete from stats_kinds;
    delete from stats_pubkeys;
    delete from stats_pubkey_kinds;
    delete from stats_relays;
    delete from stats_relay_kinds;
    delete from stats_relay_pubkeys;
    delete from stats_relay_pubkey_kinds;
    delete from stats_series;
    update stats_totals set events = 0, regular = 0, replaceable = 0, ephemeral = 0,
        addressable = 0, pubkeys = 0, kinds = 0;
    return null;
end
$$;
create trigger events_truncated after truncate on events
for each statement execute function events_truncated();

-- Removes up to `most` events that no relay is known to have had: those that only a removed relay
-- had, and those that were imported without naming one.
create function delete_orphan_events(most bigint, out deleted bigint) language plpgsql as $$
begin
    -- Before looking: a writer may just be recording who had one of them.
    perform lock_archive_for_removal();
    with gone as (
        delete from events where num in (
            select num from events e
            where not exists (select from events_relays er where er.event_num = e.num)
            limit most
        ) returning 1
    )
    select count(*) into deleted from gone;
end
$$;

-- Forgets up to `most` of the events that a relay had, and the relay itself once it has none; to be
-- called until it returns 0. Events that nobody else had are orphans then.
create function delete_relay(relay text, most bigint, out deleted bigint) language plpgsql as $$
begin
    with gone as (
        delete from events_relays where (event_num, relay_id) in (
            select event_num, relay_id from events_relays er
            join relays r on r.id = er.relay_id where r.url = relay limit most
        ) returning 1
    )
    select count(*) into deleted from gone;
    if deleted = 0 then
        delete from relays where url = relay;
    end if;
end
$$;

-- What a removal leaves behind (the earliest and latest event of a pubkey) is found here, and so
-- is everything that asks for events of an author.
create index events_pubkey on events (pubkey, created_at);

revoke execute on function events_deleted, events_relays_deleted, events_truncated,
    delete_orphan_events, delete_relay from public;
grant execute on function events_deleted, events_relays_deleted, events_truncated,
    delete_orphan_events, delete_relay to admin;
