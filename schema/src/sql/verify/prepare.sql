-- Counts every (window, pubkey, kind), (window, relay, pubkey, kind) and (bucket, kind) from the base
-- tables, at the moment that the statistics describe. What waits in the queue is no part of that
-- yet: batches that were added are left out, what was removed is still counted.
create temporary table verify_queued_events on commit drop as
    select num from rollup_queue, unnest(event_nums[1:new_events]) as num where not removal;
create temporary table verify_queued_associations on commit drop as
    select q.event_nums[a.position] as num, a.relay_id
    from rollup_queue q, unnest(q.assoc_positions, q.assoc_relays) as a (position, relay_id)
    where not q.removal;
create temporary table verify_removed on commit drop as
    select e.num, e.created_at, e.kind,
        substr(q.pubkeys, (e.n * 32 - 31)::integer, 32) as pubkey,
        -- What came and went while it waited has never been counted.
        e.n <= q.new_events
            and not exists (select from verify_queued_events a where a.num = e.num) as event,
        array(select a.relay_id from unnest(q.assoc_positions, q.assoc_relays)
                as a (position, relay_id)
            where a.position = e.n and not exists (select from verify_queued_associations v
                where v.num = e.num and v.relay_id = a.relay_id)) as relays
    from rollup_queue q,
        unnest(q.event_nums, q.created_ats, q.kinds) with ordinality
            as e (num, created_at, kind, n)
    where q.removal;
analyze verify_queued_events;
analyze verify_queued_associations;

create temporary table verify_pairs on commit drop as
    with counted as (
        select w.win, e.pubkey, e.kind, count(*) as events,
            min(e.created_at) as first_at, max(e.created_at) as last_at
        from rollup_state s, rollup_windows w, (
            select created_at, pubkey, kind from events e
            where not exists (select from verify_queued_events q where q.num = e.num)
            union all
            select created_at, pubkey, kind from verify_removed where event
        ) e
        where w.seconds is null
            or (e.created_at > s.as_of - w.seconds and e.created_at <= s.as_of)
        group by w.win, e.pubkey, e.kind
    )
    select c.win, k.num as pubkey_num, c.kind, c.events,
        case when c.win = 0 then c.first_at end as first_at,
        case when c.win = 0 then c.last_at end as last_at
    from counted c left join pubkeys k using (pubkey);

create temporary table verify_relay_pairs on commit drop as
    with counted as (
        select w.win, e.relay_id, e.pubkey, e.kind, count(*) as events,
            min(e.created_at) as first_at, max(e.created_at) as last_at
        from rollup_state s, rollup_windows w, (
            select er.relay_id, e.created_at, e.pubkey, e.kind
            from events e join events_relays er on er.event_num = e.num
            where not exists (select from verify_queued_associations q
                where q.num = er.event_num and q.relay_id = er.relay_id)
            union all
            select unnest(relays), created_at, pubkey, kind from verify_removed
        ) e
        where w.seconds is null
            or (e.created_at > s.as_of - w.seconds and e.created_at <= s.as_of)
        group by w.win, e.relay_id, e.pubkey, e.kind
    )
    select c.win, c.relay_id, k.num as pubkey_num, c.kind, c.events,
        case when c.win = 0 then c.first_at end as first_at,
        case when c.win = 0 then c.last_at end as last_at
    from counted c left join pubkeys k using (pubkey);

create temporary table verify_series on commit drop as
    select b.bucket_seconds, e.kind, e.created_at - e.created_at % b.bucket_seconds as at,
        count(*) as events
    from (values (3600), (86400)) as b (bucket_seconds), (
        select created_at, kind from events e
        where not exists (select from verify_queued_events q where q.num = e.num)
        union all
        select created_at, kind from verify_removed where event
    ) e
    group by 1, 2, 3;
analyze verify_pairs;
analyze verify_relay_pairs;
