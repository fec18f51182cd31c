-- Why: what services remember between cycles and across crashes. Losing it costs work, not data.

-- When each relay is due for its next check. A lease keeps two monitors off the same relay.
create table monitor_state (
    relay_id      integer primary key references relays (id) on delete cascade,
    due_at        bigint not null,
    leased_until  bigint not null default 0,
    failures      integer not null default 0,
    published_at  bigint
);
create index monitor_state_due on monitor_state (due_at);

-- How far each relay has been archived: everything it had between covered_from and covered_to
-- (Unix seconds, inclusive) when it was asked. A scan under way walks down from scan_top and has
-- reached scan_at.
create table sync_state (
    relay_id       integer primary key references relays (id) on delete cascade,
    covered_from   bigint,
    covered_to     bigint,
    scan_top       bigint,
    scan_at        bigint,
    due_at         bigint not null default 0,
    leased_until   bigint not null default 0,
    failures       integer not null default 0,
    priority       boolean not null default false,
    new_events     bigint not null default 0,
    known_events   bigint not null default 0,
    refused_events bigint not null default 0,
    received_bytes bigint not null default 0,
    last_error     text
);
comment on column sync_state.priority is 'on the operator''s list: the priority synchronizer follows it';
create index sync_state_due on sync_state (due_at);
create index sync_state_priority on sync_state (due_at) where priority;

-- Stretches of time that a relay cannot be paged through, with the reason.
create table sync_gaps (
    relay_id integer not null references relays (id) on delete cascade,
    since    bigint not null,
    until    bigint not null,
    reason   text not null,
    found_at bigint not null,
    primary key (relay_id, since, until)
);
