-- Why: counting what a NIP-01 filter matches, whole or in groups, must be possible for
-- readonly_public, which reads views only. And an entry must be able to refuse a parameter for what
-- the database has, in words of its own: everything else that Postgres says stays inside.
-- Serves: events.count, and with it NIP-90 jobs of kind 5400.

-- What a filter looks at. The number says which relays had the event.
create view events_by_number as
select num as event_num, id, pubkey, created_at, kind, tags, content from events;
create view event_relays_by_number as select event_num, relay_id from events_relays;

-- Each pubkey's events of each kind.
create view pubkey_kind_counts_total as
select p.win, k.pubkey, p.kind, p.events, p.pubkey_num
from stats_pubkey_kinds p join pubkeys k on k.num = p.pubkey_num;

-- The first tag of this name, as JSON text, with this marker in its fourth place if one is given.
-- Our JSON has no blanks, so a tag can be told by how its text begins. Functions that would turn
-- values into text are no help: text cannot hold a NUL.
create function first_tag(tags json, name text, marker text) returns json
language sql immutable parallel safe as $$
    select t.tag from json_array_elements(
        case when json_typeof(tags) = 'array' then tags else '[]' end) with ordinality as t (tag, n)
    where starts_with(t.tag::text, '[' || to_json(name)::text || ',')
        and (marker is null or (select e.part::text = to_json(marker)::text
            from json_array_elements(t.tag) with ordinality as e (part, n) where e.n = 4))
    order by t.n limit 1;
$$;

-- What an event is grouped by, as a JSON string; null where it has no such thing.
create function event_group_key(
    name text, id bytea, pubkey bytea, created_at bigint, kind integer, tags json, content json
) returns text language sql immutable parallel safe as $$
    select case
        when name is null or name = '' then null
        when name = 'id' then '"' || encode(id, 'hex') || '"'
        when name = 'pubkey' then '"' || encode(pubkey, 'hex') || '"'
        when name = 'created_at' then '"' || created_at || '"'
        when name = 'kind' then '"' || kind || '"'
        when name = 'content' then content::text
        else (select e.part::text from json_array_elements(
                case when name in ('root', 'reply') then first_tag(tags, 'e', name)
                    else first_tag(tags, name, null) end) with ordinality as e (part, n)
            where e.n = 2)
    end;
$$;

-- Refuses a parameter of a question: the message is for whoever asked. Volatile, so that no planner
-- calls it in advance.
create function refuse_param(param text, message text) returns text
language plpgsql volatile as $$
begin
    raise exception using errcode = 'BB400', message = message, detail = param;
end
$$;

grant execute on function first_tag, event_group_key, refuse_param
to readonly_public, readonly_system, admin;
grant select on events_by_number, event_relays_by_number, pubkey_kind_counts_total
to readonly_public, readonly_system;
