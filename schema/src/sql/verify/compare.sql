-- Every difference between the statistics and their recomputation, named. One full join per table,
-- on its own key; then one line per column that differs.
with total as (
    select 'events_statistics' as statistic, w.name as key, c.*
    from rollup_windows w
    left join (
        select win, sum(events) as events, count(distinct pubkey_num) as pubkeys,
            count(distinct kind) as kinds,
            sum(events) filter (where kind_class(kind) = 'regular') as regular,
            sum(events) filter (where kind_class(kind) = 'replaceable') as replaceable,
            sum(events) filter (where kind_class(kind) = 'ephemeral') as ephemeral,
            sum(events) filter (where kind_class(kind) = 'addressable') as addressable
        from verify_pairs group by win
    ) e using (win)
    left join stats_totals a using (win)
    cross join lateral (values
        ('events', e.events, a.events), ('pubkeys', e.pubkeys, a.pubkeys),
        ('kinds', e.kinds, a.kinds), ('regular', e.regular, a.regular),
        ('replaceable', e.replaceable, a.replaceable), ('ephemeral', e.ephemeral, a.ephemeral),
        ('addressable', e.addressable, a.addressable)) as c (name, expected, actual)
), kind as (
    select 'kind_counts_total' as statistic, concat_ws(' ', w.name, 'kind', kind) as key, c.*
    from (select win, kind, sum(events) as events, count(*) as pubkeys
          from verify_pairs group by win, kind) e
    full join stats_kinds a using (win, kind)
    left join rollup_windows w using (win)
    cross join lateral (values ('events', e.events, a.events), ('pubkeys', e.pubkeys, a.pubkeys))
        as c (name, expected, actual)
), pubkey as (
    select 'pubkey_counts_total' as statistic, win, pubkey_num, c.*
    from (select win, pubkey_num, sum(events) as events, count(*) as kinds,
            min(first_at) as first_at, max(last_at) as last_at
          from verify_pairs group by win, pubkey_num) e
    full join stats_pubkeys a using (win, pubkey_num)
    cross join lateral (values
        ('events', e.events, a.events), ('kinds', e.kinds, a.kinds),
        ('first_at', e.first_at, a.first_at), ('last_at', e.last_at, a.last_at))
        as c (name, expected, actual)
), pubkey_kind as (
    select 'pubkey_kinds' as statistic, win, pubkey_num, kind, c.*
    from verify_pairs e full join stats_pubkey_kinds a using (win, pubkey_num, kind)
    cross join lateral (values ('events', e.events, a.events)) as c (name, expected, actual)
), relay as (
    select 'relays_statistics' as statistic, win, relay_id, c.*
    from (select win, relay_id, sum(events) as events, count(distinct pubkey_num) as pubkeys,
            count(distinct kind) as kinds, min(first_at) as first_at, max(last_at) as last_at
          from verify_relay_pairs group by win, relay_id) e
    full join stats_relays a using (win, relay_id)
    cross join lateral (values
        ('events', e.events, a.events), ('pubkeys', e.pubkeys, a.pubkeys),
        ('kinds', e.kinds, a.kinds), ('first_at', e.first_at, a.first_at),
        ('last_at', e.last_at, a.last_at)) as c (name, expected, actual)
), relay_kind as (
    select 'kind_counts_by_relay' as statistic, win, relay_id, kind, c.*
    from (select win, relay_id, kind, sum(events) as events, count(*) as pubkeys
          from verify_relay_pairs group by win, relay_id, kind) e
    full join stats_relay_kinds a using (win, relay_id, kind)
    cross join lateral (values ('events', e.events, a.events), ('pubkeys', e.pubkeys, a.pubkeys))
        as c (name, expected, actual)
), relay_pubkey as (
    select 'pubkey_counts_by_relay' as statistic, win, relay_id, pubkey_num, c.*
    from (select win, relay_id, pubkey_num, sum(events) as events, count(*) as kinds,
            min(first_at) as first_at, max(last_at) as last_at
          from verify_relay_pairs group by win, relay_id, pubkey_num) e
    full join stats_relay_pubkeys a using (win, relay_id, pubkey_num)
    cross join lateral (values
        ('events', e.events, a.events), ('kinds', e.kinds, a.kinds),
        ('first_at', e.first_at, a.first_at), ('last_at', e.last_at, a.last_at))
        as c (name, expected, actual)
), relay_pubkey_kind as (
    select 'relay_pubkey_kinds' as statistic, win, relay_id, pubkey_num, kind, c.*
    from verify_relay_pairs e
    full join stats_relay_pubkey_kinds a using (win, relay_id, pubkey_num, kind)
    cross join lateral (values ('events', e.events, a.events)) as c (name, expected, actual)
), series as (
    select 'events_series' as statistic,
        concat_ws(' ', bucket_seconds, 'seconds from', at, 'kind', kind) as key, c.*
    from verify_series e full join stats_series a using (bucket_seconds, kind, at)
    cross join lateral (values ('events', e.events, a.events)) as c (name, expected, actual)
), numbered (statistic, win, relay_id, pubkey_num, kind, name, expected, actual) as (
    select statistic, win, null::integer, pubkey_num, null::integer, name, expected, actual
    from pubkey where coalesce(expected, 0) is distinct from coalesce(actual, 0)
    union all
    select statistic, win, null, pubkey_num, kind, name, expected, actual
    from pubkey_kind where coalesce(expected, 0) is distinct from coalesce(actual, 0)
    union all
    select statistic, win, relay_id, null, null, name, expected, actual
    from relay where coalesce(expected, 0) is distinct from coalesce(actual, 0)
    union all
    select statistic, win, relay_id, null, kind, name, expected, actual
    from relay_kind where coalesce(expected, 0) is distinct from coalesce(actual, 0)
    union all
    select statistic, win, relay_id, pubkey_num, null, name, expected, actual
    from relay_pubkey where coalesce(expected, 0) is distinct from coalesce(actual, 0)
    union all
    select statistic, win, relay_id, pubkey_num, kind, name, expected, actual
    from relay_pubkey_kind where coalesce(expected, 0) is distinct from coalesce(actual, 0)
), named as (
    select statistic, key, name, expected, actual from total
    union all select statistic, key, name, expected, actual from kind
    union all select statistic, key, name, expected, actual from series
    union all
    select n.statistic,
        concat_ws(' ', w.name, coalesce(r.url, 'relay ' || n.relay_id), encode(k.pubkey, 'hex'),
            'kind ' || n.kind),
        n.name, n.expected, n.actual
    from numbered n
    left join rollup_windows w using (win)
    left join relays r on r.id = n.relay_id
    left join pubkeys k on k.num = n.pubkey_num
)
select statistic, key || ' ' || name as key, expected::bigint as expected, actual::bigint as actual
from named
where coalesce(expected, 0) is distinct from coalesce(actual, 0)
order by statistic, key
limit $1
