-- Why: what the synchronizers know of each relay beyond one stretch of time: which choice of events
-- is archived how far, what the relay is able and willing to give, and what it promised in vain.
-- Serves: Store::lease_due_syncs, update_sync, finish_sync, relays.get, `bigbrotr status`.

alter table sync_state
    add column slices json,
    add column lease bigint not null default 0,
    add column rank bigint not null default 0,
    add column scan_floor bigint,
    add column scan_began_at bigint,
    add column caught_up_at bigint,
    add column live_since bigint,
    add column method text check (method in ('negentropy', 'paging')),
    add column page_cap integer check (page_cap > 0),
    add column negentropy_retry_at bigint not null default 0,
    add column negentropy_refusal text,
    add column put_aside text check (put_aside in
        ('payment_required', 'auth_required', 'restricted', 'blocked', 'rubbish', 'denied')),
    add column rests integer not null default 0,
    add column novelty real,
    add column linked_events bigint not null default 0,
    add column last_turn_at bigint;
comment on column sync_state.slices is 'choices of events with what is covered of each; null before
    the first turn of a program that knows them: then covered_from and covered_to are all there is';
comment on column sync_state.covered_from is 'what all that is wanted is covered from, Unix seconds';
comment on column sync_state.lease is 'who has it: an update under another lease has no effect';
comment on column sync_state.rank is 'of the relays that are due the lowest comes first: due_at, less
    a bonus for what the relay is expected to have that nobody else has';
comment on column sync_state.scan_floor is 'where the scan under way ends';
comment on column sync_state.live_since is 'since when a subscription is open; null when there is none';
comment on column sync_state.page_cap is 'the most events that the relay gives at once, as far as known';
comment on column sync_state.negentropy_retry_at is 'until then the relay is not asked to reconcile';
comment on column sync_state.put_aside is 'why the relay is left alone until due_at';
comment on column sync_state.rests is 'turns in a row that ended because of rubbish';
comment on column sync_state.novelty is 'the share of events that were new to the archive, lately';
comment on column sync_state.linked_events is 'of known_events those that were not downloaded again';

update sync_state set rank = due_at;
drop index sync_state_due, sync_state_priority;
create index sync_state_rank on sync_state (rank);
create index sync_state_priority on sync_state (rank) where priority;

-- A gap is retried by other means than those that found it.
alter table sync_gaps
    add column cause text not null default 'crowded'
        check (cause in ('crowded', 'invalid', 'too_large')),
    add column tries integer not null default 0,
    add column retry_at bigint not null default 0,
    add column limit_bytes bigint;
update sync_gaps set cause = 'invalid' where reason like '%wrong ids or signatures%';
comment on column sync_gaps.cause is 'crowded: a second with more events than the relay gives;
    invalid: events with wrong ids or signatures; too_large: events above limit_bytes';
comment on column sync_gaps.limit_bytes is 'the largest event that was taken when the gap was found';

-- Ids that a relay said it has, and that were not archived all the same.
create table sync_missing (
    relay_id    integer not null references relays (id) on delete cascade,
    id          bytea not null check (length(id) = 32),
    cause       text not null check (cause in ('not_given', 'refused', 'too_large', 'unwanted')),
    promised_at bigint not null,
    tries       integer not null default 1,
    retry_at    bigint not null,
    limit_bytes bigint not null,
    primary key (relay_id, id)
);
comment on column sync_missing.limit_bytes is 'the largest event that was taken then';
comment on column sync_missing.cause is 'not_given: asked for and not sent; refused: wrong id or
    signature; too_large: above max_event_bytes; unwanted: of a kind, age or author not archived';

-- What came of a relay and was dropped, by reason.
create table sync_refusals (
    relay_id integer not null references relays (id) on delete cascade,
    reason   text not null,
    count    bigint not null,
    primary key (relay_id, reason)
);

-- Rows are updated all the time.
alter table sync_refusals set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
alter table sync_missing set (autovacuum_vacuum_scale_factor = 0.05);

-- Records that a relay has archived events, found by their ids, without an event being sent: those
-- that are not archived, or that lie outside the window that was asked for, are left out.
create function link_events(
    relay integer, ids bytea[], since bigint, until bigint, at bigint,
    out archived bytea[], out new_links bigint
) language plpgsql as $$
declare
    given bigint[];
    linked bigint[];
begin
    perform lock_archive_for_writing();
    select coalesce(array_agg(e.id), '{}'), coalesce(array_agg(e.num order by e.num), '{}')
    into archived, given from events e
    where e.id = any (ids) and e.created_at >= since and (until is null or e.created_at <= until);
    with inserted as (
        insert into events_relays (event_num, relay_id, first_seen_at)
        select num, relay, at from unnest(given) as num
        on conflict do nothing
        returning event_num
    )
    select coalesce(array_agg(event_num), '{}') into linked from inserted;
    new_links := cardinality(linked);
    if new_links > 0 then
        perform rollup_enqueue(false, '{}', linked, array_fill(relay, array[cardinality(linked)]));
    end if;
end
$$;

-- How far the work on each relay is.
create or replace view relay_coverage as
select r.url as relay, s.covered_from, s.covered_to, s.scan_top, s.scan_at,
    s.new_events, s.known_events, s.refused_events, s.received_bytes, s.last_error,
    (select count(*) from sync_gaps g where g.relay_id = r.id) as gaps,
    case
        when s.put_aside is not null and s.due_at > n.at then 'put_aside'
        when s.live_since is not null and s.leased_until > n.at then 'live'
        when s.leased_until > n.at then 'syncing'
        when s.failures > 0 then 'failing'
        when s.caught_up_at is null then 'waiting'
        else 'caught_up'
    end as status, s.method, s.put_aside, s.live_since, s.caught_up_at,
    s.scan_floor,
    -- From the stretch that the scan under way has covered since it began. There is next to
    -- nothing older than Nostr (2020-11-07).
    case when s.scan_at < s.scan_top and s.scan_began_at < n.at then
        ((s.scan_at - least(s.scan_at, greatest(s.scan_floor, 1604707200)))::float8
            * (n.at - s.scan_began_at) / (s.scan_top - s.scan_at))::bigint
    end as eta_seconds, s.linked_events, s.novelty,
    s.page_cap, s.negentropy_refusal, s.failures, s.due_at,
    (select count(*) from sync_missing m where m.relay_id = r.id) as missing_events,
    (select coalesce(json_object_agg(f.reason, f.count order by f.reason), '{}')
     from sync_refusals f where f.relay_id = r.id) as refusals,
    (select coalesce(json_agg(json_build_object('since', g.since, 'until', g.until,
            'cause', g.cause, 'found_at', g.found_at) order by g.since desc), '[]')
     from (select * from sync_gaps g where g.relay_id = r.id order by g.since desc limit 100) g)
        as gap_list
from relays r join sync_state s on s.relay_id = r.id,
    lateral (select extract(epoch from clock_timestamp())::bigint as at) n;

revoke execute on function link_events from public;
grant execute on function link_events to admin;
grant select, insert, update, delete on sync_missing, sync_refusals to admin;
grant select on sync_missing, sync_refusals to readonly_system;
