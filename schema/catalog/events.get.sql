-- name: events.get
-- help: One archived event. Tags, content and sig are null where the implementation keeps none.
-- path: /events/{id}
-- missing: the archive does not have this event
-- param id: event-id; the event
select encode(id, 'hex') as id, encode(pubkey, 'hex') as pubkey, created_at, kind, tags, content,
    encode(sig, 'hex') as sig
from archived_events where id = :id
