//! The server that tests share.

use bigbrotr_schema::embedded::testing::{TestDatabase, TestServer};
use sqlx::{Connection, PgConnection};

use crate::helper::{Other, connect};

async fn prepare(url: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::query("create table prepared as select 1 as one")
        .execute(&mut connection)
        .await?;
    // Left open on purpose: the template has to be usable all the same.
    std::mem::forget(connection);
    Ok(())
}

#[tokio::test]
async fn databases_come_from_the_template_and_go_with_their_test() {
    let server = TestServer::shared().await;
    let first = server.database_from_template("a key", prepare).await;
    let second = server.database_from_template("a key", prepare).await;
    assert_ne!(first.name(), second.name());
    let mut connection = connect(&first.url()).await;
    sqlx::query("insert into prepared values (2)")
        .execute(&mut connection)
        .await
        .unwrap();
    let mut other = connect(&second.url()).await;
    let rows: i64 = sqlx::query_scalar("select count(*) from prepared")
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert_eq!(rows, 1);

    let gone = first.name().to_owned();
    drop(first);
    let exists = "select exists (select from pg_database where datname = $1)";
    let exists: bool = sqlx::query_scalar(exists)
        .bind(gone)
        .fetch_one(&mut other)
        .await
        .unwrap();
    assert!(!exists, "an open connection kept the database");
}

#[tokio::test]
async fn an_empty_database_is_empty() {
    let database = TestDatabase::create().await;
    let mut connection = connect(&database.url()).await;
    let tables = "select count(*) from pg_tables where schemaname = 'public'";
    let tables: i64 = sqlx::query_scalar(tables)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn other_test_processes_use_the_same_server() {
    let ours = TestDatabase::create().await;
    let mut theirs = Other::start("test", &std::env::temp_dir());
    assert!(theirs.url.contains(&format!(":{}/", ours.port())));
    theirs.kill();
    connect(&ours.url()).await.close().await.unwrap();
}
