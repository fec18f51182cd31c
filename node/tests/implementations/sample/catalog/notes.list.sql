-- name: notes.list
-- help: Notes on relays.
-- path: /notes
-- order relay: relay text asc
-- limit: 10..100
select relay, note from public_notes
