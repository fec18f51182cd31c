-- name: relays.uptime
-- help: Checks of one relay by hour or day, newest first: how many there were, how many found it online, and average round-trip times. Where nobody looked, there is no row.
-- path: /relays/{url}/uptime
-- param url: relay; the relay
-- param window: window = 7d; checks made in this stretch of time, up to as_of
-- param bucket: enum(hour, day) = hour; what checks are put together by, in UTC
-- order at: at bigint desc
-- limit: 200..1000
select checked_at - checked_at % case :bucket when 'hour' then 3600 else 86400 end as at,
    count(*) as checks, count(*) filter (where openable) as online,
    round(avg(rtt_open_ms))::bigint as rtt_open_ms,
    round(avg(rtt_read_ms))::bigint as rtt_read_ms,
    round(avg(rtt_write_ms))::bigint as rtt_write_ms
from relay_checks
where relay_id = (select relay_id from relay_keys where relay = :url)
    and checked_at > (select as_of from as_of) - window_seconds(:window)
group by 1
