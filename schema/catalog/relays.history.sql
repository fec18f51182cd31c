-- name: relays.history
-- help: Every check of one relay, newest first: whether it was online, and round-trip times.
-- path: /relays/{url}/history
-- param url: relay; the relay
-- param window: window = 7d; checks made in this stretch of time, up to as_of
-- order checked_at: checked_at bigint desc
-- limit: 100..1000
select checked_at, openable as online, readable, writable, rtt_open_ms, rtt_read_ms, rtt_write_ms
from relay_checks
where relay_id = (select relay_id from relay_keys where relay = :url)
    and checked_at > (select as_of from as_of) - window_seconds(:window)
