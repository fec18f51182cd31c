-- Who had which archived event: by number ($1 to $3), or by id where the number is not known
-- ($4 to $6); no relay only asks whether the event is there. Returns the pairs that are new, and
-- the events that are not there: somebody may have deleted what the caller remembers.
with numbered as materialized (
    select s.num, s.relay_id, s.seen_at, e.num is not null as archived
    from unnest($1::bigint[], $2::integer[], $3::bigint[]) as s (num, relay_id, seen_at)
    left join events e on e.num = s.num
), named as materialized (
    select e.num, s.relay_id, s.seen_at, s.id
    from unnest($4::bytea[], $5::integer[], $6::bigint[]) as s (id, relay_id, seen_at)
    left join events e on e.id = s.id
), seen as (
    select num, relay_id, min(seen_at) as seen_at from (
        select num, relay_id, seen_at from numbered where archived and relay_id is not null
        union all
        select num, relay_id, seen_at from named where num is not null and relay_id is not null
    ) given
    group by num, relay_id
    order by num, relay_id
), inserted as (
    insert into events_relays (event_num, first_seen_at, relay_id)
    select num, seen_at, relay_id from seen
    on conflict do nothing
    returning event_num, relay_id
)
select coalesce(array_agg(event_num), '{}') as nums, coalesce(array_agg(relay_id), '{}') as relays,
    (select coalesce(array_agg(num), '{}') from numbered where not archived) as missing_nums,
    (select coalesce(array_agg(id), '{}') from named where num is null) as missing_ids
from inserted
