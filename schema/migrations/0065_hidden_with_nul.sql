-- Why: of the relay's own addressable events, one whose name (d) has a NUL was not known to be
-- replaced or deleted by an archived one: its tags were read with U+FFFD for NUL, so that it had
-- another address.
-- Serves: Store::served_page, Store::served_ids, Store::count_served, beside the archive.

-- The tags of one of the relay's own events, as it has them. -> refuses a document that has a NUL
-- anywhere. U+FDD0 stands for it meanwhile: events are stored as we write them, with no escape for
-- anything but control characters, quotation marks and backslashes.
create function relay_event_tags(event json) returns json
language sql immutable strict parallel safe as $$
    select case when position('\u0000' in event::text) = 0 then event -> 'tags'
        else regexp_replace(
            (regexp_replace(event::text, '((?<!\\)(?:\\\\)*)\\u0000', '\1\\ufdd0', 'g')::json
                -> 'tags')::text,
            '((?<!\\)(?:\\\\)*)\\ufdd0', '\1\\u0000', 'g')::json
        end;
$$;

create or replace function is_relay_event_hidden(
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
        its_tags := public.relay_event_tags(its_event);
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

revoke execute on function relay_event_tags from public;
grant execute on function relay_event_tags to admin;
