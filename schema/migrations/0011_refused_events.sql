-- Why: an event that the database does not take must neither hold up the others nor vanish without
-- a trace. (Events with wrong ids or signatures are no part of that: relays send those all day, and
-- they are only counted.)
-- Serves: ingest, which records here what it had to leave out, and the operator, who finds here what
-- is missing from the archive and why. When the cause is gone, `bigbrotr import` takes the column
-- `event` back.
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

