//! The server that tests share.

use std::fs;
use std::path::Path;

use bigbrotr_schema::embedded::testing::{TestDatabase, TestServer};
use rustix::process::Signal;
use sqlx::{Connection, PgConnection};

use crate::helper::{Other, connect, kill, open_directory, wait_until};

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
    let mut theirs = Other::start_test(&std::env::temp_dir());
    assert!(theirs.url.contains(&format!(":{}/", ours.port())));
    theirs.kill();
    connect(&ours.url()).await.close().await.unwrap();
}

/// The processes whose command line names a directory: the server and its watchdog.
fn processes_of(directory: &Path) -> Vec<(u32, String)> {
    let directory = directory.to_str().unwrap();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter_map(|(pid, path)| Some((pid, fs::read_to_string(path.join("cmdline")).ok()?)))
        .filter(|(_, line)| line.contains(directory))
        .collect()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn killed_test_processes_leave_nothing_running() {
    let temporary = open_directory();
    let gone = || processes_of(temporary.path()).is_empty();

    let mut first = Other::start_test(temporary.path());
    let mut second = Other::start_test(temporary.path());
    assert!(!gone());
    first.kill();
    second.kill();
    wait_until("server and watchdog are gone", gone).await;

    // The next run takes the cluster, but not the databases left behind.
    let mut third = Other::start_test(temporary.path());
    let mut connection = connect(&third.url).await;
    let left: i64 =
        sqlx::query_scalar("select count(*) from pg_database where starts_with(datname, 'test_')")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(left, 1);

    // A killed watchdog is replaced by the next process, and that one cleans up.
    for (pid, line) in processes_of(temporary.path()) {
        if line.starts_with("/bin/sh") {
            kill(pid, Signal::KILL);
        }
    }
    third.kill();
    let mut fourth = Other::start_test(temporary.path());
    fourth.kill();
    wait_until("server and watchdog are gone again", gone).await;
}
