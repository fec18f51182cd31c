-- Who had which archived event: by number ($1 to $3), or by id where the number is not known
-- ($4 to $6). Returns the pairs that are new.
with seen as (
    select num, relay_id, min(seen_at) as seen_at from (
        select num, relay_id, seen_at
        from unnest($1::bigint[], $2::integer[], $3::bigint[]) as s (num, relay_id, seen_at)
        union all
        select e.num, s.relay_id, s.seen_at
        from unnest($4::bytea[], $5::integer[], $6::bigint[]) as s (id, relay_id, seen_at)
        join events e on e.id = s.id
    ) given
    group by num, relay_id
    order by num, relay_id
), inserted as (
    insert into events_relays (event_num, first_seen_at, relay_id)
    select num, seen_at, relay_id from seen
    on conflict do nothing
    returning event_num, relay_id
)
select coalesce(array_agg(event_num), '{}') as nums, coalesce(array_agg(relay_id), '{}') as relays
from inserted
