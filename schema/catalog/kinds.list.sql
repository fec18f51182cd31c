-- name: kinds.list
-- help: Kinds with their events and distinct pubkeys, over all relays or on one.
-- path: /kinds
-- param window: window = all; the stretch of created_at that counts, up to as_of
-- param relay: relay?; only events that this relay had
-- order events: events bigint desc, kind integer asc
-- order pubkeys: pubkeys bigint desc, kind integer asc
-- order kind: kind integer asc
-- limit: 100..1000
select kind, class, events, pubkeys from kind_counts_total
where win = window_number(:window) and :relay is null
union all
select kind, class, events, pubkeys from kind_counts_by_relay
where win = window_number(:window)
    and relay_id = (select relay_id from relay_keys where relay = :relay)
