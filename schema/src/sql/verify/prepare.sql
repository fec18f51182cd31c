-- Counts every (window, pubkey, kind) and (window, relay, pubkey, kind) from the base tables, at
-- the moment that the statistics describe. Batches still in the queue are no part of that.
create temporary table verify_queued_events on commit drop as
    select num from rollup_queue, unnest(event_nums) as num;
create temporary table verify_queued_associations on commit drop as
    select num, relay_id from rollup_queue, unnest(assoc_events, assoc_relays) as a (num, relay_id);
create temporary table verify_pairs on commit drop as
    select w.win, e.pubkey, e.kind, count(*) as events,
        min(e.created_at) as first_at, max(e.created_at) as last_at
    from rollup_state s, rollup_windows w, events e
    where (w.seconds is null or (e.created_at > s.as_of - w.seconds and e.created_at <= s.as_of))
        and not exists (select from verify_queued_events q where q.num = e.num)
    group by w.win, e.pubkey, e.kind;
create temporary table verify_relay_pairs on commit drop as
    select w.win, er.relay_id, e.pubkey, e.kind, count(*) as events,
        min(e.created_at) as first_at, max(e.created_at) as last_at
    from rollup_state s, rollup_windows w, events e join events_relays er on er.event_num = e.num
    where (w.seconds is null or (e.created_at > s.as_of - w.seconds and e.created_at <= s.as_of))
        and not exists (select from verify_queued_associations q
            where q.num = er.event_num and q.relay_id = er.relay_id)
    group by w.win, er.relay_id, e.pubkey, e.kind;
