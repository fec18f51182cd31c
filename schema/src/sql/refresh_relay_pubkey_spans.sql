-- first_at and last_at of pubkeys on relays ($1 and $2, parallel: their numbers), from the events
-- that the relays had.
update stats_relay_pubkeys s set first_at = m.first_at, last_at = m.last_at
from (
    select d.relay_id, k.num, min(e.created_at) as first_at, max(e.created_at) as last_at
    from unnest($1::bigint[], $2::bigint[]) as d (num, relay_id)
    join pubkeys k on k.num = d.num
    join events e on e.pubkey = k.pubkey
    join events_relays er on er.event_num = e.num and er.relay_id = d.relay_id
    group by d.relay_id, k.num
) m
where s.win = 0 and s.relay_id = m.relay_id and s.pubkey_num = m.num
