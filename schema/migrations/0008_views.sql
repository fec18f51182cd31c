-- Why: the standard views, the only thing that readonly_public may read. Names and columns are an
-- interface: implementations may add views, not change these.

-- A JSON string as text; null for anything else, and for one with a NUL, which text cannot hold.
create function json_text(value json) returns text language sql immutable parallel safe as $$
    select case
        when json_typeof(value) = 'string' and value::text not like '%\u0000%' then value #>> '{}'
    end;
$$;

-- The NIPs that a NIP-11 document lists, whatever else is in there.
create function nip11_nips(data json) returns integer[] language sql immutable parallel safe as $$
    select array_agg(nip::integer order by nip::integer)
    from json_array_elements(
        case when json_typeof(data -> 'supported_nips') = 'array'
            then data -> 'supported_nips' else '[]' end) as element,
        lateral (select element::text as nip) as n
    where json_typeof(element) = 'number' and nip ~ '^[0-9]{1,5}$';
$$;

create view as_of as select as_of from rollup_state;

create view events_statistics as
select w.name as window, t.events, t.regular, t.replaceable, t.ephemeral, t.addressable,
    t.pubkeys, t.kinds
from stats_totals t join rollup_windows w using (win);

create view kind_counts_total as
select w.name as window, k.kind, kind_class(k.kind) as class, k.events, k.pubkeys
from stats_kinds k join rollup_windows w using (win);

create view kind_counts_by_relay as
select w.name as window, r.url as relay, k.kind, kind_class(k.kind) as class, k.events, k.pubkeys
from stats_relay_kinds k join rollup_windows w using (win) join relays r on r.id = k.relay_id;

create view pubkey_counts_total as
select w.name as window, p.pubkey, p.events, p.kinds, p.first_at, p.last_at
from stats_pubkeys p join rollup_windows w using (win);

create view pubkey_counts_by_relay as
select w.name as window, r.url as relay, p.pubkey, p.events, p.kinds, p.first_at, p.last_at
from stats_relay_pubkeys p join rollup_windows w using (win) join relays r on r.id = p.relay_id;

create view relay_metadata_latest as
select r.url as relay, m.checked_at, m.openable, m.readable, m.writable,
    m.rtt_open_ms, m.rtt_read_ms, m.rtt_write_ms, n11.data as nip11, n66.data as nip66
from relays r
cross join lateral (
    select * from relay_metadata m where m.relay_id = r.id order by m.checked_at desc limit 1
) m
left join nip11 n11 on n11.hash = m.nip11_hash
left join nip66 n66 on n66.hash = m.nip66_hash;

-- Averages are over the last ten measurements, as many of them as have the value.
create view relays_statistics as
select w.name as window, r.url as relay, r.network, r.discovered_at,
    coalesce(s.events, 0) as events, coalesce(s.pubkeys, 0) as pubkeys,
    coalesce(s.kinds, 0) as kinds, a.first_at, a.last_at,
    m.rtt_open_ms, m.rtt_read_ms, m.rtt_write_ms, m.checks
from relays r
cross join rollup_windows w
left join stats_relays s on s.relay_id = r.id and s.win = w.win
left join stats_relays a on a.relay_id = r.id and a.win = 0
left join lateral (
    select round(avg(rtt_open_ms))::bigint as rtt_open_ms,
        round(avg(rtt_read_ms))::bigint as rtt_read_ms,
        round(avg(rtt_write_ms))::bigint as rtt_write_ms,
        count(*) as checks
    from (
        select * from relay_metadata m where m.relay_id = r.id order by m.checked_at desc limit 10
    ) last_ten
) m on true;

-- How far the archive of each relay reaches, and what it cannot give.
create view relay_coverage as
select r.url as relay, s.covered_from, s.covered_to, s.scan_top, s.scan_at,
    s.new_events, s.known_events, s.refused_events, s.received_bytes, s.last_error,
    (select count(*) from sync_gaps g where g.relay_id = r.id) as gaps
from relays r join sync_state s on s.relay_id = r.id;

-- The relays.list row: each relay with its latest check and what the archive holds of it.
create view relays_overview as
select r.url, r.network, r.discovered_at,
    case when m.openable then 'online' when m.openable is null then 'unknown' else 'offline' end
        as status,
    m.checked_at, m.rtt_open_ms, m.rtt_read_ms, m.rtt_write_ms,
    coalesce(m.rtt_open_ms, 2147483647) as rtt_sort,
    json_text(n.data -> 'name') as name, json_text(n.data -> 'software') as software,
    json_text(n.data -> 'version') as version, nip11_nips(n.data) as nips,
    coalesce(s.events, 0) as events, coalesce(s.pubkeys, 0) as pubkeys,
    coalesce(s.kinds, 0) as kinds
from relays r
left join lateral (
    select * from relay_metadata m where m.relay_id = r.id order by m.checked_at desc limit 1
) m on true
left join nip11 n on n.hash = m.nip11_hash
left join stats_relays s on s.relay_id = r.id and s.win = 0;

create view archived_events as
select id, pubkey, created_at, kind, tags, content, sig from events;

-- The functions that views and questions use; everything else is the services'.
revoke execute on all functions in schema public from public;
grant execute on all functions in schema public to admin;
grant execute on function kind_class, json_text, nip11_nips to readonly_public, readonly_system;

grant select on as_of, events_statistics, kind_counts_total, kind_counts_by_relay,
    pubkey_counts_total, pubkey_counts_by_relay, relay_metadata_latest, relays_statistics,
    relay_coverage, relays_overview, archived_events
to readonly_public, readonly_system;

-- Monitoring tools may look at service state too, but not at keys or requests of customers.
grant select on relays, relay_metadata, monitor_state, sync_state, sync_gaps, rollup_state,
    rollup_queue, stats_totals
to readonly_system;
grant select, insert, update, delete on all tables in schema public to admin;
grant usage on all sequences in schema public to admin;
