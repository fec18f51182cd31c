-- Why: a page of the lists by pubkey looked the key up of every pubkey that it sorted, a hundred
-- thousand of them for a hundred rows.
-- Serves: pubkeys.list and relays.pubkeys of the catalogue, which look up the keys of their rows.

-- As they were; the keys are joined only where somebody asks for them.
create or replace view pubkey_counts_total as
select w.name as window, k.pubkey, p.events, p.kinds::bigint as kinds,
    p.first_at, p.last_at,
    win, p.pubkey_num, p.magnitude
from stats_pubkeys p
join rollup_windows w using (win)
left join pubkeys k on k.num = p.pubkey_num;

create or replace view pubkey_counts_by_relay as
select w.name as window, r.url as relay, k.pubkey, p.events, p.kinds::bigint as kinds,
    p.first_at, p.last_at,
    win, p.relay_id, p.pubkey_num, p.magnitude
from stats_relay_pubkeys p
join rollup_windows w using (win)
left join relays r on r.id = p.relay_id
left join pubkeys k on k.num = p.pubkey_num;
