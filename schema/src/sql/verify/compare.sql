-- Every difference between the statistics and their recomputation, named.
with expected (statistic, key, value) as (
    select 'events_statistics', w.name || ' ' || c.name, c.value
    from rollup_windows w left join (
        select win, sum(events) as events, count(distinct pubkey) as pubkeys,
            count(distinct kind) as kinds,
            sum(events) filter (where kind_class(kind) = 'regular') as regular,
            sum(events) filter (where kind_class(kind) = 'replaceable') as replaceable,
            sum(events) filter (where kind_class(kind) = 'ephemeral') as ephemeral,
            sum(events) filter (where kind_class(kind) = 'addressable') as addressable
        from verify_pairs group by win
    ) t using (win)
    cross join lateral (values ('events', t.events), ('pubkeys', t.pubkeys), ('kinds', t.kinds),
        ('regular', t.regular), ('replaceable', t.replaceable), ('ephemeral', t.ephemeral),
        ('addressable', t.addressable)) as c (name, value)
    union all
    select 'kind_counts_total', concat_ws(' ', win, kind, c.name), c.value
    from (select win, kind, sum(events) as events, count(*) as pubkeys
          from verify_pairs group by win, kind) t
    cross join lateral (values ('events', events), ('pubkeys', pubkeys)) as c (name, value)
    union all
    select 'pubkey_counts_total', concat_ws(' ', win, encode(pubkey, 'hex'), c.name), c.value
    from (select win, pubkey, sum(events) as events, count(*) as kinds,
            min(first_at) as first_at, max(last_at) as last_at
          from verify_pairs group by win, pubkey) t
    cross join lateral (values ('events', events), ('kinds', kinds),
        ('first_at', case when win = 0 then first_at end),
        ('last_at', case when win = 0 then last_at end)) as c (name, value)
    union all
    select 'pubkey_kinds', concat_ws(' ', win, encode(pubkey, 'hex'), kind), events
    from verify_pairs
    union all
    select 'relays_statistics', concat_ws(' ', win, relay_id, c.name), c.value
    from (select win, relay_id, sum(events) as events, count(distinct pubkey) as pubkeys,
            count(distinct kind) as kinds, min(first_at) as first_at, max(last_at) as last_at
          from verify_relay_pairs group by win, relay_id) t
    cross join lateral (values ('events', events), ('pubkeys', pubkeys), ('kinds', kinds),
        ('first_at', case when win = 0 then first_at end),
        ('last_at', case when win = 0 then last_at end)) as c (name, value)
    union all
    select 'kind_counts_by_relay', concat_ws(' ', win, relay_id, kind, c.name), c.value
    from (select win, relay_id, kind, sum(events) as events, count(*) as pubkeys
          from verify_relay_pairs group by win, relay_id, kind) t
    cross join lateral (values ('events', events), ('pubkeys', pubkeys)) as c (name, value)
    union all
    select 'pubkey_counts_by_relay',
        concat_ws(' ', win, relay_id, encode(pubkey, 'hex'), c.name), c.value
    from (select win, relay_id, pubkey, sum(events) as events, count(*) as kinds,
            min(first_at) as first_at, max(last_at) as last_at
          from verify_relay_pairs group by win, relay_id, pubkey) t
    cross join lateral (values ('events', events), ('kinds', kinds),
        ('first_at', case when win = 0 then first_at end),
        ('last_at', case when win = 0 then last_at end)) as c (name, value)
    union all
    select 'relay_pubkey_kinds', concat_ws(' ', win, relay_id, encode(pubkey, 'hex'), kind), events
    from verify_relay_pairs
), actual (statistic, key, value) as (
    select 'events_statistics', w.name || ' ' || c.name, c.value
    from rollup_windows w left join stats_totals t using (win)
    cross join lateral (values ('events', t.events), ('pubkeys', t.pubkeys), ('kinds', t.kinds),
        ('regular', t.regular), ('replaceable', t.replaceable), ('ephemeral', t.ephemeral),
        ('addressable', t.addressable)) as c (name, value)
    union all
    select 'kind_counts_total', concat_ws(' ', win, kind, c.name), c.value from stats_kinds
    cross join lateral (values ('events', events), ('pubkeys', pubkeys)) as c (name, value)
    union all
    select 'pubkey_counts_total', concat_ws(' ', win, encode(pubkey, 'hex'), c.name), c.value
    from stats_pubkeys
    cross join lateral (values ('events', events), ('kinds', kinds), ('first_at', first_at),
        ('last_at', last_at)) as c (name, value)
    union all
    select 'pubkey_kinds', concat_ws(' ', win, encode(pubkey, 'hex'), kind), events
    from stats_pubkey_kinds
    union all
    select 'relays_statistics', concat_ws(' ', win, relay_id, c.name), c.value from stats_relays
    cross join lateral (values ('events', events), ('pubkeys', pubkeys), ('kinds', kinds),
        ('first_at', first_at), ('last_at', last_at)) as c (name, value)
    union all
    select 'kind_counts_by_relay', concat_ws(' ', win, relay_id, kind, c.name), c.value
    from stats_relay_kinds
    cross join lateral (values ('events', events), ('pubkeys', pubkeys)) as c (name, value)
    union all
    select 'pubkey_counts_by_relay',
        concat_ws(' ', win, relay_id, encode(pubkey, 'hex'), c.name), c.value
    from stats_relay_pubkeys
    cross join lateral (values ('events', events), ('kinds', kinds), ('first_at', first_at),
        ('last_at', last_at)) as c (name, value)
    union all
    select 'relay_pubkey_kinds', concat_ws(' ', win, relay_id, encode(pubkey, 'hex'), kind), events
    from stats_relay_pubkey_kinds
)
select statistic, key, e.value::bigint as expected, a.value::bigint as actual
from expected e full join actual a using (statistic, key)
where coalesce(e.value, 0) is distinct from coalesce(a.value, 0)
order by statistic, key
limit $1
