//! The standard interface: procedures and views by name, the same in every implementation; and the
//! page that describes tables and views.

use std::collections::HashSet;

use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::testing::{test_store, test_store_with};
use sqlx::{Connection, PgConnection};

use crate::helper::implementation;

/// The procedures' arguments and results, and the views' columns.
const INTERFACE: &str = "
    select 1 as part, p.proname::text as name, 0 as position,
        format('%s(%s) -> %s', p.proname, pg_get_function_arguments(p.oid),
            pg_get_function_result(p.oid)) as line
    from pg_proc p
    where p.pronamespace = 'public'::regnamespace and p.proname in ('insert_event', 'insert_relay',
        'insert_relay_metadata', 'delete_orphan_events', 'delete_orphan_nip11',
        'delete_orphan_nip66')
    union all
    select 2, c.relname::text, a.attnum,
        format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
    where c.relkind = 'v' and c.relname in ('relay_metadata_latest', 'events_statistics',
        'relays_statistics', 'kind_counts_total', 'kind_counts_by_relay', 'pubkey_counts_total',
        'pubkey_counts_by_relay')
    order by part, name, position";

async fn interface(config: DatabaseConfig) -> String {
    let clock = std::sync::Arc::new(bigbrotr_core::clock::SystemClock);
    let (_store, database) = test_store_with(config, clock).await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let rows: Vec<(i32, String, i32, String)> = sqlx::query_as(INTERFACE)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let lines: Vec<String> = rows.into_iter().map(|(_, _, _, line)| line).collect();
    lines.join("\n")
}

#[tokio::test]
async fn procedures_and_views_are_the_standard_ones_in_every_implementation() {
    for name in ["bigbrotr", "lilbrotr", "template"] {
        insta::assert_snapshot!("interface", interface(implementation(name)).await);
    }
}

#[tokio::test]
async fn the_schemas_page_names_every_table_and_view() {
    let (_store, database) = test_store().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let names: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
         where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')
            and relname not like '\\_sqlx%'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let page = include_str!("../../../docs/schema.md");
    let words: HashSet<&str> = page
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .collect();
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !words.contains(name.as_str()))
        .collect();
    assert!(names.len() > 40 && missing.is_empty(), "{missing:?}");
}
