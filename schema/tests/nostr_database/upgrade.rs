//! Databases from before requests to vanish.

use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::embedded::testing::TestServer;
use bigbrotr_schema::nostr_database::RelayDatabase;
use bigbrotr_schema::store::Store;
use nostr::{Event, Filter};
use nostr_database::NostrDatabase;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::subject::{event, hex, keys, note};

/// Its gift wraps belong to whom they are for, and a process that has not been replaced yet can
/// still publish.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_database_is_brought_up_to_date() {
    let database = TestServer::shared().await.empty_database().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let mut files: Vec<_> = std::fs::read_dir("migrations")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let wrap = event(
        7,
        0,
        1_059,
        &[
            &["x[", "p", &hex(1)],
            &["p", &hex(0), "wss://x"],
            &["p", "\0"],
            &["p", &hex(2)],
        ],
        &format!(r#"["p","{}"]"#, hex(3)),
    );
    // The migrator's own table, which a migration speaks of.
    sqlx::raw_sql("create table _sqlx_migrations (version bigint primary key)")
        .execute(&mut connection)
        .await
        .unwrap();
    for file in files {
        if file
            .file_name()
            .is_some_and(|name| name == "0013_vanish.sql")
        {
            publish_the_old_way(&mut connection, &wrap).await;
        }
        let text = std::fs::read_to_string(file).unwrap();
        sqlx::raw_sql(AssertSqlSafe(text))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let recipients: Vec<Vec<u8>> =
        sqlx::query_scalar("select unnest(recipients) from relay_events")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let mut expected = [0, 2].map(|n| keys(n).public_key().to_bytes().to_vec());
    expected.sort();
    assert_eq!(recipients, expected);

    let later = note(0, 0, "from an old process");
    publish_the_old_way(&mut connection, &later).await;
    connection.close().await.unwrap();
    let config = Arc::default();
    let clock = Arc::new(SystemClock);
    let store = Store::connect(&database.url(), config, clock)
        .await
        .unwrap();
    let database = RelayDatabase::new(store.clone(), []);
    let request = event(0, 5, 62, &[&["relay", "ALL_RELAYS"]], "");
    assert!(database.save_event(&request).await.unwrap().is_success());
    let left = database.query(Filter::new()).await.unwrap().to_vec();
    assert_eq!(left, [request]);
    store.close().await;
}

async fn publish_the_old_way(connection: &mut PgConnection, event: &Event) {
    let outcome: String = sqlx::query_scalar(
        "select publish_event($1, $2, $3, $4, null, null, '{}', $5, 0, '{}', '{}')",
    )
    .bind(event.id.as_bytes().as_slice())
    .bind(event.pubkey.as_bytes().as_slice())
    .bind(event.created_at.as_secs() as i64)
    .bind(i32::from(event.kind.as_u16()))
    .bind(bigbrotr_core::event::Event::from(event).to_json())
    .fetch_one(connection)
    .await
    .unwrap();
    assert_eq!(outcome, "stored");
}
