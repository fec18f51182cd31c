-- Why: folding must cost little and the same whatever the archive holds. Counters now name pubkeys
-- by number (4 bytes instead of 33, in rows and indexes), the queue carries all that a fold needs
-- (no look-up of old events), and the arithmetic between the levels is done by the one process
-- that folds, so that no plan can go wrong on estimates of arrays.
-- Serves: rollup, all statistics views, events.series; replaces 0005's tables and 0007's functions.
drop view events_statistics, kind_counts_total, kind_counts_by_relay, pubkey_counts_total,
    pubkey_counts_by_relay, relays_statistics, relays_overview;
drop function rollup_step, rollup_apply_events, rollup_apply_relays, rollup_moves, insert_event;
drop table rollup_queue, stats_totals, stats_kinds, stats_pubkeys, stats_pubkey_kinds,
    stats_relays, stats_relay_kinds, stats_relay_pubkeys, stats_relay_pubkey_kinds;

-- Integer keys inside, 32-byte keys outside. Rows stay for good: a number is never used twice.
create table pubkeys (
    num    integer generated always as identity primary key,
    pubkey bytea not null unique check (length(pubkey) = 32)
);

-- One row per ingest transaction, written by it; a fold deletes what it has counted. The first
-- four columns are parallel: events that are new, or newly seen somewhere.
create table rollup_queue (
    seq             bigint generated always as identity primary key,
    queued_at       timestamptz not null default clock_timestamp(),
    removal         boolean not null default false,
    event_nums      bigint[] not null,
    created_ats     bigint[] not null,
    kinds           integer[] not null,
    pubkeys         bytea not null,
    new_events      integer not null,
    assoc_positions integer[] not null,
    assoc_relays    integer[] not null,
    size            integer not null
        generated always as (cardinality(event_nums) + cardinality(assoc_relays)) stored
);
comment on column rollup_queue.size is 'events and pairs: whoever plans a fold need not read the arrays';
comment on column rollup_queue.removal is 'the events and associations left the archive';
comment on column rollup_queue.pubkeys is '32 bytes per event';
comment on column rollup_queue.new_events is 'the first so many events are new (or gone) themselves; the others only have associations';
comment on column rollup_queue.assoc_positions is 'with assoc_relays: (event, relay) pairs that are new (or gone); events by position, from 1';
-- Rows live for a second: compressing them costs more than it saves.
alter table rollup_queue
    alter event_nums set storage external, alter created_ats set storage external,
    alter kinds set storage external, alter pubkeys set storage external,
    alter assoc_positions set storage external, alter assoc_relays set storage external,
    set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 20000);

-- How often events were deleted. Whoever remembers numbers of events forgets them when this has
-- changed; writers share an advisory lock that a removal takes alone, so it cannot change under
-- them.
create table archive_state (
    singleton boolean primary key default true check (singleton),
    deletions bigint not null
) with (fillfactor = 50);
insert into archive_state (deletions) values (0);
create function lock_archive_for_writing() returns void language sql as $$
    select pg_advisory_xact_lock_shared(hashtextextended('bigbrotr archive', 0));
$$;
create function lock_archive_for_removal() returns void language sql as $$
    select pg_advisory_xact_lock(hashtextextended('bigbrotr archive', 0));
    update archive_state set deletions = deletions + 1;
$$;

create table stats_totals (
    win         smallint primary key,
    events      bigint not null default 0,
    regular     bigint not null default 0,
    replaceable bigint not null default 0,
    ephemeral   bigint not null default 0,
    addressable bigint not null default 0,
    pubkeys     bigint not null default 0,
    kinds       bigint not null default 0
) with (fillfactor = 50);
insert into stats_totals (win) select win from rollup_windows;

create table stats_kinds (
    win     smallint not null,
    kind    integer not null,
    events  bigint not null,
    pubkeys bigint not null,
    primary key (win, kind)
) with (fillfactor = 50);

create table stats_pubkeys (
    first_at   bigint,
    last_at    bigint,
    events     bigint not null,
    pubkey_num integer not null,
    kinds      integer not null,
    win        smallint not null,
    magnitude  smallint not null
        generated always as ((65 - position(b'1' in events::bit(64)))::smallint) stored,
    primary key (win, pubkey_num)
) with (fillfactor = 80);
-- Lists are sorted by events. An index on that would have to change with every event; this one
-- changes when the number doubles, and what is equal by it is sorted while it is read.
create index stats_pubkeys_by_magnitude on stats_pubkeys (win, magnitude desc);
comment on column stats_pubkeys.magnitude is 'binary digits of events';

create table stats_pubkey_kinds (
    events     bigint not null,
    pubkey_num integer not null,
    kind       integer not null,
    win        smallint not null,
    primary key (win, pubkey_num, kind)
) with (fillfactor = 80);

create table stats_relays (
    first_at bigint,
    last_at  bigint,
    events   bigint not null,
    pubkeys  bigint not null,
    relay_id integer not null,
    kinds    integer not null,
    win      smallint not null,
    primary key (win, relay_id)
) with (fillfactor = 50);

create table stats_relay_kinds (
    events   bigint not null,
    pubkeys  bigint not null,
    relay_id integer not null,
    kind     integer not null,
    win      smallint not null,
    primary key (win, relay_id, kind)
) with (fillfactor = 50);

-- The key serves "which relays have this pubkey", the index "which pubkeys does this relay have".
create table stats_relay_pubkeys (
    first_at   bigint,
    last_at    bigint,
    events     bigint not null,
    relay_id   integer not null,
    pubkey_num integer not null,
    kinds      integer not null,
    win        smallint not null,
    magnitude  smallint not null
        generated always as ((65 - position(b'1' in events::bit(64)))::smallint) stored,
    primary key (win, pubkey_num, relay_id)
) with (fillfactor = 80);
create index stats_relay_pubkeys_by_magnitude
    on stats_relay_pubkeys (win, relay_id, magnitude desc);

create table stats_relay_pubkey_kinds (
    events     bigint not null,
    relay_id   integer not null,
    pubkey_num integer not null,
    kind       integer not null,
    win        smallint not null,
    primary key (win, relay_id, pubkey_num, kind)
) with (fillfactor = 80);
comment on column stats_pubkeys.first_at is 'earliest created_at, window all only';
comment on column stats_relays.first_at is 'earliest created_at, window all only';
comment on column stats_relay_pubkeys.first_at is 'earliest created_at, window all only';

-- Series: events by whole hours and whole days of created_at (UTC), for all time.
create table stats_series (
    at             bigint not null,
    events         bigint not null,
    bucket_seconds integer not null check (bucket_seconds in (3600, 86400)),
    kind           integer not null,
    primary key (bucket_seconds, kind, at)
) with (fillfactor = 80);
comment on column stats_series.at is 'the bucket''s first second';
create index stats_series_by_time on stats_series (bucket_seconds, at);

-- The archive as it is goes through the queue like anything new.
insert into rollup_queue
    (event_nums, created_ats, kinds, pubkeys, new_events, assoc_positions, assoc_relays)
select array_agg(num order by num), array_agg(created_at order by num),
    array_agg(kind order by num), string_agg(pubkey, ''::bytea order by num), count(*),
    '{}', '{}'
from events group by num / 5000 order by num / 5000;
insert into rollup_queue
    (event_nums, created_ats, kinds, pubkeys, new_events, assoc_positions, assoc_relays)
select array_agg(num order by num, relay_id), array_agg(created_at order by num, relay_id),
    array_agg(kind order by num, relay_id),
    string_agg(pubkey, ''::bytea order by num, relay_id), 0,
    array_agg(n::integer order by num, relay_id), array_agg(relay_id order by num, relay_id)
from (
    select e.num, e.created_at, e.kind, e.pubkey, er.relay_id, e.num / 5000 as part,
        row_number() over (partition by e.num / 5000 order by e.num, er.relay_id) as n
    from events e join events_relays er on er.event_num = e.num
) pairs
group by part order by part;

-- As in 0006, with the queue's new shape.
create function insert_event(
    ids bytea[], pubkeys bytea[], created_ats bigint[], kinds integer[],
    tags text[], contents text[], sigs bytea[],
    seen_ids bytea[], seen_relays integer[], seen_ats bigint[],
    out new_events bigint, out new_associations bigint
) language plpgsql as $$
declare
    new_nums     bigint[];
    assoc_nums   bigint[];
    assoc_relays integer[];
begin
    perform lock_archive_for_writing();
    -- In the order in which events are copied, so that writers wait for each other and never
    -- deadlock.
    with inserted as (
        insert into events as e (created_at, kind, id, pubkey, sig, tags, content)
        select i.created_at, i.kind, i.id, i.pubkey, i.sig, i.tags::json, i.content::json
        from unnest(ids, pubkeys, created_ats, kinds, tags, contents, sigs)
            as i (id, pubkey, created_at, kind, tags, content, sig)
        order by i.created_at, i.id
        on conflict (id) do nothing
        returning e.num
    )
    select coalesce(array_agg(num), '{}') into new_nums from inserted;

    with seen as (
        select e.num, s.relay_id, min(s.seen_at) as seen_at
        from unnest(seen_ids, seen_relays, seen_ats) as s (id, relay_id, seen_at)
        join events e on e.id = s.id
        group by e.num, s.relay_id
        order by e.num, s.relay_id
    ), inserted as (
        insert into events_relays as er (event_num, first_seen_at, relay_id)
        select num, seen_at, relay_id from seen
        on conflict do nothing
        returning er.event_num, er.relay_id
    )
    select coalesce(array_agg(er.event_num), '{}'), coalesce(array_agg(er.relay_id), '{}')
    into assoc_nums, assoc_relays from inserted er;

    new_events := cardinality(new_nums);
    new_associations := cardinality(assoc_nums);
    perform rollup_enqueue(false, new_nums, assoc_nums, assoc_relays);
end
$$;

-- Tells the statistics of events that are new (or about to be removed: call it before), and of
-- associations, as two parallel arrays.
create function rollup_enqueue(
    is_removal boolean, nums bigint[], pair_nums bigint[], pair_relays integer[]
) returns void language sql as $$
    insert into rollup_queue (removal, event_nums, created_ats, kinds, pubkeys, new_events,
        assoc_positions, assoc_relays)
    with mentioned as (
        select e.num, e.created_at, e.kind, e.pubkey,
            row_number() over (order by m.own desc, e.num)::integer as n
        from (
            select num, bool_or(own) as own from (
                select num, true as own from unnest(nums) as num
                union all
                select num, false from unnest(pair_nums) as num
            ) given group by num
        ) m join events e using (num)
    ), pairs as (
        select m.n, p.relay_id
        from unnest(pair_nums, pair_relays) as p (num, relay_id) join mentioned m using (num)
    )
    select is_removal, array_agg(num order by n), array_agg(created_at order by n),
        array_agg(kind order by n), string_agg(pubkey, ''::bytea order by n), cardinality(nums),
        coalesce((select array_agg(p.n) from pairs p), '{}'),
        coalesce((select array_agg(p.relay_id) from pairs p), '{}')
    from mentioned having count(*) > 0;
$$;

-- The number of a window by its name: a constant for the planner, where a join would hide the order
-- of an index from it.
create function window_number(name text) returns smallint language sql immutable parallel safe as $$
    select (case name when 'all' then 0 when '1h' then 1 when '24h' then 2 when '7d' then 3
        when '30d' then 4 end)::smallint;
$$;
-- Its length in seconds; longer than time for the window without bounds.
create function window_seconds(name text) returns bigint language sql immutable parallel safe as $$
    select case name when '1h' then 3600 when '24h' then 86400 when '7d' then 604800
        when '30d' then 2592000 when 'all' then 9007199254740992 end;
$$;

create view events_statistics as
select w.name as window, t.events, t.regular, t.replaceable, t.ephemeral, t.addressable,
    t.pubkeys, t.kinds, win
from stats_totals t join rollup_windows w using (win);

create view kind_counts_total as
select w.name as window, k.kind, kind_class(k.kind) as class, k.events, k.pubkeys, win
from stats_kinds k join rollup_windows w using (win);

create view kind_counts_by_relay as
select w.name as window, r.url as relay, k.kind, kind_class(k.kind) as class, k.events, k.pubkeys,
    win, k.relay_id
from stats_relay_kinds k join rollup_windows w using (win) join relays r on r.id = k.relay_id;

-- pubkey_num breaks ties in lists: it is the order in which pubkeys were met.
create view pubkey_counts_total as
select w.name as window, k.pubkey, p.events, p.kinds::bigint as kinds,
    p.first_at, p.last_at,
    win, p.pubkey_num, p.magnitude
from stats_pubkeys p join rollup_windows w using (win) join pubkeys k on k.num = p.pubkey_num;

create view pubkey_counts_by_relay as
select w.name as window, r.url as relay, k.pubkey, p.events, p.kinds::bigint as kinds,
    p.first_at, p.last_at,
    win, p.relay_id, p.pubkey_num, p.magnitude
from stats_relay_pubkeys p
join rollup_windows w using (win)
join relays r on r.id = p.relay_id
join pubkeys k on k.num = p.pubkey_num;

-- Averages are over the last ten measurements, as many of them as have the value.
create view relays_statistics as
select w.name as window, r.url as relay, r.network, r.discovered_at,
    coalesce(s.events, 0) as events, coalesce(s.pubkeys, 0) as pubkeys,
    coalesce(s.kinds, 0)::bigint as kinds, a.first_at, a.last_at,
    m.rtt_open_ms, m.rtt_read_ms, m.rtt_write_ms, m.checks
from relays r
cross join rollup_windows w
left join stats_relays s on s.relay_id = r.id and s.win = w.win
left join stats_relays a on a.relay_id = r.id and a.win = 0
left join lateral (
    select round(avg(rtt_open_ms))::bigint as rtt_open_ms,
        round(avg(rtt_read_ms))::bigint as rtt_read_ms,
        round(avg(rtt_write_ms))::bigint as rtt_write_ms,
        count(*) as checks
    from (
        select * from relay_metadata m where m.relay_id = r.id order by m.checked_at desc limit 10
    ) last_ten
) m on true;

-- The relays.list row: each relay with its latest check and what the archive holds of it.
create view relays_overview as
select r.url, r.network, r.discovered_at,
    case when m.openable then 'online' when m.openable is null then 'unknown' else 'offline' end
        as status,
    m.checked_at, m.rtt_open_ms, m.rtt_read_ms, m.rtt_write_ms,
    coalesce(m.rtt_open_ms, 2147483647) as rtt_sort,
    json_text(n.data -> 'name') as name, json_text(n.data -> 'software') as software,
    json_text(n.data -> 'version') as version, nip11_nips(n.data) as nips,
    coalesce(s.events, 0) as events, coalesce(s.pubkeys, 0) as pubkeys,
    coalesce(s.kinds, 0)::bigint as kinds
from relays r
left join lateral (
    select * from relay_metadata m where m.relay_id = r.id order by m.checked_at desc limit 1
) m on true
left join nip11 n on n.hash = m.nip11_hash
left join stats_relays s on s.relay_id = r.id and s.win = 0;

-- Numbers by name, so that a question can look its subject up once and read an index in order.
create view relay_keys as select url as relay, id as relay_id from relays;
create view pubkey_keys as select pubkey, num as pubkey_num from pubkeys;

create view events_series as
select bucket_seconds, at, kind, kind_class(kind) as class, events from stats_series;

-- Every check of every relay.
create view relay_checks as
select r.url as relay, m.checked_at, m.openable, m.readable, m.writable,
    m.rtt_open_ms, m.rtt_read_ms, m.rtt_write_ms, m.relay_id
from relay_metadata m join relays r on r.id = m.relay_id;

revoke execute on function insert_event, rollup_enqueue, window_number,
    window_seconds, lock_archive_for_writing, lock_archive_for_removal from public;
grant execute on function window_number, window_seconds to readonly_public, readonly_system, admin;
grant execute on function insert_event, rollup_enqueue, lock_archive_for_writing,
    lock_archive_for_removal to admin;
grant select on events_statistics, kind_counts_total, kind_counts_by_relay, pubkey_counts_total,
    pubkey_counts_by_relay, relays_statistics, relays_overview, relay_keys, pubkey_keys,
    events_series, relay_checks
to readonly_public, readonly_system;
grant select on rollup_queue, stats_totals to readonly_system;
grant select, insert, update, delete on all tables in schema public to admin;
grant usage on all sequences in schema public to admin;
