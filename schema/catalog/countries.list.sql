-- name: countries.list
-- help: Countries by how many relays have their address there, and how many are online.
-- path: /countries
-- order relays: relays bigint desc, country text asc
-- limit: 300..1000
select country, count(*) as relays, count(*) filter (where status = 'online') as online
from relays_overview where country is not null group by country
