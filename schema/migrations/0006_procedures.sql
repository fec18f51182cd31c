-- Why: the standard procedures, by the same names in every implementation. All take sets, may be
-- repeated without effect, and return how many rows are new.

-- Archives events and who had them. The first seven arrays hold one event per position, each id
-- once; tags and contents are JSON text. The last three hold one sighting per position and may
-- name events that are archived already. Sightings of unknown ids are ignored.
create function insert_event(
    ids bytea[], pubkeys bytea[], created_ats bigint[], kinds integer[],
    tags text[], contents text[], sigs bytea[],
    seen_ids bytea[], seen_relays integer[], seen_ats bigint[],
    out new_events bigint, out new_associations bigint
) language plpgsql as $$
declare
    event_nums   bigint[];
    assoc_events bigint[];
    assoc_relays integer[];
begin
    -- Ordered, so that concurrent writers wait for each other and never deadlock.
    with inserted as (
        insert into events as e (created_at, kind, id, pubkey, sig, tags, content)
        select i.created_at, i.kind, i.id, i.pubkey, i.sig, i.tags::json, i.content::json
        from unnest(ids, pubkeys, created_ats, kinds, tags, contents, sigs)
            as i (id, pubkey, created_at, kind, tags, content, sig)
        order by i.id
        on conflict (id) do nothing
        returning e.num
    )
    select coalesce(array_agg(num), '{}') into event_nums from inserted;

    with seen as (
        select e.num, s.relay_id, min(s.seen_at) as seen_at
        from unnest(seen_ids, seen_relays, seen_ats) as s (id, relay_id, seen_at)
        join events e on e.id = s.id
        group by e.num, s.relay_id
        order by e.num, s.relay_id
    ), inserted as (
        insert into events_relays as er (event_num, first_seen_at, relay_id)
        select num, seen_at, relay_id from seen
        on conflict do nothing
        returning er.event_num, er.relay_id
    )
    select coalesce(array_agg(event_num), '{}'), coalesce(array_agg(relay_id), '{}')
    into assoc_events, assoc_relays from inserted;

    new_events := cardinality(event_nums);
    new_associations := cardinality(assoc_events);
    if new_events > 0 or new_associations > 0 then
        insert into rollup_queue (event_nums, assoc_events, assoc_relays)
        values (event_nums, assoc_events, assoc_relays);
    end if;
end
$$;

-- Adds relays by canonical URL and puts them on the monitor's and the synchronizer's schedules.
create function insert_relay(
    urls text[], networks text[], at bigint, out new_relays bigint
) language sql as $$
    with inserted as (
        insert into relays (url, network, discovered_at)
        select distinct i.url, i.network, at
        from unnest(urls, networks) as i (url, network)
        order by i.url
        on conflict (url) do nothing
        returning id
    ), monitored as (
        insert into monitor_state (relay_id, due_at) select id, at from inserted
    ), synchronised as (
        insert into sync_state (relay_id, due_at) select id, at from inserted
    )
    select count(*) from inserted;
$$;

-- Stores one check of a relay. Documents are deduplicated by hash; nip11 may be null.
create function insert_relay_metadata(
    relay integer, at bigint, nip11_hash bytea, nip11_data text, nip66_hash bytea, nip66_data text,
    openable boolean, readable boolean, writable boolean,
    rtt_open_ms integer, rtt_read_ms integer, rtt_write_ms integer,
    out new_snapshots bigint
) language sql as $$
    insert into nip11 (hash, data) select nip11_hash, nip11_data::json
    where nip11_hash is not null on conflict do nothing;
    insert into nip66 (hash, data) values (nip66_hash, nip66_data::json) on conflict do nothing;
    with inserted as (
        insert into relay_metadata values (
            relay, at, nip11_hash, nip66_hash, openable, readable, writable,
            rtt_open_ms, rtt_read_ms, rtt_write_ms
        ) on conflict do nothing
        returning 1
    )
    select count(*) from inserted;
$$;

-- Removes up to `most` snapshots' documents that no snapshot refers to any more.
create function delete_orphan_nip11(most bigint, out deleted bigint) language sql as $$
    with gone as (
        delete from nip11 where hash in (
            select n.hash from nip11 n
            where not exists (select from relay_metadata m where m.nip11_hash = n.hash)
            limit most
        ) returning 1
    )
    select count(*) from gone;
$$;
create function delete_orphan_nip66(most bigint, out deleted bigint) language sql as $$
    with gone as (
        delete from nip66 where hash in (
            select n.hash from nip66 n
            where not exists (select from relay_metadata m where m.nip66_hash = n.hash)
            limit most
        ) returning 1
    )
    select count(*) from gone;
$$;
