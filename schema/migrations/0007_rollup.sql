-- Why: the statistics' only writer. See 0005 for the model.

-- Adds changes of (window, pubkey, kind) counters, and what follows from them for kinds, pubkeys
-- and totals. A counter that appears or vanishes changes the distinct counts above it by one.
create function rollup_apply_events(
    wins smallint[], pubkeys bytea[], kinds integer[], counts bigint[],
    firsts bigint[], lasts bigint[]
) returns void language plpgsql as $$
begin
    with delta as materialized (
        select * from unnest(wins, pubkeys, kinds, counts, firsts, lasts)
            as d (win, pubkey, kind, n, first_at, last_at)
    ), pair as (
        insert into stats_pubkey_kinds as s (win, pubkey, kind, events)
        select win, pubkey, kind, n from delta
        on conflict (win, pubkey, kind) do update set events = s.events + excluded.events
        returning s.win, s.pubkey, s.kind, s.events
    ), pair_step as materialized (
        select d.*, case when p.events = d.n then 1 when p.events = 0 then -1 else 0 end as step
        from pair p join delta d using (win, pubkey, kind)
    ), kind_delta as (
        select win, kind, sum(n) as n, sum(step) as steps from pair_step group by win, kind
    ), kind_row as (
        insert into stats_kinds as s (win, kind, events, pubkeys)
        select win, kind, n, steps from kind_delta
        on conflict (win, kind) do update
            set events = s.events + excluded.events, pubkeys = s.pubkeys + excluded.pubkeys
        returning s.win, s.kind, s.events
    ), pubkey_delta as (
        select win, pubkey, sum(n) as n, sum(step) as steps,
            min(first_at) as first_at, max(last_at) as last_at
        from pair_step group by win, pubkey
    ), pubkey_row as (
        insert into stats_pubkeys as s (win, pubkey, events, kinds, first_at, last_at)
        select win, pubkey, n, steps, first_at, last_at from pubkey_delta
        on conflict (win, pubkey) do update
            set events = s.events + excluded.events, kinds = s.kinds + excluded.kinds,
                first_at = least(s.first_at, excluded.first_at),
                last_at = greatest(s.last_at, excluded.last_at)
        returning s.win, s.pubkey, s.events
    ), total as (
        select win,
            sum(n) as events,
            sum(n) filter (where class = 'regular') as regular,
            sum(n) filter (where class = 'replaceable') as replaceable,
            sum(n) filter (where class = 'ephemeral') as ephemeral,
            sum(n) filter (where class = 'addressable') as addressable,
            sum(step) as kinds
        from (
            select d.win, d.n, kind_class(d.kind) as class,
                case when r.events = d.n then 1 when r.events = 0 then -1 else 0 end as step
            from kind_row r join kind_delta d using (win, kind)
        ) k group by win
    ), total_pubkeys as (
        select win,
            sum(case when r.events = d.n then 1 when r.events = 0 then -1 else 0 end) as pubkeys
        from pubkey_row r join pubkey_delta d using (win, pubkey) group by win
    )
    update stats_totals s set
        events = s.events + t.events,
        regular = s.regular + coalesce(t.regular, 0),
        replaceable = s.replaceable + coalesce(t.replaceable, 0),
        ephemeral = s.ephemeral + coalesce(t.ephemeral, 0),
        addressable = s.addressable + coalesce(t.addressable, 0),
        kinds = s.kinds + t.kinds,
        pubkeys = s.pubkeys + p.pubkeys
    from total t join total_pubkeys p using (win)
    where s.win = t.win;
    -- Only decreases leave empty rows behind.
    if 0 > any (counts) then
        delete from stats_pubkey_kinds s using unnest(wins, pubkeys, kinds) as d (win, pubkey, kind)
        where (s.win, s.pubkey, s.kind) = (d.win, d.pubkey, d.kind) and s.events = 0;
        delete from stats_pubkeys s using unnest(wins, pubkeys) as d (win, pubkey)
        where (s.win, s.pubkey) = (d.win, d.pubkey) and s.events = 0;
        delete from stats_kinds s using unnest(wins, kinds) as d (win, kind)
        where (s.win, s.kind) = (d.win, d.kind) and s.events = 0;
    end if;
end
$$;

-- The same for the counters of each relay.
create function rollup_apply_relays(
    wins smallint[], relays integer[], pubkeys bytea[], kinds integer[], counts bigint[],
    firsts bigint[], lasts bigint[]
) returns void language plpgsql as $$
begin
    with delta as materialized (
        select * from unnest(wins, relays, pubkeys, kinds, counts, firsts, lasts)
            as d (win, relay_id, pubkey, kind, n, first_at, last_at)
    ), pair as (
        insert into stats_relay_pubkey_kinds as s (win, relay_id, pubkey, kind, events)
        select win, relay_id, pubkey, kind, n from delta
        on conflict (win, relay_id, pubkey, kind) do update set events = s.events + excluded.events
        returning s.win, s.relay_id, s.pubkey, s.kind, s.events
    ), pair_step as materialized (
        select d.*, case when p.events = d.n then 1 when p.events = 0 then -1 else 0 end as step
        from pair p join delta d using (win, relay_id, pubkey, kind)
    ), kind_delta as (
        select win, relay_id, kind, sum(n) as n, sum(step) as steps
        from pair_step group by win, relay_id, kind
    ), kind_row as (
        insert into stats_relay_kinds as s (win, relay_id, kind, events, pubkeys)
        select win, relay_id, kind, n, steps from kind_delta
        on conflict (win, relay_id, kind) do update
            set events = s.events + excluded.events, pubkeys = s.pubkeys + excluded.pubkeys
        returning s.win, s.relay_id, s.kind, s.events
    ), pubkey_delta as (
        select win, relay_id, pubkey, sum(n) as n, sum(step) as steps,
            min(first_at) as first_at, max(last_at) as last_at
        from pair_step group by win, relay_id, pubkey
    ), pubkey_row as (
        insert into stats_relay_pubkeys as s
            (win, relay_id, pubkey, events, kinds, first_at, last_at)
        select win, relay_id, pubkey, n, steps, first_at, last_at from pubkey_delta
        on conflict (win, relay_id, pubkey) do update
            set events = s.events + excluded.events, kinds = s.kinds + excluded.kinds,
                first_at = least(s.first_at, excluded.first_at),
                last_at = greatest(s.last_at, excluded.last_at)
        returning s.win, s.relay_id, s.pubkey, s.events
    ), relay_kinds as (
        select win, relay_id, sum(d.n) as n,
            sum(case when r.events = d.n then 1 when r.events = 0 then -1 else 0 end) as kinds
        from kind_row r join kind_delta d using (win, relay_id, kind) group by win, relay_id
    ), relay_pubkeys as (
        select win, relay_id, min(d.first_at) as first_at, max(d.last_at) as last_at,
            sum(case when r.events = d.n then 1 when r.events = 0 then -1 else 0 end) as pubkeys
        from pubkey_row r join pubkey_delta d using (win, relay_id, pubkey) group by win, relay_id
    )
    insert into stats_relays as s (win, relay_id, events, pubkeys, kinds, first_at, last_at)
    select win, relay_id, k.n, p.pubkeys, k.kinds, p.first_at, p.last_at
    from relay_kinds k join relay_pubkeys p using (win, relay_id)
    on conflict (win, relay_id) do update
        set events = s.events + excluded.events, pubkeys = s.pubkeys + excluded.pubkeys,
            kinds = s.kinds + excluded.kinds, first_at = least(s.first_at, excluded.first_at),
            last_at = greatest(s.last_at, excluded.last_at);
    if 0 > any (counts) then
        delete from stats_relay_pubkey_kinds s
        using unnest(wins, relays, pubkeys, kinds) as d (win, relay_id, pubkey, kind)
        where (s.win, s.relay_id, s.pubkey, s.kind) = (d.win, d.relay_id, d.pubkey, d.kind)
            and s.events = 0;
        delete from stats_relay_pubkeys s
        using unnest(wins, relays, pubkeys) as d (win, relay_id, pubkey)
        where (s.win, s.relay_id, s.pubkey) = (d.win, d.relay_id, d.pubkey) and s.events = 0;
        delete from stats_relay_kinds s using unnest(wins, relays, kinds) as d (win, relay_id, kind)
        where (s.win, s.relay_id, s.kind) = (d.win, d.relay_id, d.kind) and s.events = 0;
        delete from stats_relays s using unnest(wins, relays) as d (win, relay_id)
        where (s.win, s.relay_id) = (d.win, d.relay_id) and s.events = 0;
    end if;
end
$$;

-- Folds up to `most` batches and, when the queue is then empty, moves as_of to `now`. Must run in
-- a repeatable-read transaction: "the queue is empty" has to hold for the same snapshot in which
-- events enter and leave the windows.
create function rollup_step(most bigint, now bigint, out batches bigint, out folded bigint)
language plpgsql as $$
declare
    t0           bigint;
    event_nums   bigint[];
    assoc_events bigint[];
    assoc_relays integer[];
begin
    select as_of into t0 from rollup_state for update;
    with taken as (
        delete from rollup_queue where seq in (select seq from rollup_queue order by seq limit most)
        returning *
    ), nums as (
        select coalesce(array_agg(n), '{}') as event_nums from taken, unnest(taken.event_nums) as n
    ), assocs as (
        select coalesce(array_agg(e), '{}') as es, coalesce(array_agg(r), '{}') as rs
        from taken, unnest(taken.assoc_events, taken.assoc_relays) as a (e, r)
    )
    select (select count(*) from taken), nums.event_nums, assocs.es, assocs.rs
    into batches, event_nums, assoc_events, assoc_relays from nums, assocs;
    folded := cardinality(event_nums);

    if folded > 0 then
        perform rollup_apply_events(
            array_agg(win), array_agg(pubkey), array_agg(kind), array_agg(n),
            array_agg(first_at), array_agg(last_at))
        from (
            select w.win, e.pubkey, e.kind, count(*) as n,
                case when w.win = 0 then min(e.created_at) end as first_at,
                case when w.win = 0 then max(e.created_at) end as last_at
            from unnest(event_nums) as i (num) join events e using (num)
            join rollup_windows w
                on w.seconds is null or (e.created_at > t0 - w.seconds and e.created_at <= t0)
            group by w.win, e.pubkey, e.kind
        ) d;
    end if;
    if cardinality(assoc_events) > 0 then
        perform rollup_apply_relays(
            array_agg(win), array_agg(relay_id), array_agg(pubkey), array_agg(kind), array_agg(n),
            array_agg(first_at), array_agg(last_at))
        from (
            select w.win, i.relay_id, e.pubkey, e.kind, count(*) as n,
                case when w.win = 0 then min(e.created_at) end as first_at,
                case when w.win = 0 then max(e.created_at) end as last_at
            from unnest(assoc_events, assoc_relays) as i (num, relay_id) join events e using (num)
            join rollup_windows w
                on w.seconds is null or (e.created_at > t0 - w.seconds and e.created_at <= t0)
            group by w.win, i.relay_id, e.pubkey, e.kind
        ) d;
    end if;

    if now > t0 and not exists (select from rollup_queue) then
        perform rollup_apply_events(
            array_agg(win), array_agg(pubkey), array_agg(kind), array_agg(n),
            array_agg(null::bigint), array_agg(null::bigint))
        from (
            select m.win, e.pubkey, e.kind, sum(m.sign)::bigint as n
            from rollup_moves(t0, now) m
            join events e on e.created_at > m.after and e.created_at <= m.until
            group by m.win, e.pubkey, e.kind having sum(m.sign) <> 0
        ) d having count(*) > 0;
        perform rollup_apply_relays(
            array_agg(win), array_agg(relay_id), array_agg(pubkey), array_agg(kind), array_agg(n),
            array_agg(null::bigint), array_agg(null::bigint))
        from (
            select m.win, er.relay_id, e.pubkey, e.kind, sum(m.sign)::bigint as n
            from rollup_moves(t0, now) m
            join events e on e.created_at > m.after and e.created_at <= m.until
            join events_relays er on er.event_num = e.num
            group by m.win, er.relay_id, e.pubkey, e.kind having sum(m.sign) <> 0
        ) d having count(*) > 0;
        update rollup_state set as_of = now;
    end if;
end
$$;

-- The stretches of created_at, (after, until], that leave (-1) or enter (+1) each sliding window
-- when as_of moves from t0 to t1.
create function rollup_moves(t0 bigint, t1 bigint)
returns table (win smallint, sign integer, after bigint, until bigint)
language sql stable as $$
    select win, -1, t0 - seconds, least(t1 - seconds, t0) from rollup_windows where seconds is not null
    union all
    select win, 1, greatest(t0, t1 - seconds), t1 from rollup_windows where seconds is not null;
$$;

-- The classes of NIP-01.
create function kind_class(kind integer) returns text language sql immutable parallel safe as $$
    select case
        when kind in (0, 3) or kind between 10000 and 19999 then 'replaceable'
        when kind between 20000 and 29999 then 'ephemeral'
        when kind between 30000 and 39999 then 'addressable'
        else 'regular'
    end;
$$;
