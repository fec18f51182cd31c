-- name: relays.kinds
-- help: Kinds of the events that one relay had, with distinct pubkeys.
-- path: /relays/{url}/kinds
-- param url: relay; the relay
-- param window: window = all; the stretch of created_at that counts, up to as_of
-- order events: events bigint desc, kind integer asc
-- limit: 100..1000
select kind, class, events, pubkeys from kind_counts_by_relay
where win = window_number(:window)
    and relay_id = (select relay_id from relay_keys where relay = :url)
