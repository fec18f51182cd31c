-- Why: statistics that cost to read what the answer is long, not what the archive is large.
--
-- Every counter exists per window. A window is the half-open stretch (as_of - length, as_of] of
-- `created_at`; the window `all` has no bounds. Ingest puts each batch into `rollup_queue` in its
-- own transaction. `rollup_step` takes whole batches out of the queue, adds them to the counters,
-- and then moves `as_of` forward, which lets events enter and leave the windows. All of that is
-- one transaction: exactly once, whatever crashes. A queue whose rows are deleted needs no
-- watermark, so it does not matter in which order concurrent writers become visible.
create table rollup_state (
    singleton boolean primary key default true check (singleton),
    as_of     bigint not null
);
insert into rollup_state (as_of) values (0);

create table rollup_queue (
    seq           bigint generated always as identity primary key,
    queued_at     timestamptz not null default clock_timestamp(),
    event_nums    bigint[] not null,
    assoc_events  bigint[] not null,
    assoc_relays  integer[] not null
);
comment on column rollup_queue.event_nums is 'events that are new in this batch';
comment on column rollup_queue.assoc_events is 'with assoc_relays: (event, relay) pairs that are new in this batch';

create table rollup_windows (
    win     smallint primary key,
    name    text not null unique,
    seconds bigint
);
insert into rollup_windows (win, name, seconds) values
    (0, 'all', null), (1, '1h', 3600), (2, '24h', 86400), (3, '7d', 604800), (4, '30d', 2592000);

create table stats_totals (
    win         smallint primary key,
    events      bigint not null default 0,
    regular     bigint not null default 0,
    replaceable bigint not null default 0,
    ephemeral   bigint not null default 0,
    addressable bigint not null default 0,
    pubkeys     bigint not null default 0,
    kinds       bigint not null default 0
);
insert into stats_totals (win) select win from rollup_windows;

create table stats_kinds (
    win     smallint not null,
    kind    integer not null,
    events  bigint not null,
    pubkeys bigint not null,
    primary key (win, kind)
);
create table stats_pubkeys (
    win      smallint not null,
    pubkey   bytea not null,
    events   bigint not null,
    kinds    bigint not null,
    first_at bigint,
    last_at  bigint,
    primary key (win, pubkey)
);
create index stats_pubkeys_by_events on stats_pubkeys (win, events desc, pubkey);
create table stats_pubkey_kinds (
    win    smallint not null,
    pubkey bytea not null,
    kind   integer not null,
    events bigint not null,
    primary key (win, pubkey, kind)
);
create table stats_relays (
    win      smallint not null,
    relay_id integer not null,
    events   bigint not null,
    pubkeys  bigint not null,
    kinds    bigint not null,
    first_at bigint,
    last_at  bigint,
    primary key (win, relay_id)
);
create table stats_relay_kinds (
    win      smallint not null,
    relay_id integer not null,
    kind     integer not null,
    events   bigint not null,
    pubkeys  bigint not null,
    primary key (win, relay_id, kind)
);
create table stats_relay_pubkeys (
    win      smallint not null,
    relay_id integer not null,
    pubkey   bytea not null,
    events   bigint not null,
    kinds    bigint not null,
    first_at bigint,
    last_at  bigint,
    primary key (win, relay_id, pubkey)
);
create table stats_relay_pubkey_kinds (
    win      smallint not null,
    relay_id integer not null,
    pubkey   bytea not null,
    kind     integer not null,
    events   bigint not null,
    primary key (win, relay_id, pubkey, kind)
);
comment on column stats_pubkeys.first_at is 'earliest created_at, window all only';
comment on column stats_relays.first_at is 'earliest created_at, window all only';
comment on column stats_relay_pubkeys.first_at is 'earliest created_at, window all only';

-- Rows of the sliding windows come and go all day.
alter table stats_pubkeys set (autovacuum_vacuum_scale_factor = 0.05);
alter table stats_pubkey_kinds set (autovacuum_vacuum_scale_factor = 0.05);
alter table stats_relay_pubkeys set (autovacuum_vacuum_scale_factor = 0.05);
alter table stats_relay_pubkey_kinds set (autovacuum_vacuum_scale_factor = 0.05);
alter table rollup_queue set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
