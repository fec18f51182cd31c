-- first_at and last_at of pubkeys ($1: their numbers), from the ends of their events' index.
update stats_pubkeys s set
    first_at = (select e.created_at from events e where e.pubkey = k.pubkey
        order by e.pubkey, e.created_at limit 1),
    last_at = (select e.created_at from events e where e.pubkey = k.pubkey
        order by e.pubkey desc, e.created_at desc limit 1)
from pubkeys k
where k.num = any ($1) and s.win = 0 and s.pubkey_num = k.num
