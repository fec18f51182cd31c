-- Why: an event took its eight statements alone, so that one core of the database published 2,000 of
-- them a second. Those that come together and replace nothing take three.
-- Serves: Store::publish, for regular events that neither delete nor vanish and are nobody's gift.

-- Puts such events on our relay, as publish_event does one, and says what became of each, in their
-- order. tag_hashes are arrays as text: there are no arrays of arrays of unlike lengths.
create function publish_regular(
    ids bytea[], pubkeys bytea[], created_ats bigint[], kinds integer[], expires_ats bigint[],
    tag_hashes text[], events text[], now bigint
) returns setof text language plpgsql as $$
begin
    perform relay_lock(pubkeys, false);
    return query
    with given as (
        select *, row_number() over (partition by g.id order by g.n) > 1 as is_repeated
        from unnest(ids, pubkeys, created_ats, kinds, expires_ats, publish_regular.tag_hashes, events)
            with ordinality as g (id, pubkey, created_at, kind, expires_at, hashes, event, n)
    ), judged as (
        select g.*, case
            when g.expires_at <= publish_regular.now then 'expired'
            when exists (select from relay_events e where e.id = g.id) then 'duplicate'
            when exists (select from relay_tombstones t where t.target = g.id and t.pubkey = g.pubkey)
                then 'deleted'
            when exists (select from relay_vanished v
                    where v.pubkey = g.pubkey and v.vanished_at >= g.created_at)
                then 'vanished'
            when g.is_repeated then 'duplicate'
            end as refusal
        from given g
    ), remembered as (
        update relay_tombstones t set seen = true from judged j
        where j.refusal = 'deleted' and t.target = j.id and t.pubkey = j.pubkey and not t.seen
    ), stored as (
        insert into relay_events
            (created_at, kind, id, pubkey, expires_at, received_at, tag_hashes, event)
        select j.created_at, j.kind, j.id, j.pubkey, j.expires_at, publish_regular.now,
            j.hashes::bigint[], j.event::json
        from judged j where j.refusal is null
        order by j.id
        -- Another process may publish one of them now.
        on conflict (id) do nothing
        returning id, seq
    ), told as materialized (
        select id, pg_notify('bigbrotr_relay_events', seq::text) from stored
    )
    select coalesce(j.refusal, case when t.id is null then 'duplicate' else 'stored' end)
    from judged j left join told t on t.id = j.id and not j.is_repeated
    order by j.n;
end
$$;

revoke execute on function publish_regular from public;
grant execute on function publish_regular to admin;
