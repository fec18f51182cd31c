-- Relays with hourly checks, as a crawl of the real network finds them: a third dead, documents of
-- two kilobytes that hardly ever change, 40 programs in 10 versions, 60 countries by Zipf's law.
-- Arguments: {relays}, {snapshots}, {now}. Checks are loaded without triggers, which would look at
-- each relay again for every one of them, and looked at once in the end.
select insert_relay(
    array_agg(case when n % 20 = 0 then 'ws://relay' || n || '.i2p' else 'wss://relay' || n || '.example.com' end),
    array_agg(case when n % 20 = 0 then 'i2p' else 'clearnet' end), {now} - 86400 * 400)
from generate_series(1, {relays}) as n;

create temporary table made as
select id as relay_id, id % 3 = 0 as dead,
    case when id % 3 = 0 then null else json_build_object(
        'name', 'Relay ' || id, 'description', repeat('about this relay ', 40 + id % 80),
        'software', 'https://example.com/software/' || program, 'version', '1.' || id % 10,
        'pubkey', md5(id::text) || md5(id::text), 'contact', 'mailto:' || id || '@example.com',
        'supported_nips', array(select n from generate_series(1, 70) as n
            where n in (1, 11) or (n * (3 + program % 7) + program * 13 + id % 10) % 11 < 3),
        'limitation', json_build_object('max_message_length', 131072, 'payment_required', id % 7 = 0)
    )::text end as nip11,
    json_build_object('open', json_build_object('ok', id % 3 > 0), 'ip', '192.0.2.' || id % 256,
        'geo', json_build_object('country',
            chr(65 + (country / 8)::integer) || chr(65 + (country % 26)::integer),
            'city', 'City ' || id % 997, 'lat', id % 90, 'lon', id % 180, 'geohash', 'u33db' || id % 10,
            'asn', id % 500, 'as_name', 'Network ' || id % 500),
        'tls', json_build_object('certificate', 'valid', 'protocol', 'TLSv1_3'),
        'dns', repeat('record ', 20))::text as nip66
from (select id, (40 * random() ^ 3)::integer as program, (60 * random() ^ 3)::integer as country
      from relays) r;

insert into nip11 select distinct on (1) sha256(nip11::bytea), nip11::json from made where nip11 is not null;
insert into nip66 select distinct on (1) sha256(nip66::bytea), nip66::json from made;
alter table relay_metadata disable trigger user;
insert into relay_metadata
select relay_id, {now} - (hours * 3600 + relay_id % 3600), case when nip11 is not null then sha256(nip11::bytea) end,
    sha256(nip66::bytea), not dead, case when not dead then true end, case when not dead then true end,
    case when not dead then 20 + (random() * 900)::integer end,
    case when not dead then 20 + (random() * 900)::integer end,
    case when not dead then 20 + (random() * 900)::integer end
from generate_series({snapshots} - 1, 0, -1) as hours, made;
alter table relay_metadata enable trigger user;

-- A part of the relays has been archived: counts over six orders of magnitude.
insert into stats_relays (win, relay_id, events, pubkeys, kinds, first_at, last_at)
select win, id, events, 1 + events / 20, 1 + events % 40, 1600000000, {now}
from (select id, ceil(exp(random() * 14))::bigint as events from relays where id % 3 > 0 and random() < {archived}) r,
    generate_series(0, 4) as win;
select refresh_relay_latest(array(select id from relays));
vacuum analyze;
