-- Why: the import of a large file that was interrupted goes on where its durable work ended.
-- Serves: bigbrotr import (Store::list_imports, insert_import, update_import).

-- One row for each file and relay to which its events were attributed. A file is known by its
-- beginning, its size and its end, so that a copy under another name is the same file, and one
-- that has grown can be told by what was its end.
create table import_progress (
    id             bigint generated always as identity primary key,
    head           bytea not null check (length(head) = 32),
    tail           bytea not null check (length(tail) = 32),
    size_bytes     bigint not null,
    modified_ns    bigint not null,
    relay_id       integer references relays (id) on delete cascade,
    offset_bytes   bigint not null default 0,
    lines          bigint not null default 0,
    bad_lines      bigint not null default 0,
    new_events     bigint not null default 0,
    known_events   bigint not null default 0,
    refused_events bigint not null default 0,
    unkept_events  bigint not null default 0,
    complete       boolean not null default false,
    updated_at     bigint not null
);
comment on column import_progress.head is 'SHA-256 of the first 64 KiB, or of all when there is less';
comment on column import_progress.tail is 'SHA-256 of the last 64 KiB before size_bytes';
comment on column import_progress.modified_ns is 'Unix nanoseconds, by the file system''s clock';
comment on column import_progress.offset_bytes is 'in the uncompressed text; everything before is durable';
create index import_progress_head on import_progress (head);

grant select, insert, update, delete on import_progress to admin;
grant select on import_progress to readonly_system;
