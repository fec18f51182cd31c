-- Why: what is created from here on, by later migrations and by implementations, must not be open
-- to everybody: Postgres lets everybody call a new function. Implementations' own SQL is noted
-- here. And the defaults of autovacuum fit neither tables that only grow nor those whose few rows
-- change every second.
-- Serves: readonly_public and what it must not do, Store::apply_overlays, index-only scans of the
-- archive, and the size of hot tables.

revoke execute on all functions in schema public from public;
grant execute on all functions in schema public to admin;
alter default privileges revoke execute on functions from public;
alter default privileges in schema public grant execute on functions to admin;
alter default privileges in schema public
    grant select, insert, update, delete on tables to admin;
alter default privileges in schema public grant usage on sequences to admin;

-- Implementations' own SQL that has been run: see overlay.rs.
create table implementation_overlays (
    version        bigint primary key,
    file           text not null,
    implementation text not null,
    checksum       bytea not null check (length(checksum) = 32),
    applied_at     timestamptz not null default now()
);
comment on table implementation_overlays is 'one row for each file of implementations/*/sql that was run';
comment on column implementation_overlays.checksum is 'SHA-256 of the text, with \n at the ends of lines';

-- Whoever migrates owns the tables and needs no grant to write here.
revoke insert, update, delete on _sqlx_migrations, implementation_overlays from admin;
grant select on implementation_overlays to readonly_system;

-- Tables that grow and grow; retention takes old rows out in small batches. By default they are
-- vacuumed when they have grown by a fifth: at 100 million events that is 20 million whose pages are not yet all-visible, which makes the scans of
-- events_created_at and events_relays_pkey read the table too, and a lot of work at once. By
-- number of rows the work stays the same however large the table is. Rows are never updated, so
-- they are frozen by the same pass instead of by a second one over everything later.
alter table events set (
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 500000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_freeze_min_age = 0
);
alter table events_relays set (
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 1000000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_freeze_min_age = 0
);
alter table relay_metadata set (
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_freeze_min_age = 0
);
-- Documents go only by delete_orphan_*, and their JSON lies in TOAST, which has its own settings.
alter table nip11 set (autovacuum_freeze_min_age = 0, toast.autovacuum_freeze_min_age = 0);
alter table nip66 set (autovacuum_freeze_min_age = 0, toast.autovacuum_freeze_min_age = 0);

-- A pubkey's number and its key: rows stay for good and are looked up both ways.
alter table pubkeys set (
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_freeze_min_age = 0
);

-- One row that changes with every step of the rollup, and five that change with every batch. The
-- low fillfactor makes readers prune a page that is not even full, so that the dead versions of
-- one row never make a long chain; vacuum is for what a long-running transaction has held back.
alter table rollup_state set (fillfactor = 10, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500);
alter table stats_totals set (autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500);

-- Rows of the sliding windows come and go all day, and lists read their indexes in order: a fifth
-- of a table of tens of millions of rows is too much to read in vain, and to clean at once.
alter table stats_pubkeys set (autovacuum_vacuum_scale_factor = 0.05);
alter table stats_pubkey_kinds set (autovacuum_vacuum_scale_factor = 0.05);
alter table stats_relay_pubkeys set (autovacuum_vacuum_scale_factor = 0.05);
alter table stats_relay_pubkey_kinds set (autovacuum_vacuum_scale_factor = 0.05);
-- The current hour and day are updated by every batch, all the others hardly ever.
alter table stats_series set (autovacuum_vacuum_scale_factor = 0.02);

-- One row a relay, updated at every check, lease and page. due_at is indexed, so leases and due
-- times cannot be HOT; progress within a scan can, given room.
alter table monitor_state set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 500);
alter table sync_state set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 500);
alter table sync_gaps set (autovacuum_vacuum_scale_factor = 0.05);

-- A queue: every row is inserted and deleted within a second, so whatever analyze counted is wrong
-- by the time it is used. Vacuum follows every thousand rows already.
alter table rollup_queue set (autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 10000);

-- Replaceable events and their replacements: reports of every relay several times a day. Rows are
-- replaced by delete and insert, so room on the page gains nothing; early vacuum keeps the four
-- indexes and the GIN pending list short.
alter table relay_events set (autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05);
alter table relay_tombstones set (autovacuum_vacuum_insert_scale_factor = 0.05);

-- Each job is claimed, finished and deleted: three versions of a row. The request is in TOAST.
alter table dvm_jobs set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 200);
