-- name: nips.list
-- help: NIPs by how many relays list them in their NIP-11 document, and how many are online.
-- path: /nips
-- order nip: nip integer asc
-- order relays: relays bigint desc, nip integer asc
-- limit: 100..1000
select nip, count(distinct url) as relays,
    count(distinct url) filter (where status = 'online') as online
from relays_overview, unnest(nips) as nip group by nip
