-- Why: retention and the removal of orphans, with the statistics exact through it. A removal takes
-- the archive's lock alone, tells the statistics what goes, and deletes, all in one transaction.
-- Serves: the retention service, delete_orphan_events.

-- Removes these events and who had them; returns how many events there were.
create function delete_events(nums bigint[], out deleted bigint) language plpgsql as $$
declare
    pair_nums   bigint[];
    pair_relays integer[];
    event_nums  bigint[];
begin
    perform lock_archive_for_removal();
    select coalesce(array_agg(num), '{}') into event_nums from events where num = any (nums);
    select coalesce(array_agg(event_num), '{}'), coalesce(array_agg(relay_id), '{}')
    into pair_nums, pair_relays from events_relays where event_num = any (event_nums);
    perform rollup_enqueue(true, event_nums, pair_nums, pair_relays);
    delete from events_relays where event_num = any (event_nums);
    delete from events where num = any (event_nums);
    deleted := cardinality(event_nums);
end
$$;

-- Removes up to `most` events that no relay is known to have had.
create function delete_orphan_events(most bigint, out deleted bigint) language plpgsql as $$
declare
    orphans bigint[];
begin
    -- Before looking: a writer may just be recording who had one of them.
    perform lock_archive_for_removal();
    select coalesce(array_agg(num), '{}') into orphans from (
        select num from events e
        where not exists (select from events_relays er where er.event_num = e.num)
        limit most
    ) o;
    deleted := delete_events(orphans);
end
$$;

-- Forgets up to `most` of the events that a relay had, and the relay itself once it has none; to be
-- called until it returns 0. Events that nobody else had are orphans then.
create function delete_relay(relay text, most bigint, out deleted bigint) language plpgsql as $$
declare
    gone      integer;
    pair_nums bigint[];
begin
    perform lock_archive_for_removal();
    select id into gone from relays where url = relay;
    select coalesce(array_agg(event_num), '{}') into pair_nums from (
        select event_num from events_relays where relay_id = gone limit most
    ) p;
    deleted := cardinality(pair_nums);
    perform rollup_enqueue(true, '{}', pair_nums, array_fill(gone, array[deleted::integer]));
    delete from events_relays where relay_id = gone and event_num = any (pair_nums);
    if deleted = 0 then
        delete from relays where id = gone;
    end if;
end
$$;

revoke execute on function delete_events, delete_orphan_events, delete_relay from public;
grant execute on function delete_events, delete_orphan_events, delete_relay to admin;
