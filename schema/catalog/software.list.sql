-- name: software.list
-- help: Relay software by what NIP-11 documents name, with relays and how many are online.
-- path: /software
-- order relays: relays bigint desc, software text asc
-- limit: 100..1000
select software, count(*) as relays, count(*) filter (where status = 'online') as online
from relays_overview where software is not null group by software
