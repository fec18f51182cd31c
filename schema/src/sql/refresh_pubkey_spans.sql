-- first_at and last_at of pubkeys ($1: their numbers), from their events.
update stats_pubkeys s set first_at = m.first_at, last_at = m.last_at
from (
    select k.num, min(e.created_at) as first_at, max(e.created_at) as last_at
    from pubkeys k join events e on e.pubkey = k.pubkey
    where k.num = any ($1) group by k.num
) m
where s.win = 0 and s.pubkey_num = m.num
