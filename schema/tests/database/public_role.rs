//! An attacker with a session of `readonly_public`, or with the text of a question.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::catalog::{Catalog, CatalogError, CatalogFile};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::testing::{test_store, test_store_with};
use sqlx::{Connection, PgConnection};

use crate::helper::{Server, connect, execute};

/// What must fail, whether or not the transaction is read-only.
const ATTACKS: &[&str] = &[
    // Out of the role.
    "set role postgres",
    "set role admin",
    "set session authorization postgres",
    "select set_config('role', 'admin', false)",
    "select set_config('statement_timeout', '0', false)",
    "update pg_settings set setting = '0' where name = 'statement_timeout'",
    "alter role readonly_public superuser",
    "grant admin to readonly_public",
    "create role intruder",
    // Reading what is not public.
    "select * from events",
    "select * from events_relays",
    "select * from dvm_jobs",
    "select * from relay_events",
    "select * from _sqlx_migrations",
    "select * from implementation_overlays",
    "select rolpassword from pg_authid",
    "select * from pg_largeobject",
    "copy relays to stdout",
    "table monitor_state",
    "select query_to_xml('select 1', true, true, '')",
    // The server's files, programs and the network.
    "select pg_read_file('postgresql.conf')",
    "select pg_ls_dir('.')",
    "select lo_import('/etc/passwd')",
    "copy events_statistics to '/tmp/x'",
    "copy (select 1) to program 'true'",
    "create extension dblink",
    "create extension postgres_fdw",
    "load 'dblink'",
    // Writing.
    "insert into events_statistics (events) values (1)",
    "update archived_events set kind = 1",
    "delete from relays_overview",
    "insert into relays (url, network, discovered_at) values ('x', 'tor', 1)",
    "delete from rollup_queue",
    "truncate events",
    "select lo_create(0)",
    "select lo_creat(-1)",
    "select lo_from_bytea(0, 'x')",
    "select lo_put(1, 0, 'x')",
    "select lo_unlink(1)",
    "select nextval('events_num_seq')",
    "select setval('events_num_seq', 1)",
    "select pg_logical_emit_message(false, 'x', 'y')",
    "select pg_current_xact_id()",
    "select txid_current()",
    // Creating.
    "create table t (x int)",
    "create temporary table t (x int)",
    "create temporary view v as select 1 as x",
    "create temporary sequence s",
    "select 1 as x into temporary t",
    "create function pg_temp.f() returns int language sql as 'select 1'",
    "create function f() returns int language sql as 'select 1'",
    "create schema mine",
    "create type t as (x int)",
    "create database mine",
    "comment on view as_of is 'mine'",
    "do $$ begin loop null; end loop; end $$",
    // The services' procedures.
    "select rollup_enqueue(false, '{}', '{}', '{}')",
    "select insert_relay(array['wss://x'], array['tor'], 1)",
    "select delete_orphan_nip11(10)",
    "select publish_event('', '', 0, 0, null, null, '{}', '{}', 0, '{}', '{}')",
    // Disturbing others.
    "select pg_terminate_backend(pg_backend_pid())",
    "select pg_terminate_backend(pid) from pg_stat_activity",
    "select pg_cancel_backend(pg_backend_pid())",
    "select pg_advisory_lock(1)",
    "select pg_try_advisory_lock(1)",
    "select pg_advisory_xact_lock(1)",
    "select pg_advisory_xact_lock_shared(1)",
    "select pg_sleep(1)",
    "select pg_notify('bigbrotr_relay_events', '1')",
    "select pg_export_snapshot()",
    "select pg_reload_conf()",
    "select pg_stat_reset()",
    "select pg_switch_wal()",
    "select pg_create_physical_replication_slot('x')",
    "checkpoint",
    "begin; lock table events in access share mode",
    "begin; lock table as_of in access exclusive mode",
    "alter system set work_mem = '1GB'",
    "alter database postgres set work_mem = '1GB'",
    "alter view as_of rename to mine",
    "drop view as_of",
];

#[tokio::test]
async fn a_session_of_the_public_role_can_read_views_and_do_no_harm() {
    let server = Server::start().await;
    connect(&server.url("bigbrotr"))
        .await
        .migrate()
        .await
        .unwrap();
    server
        .run(
            "bigbrotr",
            &[
                "alter role readonly_public login password 'secret'",
                // Whatever the session starts with can be changed by whoever has it.
                "alter role readonly_public set default_transaction_read_only = off",
            ],
        )
        .await;
    let url = server.url_as("readonly_public", "bigbrotr");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for allowed in [
        "select * from events_statistics",
        "select * from archived_events",
        "select kind_class(1), random(), now()",
    ] {
        execute(&mut connection, allowed).await.unwrap();
    }
    for attack in ATTACKS {
        let outcome = execute(&mut connection, attack).await;
        assert!(outcome.is_err(), "{attack}: allowed");
        // An attack must fail for want of a right, and not because it is written wrong.
        let error = outcome.unwrap_err();
        let code = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code);
        // 55000: a view that joins can be written by nobody.
        assert!(
            matches!(code.as_deref(), Some("42501" | "55000" | "42809" | "25006")),
            "{attack}: {error}"
        );
        execute(&mut connection, "rollback").await.unwrap();
    }
    connection.close().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn the_text_of_a_question_cannot_do_more() {
    let (store, _database) = test_store().await;
    let load = async |sql: &str| {
        let text = format!("-- name: my.attack\n-- help: h\n-- path: /attack\n{sql}");
        let files = [CatalogFile::new("attack.sql", text)];
        Catalog::load(store.clone(), &files).await
    };
    load("select 1 as x").await.unwrap();
    for attack in [
        "select set_config('role', 'none', true) as x",
        "select set_config('statement_timeout', '0', true) as x",
        "select lo_from_bytea(0, 'x') as x",
        "select pg_advisory_lock(1)::text as x",
        "select pg_notify('bigbrotr_relay_events', '1')::text as x",
        "select query_to_xml('select 1', true, true, '')::text as x",
        "select count(*) as x from events",
        "select 1 as x into temporary t",
        "select 1 as x; delete from relays",
        "select 1 as x) r; set role postgres; select (select 1",
        "set role postgres",
        "reset role",
        "commit",
        "create temporary table t (x int)",
        "delete from relays returning 1",
        "with gone as (delete from relays returning 1) select * from gone",
        "select * from archived_events for update",
    ] {
        let Ok(catalog) = load(attack).await else {
            continue;
        };
        let outcome = catalog.run("my.attack", &BTreeMap::new()).await;
        assert!(outcome.is_err(), "{attack}: {outcome:?}");
    }
    // And the connection is what it was.
    let catalog = load("select current_user::text as me").await.unwrap();
    let answer = catalog.run("my.attack", &BTreeMap::new()).await.unwrap();
    assert!(
        answer.json.contains("\"me\":\"readonly_public\""),
        "{}",
        answer.json
    );
}

#[tokio::test]
async fn every_question_has_its_limits_and_leaves_none_behind() {
    let config = DatabaseConfig {
        query_timeout: Duration::from_millis(300),
        public_connections: 1,
        ..DatabaseConfig::default()
    };
    let (store, _database) = test_store_with(config, Arc::new(SystemClock)).await;
    let head = "-- help: h\n";
    let files = [
        CatalogFile::new(
            "limits.sql",
            format!(
                "-- name: my.limits\n{head}-- path: /limits\n\
                 select current_setting('statement_timeout') as statement,
                    current_setting('lock_timeout') as locks,
                    current_setting('idle_in_transaction_session_timeout') as idle,
                    current_setting('transaction_read_only') as read_only"
            ),
        ),
        CatalogFile::new(
            "endless.sql",
            format!(
                "-- name: my.endless\n{head}-- path: /endless\n\
                 select count(*) as n from generate_series(1, 1000000) a, generate_series(1, 1000000) b"
            ),
        ),
    ];
    let catalog = Catalog::load(store, &files).await.unwrap();
    let limits = catalog.run("my.limits", &BTreeMap::new()).await.unwrap();
    assert!(
        limits
            .json
            .contains(r#"{"statement":"300ms","locks":"2s","idle":"30s","read_only":"on"}"#),
        "{}",
        limits.json
    );
    let endless = catalog.run("my.endless", &BTreeMap::new()).await;
    assert!(
        matches!(endless, Err(CatalogError::Timeout { .. })),
        "{endless:?}"
    );
    // The same connection answers the next question.
    catalog.run("events.stats", &BTreeMap::new()).await.unwrap();
}
