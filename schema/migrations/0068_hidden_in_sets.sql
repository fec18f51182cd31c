-- Why: whether an event may be served was judged event by event, by some five statements each: a
-- page of 500 archived events took 50 ms, and most of that was starting statements.
-- Serves: Store::served_page, Store::served_ids, Store::count_served.

drop function is_archived_event_hidden, is_relay_event_hidden;

-- Which archived events, of those with these numbers, are not to be served: they are among the
-- relay's own events, a newer version is there or archived, or their author (or whom they are for)
-- has deleted them or has vanished. Requests to vanish are followed when they are copied to the
-- relay's own events.
--
-- One plan is right for any numbers: each part looks for one event by its index, whatever the
-- caller told the planner to do.
create function hidden_archived_events(nums bigint[]) returns setof bigint
language plpgsql stable parallel safe cost 100000 rows 100
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = on as $$
begin
    return query
    select e.num from (
        select s.num, s.id, s.pubkey, s.created_at, s.kind,
            case when s.kind = 1059 then public.event_owners(s.kind, s.pubkey, s.tags)
                else array[s.pubkey] end as owners,
            sha256(c.coordinate) as address,
            public.tag_hash('\x61', c.coordinate) as by_address,
            public.tag_hash('\x65', convert_to(encode(s.id, 'hex'), 'UTF8')) as by_id
        from public.events s cross join lateral (
            select case when s.kind in (0, 3) or s.kind between 10000 and 19999
                    or s.kind between 30000 and 39999
                then public.event_coordinate(s.kind, s.pubkey, s.tags) end offset 0
        ) c (coordinate)
        where s.num = any (nums) offset 0
    ) e
    where exists (select from public.relay_events r where r.id = e.id offset 0)
        or e.kind <> 62 and exists (select from public.relay_vanished v
            where v.pubkey = any (e.owners) and v.vanished_at >= e.created_at)
        or e.address is not null and (
            exists (select from public.events n
                where public.event_address(n.kind, n.pubkey, n.tags) = e.address
                    and (n.kind in (0, 3) or n.kind between 10000 and 19999
                        or n.kind between 30000 and 39999)
                    and n.created_at >= e.created_at
                    and (n.created_at > e.created_at or n.id < e.id))
            or exists (select from public.relay_events r where r.address = e.address
                and (r.created_at, e.id) > (e.created_at, r.id))
            or exists (select from public.relay_tombstones t
                where t.pubkey = e.pubkey and t.target = e.address
                    and (e.created_at, t.deleted_id) <= (t.deleted_at, e.id))
            or exists (select from public.events d
                where d.kind = 5 and d.pubkey = e.pubkey and d.created_at >= e.created_at
                    and public.event_tag_hashes(d.tags) && array[e.by_address]))
        or e.kind not in (5, 62) and (
            exists (select from public.relay_tombstones t
                where t.target = e.id and t.pubkey = any (e.owners))
            or exists (select from public.events d
                where d.kind = 5 and d.pubkey = any (e.owners)
                    and public.event_tag_hashes(d.tags) && array[e.by_id]));
end
$$;

-- The same for the relay's own events, where the archive is served beside them: a version or a
-- deletion may have been archived that nobody has sent here.
create function hidden_relay_events(seqs bigint[]) returns setof bigint
language plpgsql stable parallel safe cost 100000 rows 100
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = on as $$
begin
    return query
    select e.seq from (
        select s.seq, s.id, s.pubkey, s.created_at, s.kind,
            case when s.kind = 1059 then public.event_owners(s.kind, s.pubkey, t.tags)
                else array[s.pubkey] end as owners,
            sha256(c.coordinate) as address,
            public.tag_hash('\x61', c.coordinate) as by_address,
            public.tag_hash('\x65', convert_to(encode(s.id, 'hex'), 'UTF8')) as by_id
        from public.relay_events s cross join lateral (
            -- Requests and the like replace nothing: their tags are not needed.
            select case when s.kind = 1059 or s.kind between 30000 and 39999
                then public.relay_event_tags(s.event) end offset 0
        ) t (tags) cross join lateral (
            select case when s.kind in (0, 3) or s.kind between 10000 and 19999
                    or s.kind between 30000 and 39999
                then public.event_coordinate(s.kind, s.pubkey, t.tags) end offset 0
        ) c (coordinate)
        where s.seq = any (seqs) offset 0
    ) e
    where e.address is not null and (
            exists (select from public.events n
                where public.event_address(n.kind, n.pubkey, n.tags) = e.address
                    and (n.kind in (0, 3) or n.kind between 10000 and 19999
                        or n.kind between 30000 and 39999)
                    and n.created_at >= e.created_at
                    and (n.created_at > e.created_at or n.id < e.id))
            or exists (select from public.events d
                where d.kind = 5 and d.pubkey = e.pubkey and d.created_at >= e.created_at
                    and public.event_tag_hashes(d.tags) && array[e.by_address]))
        or e.kind not in (5, 62) and exists (select from public.events d
            where d.kind = 5 and d.pubkey = any (e.owners)
                and public.event_tag_hashes(d.tags) && array[e.by_id]);
end
$$;

revoke execute on function hidden_archived_events, hidden_relay_events from public;
grant execute on function hidden_archived_events, hidden_relay_events to admin;
