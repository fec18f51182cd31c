-- Why: lists of relays looked for the latest check of every relay among all the checks there are,
-- and read its documents, for each question anew. Now one row a relay says what its latest check
-- found. Triggers keep it, so that whoever inserts or deletes checks keeps it exact.
-- Serves: relays.list, relays.get, networks.list, software.list, nips.list, countries.list,
-- relay_metadata_latest, relays_overview, Store::count_progress, Store::verify_statistics.

-- Which NIPs relays list. Most relays share their list with many others, so counting lists, and
-- then NIPs, reads a fraction of what counting NIPs relay by relay does.
create table relay_nip_sets (
    id   bigint generated always as identity primary key,
    nips integer[] not null unique
);
comment on column relay_nip_sets.nips is 'ascending, each once, the lowest 256';

create table relay_latest (
    relay_id      integer primary key references relays (id) on delete cascade,
    checked_at    bigint,
    discovered_at bigint not null,
    nip_set       bigint references relay_nip_sets (id),
    rtt_open_ms   integer,
    rtt_read_ms   integer,
    rtt_write_ms  integer,
    rtt_sort      integer not null
        generated always as (coalesce(rtt_open_ms, 2147483647)) stored,
    volume        smallint not null,
    openable      boolean,
    readable      boolean,
    writable      boolean,
    nip11_hash    bytea,
    nip66_hash    bytea,
    status        text not null generated always as (case when openable then 'online'
        when openable is null then 'unknown' else 'offline' end) stored,
    network       text not null,
    country       text,
    url           text not null,
    name          text,
    software      text,
    version       text
);
comment on table relay_latest is 'what the latest check of each relay found; all null before the first';
comment on column relay_latest.volume is 'relay_volume of the relay''s archived events: lists are sorted by it first';
comment on column relay_latest.name is 'of the NIP-11 document, its first 256 characters, as are software and version';
comment on column relay_latest.country is 'geo.country of the nip66 document: ISO 3166-1 alpha-2, upper case';

-- A document of which fields can be read: -> refuses one that has a NUL anywhere, and relays send
-- such documents. It is read with U+FFFD instead; what is stored stays as it is.
create function json_readable(data json) returns json language sql immutable parallel safe as $$
    select case when position('\u0000' in data::text) > 0
        then regexp_replace(data::text, '((?<!\\)(?:\\\\)*)\\u0000', '\1\\ufffd', 'g')::json
        else data end;
$$;

-- How many events a relay has, roughly: one more each time that the number has grown by a quarter.
-- An index on the number itself would have to change with every event. Relays without events, of
-- which there may be any number, come after all others and by the hundred, those known longest
-- first: what is equal by volume is sorted while it is read, and has to be little.
create function relay_volume(relay_id integer, events bigint) returns smallint
language sql immutable parallel safe as $$
    select (case when events > 0 then floor(4 * ln(events::float8))
        else greatest(-1 - relay_id / 100, -32768) end)::smallint;
$$;

-- The NIPs of a NIP-11 document as relay_nip_sets has them; null where there are none.
create function nip11_nip_set(data json) returns integer[]
language sql immutable parallel safe as $$
    select array_agg(nip order by nip) from (
        select distinct nip from unnest(nip11_nips(data)) as nip
        where nip between 0 and 65535 order by nip limit 256
    ) listed;
$$;

-- Brings relay_latest up to date with what relay_metadata has of these relays. The row is locked
-- before relay_metadata is read: whoever comes second sees what the first one has done.
create function refresh_relay_latest(ids integer[]) returns void language plpgsql as $$
declare
    each   integer;
    before relay_latest;
    latest relay_metadata;
    about  json;
    listed integer[];
    found_in text;
begin
    for each in select distinct id from unnest(ids) as id order by id loop
        select * into before from relay_latest where relay_id = each for update;
        continue when not found;
        select * into latest from relay_metadata
        where relay_id = each order by checked_at desc limit 1;
        if latest.nip11_hash is distinct from before.nip11_hash then
            select json_readable(data) into about from nip11 where hash = latest.nip11_hash;
            before.name := left(json_text(about -> 'name'), 256);
            before.software := left(json_text(about -> 'software'), 256);
            before.version := left(json_text(about -> 'version'), 256);
            before.nip_set := null;
            listed := nip11_nip_set(about);
            if listed is not null then
                -- Locked, so that nobody takes it for an orphan.
                select id into before.nip_set from relay_nip_sets
                where nips = listed for key share;
                if before.nip_set is null then
                    insert into relay_nip_sets as s (nips) values (listed)
                    on conflict (nips) do update set nips = excluded.nips
                    returning s.id into before.nip_set;
                end if;
            end if;
        end if;
        if latest.nip66_hash is distinct from before.nip66_hash then
            select json_text(json_readable(data) -> 'geo' -> 'country') into found_in
            from nip66 where hash = latest.nip66_hash;
            before.country := case when found_in ~ '^[A-Z]{2}$' then found_in end;
        end if;
        update relay_latest set
            checked_at = latest.checked_at, nip11_hash = latest.nip11_hash,
            nip66_hash = latest.nip66_hash, openable = latest.openable,
            readable = latest.readable, writable = latest.writable,
            rtt_open_ms = latest.rtt_open_ms, rtt_read_ms = latest.rtt_read_ms,
            rtt_write_ms = latest.rtt_write_ms, nip_set = before.nip_set, name = before.name,
            software = before.software, version = before.version, country = before.country
        where relay_id = each
            and (checked_at, nip11_hash, nip66_hash, openable, readable, writable, rtt_open_ms,
                rtt_read_ms, rtt_write_ms)
            is distinct from (latest.checked_at, latest.nip11_hash, latest.nip66_hash,
                latest.openable, latest.readable, latest.writable, latest.rtt_open_ms,
                latest.rtt_read_ms, latest.rtt_write_ms);
    end loop;
end
$$;

create function relay_metadata_changed() returns trigger language plpgsql as $$
begin
    if tg_op = 'TRUNCATE' then
        perform refresh_relay_latest(array(select relay_id from relay_latest));
    else
        perform refresh_relay_latest(array(select relay_id from touched));
    end if;
    return null;
end
$$;
create trigger relay_metadata_inserted after insert on relay_metadata
referencing new table as touched for each statement execute function relay_metadata_changed();
create trigger relay_metadata_deleted after delete on relay_metadata
referencing old table as touched for each statement execute function relay_metadata_changed();
create trigger relay_metadata_truncated after truncate on relay_metadata
for each statement execute function relay_metadata_changed();

-- Checks are never changed; if somebody does, both the old and the new relay are looked at.
create function relay_metadata_updated() returns trigger language plpgsql as $$
begin
    perform refresh_relay_latest(array[old.relay_id, new.relay_id]);
    return null;
end
$$;
create trigger relay_metadata_updated after update on relay_metadata
for each row execute function relay_metadata_updated();

create function relays_changed() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into relay_latest (relay_id, url, network, discovered_at, volume)
        select r.id, r.url, r.network, r.discovered_at, relay_volume(r.id, coalesce(s.events, 0))
        from touched r left join stats_relays s on s.relay_id = r.id and s.win = 0;
    else
        update relay_latest l
        set url = r.url, network = r.network, discovered_at = r.discovered_at
        from touched r where l.relay_id = r.id;
    end if;
    return null;
end
$$;
create trigger relays_inserted after insert on relays
referencing new table as touched for each statement execute function relays_changed();
create trigger relays_updated after update on relays
referencing new table as touched for each statement execute function relays_changed();

create function relay_volume_changed() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        update relay_latest set volume = relay_volume(relay_id, 0) where relay_id = old.relay_id;
    else
        update relay_latest set volume = relay_volume(relay_id, new.events)
        where relay_id = new.relay_id;
    end if;
    return null;
end
$$;
create trigger stats_relays_inserted after insert on stats_relays
for each row when (new.win = 0) execute function relay_volume_changed();
create trigger stats_relays_updated after update on stats_relays
for each row when (new.win = 0 and relay_volume(new.relay_id, new.events)
    <> relay_volume(old.relay_id, old.events))
execute function relay_volume_changed();
create trigger stats_relays_deleted after delete on stats_relays
for each row when (old.win = 0) execute function relay_volume_changed();

-- What is there already.
insert into relay_latest (relay_id, url, network, discovered_at, volume)
select r.id, r.url, r.network, r.discovered_at, relay_volume(r.id, coalesce(s.events, 0))
from relays r left join stats_relays s on s.relay_id = r.id and s.win = 0;
select refresh_relay_latest(array(select id from relays));

create unique index relay_latest_url on relay_latest (url);
create index relay_latest_volume on relay_latest (volume desc);
create index relay_latest_rtt on relay_latest (rtt_sort, url);
create index relay_latest_country on relay_latest (country) where country is not null;
create index relay_latest_software on relay_latest (software) where software is not null;
create index relay_latest_nip_set on relay_latest (nip_set) where nip_set is not null;
analyze relay_latest;

-- Every check makes a new version of a row, with new entries in all indexes.
alter table relay_latest set (autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 500, autovacuum_analyze_scale_factor = 0.1);

-- Removes up to `most` lists of NIPs that no relay has any more.
create function delete_orphan_nip_sets(most bigint, out deleted bigint) language sql as $$
    with gone as (
        delete from relay_nip_sets where id in (
            select s.id from relay_nip_sets s
            where not exists (select from relay_latest l where l.nip_set = s.id)
            limit most for update skip locked
        ) returning 1
    )
    select count(*) from gone;
$$;

create or replace view relay_metadata_latest as
select l.url as relay, l.checked_at, l.openable, l.readable, l.writable,
    l.rtt_open_ms, l.rtt_read_ms, l.rtt_write_ms, n11.data as nip11, n66.data as nip66
from relay_latest l
left join nip11 n11 on n11.hash = l.nip11_hash
left join nip66 n66 on n66.hash = l.nip66_hash
where l.checked_at is not null;

-- The relays.list row. What the archive holds is read for the rows of an answer only, and for none
-- that holds nothing.
create or replace view relays_overview as
select l.url, l.network, l.discovered_at, l.status,
    l.checked_at, l.rtt_open_ms, l.rtt_read_ms, l.rtt_write_ms, l.rtt_sort,
    l.name, l.software, l.version,
    (select s.nips from relay_nip_sets s where s.id = l.nip_set) as nips,
    case when l.volume < 0 then 0 else coalesce((select s.events from stats_relays s
        where s.win = 0 and s.relay_id = l.relay_id), 0) end as events,
    case when l.volume < 0 then 0 else coalesce((select s.pubkeys from stats_relays s
        where s.win = 0 and s.relay_id = l.relay_id), 0) end as pubkeys,
    case when l.volume < 0 then 0 else coalesce((select s.kinds from stats_relays s
        where s.win = 0 and s.relay_id = l.relay_id), 0) end::bigint as kinds,
    l.country, l.volume, l.nip_set
from relay_latest l;

create view nip_sets as select id as nip_set, nips from relay_nip_sets;

revoke execute on function json_readable, relay_volume, nip11_nip_set, refresh_relay_latest,
    relay_metadata_changed, relay_metadata_updated, relays_changed, relay_volume_changed,
    delete_orphan_nip_sets from public;
grant execute on function json_readable, relay_volume, nip11_nip_set, refresh_relay_latest,
    relay_metadata_changed, relay_metadata_updated, relays_changed, relay_volume_changed,
    delete_orphan_nip_sets to admin;
grant select on relay_metadata_latest, relays_overview, nip_sets
to readonly_public, readonly_system;
grant select, insert, update, delete on relay_latest, relay_nip_sets to admin;
grant select on relay_latest to readonly_system;
