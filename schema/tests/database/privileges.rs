//! Everything that the read-only roles may do, read from the system catalogues of a new database
//! and compared with a list.

use bigbrotr_schema::embedded::testing::TestDatabase;
use sqlx::{Connection, PgConnection};

use crate::helper::{connect, execute};

/// The views that answer the catalogue's questions. Nothing else can be read.
const PUBLIC_VIEWS: [&str; 19] = [
    "archived_events",
    "as_of",
    "event_relays_by_number",
    "events_by_number",
    "events_series",
    "events_statistics",
    "kind_counts_by_relay",
    "kind_counts_total",
    "nip_sets",
    "pubkey_counts_by_relay",
    "pubkey_counts_total",
    "pubkey_keys",
    "pubkey_kind_counts_total",
    "relay_checks",
    "relay_coverage",
    "relay_keys",
    "relay_metadata_latest",
    "relays_overview",
    "relays_statistics",
];

/// The functions of ours that views and questions use.
const PUBLIC_FUNCTIONS: [&str; 8] = [
    "event_group_key(text,bytea,bytea,bigint,integer,json,json)",
    "first_tag(json,text,text)",
    "json_text(json)",
    "kind_class(integer)",
    "nip11_nips(json)",
    "refuse_param(text,text)",
    "window_number(text)",
    "window_seconds(text)",
];

/// The tables that monitoring tools may read beside the views.
const SYSTEM_TABLES: [&str; 20] = [
    "candidates",
    "finder_lists",
    "finder_sources",
    "implementation_overlays",
    "import_progress",
    "monitor_state",
    "refused_events",
    "relay_latest",
    "relay_metadata",
    "relay_mirror",
    "relays",
    "report_outbox",
    "report_targets",
    "rollup_queue",
    "rollup_state",
    "stats_totals",
    "sync_gaps",
    "sync_missing",
    "sync_refusals",
    "sync_state",
];

/// Volatile functions of Postgres that may be called: they only look at something.
const HARMLESS: [&str; 4] = [
    "clock_timestamp()",
    "gen_random_uuid()",
    "random()",
    "timeofday()",
];

/// Every privilege of a role, one a line: what an object of this kind can have, for every object
/// there is. Of Postgres' own relations and functions, only what does more than read.
const EVERYTHING: &str = "
    with privilege (kind, name) as (values
        ('relation', 'select'), ('relation', 'insert'), ('relation', 'update'),
        ('relation', 'delete'), ('relation', 'truncate'), ('relation', 'references'),
        ('relation', 'trigger'),
        ('column', 'select'), ('column', 'insert'), ('column', 'update'), ('column', 'references'),
        ('sequence', 'usage'), ('sequence', 'select'), ('sequence', 'update'),
        ('schema', 'usage'), ('schema', 'create'),
        ('database', 'connect'), ('database', 'create'), ('database', 'temporary')
    ), own_schema as (
        select oid, nspname in ('pg_catalog', 'information_schema') as is_system from pg_namespace
        where nspname not like 'pg_toast%' and nspname not like 'pg_temp%'
    )
    select format('relation %s: %s', c.oid::regclass, p.name)
    from pg_class c join own_schema s on s.oid = c.relnamespace, privilege p
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and p.kind = 'relation'
        and has_table_privilege($1, c.oid, p.name) and not (s.is_system and p.name = 'select')
    union all
    select format('column of %s: %s', c.oid::regclass, p.name)
    from pg_class c join own_schema s on s.oid = c.relnamespace, privilege p
    where c.relkind in ('r', 'p', 'v', 'm', 'f') and p.kind = 'column'
        and has_any_column_privilege($1, c.oid, p.name)
        and not has_table_privilege($1, c.oid, p.name) and not (s.is_system and p.name = 'select')
    union all
    select format('sequence %s: %s', c.oid::regclass, p.name)
    from pg_class c, privilege p
    where c.relkind = 'S' and p.kind = 'sequence' and has_sequence_privilege($1, c.oid, p.name)
    union all
    select format('schema %s: %s', n.nspname, p.name)
    from pg_namespace n, privilege p
    where p.kind = 'schema' and has_schema_privilege($1, n.oid, p.name)
    union all
    select format('database: %s', p.name)
    from privilege p
    where p.kind = 'database' and has_database_privilege($1, current_database(), p.name)
    union all
    select format('function %s: execute', f.oid::regprocedure)
    from pg_proc f join own_schema s on s.oid = f.pronamespace
    where has_function_privilege($1, f.oid, 'execute') and (not s.is_system
        or f.provolatile = 'v'
            and f.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype,
                'language_handler'::regtype)
            and not 'internal'::regtype = any (f.proargtypes::oid[])
        or f.proname in ('txid_current', 'pg_current_xact_id', 'pg_read_file', 'lo_import',
            'lo_export', 'pg_ls_dir', 'pg_reload_conf'))
    union all
    select format('language %s: usage', lanname)
    from pg_language where lanpltrusted and has_language_privilege($1, oid, 'usage')
    union all
    select format('tablespace %s: create', spcname)
    from pg_tablespace where has_tablespace_privilege($1, oid, 'create')
    union all
    select format('foreign server %s: usage', srvname)
    from pg_foreign_server where has_server_privilege($1, oid, 'usage')
    union all
    select format('parameter %s: %s', parname, name)
    from pg_parameter_acl, (values ('set'), ('alter system')) as p (name)
    where has_parameter_privilege($1, parname, name)
    union all
    select format('member of %s', roleid::regrole)
    from pg_auth_members where member = $1::regrole
    union all
    select format('owner of %s', classid::regclass)
    from pg_shdepend where refobjid = $1::regrole and deptype = 'o'
        and dbid = (select oid from pg_database where datname = current_database())
    union all
    select format('attributes: %s', (rolsuper, rolcreaterole, rolcreatedb, rolreplication,
        rolbypassrls)) from pg_roles where rolname = $1
    order by 1";

async fn everything(connection: &mut PgConnection, role: &str) -> Vec<String> {
    let mut found: Vec<String> = sqlx::query_scalar(EVERYTHING)
        .bind(role)
        .fetch_all(connection)
        .await
        .unwrap();
    found.sort();
    found
}

/// What both roles have: they can get in, find things by name, and look at the time.
fn common() -> Vec<String> {
    let mut list: Vec<String> = [
        "attributes: (f,f,f,f,f)",
        "database: connect",
        "function pg_is_in_recovery(): execute",
        "language sql: usage",
        "schema information_schema: usage",
        "schema pg_catalog: usage",
        "schema public: usage",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    list.extend(HARMLESS.map(|name| format!("function {name}: execute")));
    list.extend(PUBLIC_FUNCTIONS.map(|name| format!("function {name}: execute")));
    list.extend(PUBLIC_VIEWS.map(|name| format!("relation {name}: select")));
    list
}

async fn fresh() -> (PgConnection, TestDatabase) {
    let database = TestDatabase::create().await;
    connect(&database.url()).await.migrate().await.unwrap();
    let connection = PgConnection::connect(&database.url()).await.unwrap();
    (connection, database)
}

#[tokio::test]
async fn the_public_role_may_read_the_views_and_nothing_else() {
    let (mut connection, _database) = fresh().await;
    let mut expected = common();
    expected.sort();
    assert_eq!(
        everything(&mut connection, "readonly_public").await,
        expected
    );
}

#[tokio::test]
async fn monitoring_tools_may_also_look_at_the_state_of_services() {
    let (mut connection, _database) = fresh().await;
    let mut expected = common();
    expected.extend(SYSTEM_TABLES.map(|name| format!("relation {name}: select")));
    expected.sort();
    let found = everything(&mut connection, "readonly_system").await;
    // Looking at Postgres itself is what they are for.
    let looks = ["function pg_", "function set_config("];
    let rest: Vec<String> = found
        .iter()
        .filter(|line| !looks.iter().any(|look| line.starts_with(look)))
        .cloned()
        .collect();
    expected.retain(|line| !looks.iter().any(|look| line.starts_with(look)));
    assert_eq!(rest, expected);
    for forbidden in [
        "pg_advisory_lock(",
        "pg_terminate_backend(",
        "pg_cancel_backend(",
        "pg_notify(",
        "pg_logical_emit_message(",
        "pg_sleep(",
        "pg_create_",
        "pg_drop_",
        "pg_import_",
    ] {
        let start = format!("function {forbidden}");
        assert!(
            !found.iter().any(|line| line.starts_with(&start)),
            "{forbidden}"
        );
    }
    assert!(
        found
            .iter()
            .any(|line| line == "function pg_database_size(name): execute")
    );
}

#[tokio::test]
async fn what_is_created_later_is_not_open_to_everybody() {
    let (mut connection, _database) = fresh().await;
    let before = everything(&mut connection, "readonly_public").await;
    for statement in [
        "create table later (x bigint generated always as identity)",
        "create view later_view as select * from later",
        "create sequence later_sequence",
        "create function later() returns int language sql as 'select 1'",
        "create procedure later_procedure() language sql as 'select 1'",
        "create schema later",
        "create function later.inside() returns int language sql as 'select 1'",
        "create table later.inside_table (x int)",
    ] {
        execute(&mut connection, statement).await.unwrap();
    }
    assert_eq!(everything(&mut connection, "readonly_public").await, before);
    // The services can use it without a grant.
    execute(&mut connection, "set role admin").await.unwrap();
    for statement in [
        "insert into later default values",
        "select later(), nextval('later_sequence')",
        "select * from later_view",
    ] {
        execute(&mut connection, statement).await.unwrap();
    }
}

#[tokio::test]
async fn a_function_that_somebody_opens_is_closed_at_the_next_start() {
    let (mut connection, database) = fresh().await;
    let before = everything(&mut connection, "readonly_public").await;
    for statement in [
        "grant execute on function publish_event to public",
        "grant execute on function set_config to public",
        "grant usage on language plpgsql to public",
        "grant update on pg_settings to public",
    ] {
        execute(&mut connection, statement).await.unwrap();
    }
    let name = database.name();
    let grant = format!("grant temporary on database {name} to public");
    execute(&mut connection, &grant).await.unwrap();
    assert_ne!(everything(&mut connection, "readonly_public").await, before);
    connect(&database.url()).await.migrate().await.unwrap();
    assert_eq!(everything(&mut connection, "readonly_public").await, before);
}
