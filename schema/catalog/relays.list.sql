-- name: relays.list
-- help: Relays with their latest check and what the archive holds of them.
-- path: /relays
-- param network: network?; only relays of this network
-- param status: enum(online, offline, unknown)?; only relays that the last check found so
-- param nip: integer(1..65535)?; only relays whose NIP-11 document lists this NIP
-- param software: text?; only relays whose NIP-11 document names exactly this software
-- param country: country?; only relays whose address the last check found in this country
-- order events: _volume smallint desc, events bigint desc, url text asc
-- order url: url text asc
-- order rtt: _rtt integer asc, url text asc
-- limit: 100..1000
select url, network, country, status, discovered_at, checked_at,
    rtt_open_ms, rtt_read_ms, rtt_write_ms, name, software, version, events, pubkeys, kinds,
    rtt_sort as _rtt, volume as _volume
from relays_overview
where (:network is null or network = :network)
    and (:status is null or status = :status)
    and (:software is null or software = :software)
    and (:country is null or country = :country)
    and (:nip is null or nip_set in (select nip_set from nip_sets where :nip = any (nips)))
