-- Why: the events that our own relay holds: reports, announcements, jobs and their results. NIP-01
-- semantics (latest replaceable only), apart from the archive, which keeps every version.
-- Any process publishes by inserting here and notifying; every relay process listens.
create table relay_events (
    seq         bigint generated always as identity primary key,
    created_at  bigint not null,
    kind        integer not null,
    id          bytea not null unique,
    pubkey      bytea not null,
    address     bytea unique,
    expires_at  bigint,
    received_at bigint not null,
    tag_hashes  bigint[] not null,
    event       json not null
);
comment on column relay_events.address is 'SHA-256 of kind:pubkey:d, null for regular events: a newer version replaces the older';
comment on column relay_events.tag_hashes is 'hashes of single-letter tags and their first values; readers recheck';
create index relay_events_newest on relay_events (created_at desc, id);
create index relay_events_kind on relay_events (kind, created_at desc, id);
create index relay_events_pubkey on relay_events (pubkey, created_at desc, id);
create index relay_events_tags on relay_events using gin (tag_hashes);
create index relay_events_expiry on relay_events (expires_at) where expires_at is not null;

-- Deleted by their authors (NIP-09): must not come back.
create table relay_tombstones (
    pubkey     bytea not null,
    target     bytea not null,
    deleted_at bigint not null,
    primary key (pubkey, target)
);
comment on column relay_tombstones.target is 'event id, or SHA-256 of kind:pubkey:d for an address';
comment on column relay_tombstones.deleted_at is 'for an address: versions up to this created_at are deleted';

-- Puts an event on our relay by the rules of NIP-01 and NIP-09 and tells every relay process.
-- Returns what became of it: stored, duplicate, older (a newer version is here) or deleted.
-- delete_ids and delete_addresses are what a kind 5 asks to delete: own events only, which the
-- pubkey conditions below enforce; addresses come hashed, with the caller's check of their owner.
create function publish_event(
    new_id bytea, new_pubkey bytea, new_created_at bigint, new_kind integer, new_address bytea,
    new_expires_at bigint, new_tag_hashes bigint[], new_event text, now bigint,
    delete_ids bytea[], delete_addresses bytea[], out outcome text
) language plpgsql as $$
declare
    new_seq bigint;
begin
    -- Writers of the same id or address take turns.
    perform pg_advisory_xact_lock(hashtextextended(encode(coalesce(new_address, new_id), 'hex'), 0));
    if exists (select from relay_events where id = new_id) then
        outcome := 'duplicate';
        return;
    end if;
    if exists (select from relay_tombstones where pubkey = new_pubkey
            and (target = new_id or (target = new_address and deleted_at >= new_created_at))) then
        outcome := 'deleted';
        return;
    end if;
    if new_address is not null then
        if exists (select from relay_events where address = new_address
                and (created_at, new_id) > (new_created_at, id)) then
            outcome := 'older';
            return;
        end if;
        delete from relay_events where address = new_address;
    end if;
    if new_kind = 5 then
        insert into relay_tombstones (pubkey, target, deleted_at)
        select new_pubkey, t, new_created_at from unnest(delete_ids || delete_addresses) as t
        on conflict (pubkey, target) do update
            set deleted_at = greatest(relay_tombstones.deleted_at, excluded.deleted_at);
        delete from relay_events
        where pubkey = new_pubkey and kind <> 5
            and (id = any (delete_ids)
                or (address = any (delete_addresses) and created_at <= new_created_at));
    end if;
    insert into relay_events
        (created_at, kind, id, pubkey, address, expires_at, received_at, tag_hashes, event)
    values (new_created_at, new_kind, new_id, new_pubkey, new_address, new_expires_at, now,
        new_tag_hashes, new_event::json)
    returning seq into new_seq;
    perform pg_notify('bigbrotr_relay_events', new_seq::text);
    outcome := 'stored';
end
$$;

-- NIP-90 jobs. A request is answered once, whoever delivers it and however often.
create table dvm_jobs (
    request_id    bytea primary key,
    kind          integer not null,
    customer      bytea not null,
    received_at   bigint not null,
    state         text not null default 'queued' check (state in ('queued', 'done', 'failed', 'cancelled')),
    claimed_until bigint not null default 0,
    attempts      integer not null default 0,
    finished_at   bigint,
    result_id     bytea,
    request       json not null
);
create index dvm_jobs_queue on dvm_jobs (received_at) where state = 'queued';
create index dvm_jobs_finished on dvm_jobs (finished_at) where finished_at is not null;
