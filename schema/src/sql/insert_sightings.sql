-- Who had which archived event: by number ($1 to $3), or by id ($4 to $6); no relay only asks
-- whether the event is there. Returns the pairs that are new, and the ids that are not there.
-- Numbers are taken at their word as long as no event was deleted since the caller counted ($7);
-- otherwise nothing is done, and the caller names all events by id. All pairs go in by one sorted
-- run: with two, writers of the same pairs could deadlock.
with state as materialized (
    select deletions, cardinality($1) = 0 or coalesce(deletions = $7, false) as good
    from archive_state
), named as materialized (
    select e.num, s.relay_id, s.seen_at, s.id
    from unnest($4::bytea[], $5::integer[], $6::bigint[]) as s (id, relay_id, seen_at)
    left join events e on e.id = s.id
), seen as (
    select num, relay_id, min(seen_at) as seen_at from (
        select num, relay_id, seen_at
        from unnest($1::bigint[], $2::integer[], $3::bigint[]) as s (num, relay_id, seen_at)
        union all
        select num, relay_id, seen_at from named where num is not null
    ) given
    where relay_id is not null and (select good from state)
    group by num, relay_id
    order by num, relay_id
), inserted as (
    insert into events_relays (event_num, first_seen_at, relay_id)
    select num, seen_at, relay_id from seen
    on conflict do nothing
    returning event_num, relay_id
)
select coalesce(array_agg(event_num), '{}') as nums, coalesce(array_agg(relay_id), '{}') as relays,
    (select coalesce(array_agg(id), '{}') from named where num is null) as missing,
    (select deletions from state) as deletions, (select good from state) as good
from inserted
