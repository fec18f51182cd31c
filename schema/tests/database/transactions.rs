//! Transactions and questions that nobody waits for any more.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::{look, test_store, test_store_with};
use sqlx::{Connection, PgConnection};

/// Whoever stops waiting for the beginning of a transaction, as every time-out does, leaves the next
/// one of the connection neither within it nor without a connection.
#[tokio::test]
async fn what_is_dropped_while_it_begins_takes_nobody_in() {
    let config = DatabaseConfig {
        max_connections: 1,
        ..DatabaseConfig::default()
    };
    let clock = Arc::new(SystemClock);
    let (store, database) = test_store_with(config.clone(), clock.clone()).await;
    let others = Store::connect(&database.url(), Arc::new(config), clock)
        .await
        .unwrap();
    for steps in 1..=10 {
        let mut begun = Box::pin(store.begin_finding());
        for _ in 0..steps {
            if futures_util::poll!(&mut begun).is_ready() {
                break;
            }
            // Meanwhile the server answers.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        drop(begun);
        let url = format!("wss://relay{steps}.example.com");
        let url = RelayUrl::parse(&url, &UrlPolicy::default()).unwrap();
        let inserted = store.insert_relays(std::slice::from_ref(&url)).await;
        inserted.unwrap();
        let seen = others.get_relay(&url).await.unwrap();
        assert!(seen.is_some(), "not committed, after {steps} steps");
        let again = others.begin_finding().await.unwrap();
        assert!(again.is_some(), "somebody holds on, after {steps} steps");
    }
}

/// Whoever asks and leaves, again and again, has no process of the server for each time.
#[tokio::test]
async fn a_question_that_nobody_waits_for_ends() {
    let (store, database) = test_store().await;
    let mut holder = PgConnection::connect(&database.url()).await.unwrap();
    let mut lock = holder.begin().await.unwrap();
    sqlx::query("lock table relay_events in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let waiting = async || {
        let sql = "select count(*) as n from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
        look(&store, sql).await[0]["n"].as_i64().unwrap()
    };
    {
        let asked = store.relay_event_seqs_after(0, 10, Duration::from_mins(1));
        let mut asked = Box::pin(asked);
        while waiting().await == 0 {
            let pause = Duration::from_millis(20);
            let answered = tokio::time::timeout(pause, &mut asked).await;
            assert!(answered.is_err(), "{answered:?}");
        }
    }
    let ended = async {
        while waiting().await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    ended.expect("the server still works for somebody who has gone");
}
