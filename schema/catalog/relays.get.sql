-- name: relays.get
-- help: One relay: its latest check with its documents, its statistics and how far it is archived.
-- path: /relays/{url}
-- missing: this relay is not known
-- param url: relay; the relay
-- param window: window = all; the stretch of created_at that counts, up to as_of
select o.url, o.network, o.country, o.status, o.discovered_at, o.checked_at,
    o.rtt_open_ms, o.rtt_read_ms, o.rtt_write_ms,
    json_build_object('rtt_open_ms', s.rtt_open_ms, 'rtt_read_ms', s.rtt_read_ms,
        'rtt_write_ms', s.rtt_write_ms, 'checks', s.checks) as average_of_last_10,
    s.events, s.pubkeys, s.kinds, s.first_at, s.last_at,
    (select json_build_object('from', c.covered_from, 'to', c.covered_to, 'scan_at', c.scan_at,
        'new_events', c.new_events, 'known_events', c.known_events,
        'refused_events', c.refused_events, 'received_bytes', c.received_bytes, 'gaps', c.gaps,
        'last_error', c.last_error)
     from relay_coverage c where c.relay = o.url) as coverage,
    m.nip11, m.nip66
from relays_overview o
join relays_statistics s on s.relay = o.url and s."window" = :window
left join relay_metadata_latest m on m.relay = o.url
where o.url = :url
