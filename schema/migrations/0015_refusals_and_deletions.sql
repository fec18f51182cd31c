-- Why: an event that the database does not take must neither hold up the others nor vanish without
-- a trace. Serves: ingest, which records here what it had to leave out (events with wrong ids or
-- signatures are no part of that: relays send those all day, and they are only counted), and the
-- operator, who finds here what is missing from the archive and why. When the cause is gone,
-- `bigbrotr import` takes the column `event` back. Below: what keeps the memories of processes
-- true when events are deleted, and the procedure insert_event without deadlocks.
create table refused_events (
    id         bytea primary key check (length(id) = 32),
    relay_id   integer,
    sqlstate   text not null,
    message    text not null,
    bytes      bigint not null,
    event      text,
    refused_at bigint not null,
    times      bigint not null default 1
);
comment on column refused_events.relay_id is 'the relay that sent it last, null for a file';
comment on column refused_events.sqlstate is 'of the latest refusal, as is message';
comment on column refused_events.bytes is 'length of the event''s JSON';
comment on column refused_events.event is 'its JSON, null where that is too long to keep';
comment on column refused_events.refused_at is 'Unix seconds, the latest time';
comment on column refused_events.times is 'how often it was refused';
create index refused_events_refused_at on refused_events (refused_at);

-- Records a refusal, each event once, and forgets the oldest beyond `most`.
create function record_refused_event(
    new_id bytea, new_relay_id integer, new_sqlstate text, new_message text,
    new_bytes bigint, new_event text, now bigint, most bigint
) returns void language plpgsql as $$
begin
    insert into refused_events as r
        (id, relay_id, sqlstate, message, bytes, event, refused_at)
    values (new_id, new_relay_id, new_sqlstate, new_message, new_bytes, new_event, now)
    on conflict (id) do update set
        relay_id = excluded.relay_id, sqlstate = excluded.sqlstate, message = excluded.message,
        refused_at = excluded.refused_at, times = r.times + 1;
    delete from refused_events where id in (
        select id from refused_events where id <> new_id
        order by refused_at desc, id offset greatest(most - 1, 0)
    );
end
$$;

revoke execute on function record_refused_event from public;
grant execute on function record_refused_event to admin;
grant select, insert, update, delete on refused_events to admin;
grant select on refused_events to readonly_system;

-- How often events were deleted from the archive: processes that remember the numbers of archived
-- events forget them when this changes. Whoever deletes need not know of it.
create table archive_state (
    singleton boolean primary key default true check (singleton),
    deletions bigint not null default 0
);
insert into archive_state default values;
create function count_deletion() returns trigger language plpgsql as $$
begin
    update archive_state set deletions = deletions + 1;
    return null;
end
$$;
create trigger count_deletion after delete on events
for each statement execute function count_deletion();
create trigger count_truncation after truncate on events
for each statement execute function count_deletion();
revoke execute on function count_deletion from public;
grant execute on function count_deletion to admin;
grant select, update on archive_state to admin;

-- The procedure of 0006 in the order in which events are copied, so that the two wait for each
-- other and never deadlock.
create or replace function insert_event(
    ids bytea[], pubkeys bytea[], created_ats bigint[], kinds integer[],
    tags text[], contents text[], sigs bytea[],
    seen_ids bytea[], seen_relays integer[], seen_ats bigint[],
    out new_events bigint, out new_associations bigint
) language plpgsql as $$
declare
    event_nums   bigint[];
    assoc_events bigint[];
    assoc_relays integer[];
begin
    with inserted as (
        insert into events as e (created_at, kind, id, pubkey, sig, tags, content)
        select i.created_at, i.kind, i.id, i.pubkey, i.sig, i.tags::json, i.content::json
        from unnest(ids, pubkeys, created_ats, kinds, tags, contents, sigs)
            as i (id, pubkey, created_at, kind, tags, content, sig)
        order by i.created_at, i.id
        on conflict (id) do nothing
        returning e.num
    )
    select coalesce(array_agg(num), '{}') into event_nums from inserted;

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
    select coalesce(array_agg(event_num), '{}'), coalesce(array_agg(relay_id), '{}')
    into assoc_events, assoc_relays from inserted;

    new_events := cardinality(event_nums);
    new_associations := cardinality(assoc_events);
    if new_events > 0 or new_associations > 0 then
        insert into rollup_queue (event_nums, assoc_events, assoc_relays)
        values (event_nums, assoc_events, assoc_relays);
    end if;
end
$$;
