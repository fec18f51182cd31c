-- The layout that was measured against the plain one: events partitioned by month.
drop view archived_events;
drop table events cascade;
create sequence events_num_seq;
create table events (
    num        bigint not null default nextval('events_num_seq'),
    created_at bigint not null check (created_at between 0 and 9007199254740991),
    kind       integer not null check (kind between 0 and 65535),
    id         bytea not null check (length(id) = 32),
    pubkey     bytea not null check (length(pubkey) = 32),
    sig        bytea check (length(sig) = 64),
    tags       json,
    content    json
) partition by range (created_at);
do $$
begin
    for n in 0..36 loop
        execute format('create table events_m%s partition of events for values from (%s) to (%s)',
            n, 1750000001 - (37 - n) * 2628000::bigint, 1750000001 - (36 - n) * 2628000::bigint);
    end loop;
end
$$;
create table events_rest partition of events default;
create unique index events_id on events (id, created_at);
create index events_num on events (num);
create index events_created_at on events (created_at, num);
create index events_pubkey on events (pubkey, created_at);
create view archived_events as
select id, pubkey, created_at, kind, tags, content, sig from events;
grant select on archived_events to readonly_public;
