-- Why: relays are mentioned long before they are known to be any. What was found waits here until
-- it has proven to speak Nostr; what has not is remembered, so that it is not tried again at once.
-- Serves: the finder (Store::begin_finding, lease_list), the validator (Store::lease_candidates,
-- promote_candidate, fail_candidate), `bigbrotr status`.

-- Where relays are found, how far the archive has been read for each, and what came of it.
create table finder_sources (
    source     text primary key,
    event_num  bigint not null default 0,
    candidates bigint not null default 0,
    relays     bigint not null default 0
);
comment on column finder_sources.event_num is 'archived events up to this number have been read for this source';
comment on column finder_sources.candidates is 'candidates that were first found here';
comment on column finder_sources.relays is 'those of them that have become relays';
insert into finder_sources (source) values
    ('relay_lists'), ('recommendations'), ('contacts'), ('tags'), ('hints'), ('monitors'), ('lists');

-- Lists that are fetched by HTTP, by the URL in the configuration.
create table finder_lists (
    url          text primary key,
    due_at       bigint not null default 0,
    leased_until bigint not null default 0,
    failures     integer not null default 0,
    fetched_at   bigint,
    last_error   text
);
comment on column finder_lists.fetched_at is 'Unix seconds, the last time that it could be read';

create table candidates (
    url          text primary key,
    network      text not null check (network in ('clearnet', 'tor', 'i2p', 'loki')),
    source       text not null references finder_sources (source),
    found_at     bigint not null,
    due_at       bigint not null,
    leased_until bigint not null default 0,
    attempts     integer not null default 0,
    given_up_at  bigint,
    last_error   text
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
comment on column candidates.url is 'canonical, as in relays';
comment on column candidates.due_at is 'Unix seconds: not to be tried before';
comment on column candidates.attempts is 'tries in a row that failed for reasons of the candidate';
comment on column candidates.given_up_at is 'Unix seconds; null: it waits to be tried';
comment on column candidates.last_error is 'from a closed set of reasons';

-- The host of a relay's URL, IPv6 in brackets.
create function relay_host(url text) returns text language sql immutable strict parallel safe as $$
    select substring(url from '^wss?://(\[[^]]*\]|[^/:?]*)');
$$;

-- What one party is taken to own: the name below a public suffix, an IPv4 address, an IPv6 /64.
-- Decision 13 says why the suffixes are guessed.
create function relay_site(host text) returns text language sql immutable strict parallel safe as $$
    select case
        when host like '[%' then network(set_masklen(trim(both '[]' from host)::inet, 64))::text
        when host ~ '^[0-9.]+$' then host
        else coalesce(
            substring(host from '([^.]+\.b32\.i2p)$'),
            substring(host from '([^.]+\.(?:ac|co|com|edu|go|gob|gov|ne|net|or|org)\.[a-z]{2})$'),
            substring(host from '([^.]+\.[^.]+)$'),
            host)
    end;
$$;

-- Due ones by network; those that nobody has tried yet, for the bounds; those to be forgotten.
create index candidates_due on candidates (network, due_at) where given_up_at is null;
create index candidates_untried on candidates (source, network)
    where given_up_at is null and attempts = 0;
create index candidates_retried on candidates (attempts, due_at)
    where given_up_at is null and attempts > 0;
create index candidates_given_up on candidates (given_up_at) where given_up_at is not null;
-- How many there are of a host and of a site.
create index candidates_host on candidates (relay_host(url));
create index candidates_site on candidates (relay_site(relay_host(url)), given_up_at);
create index relays_host on relays (relay_host(url));
create index relays_site on relays (relay_site(relay_host(url)));

-- Judges URLs that were mentioned, in the order given, each once: which of them are new, and which
-- are new but have no place, because their host or site has as many as it may. Those that are
-- known are left out. Given-up candidates count for their host, where all URLs lead to one server,
-- and not for their site, where names that somebody made up would keep real ones out.
create function judge_candidates(urls text[], most_per_host bigint, most_per_site bigint)
returns table (n bigint, crowded boolean) language sql stable as $$
    with fresh as materialized (
        select u.n, relay_host(u.url) as host, relay_site(relay_host(u.url)) as site
        from unnest(urls) with ordinality as u (url, n)
        where not exists (select from relays r where r.url = u.url)
            and not exists (select from candidates c where c.url = u.url)
    ), host_room as materialized (
        select h.host, most_per_host
            - (select count(*) from relays r where relay_host(r.url) = h.host)
            - (select count(*) from candidates c where relay_host(c.url) = h.host) as room
        from (select distinct host from fresh) h
    ), site_room as materialized (
        select s.site, most_per_site
            - (select count(*) from relays r where relay_site(relay_host(r.url)) = s.site)
            - (select count(*) from candidates c
                where relay_site(relay_host(c.url)) = s.site and c.given_up_at is null) as room
        from (select distinct site from fresh) s
    ), by_host as (
        select f.n, f.site,
            row_number() over (partition by f.host order by f.n) <= h.room as fits
        from fresh f join host_room h using (host)
    ), by_site as (
        select b.n, b.fits,
            row_number() over (partition by b.site, b.fits order by b.n) <= s.room as site_fits
        from by_host b join site_room s using (site)
    )
    select b.n, not (b.fits and b.site_fits) from by_site b;
$$;

-- Adds candidates, those of one site `pause` seconds apart: a site with thousands of names does
-- not take the turns of the others. Returns how many are new, by source.
create function insert_candidates(
    urls text[], networks text[], sources text[], at bigint, pause bigint
) returns table (found_by text, added bigint) language sql as $$
    with given as (
        select g.url, g.network, g.source, s.site,
            row_number() over (partition by s.site order by g.n) as turn
        from unnest(urls, networks, sources) with ordinality as g (url, network, source, n),
            lateral (select relay_site(relay_host(g.url)) as site) s
    ), last_turn as (
        select d.site, (
            select max(c.due_at) from candidates c
            where relay_site(relay_host(c.url)) = d.site and c.given_up_at is null
                and c.attempts = 0
        ) as due_at
        from (select distinct site from given) d
    ), inserted as (
        insert into candidates as c (url, network, source, found_at, due_at)
        select g.url, g.network, g.source, at,
            greatest(at, coalesce(l.due_at + pause, at)) + (g.turn - 1) * pause
        from given g join last_turn l using (site)
        order by g.url
        on conflict (url) do nothing
        returning c.source
    ), counted as (
        select source, count(*) as new from inserted group by source
    )
    update finder_sources f set candidates = f.candidates + c.new
    from counted c where c.source = f.source
    returning f.source, c.new;
$$;

-- Makes a candidate a relay, unless somebody else has leased it by now. Returns where it was found.
create function promote_candidate(candidate text, lease bigint, at bigint, out found_by text)
language plpgsql as $$
declare
    its_network text;
begin
    delete from candidates where url = candidate and leased_until = lease
    returning source, network into found_by, its_network;
    if found then
        perform insert_relay(array[candidate], array[its_network], at);
        update finder_sources set relays = relays + 1 where source = found_by;
    end if;
end
$$;

-- An archive that is emptied may number its events anew.
create function finder_starts_anew() returns trigger language plpgsql as $$
begin
    update finder_sources set event_num = 0;
    return null;
end
$$;
create trigger finder_starts_anew after truncate on events
for each statement execute function finder_starts_anew();

grant select, insert, update, delete on candidates, finder_lists, finder_sources to admin;
grant select on candidates, finder_lists, finder_sources to readonly_system;
revoke execute on function relay_host, relay_site, judge_candidates, insert_candidates,
    promote_candidate, finder_starts_anew from public;
grant execute on function relay_host, relay_site, judge_candidates, insert_candidates,
    promote_candidate, finder_starts_anew to admin;
