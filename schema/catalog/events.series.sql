-- name: events.series
-- help: Events per whole hour or day of created_at (UTC), by NIP-01 class, newest first.
-- path: /events/series
-- param window: window = 30d; the buckets that overlap this window
-- param bucket: enum(hour, day) = day; the length of a bucket
-- param kind: kind?; only events of this kind
-- order at: at bigint desc
-- limit: 100..1000
select at, sum(events)::bigint as events,
    coalesce(sum(events) filter (where class = 'regular'), 0)::bigint as regular,
    coalesce(sum(events) filter (where class = 'replaceable'), 0)::bigint as replaceable,
    coalesce(sum(events) filter (where class = 'ephemeral'), 0)::bigint as ephemeral,
    coalesce(sum(events) filter (where class = 'addressable'), 0)::bigint as addressable
from events_series
where bucket_seconds = case :bucket when 'hour' then 3600 else 86400 end
    and (:kind is null or kind = :kind)
    and at > (select as_of from as_of) - window_seconds(:window)
        - case :bucket when 'hour' then 3600 else 86400 end
    and (:window = 'all' or at <= (select as_of from as_of))
group by at
order by at desc
