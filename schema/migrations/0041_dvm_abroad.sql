-- Why: jobs also come from other relays and their answers go there; neither may be lost or done
-- twice by a crash, or by several processes. One customer with many jobs must not keep the others
-- waiting, and a job may have to be paid for first.
-- Serves: the data vending machine (Store::insert_job, claim_jobs, finish_job, pay_job,
-- take_request, listening_since, claim_deliveries, settle_deliveries).

-- Customers take turns: a job's turn is one after its customer's last one, or after the turn that
-- is being served. Unpaid jobs wait outside of the queue.
alter table dvm_jobs
    add column turn bigint not null default 0,
    add column paid_by bytea unique,
    drop constraint dvm_jobs_state_check,
    add constraint dvm_jobs_state_check
        check (state in ('unpaid', 'queued', 'done', 'failed', 'cancelled'));
comment on column dvm_jobs.paid_by is 'the receipt (kind 9735): each pays for one job';
drop index dvm_jobs_queue;
create index dvm_jobs_queue on dvm_jobs (turn, received_at) where state = 'queued';
create index dvm_jobs_customer on dvm_jobs (customer, turn) where state in ('queued', 'unpaid');
create index dvm_jobs_unpaid on dvm_jobs (received_at) where state = 'unpaid';

-- Which other relays a request came from: its answers go there too.
create table dvm_origins (
    request_id bytea not null,
    relay      text not null,
    heard_at   bigint not null,
    primary key (request_id, relay)
);
create index dvm_origins_heard on dvm_origins (heard_at);

-- How far each of those relays has been listened to: everything up to then has been taken in.
create table dvm_listening (
    relay text primary key,
    since bigint not null
);

-- Answers on their way to other relays, written in the transaction that publishes them here.
create table dvm_deliveries (
    id        bigint generated always as identity primary key,
    relay     text not null,
    queued_at bigint not null,
    due_at    bigint not null,
    attempts  integer not null default 0,
    event     json not null
);
create index dvm_deliveries_due on dvm_deliveries (due_at);
create index dvm_deliveries_relay on dvm_deliveries (relay, due_at);
comment on column dvm_deliveries.due_at is 'later while somebody is at it: a process that dies leaves it to others';

alter table dvm_origins set (autovacuum_vacuum_scale_factor = 0.05);
alter table dvm_deliveries set (autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 500);
grant select, insert, update, delete on dvm_origins, dvm_listening, dvm_deliveries to admin;
grant usage on all sequences in schema public to admin;
