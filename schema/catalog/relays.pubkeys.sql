-- name: relays.pubkeys
-- help: Pubkeys whose events one relay had, those with most events first.
-- path: /relays/{url}/pubkeys
-- param url: relay; the relay
-- param window: window = all; the stretch of created_at that counts, up to as_of
-- order events: _magnitude smallint desc, events bigint desc, _num integer asc
-- limit: 100..1000
-- The keys of this page's rows alone are looked up.
select encode((select k.pubkey from pubkey_keys k where k.pubkey_num = c.pubkey_num), 'hex')
        as pubkey,
    events, kinds, first_at, last_at, pubkey_num as _num, magnitude as _magnitude
from pubkey_counts_by_relay c
where win = window_number(:window)
    and relay_id = (select relay_id from relay_keys where relay = :url)
