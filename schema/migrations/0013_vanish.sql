-- Why: requests to vanish (NIP-62), and deletions (NIP-09) whose outcome does not depend on the
-- order in which events arrive.
-- Serves: publish_event, the only way in for events of our own relay; check_id of the
-- NostrDatabase contract, which asks for a tombstone by event id alone.

-- Who has asked to vanish. The requests themselves stay among the events; this is what keeps
-- everything older out, also after a request has expired or an operator has removed it.
create table relay_vanished (
    pubkey      bytea primary key,
    vanished_at bigint not null
);
comment on column relay_vanished.vanished_at is 'events up to this created_at are gone and do not come back';

-- Gift wraps (NIP-59) are signed by throw-away keys: those whom they are addressed to may delete
-- them and have them vanish.
alter table relay_events add column recipients bytea[];
comment on column relay_events.recipients is 'public keys in the p tags of a gift wrap, null for other events';
create index relay_events_recipients on relay_events using gin (recipients) where recipients is not null;
-- Our JSON has no blanks and escapes quotes in strings, so only a tag can look like ["p",".
update relay_events set recipients = (
    select array_agg(distinct decode(tag[1], 'hex'))
    from regexp_matches(event::text, '\["p","([0-9a-f]{64})"', 'g') as tag)
where kind = 1059;

-- A deleted version of an address keeps what it replaced out as well: everything older than it.
alter table relay_tombstones add column deleted_id bytea not null default '';
comment on column relay_tombstones.deleted_id is 'for an address: of the versions at deleted_at, those from this id on are deleted; empty: all of them';
-- Anybody can name any id in a deletion; it says something of the event only once the event was
-- there and was the deleter's to delete.
alter table relay_tombstones add column seen boolean not null default false;
comment on column relay_tombstones.seen is 'for an event id: the event was here, or was refused, because of this';
create index relay_tombstones_seen on relay_tombstones (target) where seen;

-- Reports replace each other all the time: with the default of a fifth of the table, dead rows
-- would be a good part of what a query reads.
alter table relay_events set (autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05);

-- Records what is deleted. Of two deletions of one address, the one that reaches further counts.
create function relay_bury(
    who bytea, targets bytea[], ats bigint[], ids bytea[], seens boolean[]
) returns void language sql as $$
    insert into relay_tombstones as t (pubkey, target, deleted_at, deleted_id, seen)
    select distinct on (target) who, target, at, id, bool_or(seen) over (partition by target)
    from unnest(targets, ats, ids, seens) as d (target, at, id, seen)
    order by target, at desc, id
    on conflict (pubkey, target) do update set
        deleted_at = greatest(t.deleted_at, excluded.deleted_at),
        deleted_id = case
            when (excluded.deleted_at, t.deleted_id) > (t.deleted_at, excluded.deleted_id)
            then excluded.deleted_id else t.deleted_id end,
        seen = t.seen or excluded.seen
    where (excluded.deleted_at, t.deleted_id) > (t.deleted_at, excluded.deleted_id)
        or (excluded.seen and not t.seen)
$$;

-- Lets publishers of events by or for a key go on side by side, and deletions by that key alone.
-- Keys share 64 locks, so that an event for thousands takes no thousands of locks; the locks are
-- taken in order.
create function relay_lock(keys bytea[], alone boolean) returns void language plpgsql as $$
declare
    stripe integer;
begin
    for stripe in select distinct get_byte(k, 0) & 63 from unnest(keys) as k order by 1 loop
        if alone then
            perform pg_advisory_xact_lock(19770, stripe);
        else
            perform pg_advisory_xact_lock_shared(19770, stripe);
        end if;
    end loop;
end
$$;

-- Puts an event on our relay by the rules of NIP-01, 09, 40 and 62 and tells every relay process.
-- Which events are there in the end does not depend on the order in which they arrive.
--
-- Returns what became of it: stored, duplicate, older (a newer version is here), deleted (by its
-- author), vanished (its author, or whom the gift wrap is for, has), expired, or foreign (a
-- deletion of nothing but events that are known to be somebody else's).
--
-- delete_ids and delete_addresses are what a kind 5 asks to delete: addresses come hashed, and
-- only those of its own author; foreign_addresses says that it names others too. vanish: this is
-- a request to vanish from here. Requests to vanish are never deleted. Deletions are not deleted
-- by others; they vanish, but what they ask for counts all the same.
drop function publish_event;
create function publish_event(
    new_id bytea, new_pubkey bytea, new_created_at bigint, new_kind integer, new_address bytea,
    new_expires_at bigint, new_tag_hashes bigint[], new_event text, now bigint,
    delete_ids bytea[], delete_addresses bytea[], foreign_addresses boolean default false,
    new_recipients bytea[] default null, vanish boolean default false, out outcome text
) language plpgsql as $$
declare
    new_seq bigint;
    buried text;
begin
    if new_expires_at <= now then
        outcome := 'expired';
        return;
    end if;
    perform relay_lock(array_append(new_recipients, new_pubkey), new_kind in (5, 62));
    -- Writers of the same id or address take turns.
    perform pg_advisory_xact_lock(hashtextextended(encode(coalesce(new_address, new_id), 'hex'), 0));
    if exists (select from relay_events where id = new_id) then
        outcome := 'duplicate';
        return;
    end if;

    if new_kind = 5 then
        if cardinality(delete_addresses) = 0
            and (foreign_addresses or cardinality(delete_ids) > 0)
            and not exists (select from unnest(delete_ids) as d where not exists (
                select from relay_events e where e.id = d and e.pubkey <> new_pubkey
                    and (e.recipients is null or new_pubkey <> all (e.recipients))))
        then
            outcome := 'foreign';
            return;
        end if;
        with gone as (
            delete from relay_events
            where kind not in (5, 62)
                and (id = any (delete_ids) and (pubkey = new_pubkey or new_pubkey = any (recipients))
                    or address = any (delete_addresses) and pubkey = new_pubkey
                        and created_at <= new_created_at)
            returning id, address, created_at
        ), named as (
            select t as target, new_created_at as at, ''::bytea as id, false as seen
            from unnest(delete_ids || delete_addresses) as t
            union all select id, new_created_at, '', true from gone
            union all select address, created_at, id, false from gone where address is not null
        )
        select relay_bury(new_pubkey, array_agg(target), array_agg(at), array_agg(id), array_agg(seen))
        into buried from named;
    elsif new_kind <> 62 then
        if exists (select from relay_tombstones where target = new_id
                and (pubkey = new_pubkey or pubkey = any (new_recipients))) then
            update relay_tombstones set seen = true
            where target = new_id and not seen
                and (pubkey = new_pubkey or pubkey = any (new_recipients));
            if new_address is not null then
                -- It would have replaced these.
                perform relay_bury(new_pubkey, array[new_address], array[new_created_at],
                    array[new_id], array[false]);
                delete from relay_events where address = new_address
                    and (created_at, new_id) < (new_created_at, id);
            end if;
            outcome := 'deleted';
            return;
        end if;
        if exists (select from relay_tombstones where pubkey = new_pubkey and target = new_address
                and (new_created_at, deleted_id) <= (deleted_at, new_id)) then
            outcome := 'deleted';
            return;
        end if;
    end if;

    if new_kind <> 62 and exists (select from relay_vanished where vanished_at >= new_created_at
            and (pubkey = new_pubkey or pubkey = any (new_recipients))) then
        outcome := 'vanished';
        return;
    end if;
    if new_address is not null then
        if exists (select from relay_events where address = new_address
                and (expires_at is null or expires_at > now)
                and (created_at, new_id) > (new_created_at, id)) then
            outcome := 'older';
            return;
        end if;
        delete from relay_events where address = new_address;
    end if;
    if vanish then
        insert into relay_vanished as v (pubkey, vanished_at) values (new_pubkey, new_created_at)
        on conflict (pubkey) do update set vanished_at = greatest(v.vanished_at, excluded.vanished_at);
        delete from relay_events
        where pubkey = new_pubkey and kind <> 62 and created_at <= new_created_at;
        delete from relay_events
        where recipients @> array[new_pubkey] and created_at <= new_created_at;
        -- The queue holds requests of customers, in our JSON: the first created_at is the field.
        delete from dvm_jobs
        where customer = new_pubkey
            and substring(request::text from '"created_at":([0-9]+)')::bigint <= new_created_at;
    end if;
    insert into relay_events
        (created_at, kind, id, pubkey, address, expires_at, received_at, tag_hashes, event, recipients)
    values (new_created_at, new_kind, new_id, new_pubkey, new_address, new_expires_at, now,
        new_tag_hashes, new_event::json, new_recipients)
    returning seq into new_seq;
    perform pg_notify('bigbrotr_relay_events', new_seq::text);
    outcome := 'stored';
end
$$;

revoke execute on function relay_bury, relay_lock, publish_event from public;
grant execute on function relay_bury, relay_lock, publish_event to admin;
grant select, insert, update, delete on relay_vanished to admin;
