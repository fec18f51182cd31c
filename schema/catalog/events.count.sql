-- name: events.count
-- help: How many archived events match a NIP-01 filter, exactly; if asked, also by groups.
-- path: /events/count
-- param filter: filter; the filter, or a list of filters of which an event has to match any
-- param relay: relays?; only events that any of these relays had
-- param group: groups?; what to count apart, from the outside in. Events without it are in count only
with matching as (
    -- Where the statistics know the answer, it costs what they are long. All of a kind:
    select events, event_group_key(:group, null, null, null, kind, null, null) as a,
        null::text as b, null::text as c
    from (select events, kind, win, null::bytea as pubkey from kind_counts_total) k
    where :filter_plain and not :filter_authors and :relay is null
        and (:group is null or :group = 'kind')
        and win = window_number('all') and (:filter_counters)
    union all
    -- All of a kind on one relay:
    select events, event_group_key(:group, null, null, null, kind, null, null), null, null
    from (select events, kind, win, relay_id, null::bytea as pubkey from kind_counts_by_relay) k
    where :filter_plain and not :filter_authors and position(' ' in :relay) = 0
        and (:group is null or :group = 'kind')
        and win = window_number('all')
        and relay_id = (select relay_id from relay_keys where relay = :relay)
        and (:filter_counters)
    union all
    -- All of a kind by a pubkey:
    select events,
        event_group_key(split_part(:group, ',', 1), null, pubkey, null, kind, null, null),
        event_group_key(split_part(:group, ',', 2), null, pubkey, null, kind, null, null), null
    from pubkey_kind_counts_total
    where :filter_plain and :relay is null
        and ((:filter_authors and :group is null)
            or (:filter_authors and :group = 'kind')
            or :group in ('pubkey', 'pubkey,kind', 'kind,pubkey'))
        and win = window_number('all') and (:filter_counters)
    union all
    -- Everything else is counted event by event.
    select 1,
        event_group_key(split_part(:group, ',', 1), id, pubkey, created_at, kind, tags, content),
        event_group_key(split_part(:group, ',', 2), id, pubkey, created_at, kind, tags, content),
        event_group_key(split_part(:group, ',', 3), id, pubkey, created_at, kind, tags, content)
    from events_by_number e
    where not (:filter_plain and :relay is null
            and coalesce(:group in ('kind', 'pubkey', 'pubkey,kind', 'kind,pubkey'), true))
        and not (:filter_plain and not :filter_authors
            and coalesce(position(' ' in :relay) = 0, false) and coalesce(:group = 'kind', true))
        and (:relay is null or exists (
            select from event_relays_by_number r where r.event_num = e.event_num
                and r.relay_id in (select relay_id from relay_keys
                    where relay = any (string_to_array(:relay, ' ')))))
        and (:filter)
), totals as (
    select a, b, c, sum(events)::bigint as n from matching group by a, b, c
), depth as (
    select coalesce(cardinality(string_to_array(:group, ',')), 0) as d
), leaves as materialized (
    select a, b, c, n from totals, depth
    where d > 0 and a is not null and (d < 2 or b is not null) and (d < 3 or c is not null)
), size as (
    select count(*) > 10000 or sum(length(a) + coalesce(length(b), 0) + coalesce(length(c), 0))
        > 1000000 as is_too_much
    from leaves
), thirds as (
    select a, b, sum(n) as n, case when max(c) is null then sum(n)::text
        else '{' || string_agg(c || ':' || n, ',' order by n desc, c collate "C") || '}' end as v
    from leaves where not (select is_too_much from size) group by a, b
), seconds as (
    select a, sum(n) as n, case when max(b) is null then max(v)
        else '{' || string_agg(b || ':' || v, ',' order by n desc, b collate "C") || '}' end as v
    from thirds group by a
)
select coalesce((select sum(n) from totals), 0)::bigint as count,
    case
        when :group is null then null
        when (select is_too_much from size) then refuse_param('group',
            'group: more than 10000 groups, or names of more than a million characters; ask for less')
        else '{' || coalesce((select string_agg(a || ':' || v, ',' order by n desc, a collate "C")
            from seconds), '') || '}'
    end::json as groups
