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
), latest as (
    -- Yes, no and unknown are 2, 1 and 0; texts and lists are told by their hashes.
    select 'relay_latest' as statistic, concat_ws(' ', r.url, c.name) as key, '' as name,
        c.expected, c.actual
    from relays r
    left join relay_latest l on l.relay_id = r.id
    left join relay_nip_sets p on p.id = l.nip_set
    left join stats_relays s on s.relay_id = r.id and s.win = 0
    left join lateral (
        select * from relay_metadata m where m.relay_id = r.id order by m.checked_at desc limit 1
    ) m on true
    left join nip11 n on n.hash = m.nip11_hash
    left join nip66 f on f.hash = m.nip66_hash
    cross join lateral (select case when country ~ '^[A-Z]{2}$' then country end as country
        from json_text(json_readable(f.data) -> 'geo' -> 'country') as country) g
    cross join lateral (select json_readable(n.data) as data) i
    cross join lateral (values
        ('row', 1, (l.relay_id is not null)::integer),
        ('checked_at', m.checked_at, l.checked_at),
        ('discovered_at', r.discovered_at, l.discovered_at),
        ('openable', m.openable::integer + 1, l.openable::integer + 1),
        ('readable', m.readable::integer + 1, l.readable::integer + 1),
        ('writable', m.writable::integer + 1, l.writable::integer + 1),
        ('rtt_open_ms', m.rtt_open_ms, l.rtt_open_ms),
        ('rtt_read_ms', m.rtt_read_ms, l.rtt_read_ms),
        ('rtt_write_ms', m.rtt_write_ms, l.rtt_write_ms),
        ('volume', relay_volume(r.id, coalesce(s.events, 0)), l.volume),
        ('url', hashtextextended(r.url, 0), hashtextextended(l.url, 0)),
        ('network', hashtextextended(r.network, 0), hashtextextended(l.network, 0)),
        ('nip11', hashtextextended(m.nip11_hash::text, 0), hashtextextended(l.nip11_hash::text, 0)),
        ('nip66', hashtextextended(m.nip66_hash::text, 0), hashtextextended(l.nip66_hash::text, 0)),
        ('name', hashtextextended(left(json_text(i.data -> 'name'), 256), 0),
            hashtextextended(l.name, 0)),
        ('software', hashtextextended(left(json_text(i.data -> 'software'), 256), 0),
            hashtextextended(l.software, 0)),
        ('version', hashtextextended(left(json_text(i.data -> 'version'), 256), 0),
            hashtextextended(l.version, 0)),
        ('nips', hashtextextended(nip11_nip_set(i.data)::text, 0),
            hashtextextended(p.nips::text, 0)),
        ('country', hashtextextended(g.country, 0), hashtextextended(l.country, 0))
    ) as c (name, expected, actual)
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
    union all select statistic, key, name, expected, actual from latest
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
select statistic, concat_ws(' ', key, nullif(name, '')) as key, expected::bigint as expected, actual::bigint as actual
from named
where coalesce(expected, 0) is distinct from coalesce(actual, 0)
order by statistic, key
limit $1
