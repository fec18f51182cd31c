-- name: pubkeys.relays
-- help: Relays that had events of one pubkey, those with most of them first.
-- path: /pubkeys/{pubkey}/relays
-- param pubkey: pubkey; the pubkey
-- param window: window = all; the stretch of created_at that counts, up to as_of
-- order events: events bigint desc, relay text asc
-- limit: 100..1000
select relay, events, kinds, first_at, last_at from pubkey_counts_by_relay
where win = window_number(:window)
    and pubkey_num = (select pubkey_num from pubkey_keys where pubkey = :pubkey)
