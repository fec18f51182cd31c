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
    (select json_build_object('status', c.status, 'method', c.method,
        'from', c.covered_from, 'to', c.covered_to,
        'scan_top', c.scan_top, 'scan_at', c.scan_at, 'scan_floor', c.scan_floor,
        'eta_seconds', c.eta_seconds, 'caught_up_at', c.caught_up_at, 'live_since', c.live_since,
        'new_events', c.new_events, 'known_events', c.known_events,
        'linked_events', c.linked_events, 'refused_events', c.refused_events,
        'refusals', c.refusals, 'received_bytes', c.received_bytes,
        'missing_events', c.missing_events, 'gaps', c.gaps, 'gap_list', c.gap_list,
        'page_cap', c.page_cap, 'negentropy_refusal', c.negentropy_refusal,
        'put_aside', c.put_aside, 'failures', c.failures, 'due_at', c.due_at,
        'last_error', c.last_error)
     from relay_coverage c where c.relay = o.url) as coverage,
    m.nip11, m.nip66
from relays_overview o
join relays_statistics s on s.relay = o.url and s."window" = :window
left join relay_metadata_latest m on m.relay = o.url
where o.url = :url
