-- The layout that was measured against the plain one: events partitioned by month.
drop view archived_events;
drop table events cascade;
create sequence events_num_seq;
create table events (
    num        bigint not null default nextval('events_num_seq'),
    created_at bigint not null,
    kind       integer not null,
    id         bytea not null,
    pubkey     bytea not null,
    sig        bytea,
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
create view archived_events as
select id, pubkey, created_at, kind, tags, content, sig from events;
grant select on archived_events to readonly_public;
