-- name: pubkeys.list
-- help: Pubkeys with their events and distinct kinds.
-- path: /pubkeys
-- param window: window = all; the stretch of created_at that counts, up to as_of
-- order events: events bigint desc, pubkey text asc
-- limit: 100..1000
select encode(pubkey, 'hex') as pubkey, events, kinds, first_at, last_at
from pubkey_counts_total where "window" = :window
