-- Why: the archive. Everything valid that a relay sent, once, and which relay had it.
-- Serves: ingest (Store::events), events.get, events.count, the rollup.

-- Relays that have proven to speak Nostr, or were given by the operator.
create table relays (
    id            integer generated always as identity primary key,
    url           text not null unique,
    network       text not null check (network in ('clearnet', 'tor', 'i2p', 'loki')),
    discovered_at bigint not null
);
comment on column relays.url is 'canonical, without the root slash';
comment on column relays.discovered_at is 'Unix seconds';

-- Integer keys inside, 32-byte keys outside: provenance is the largest table, and refers to
-- events by `num`. Tags and content are `json`, which keeps every escape (NUL included) as sent;
-- `jsonb` and `text` cannot. An implementation that archives less leaves them null.
create table events (
    num        bigint generated always as identity primary key,
    created_at bigint not null check (created_at between 0 and 9007199254740991),
    kind       integer not null check (kind between 0 and 65535),
    id         bytea not null check (length(id) = 32),
    pubkey     bytea not null check (length(pubkey) = 32),
    sig        bytea check (length(sig) = 64),
    tags       json,
    content    json
);
create unique index events_id on events (id);
-- Windows of time: the rollup's edges, exports, counts.
create index events_created_at on events (created_at, num);

-- No foreign keys: their per-row checks would cost more than the insert itself. Rows are written by
-- insert_event only, and removed with what they refer to by delete_relay and delete_orphan_events.
create table events_relays (
    event_num     bigint not null,
    first_seen_at bigint not null,
    relay_id      integer not null,
    primary key (event_num, relay_id)
);
comment on column events_relays.first_seen_at is 'Unix seconds by the node''s clock';

-- Documents are content-addressed: an unchanged NIP-11 costs one small row per check.
create table nip11 (
    hash bytea primary key check (length(hash) = 32),
    data json not null
);
create table nip66 (
    hash bytea primary key check (length(hash) = 32),
    data json not null
);
comment on column nip11.hash is 'SHA-256 of data, which is canonical JSON';
comment on column nip66.hash is 'SHA-256 of data, which is canonical JSON';

-- One row a check. Round-trip times change every time, so they stay out of the documents.
create table relay_metadata (
    relay_id     integer not null references relays (id) on delete cascade,
    checked_at   bigint not null,
    nip11_hash   bytea references nip11 (hash),
    nip66_hash   bytea not null references nip66 (hash),
    openable     boolean not null,
    readable     boolean,
    writable     boolean,
    rtt_open_ms  integer,
    rtt_read_ms  integer,
    rtt_write_ms integer,
    primary key (relay_id, checked_at)
);
create index relay_metadata_nip11 on relay_metadata (nip11_hash);
create index relay_metadata_nip66 on relay_metadata (nip66_hash);
