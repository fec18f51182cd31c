-- name: nips.list
-- help: NIPs by how many relays list them in their NIP-11 document, and how many are online.
-- path: /nips
-- order nip: nip integer asc
-- order relays: relays bigint desc, nip integer asc
-- limit: 100..1000
select nip, sum(relays)::bigint as relays, sum(online)::bigint as online
from (
    -- Lists first: most relays share theirs with many others.
    select nip_set, count(*) as relays, count(*) filter (where status = 'online') as online
    from relays_overview where nip_set is not null group by nip_set
) listed join nip_sets using (nip_set), unnest(nips) as nip
group by nip
