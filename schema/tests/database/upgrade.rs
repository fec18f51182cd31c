//! A database of the first versions: its archive is counted anew, and counts on.

use bigbrotr_schema::embedded::testing::TestServer;
use bigbrotr_testkit::{Population, PopulationConfig};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::helper::connect;

/// The version before the statistics were folded by the process that owns them.
const FIRST_MIGRATIONS: usize = 8;

#[tokio::test]
async fn an_archive_of_the_first_version_is_counted_anew() {
    let database = TestServer::shared().await.empty_database().await;
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let mut files: Vec<_> = std::fs::read_dir("migrations")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let (first, later) = files.split_at(FIRST_MIGRATIONS);
    let mut run = async |sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
    };
    for file in first {
        run(std::fs::read_to_string(file).unwrap()).await;
    }
    run("insert into relays (url, network, discovered_at) values
            ('wss://one.example.com', 'clearnet', 1), ('wss://two.example.com', 'clearnet', 1);"
        .into())
    .await;
    let population = Population::generate(&PopulationConfig::new(8, 400, 1_750_000_000));
    for (n, event) in population.events().iter().enumerate() {
        let (id, pubkey) = (event.id(), event.pubkey());
        run(format!(
            "insert into events (num, created_at, kind, id, pubkey) overriding system value
             values ({n}, {}, {}, '\\x{id}', '\\x{pubkey}');
             insert into events_relays values ({n}, 1, {});",
            event.created_at(),
            event.kind(),
            1 + n % 2
        ))
        .await;
    }
    // Some were counted already, some still waited to be.
    run(
        "insert into rollup_queue (event_nums, assoc_events, assoc_relays)
         select array_agg(num), array_agg(num), array_agg(1) from events where num % 2 = 0;
         select rollup_step(10, 1750000000);
         insert into rollup_queue (event_nums, assoc_events, assoc_relays)
         select array_agg(num), array_agg(num), array_agg(2) from events where num % 2 = 1;"
            .into(),
    )
    .await;
    // As the migrator leaves it, so that it goes on from there.
    run("create table _sqlx_migrations (version bigint primary key)".into()).await;
    for file in later {
        run(std::fs::read_to_string(file).unwrap()).await;
    }
    connection.close().await.unwrap();

    let store = connect(&database.url()).await;
    assert_eq!(store.verify_statistics(5).await.unwrap(), []);
    store.rollup_to_end().await.unwrap();
    assert_eq!(store.verify_statistics(5).await.unwrap(), []);
    assert_eq!(store.count_events().await.unwrap(), 400);
    store.close().await;
}
