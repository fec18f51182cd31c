-- name: networks.list
-- help: How many relays each network has, and how many of them the last check found online.
-- path: /networks
-- order relays: relays bigint desc, network text asc
-- limit: 10..10
select network, count(*) as relays, count(*) filter (where status = 'online') as online
from relays_overview group by network
