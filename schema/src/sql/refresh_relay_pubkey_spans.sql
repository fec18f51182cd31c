-- first_at and last_at of pubkeys on relays ($1 and $2, parallel: their numbers): from each end of
-- a pubkey's events to the first one that the relay had.
update stats_relay_pubkeys s set
    first_at = (select e.created_at from events e
        join events_relays er on er.event_num = e.num and er.relay_id = d.relay_id
        where e.pubkey = k.pubkey order by e.pubkey, e.created_at limit 1),
    last_at = (select e.created_at from events e
        join events_relays er on er.event_num = e.num and er.relay_id = d.relay_id
        where e.pubkey = k.pubkey order by e.pubkey desc, e.created_at desc limit 1)
from unnest($1::bigint[], $2::bigint[]) as d (num, relay_id)
join pubkeys k on k.num = d.num
where s.win = 0 and s.relay_id = d.relay_id and s.pubkey_num = d.num
