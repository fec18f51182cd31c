-- name: pubkeys.get
-- help: Events and distinct kinds of one pubkey.
-- path: /pubkeys/{pubkey}
-- missing: the archive has no events of this pubkey in this window
-- param pubkey: pubkey; the pubkey
-- param window: window = all; the stretch of created_at that counts, up to as_of
select encode(pubkey, 'hex') as pubkey, events, kinds, first_at, last_at
from pubkey_counts_total
where win = window_number(:window)
    and pubkey_num = (select pubkey_num from pubkey_keys where pubkey = :pubkey)
