//! What is left after a crash, and how the next start copes.

use std::fs;
use std::time::Duration;

use bigbrotr_schema::embedded::{EmbeddedError, EmbeddedPostgres, Owner};
use rustix::process::Signal;

use crate::helper::{Other, Scratch, alive, answers, connect, kill, wait_until};

#[tokio::test]
async fn the_server_of_a_killed_node_is_found_and_used() {
    let scratch = Scratch::new();
    let mut node = Other::start("node", &scratch.data_dir());
    let server = scratch.server().unwrap();
    node.kill();
    assert!(alive(server));

    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    assert!(!postgres.owned());
    assert_eq!(postgres.connection_url(), node.url);
    assert_eq!(scratch.server(), Some(server));
    postgres.stop().await.unwrap();
    assert!(!alive(server));
}

#[tokio::test]
async fn the_server_of_a_killed_node_takes_new_settings() {
    let scratch = Scratch::new();
    let mut node = Other::start("node", &scratch.data_dir());
    node.kill();
    let mut config = scratch.config();
    config.settings.insert("work_mem".into(), "9MB".into());
    let postgres = EmbeddedPostgres::start(config).await.unwrap();
    assert!(postgres.owned());
    let mut connection = connect(&postgres.connection_url()).await;
    let found: String = sqlx::query_scalar("show work_mem")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(found, "9MB");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn node_and_server_killed_lose_nothing_committed() {
    let scratch = Scratch::new();
    let mut node = Other::start("node", &scratch.data_dir());
    let mut connection = connect(&node.url).await;
    sqlx::query("create table kept as select 42 as answer")
        .execute(&mut connection)
        .await
        .unwrap();
    let server = scratch.server().unwrap();
    node.kill();
    kill(server, Signal::KILL);
    wait_until("the server is gone", || !alive(server)).await;
    assert!(scratch.cluster().join("postmaster.pid").exists());

    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    assert!(postgres.owned());
    let mut connection = connect(&postgres.connection_url()).await;
    let answer: i32 = sqlx::query_scalar("select answer from kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(answer, 42);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn no_server_starts_beside_the_sessions_of_a_dead_one() {
    let scratch = Scratch::new();
    let mut node = Other::start("node", &scratch.data_dir());
    let mut connection = connect(&node.url).await;
    let session: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let session = session.cast_unsigned();
    let server = scratch.server().unwrap();
    node.kill();
    // Frozen, it cannot notice that its server is gone.
    kill(session, Signal::STOP);
    kill(server, Signal::KILL);

    let mut starting = Box::pin(EmbeddedPostgres::start(scratch.config()));
    let early = tokio::time::timeout(Duration::from_secs(1), &mut starting).await;
    assert!(early.is_err(), "{early:?}");
    kill(session, Signal::KILL);
    let postgres = starting.await.unwrap();
    assert!(answers(&postgres).await);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_pid_that_is_now_another_process_is_no_obstacle() {
    let scratch = Scratch::new();
    EmbeddedPostgres::start(scratch.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    // Postgres tests the number against processes of its own user only, so borrow one: the
    // server of another cluster.
    let neighbour = Scratch::new();
    let other = EmbeddedPostgres::start(neighbour.config()).await.unwrap();
    let file = scratch.cluster().join("postmaster.pid");
    fs::copy(neighbour.cluster().join("postmaster.pid"), &file).unwrap();
    assert_eq!(scratch.server(), neighbour.server());

    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    assert!(postgres.owned());
    assert_ne!(postgres.port(), other.port());
    postgres.stop().await.unwrap();
    assert!(answers(&other).await);
    other.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_died_under_its_node_is_started_again() {
    let scratch = Scratch::new();
    let mut postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    assert!(!postgres.ensure_running().await.unwrap());
    let url = postgres.connection_url();
    let server = scratch.server().unwrap();
    kill(server, Signal::KILL);
    wait_until("the server is gone", || !alive(server)).await;

    // A command that comes first starts it as well.
    let command = EmbeddedPostgres::join_or_start(scratch.config(), Owner::Command)
        .await
        .unwrap();
    assert!(command.owned());
    command.stop().await.unwrap();
    assert!(!postgres.ensure_running().await.unwrap());
    assert!(answers(&postgres).await);

    let server = scratch.server().unwrap();
    kill(server, Signal::KILL);
    wait_until("the server is gone", || !alive(server)).await;
    let port = postgres.port();
    assert!(postgres.ensure_running().await.unwrap());
    assert_eq!(postgres.port(), port);
    assert!(answers(&postgres).await);
    assert_ne!(url, String::new());
    postgres.stop().await.unwrap();
    assert_eq!(scratch.server(), None);
}

#[tokio::test]
async fn a_start_waits_for_a_server_that_is_stopping() {
    let scratch = Scratch::new();
    let mut node = Other::start("node", &scratch.data_dir());
    node.kill();
    kill(scratch.server().unwrap(), Signal::INT);
    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    assert!(answers(&postgres).await);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_damaged_cluster_is_reported_in_the_words_of_its_log_and_left_alone() {
    let scratch = Scratch::new();
    EmbeddedPostgres::start(scratch.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let control = scratch.cluster().join("global/pg_control");
    let good = fs::read(&control).unwrap();
    fs::write(&control, vec![0; good.len()]).unwrap();

    let error = EmbeddedPostgres::start(scratch.config()).await.unwrap_err();
    let EmbeddedError::StartFailed { log, tail, .. } = &error else {
        panic!("{error}")
    };
    assert!(log.is_file());
    assert!(tail.contains("FATAL") || tail.contains("PANIC"), "{tail}");
    assert!(error.to_string().contains(&log.display().to_string()));
    assert!(error.hint().is_some());

    fs::write(&control, good).unwrap();
    EmbeddedPostgres::start(scratch.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_setting_that_the_server_does_not_know_is_quoted() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    config.settings.insert("shared_bufers".into(), "1".into());
    let error = EmbeddedPostgres::start(config).await.unwrap_err();
    assert!(error.to_string().contains("shared_bufers"), "{error}");
    assert_eq!(
        error.hint().as_deref(),
        Some("change or remove the setting")
    );
    EmbeddedPostgres::start(scratch.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}
