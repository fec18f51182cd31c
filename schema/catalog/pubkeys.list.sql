-- name: pubkeys.list
-- help: Pubkeys with their events and distinct kinds, those with most events first.
-- path: /pubkeys
-- param window: window = all; the stretch of created_at that counts, up to as_of
-- order events: _magnitude smallint desc, events bigint desc, _num integer asc
-- limit: 100..1000
-- The keys of this page's rows alone are looked up.
select encode((select k.pubkey from pubkey_keys k where k.pubkey_num = c.pubkey_num), 'hex')
        as pubkey,
    events, kinds, first_at, last_at, pubkey_num as _num, magnitude as _magnitude
from pubkey_counts_total c where win = window_number(:window)
