-- Why: reports and announcements may go to other relays as well, which are now and then down, full
-- or slow. What waits for them is written in the transaction that publishes it here, so neither a
-- crash nor a relay that is away for hours loses anything, and no check waits.
-- Serves: the monitor's forwarding (Store::set_report_targets, lease_report_target, next_reports,
-- settle_reports, release_report_target).
create table report_targets (
    id           integer generated always as identity primary key,
    url          text not null unique,
    due_at       bigint not null default 0,
    leased_until bigint not null default 0,
    failures     integer not null default 0,
    taken        bigint not null default 0,
    refused      bigint not null default 0,
    last_error   text
);
comment on table report_targets is 'one row for each relay of monitor.publish_to';
comment on column report_targets.failures is 'attempts in a row that came to nothing';

-- One row for each address (report on a relay, profile, …) and target: a newer version takes the
-- place of the one that waits, so the queue is never longer than what there is to say.
create table report_outbox (
    target_id integer not null references report_targets (id) on delete cascade,
    address   bytea not null,
    kind      integer not null,
    event_id  bytea not null,
    queued_at bigint not null,
    primary key (target_id, address)
);
comment on column report_outbox.address is 'as in relay_events, which has the event';
create index report_outbox_order on report_outbox (target_id, queued_at);

-- Rows live for a second, or for hours while a target is away, and are updated all that time.
alter table report_outbox set (autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.1);
alter table report_targets set (fillfactor = 50, autovacuum_vacuum_threshold = 200);

grant select, insert, update, delete on report_targets, report_outbox to admin;
grant usage on all sequences in schema public to admin;
grant select on report_targets, report_outbox to readonly_system;
