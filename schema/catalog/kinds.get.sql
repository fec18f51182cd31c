-- name: kinds.get
-- help: Events and distinct pubkeys of one kind.
-- path: /kinds/{kind}
-- param kind: kind; the kind
-- param window: window = all; the stretch of created_at that counts, up to as_of
select :kind as kind, kind_class((:kind)::integer) as class, coalesce(max(events), 0) as events,
    coalesce(max(pubkeys), 0) as pubkeys
from kind_counts_total where kind = :kind and win = window_number(:window)
