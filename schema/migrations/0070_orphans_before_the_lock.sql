-- Why: looking for events that nobody had reads the whole archive, and was done while nobody could
-- write to it.
-- Serves: the procedure delete_orphan_events (Store::delete_orphan_events, operators with psql).

create or replace function delete_orphan_events(most bigint, out deleted bigint)
language plpgsql as $$
declare
    orphans bigint[];
begin
    select array_agg(num) into orphans from (
        select num from events e
        where not exists (select from events_relays er where er.event_num = e.num)
        limit most
    ) nobodys;
    if orphans is null then
        deleted := 0;
        return;
    end if;
    -- A writer may just be recording who had one of them: waits for it, and looks again.
    perform lock_archive_for_removal();
    with gone as (
        delete from events e where e.num = any (orphans)
            and not exists (select from events_relays er where er.event_num = e.num)
        returning 1
    )
    select count(*) into deleted from gone;
end
$$;
