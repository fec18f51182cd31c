-- Why: our relay serves the archive, by the rules of NIP-01, 09, 40, 62 and 70, without a change to
-- what is archived. Reports of other monitors (NIP-66) are served in any case: they are copied to
-- the relay's own events, of which there is one version each. What else is served is found in
-- `events` itself, by functions of what the events say; the indexes on them are built when an
-- operator switches that on (Store::build_served_archive), as they cost disk and ingest.
-- Serves: Store::mirror_*, Store::served_page, Store::served_ids, Store::count_served,
-- Store::listen_archive.

-- The bytes of a JSON string, NUL included: Postgres' text cannot hold that one. Raw control
-- characters cannot be in JSON, so one of them may stand for it meanwhile.
create function json_string_bytes(value json) returns bytea
language plpgsql immutable strict parallel safe as $$
declare
    inside text := substr(value::text, 2, length(value::text) - 2);
begin
    if position('\u0000' in inside) = 0 then
        return convert_to(value #>> '{}', 'UTF8');
    end if;
    return (
        select string_agg(convert_to(('"' || part || '"')::json #>> '{}', 'UTF8'), '\x00' order by n)
        from regexp_split_to_table(
            regexp_replace(inside, '((?<!\\)(?:\\\\)*)\\u0000', E'\\1\x01', 'g'), E'\x01'
        ) with ordinality as p (part, n)
    );
end
$$;

-- Names and first values of the tags that have one, in order.
create function event_tag_values(tags json) returns table (name bytea, value bytea, n bigint)
language plpgsql immutable strict parallel safe as $$
begin
    if position('\u0000' in tags::text) = 0 then
        return query select convert_to(t.tag ->> 0, 'UTF8'), convert_to(t.tag ->> 1, 'UTF8'), t.n
        from json_array_elements(tags) with ordinality as t (tag, n)
        where json_array_length(t.tag) > 1;
    else
        return query
        select public.json_string_bytes(a.part), public.json_string_bytes(b.part), t.n
        from json_array_elements(tags) with ordinality as t (tag, n),
            json_array_elements(t.tag) with ordinality as a (part, i),
            json_array_elements(t.tag) with ordinality as b (part, i)
        where a.i = 1 and b.i = 2;
    end if;
end
$$;

-- As filter_sql.rs hashes tags.
create function tag_hash(name bytea, value bytea) returns bigint
language sql immutable strict parallel safe as $$
    select ('x' || left(encode(sha256(name || value), 'hex'), 16))::bit(64)::bigint;
$$;

-- The hashes of single-letter tags and their first values.
create function event_tag_hashes(tags json) returns bigint[]
language plpgsql immutable strict parallel safe cost 1000 as $$
begin
    return coalesce((
        select array_agg(distinct
            ('x' || left(encode(sha256(t.name || t.value), 'hex'), 16))::bit(64)::bigint)
        from public.event_tag_values(tags) t
        where length(t.name) = 1
            and (get_byte(t.name, 0) between 65 and 90 or get_byte(t.name, 0) between 97 and 122)
    ), '{}');
end
$$;

-- kind:pubkey:d of what replaces and is replaced; null for other events, and where tags are needed
-- and not kept.
create function event_coordinate(kind integer, pubkey bytea, tags json) returns bytea
language plpgsql immutable parallel safe cost 500 as $$
begin
    if kind in (0, 3) or kind between 10000 and 19999 then
        return convert_to(kind || ':' || encode(pubkey, 'hex') || ':', 'UTF8');
    elsif kind between 30000 and 39999 and tags is not null then
        return convert_to(kind || ':' || encode(pubkey, 'hex') || ':', 'UTF8') || coalesce((
            select t.value from public.event_tag_values(tags) t
            where t.name = '\x64' order by t.n limit 1
        ), '');
    end if;
    return null;
end
$$;

-- Its hash, as in relay_events.address.
create function event_address(kind integer, pubkey bytea, tags json) returns bytea
language plpgsql immutable parallel safe cost 500 as $$
begin
    return sha256(public.event_coordinate(kind, pubkey, tags));
end
$$;

-- When an event expires (NIP-40); null where it does not, or says so in no number.
create function event_expires_at(tags json) returns bigint
language plpgsql immutable strict parallel safe cost 200 as $$
declare
    said text;
begin
    if position('"expiration"' in tags::text) = 0 then
        return null;
    end if;
    select encode(t.value, 'escape') into said from public.event_tag_values(tags) t
    where t.name = 'expiration' order by t.n limit 1;
    if said ~ '^[+-]?[0-9]{1,40}$' and said::numeric between -9223372036854775808 and 9223372036854775807
    then
        return said::bigint;
    end if;
    return null;
end
$$;

-- Whether an event is for its author alone to publish (NIP-70).
create function event_is_protected(tags json) returns boolean
language plpgsql immutable strict parallel safe cost 200 as $$
begin
    return position('"-"' in tags::text) > 0 and exists (
        select from json_array_elements(tags) t
        where json_array_length(t) = 1 and t::text ~ '^\[\s*"-"\s*\]$');
end
$$;

-- Whose an event is to delete: its author's, and of a gift wrap (NIP-59) those whom it is for.
create function event_owners(kind integer, pubkey bytea, tags json) returns bytea[]
language plpgsql immutable parallel safe cost 200 as $$
begin
    if kind <> 1059 or tags is null then
        return array[pubkey];
    end if;
    return pubkey || array(
        select decode(encode(t.value, 'escape'), 'hex') from public.event_tag_values(tags) t
        where t.name = '\x70' and encode(t.value, 'escape') ~ '^[0-9a-f]{64}$');
end
$$;

-- Whether an archived event is not to be served: it is among the relay's own events, a newer
-- version is there or archived, or its author (or whom it is for) has deleted it or has vanished.
-- Requests to vanish are followed when they are copied to the relay's own events.
--
-- It is called for every event that a query meets: planning it anew each time would be most of the
-- cost, and its parts have but one good plan.
create function is_archived_event_hidden(
    its_id bytea, its_pubkey bytea, its_created_at bigint, its_kind integer, its_tags json
) returns boolean language plpgsql stable parallel safe cost 5000
set plan_cache_mode = force_generic_plan as $$
declare
    owners bytea[] := public.event_owners(its_kind, its_pubkey, its_tags);
    coordinate bytea := public.event_coordinate(its_kind, its_pubkey, its_tags);
    its_address bytea := sha256(coordinate);
    by_address bigint := public.tag_hash('\x61', coordinate);
    by_id bigint := public.tag_hash('\x65', convert_to(encode(its_id, 'hex'), 'UTF8'));
begin
    if exists (select from public.relay_events r where r.id = its_id)
        or its_kind <> 62 and exists (select from public.relay_vanished v
            where v.pubkey = any (owners) and v.vanished_at >= its_created_at)
    then
        return true;
    end if;
    if its_address is not null and (
        exists (select from public.events n
            where public.event_address(n.kind, n.pubkey, n.tags) = its_address
                and (n.kind in (0, 3) or n.kind between 10000 and 19999
                    or n.kind between 30000 and 39999)
                and n.created_at >= its_created_at
                and (n.created_at > its_created_at or n.id < its_id))
        or exists (select from public.relay_events r where r.address = its_address
            and (r.created_at, its_id) > (its_created_at, r.id))
        or exists (select from public.relay_tombstones t
            where t.pubkey = its_pubkey and t.target = its_address
                and (its_created_at, t.deleted_id) <= (t.deleted_at, its_id))
        or exists (select from public.events d
            where d.kind = 5 and d.pubkey = its_pubkey and d.created_at >= its_created_at
                and public.event_tag_hashes(d.tags) && array[by_address]))
    then
        return true;
    end if;
    return its_kind not in (5, 62) and (
        exists (select from public.relay_tombstones t
            where t.target = its_id and t.pubkey = any (owners))
        or exists (select from public.events d
            where d.kind = 5 and d.pubkey = any (owners)
                and public.event_tag_hashes(d.tags) && array[by_id]));
end
$$;

-- The same for one of the relay's own events, where the archive is served beside them: a version or
-- a deletion may have been archived that nobody has sent here.
create function is_relay_event_hidden(
    its_id bytea, its_pubkey bytea, its_created_at bigint, its_kind integer, its_event json
) returns boolean language plpgsql stable parallel safe cost 5000
set plan_cache_mode = force_generic_plan as $$
declare
    its_tags json;
    owners bytea[];
    coordinate bytea;
    by_address bigint;
    by_id bigint := public.tag_hash('\x65', convert_to(encode(its_id, 'hex'), 'UTF8'));
begin
    -- Requests and the like replace nothing: their tags are not needed.
    if its_kind = 1059 or its_kind between 30000 and 39999 then
        its_tags := public.json_readable(its_event) -> 'tags';
    end if;
    owners := public.event_owners(its_kind, its_pubkey, its_tags);
    coordinate := public.event_coordinate(its_kind, its_pubkey, its_tags);
    by_address := public.tag_hash('\x61', coordinate);
    if coordinate is not null and (
        exists (select from public.events n
            where public.event_address(n.kind, n.pubkey, n.tags) = sha256(coordinate)
                and (n.kind in (0, 3) or n.kind between 10000 and 19999
                    or n.kind between 30000 and 39999)
                and n.created_at >= its_created_at
                and (n.created_at > its_created_at or n.id < its_id))
        or exists (select from public.events d
            where d.kind = 5 and d.pubkey = its_pubkey and d.created_at >= its_created_at
                and public.event_tag_hashes(d.tags) && array[by_address]))
    then
        return true;
    end if;
    return its_kind not in (5, 62) and exists (select from public.events d
        where d.kind = 5 and d.pubkey = any (owners)
            and public.event_tag_hashes(d.tags) && array[by_id]);
end
$$;

-- What full-text search (NIP-50) finds an event by: words as they are, as there is no telling the
-- language. Postgres allows a megabyte of them, so the beginning of a long text has to do; what has
-- no blank for 200 characters is no word.
create function content_words(content json) returns tsvector
language plpgsql immutable strict parallel safe cost 2000 as $$
begin
    return to_tsvector('pg_catalog.simple'::regconfig, regexp_replace(left(
        regexp_replace(content::text, '((?<!\\)(?:\\\\)*)\\u0000', '\1 ', 'g')::json #>> '{}', 50000
    ), '\S{200,}', ' ', 'g'));
end
$$;

-- The same of a whole event.
create function event_words(event json) returns tsvector
language plpgsql immutable strict parallel safe cost 2000 as $$
begin
    return public.content_words(public.json_readable(event) -> 'content');
end
$$;

-- Archived reports of other monitors, and deletions and requests to vanish that concern them, are
-- copied to the relay's own events in the order of their numbers.
create index events_mirrored on events (num) where kind in (5, 62, 10166, 30166);
create table relay_mirror (
    singleton boolean primary key default true check (singleton),
    event_num bigint not null
);
comment on column relay_mirror.event_num is 'archived events up to this number have been looked at';
insert into relay_mirror (event_num) values (0);

-- Tells relays of newly archived events, as the lowest and the highest number of a batch. The
-- numbers between may be of other batches, which say so themselves.
create function archive_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('bigbrotr_archive', (
        select min(n) || '-' || max(n) from unnest(new.event_nums[1:new.new_events]) as n));
    return null;
end
$$;
create trigger rollup_queue_notify after insert on rollup_queue
for each row when (not new.removal and new.new_events > 0) execute function archive_notify();

revoke execute on function json_string_bytes, event_tag_values, tag_hash, event_tag_hashes,
    event_coordinate, event_address, event_expires_at, event_is_protected, event_owners,
    is_archived_event_hidden, is_relay_event_hidden, content_words, event_words, archive_notify
from public;
grant execute on function json_string_bytes, event_tag_values, tag_hash, event_tag_hashes,
    event_coordinate, event_address, event_expires_at, event_is_protected, event_owners,
    is_archived_event_hidden, is_relay_event_hidden, content_words, event_words, archive_notify
to admin;
grant select, insert, update, delete on relay_mirror to admin;
grant select on relay_mirror to readonly_system;
