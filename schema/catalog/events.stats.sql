-- name: events.stats
-- help: How many events the archive holds, by NIP-01 class, with distinct pubkeys and kinds.
-- path: /events/stats
-- param window: window = all; the stretch of created_at that counts, up to as_of
select "window", events, regular, replaceable, ephemeral, addressable, pubkeys, kinds
from events_statistics where win = window_number(:window)
