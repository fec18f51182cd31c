//! A server's ordinary life.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use bigbrotr_schema::embedded::{EmbeddedError, EmbeddedPostgres};
use rustix::process::{Pid, getpgid};
use sqlx::{Connection, PgConnection};

use crate::helper::{Scratch, connect, open_directory};

#[tokio::test]
async fn a_restart_keeps_the_data() {
    let scratch = Scratch::new();
    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    assert!(postgres.owned());
    let mut connection = connect(&postgres.connection_url()).await;
    sqlx::query("create table kept as select 42 as answer")
        .execute(&mut connection)
        .await
        .unwrap();
    // An open session does not hold up the end.
    postgres.stop().await.unwrap();
    assert_eq!(scratch.server(), None);

    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    let mut connection = connect(&postgres.connection_url()).await;
    let answer: i32 = sqlx::query_scalar("select answer from kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(answer, 42);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_is_what_ingest_and_safety_ask_for() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    config.settings.clear();
    config.settings.insert("work_mem".into(), "7MB".into());
    let postgres = EmbeddedPostgres::start(config).await.unwrap();
    let mut connection = connect(&postgres.connection_url()).await;
    for (setting, expected) in [
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("jit", "off"),
        ("lc_collate", "C"),
        ("listen_addresses", "127.0.0.1"),
        ("server_encoding", "UTF8"),
        ("synchronous_commit", "on"),
        ("timezone", "UTC"),
        ("unix_socket_directories", ""),
        ("work_mem", "7MB"),
    ] {
        // Some of these are database properties from Postgres 16 on.
        let query = "select coalesce(current_setting($1, true), datcollate) \
                     from pg_database where datname = 'bigbrotr'";
        let found: String = sqlx::query_scalar(query)
            .bind(setting)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, expected, "{setting}");
    }
    assert!(postgres.version().major >= 15);
    assert!(postgres.bin_dir().join("pg_ctl").is_file());
    drop(connection);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() {
    let scratch = Scratch::new();
    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    let secret = fs::read_to_string(scratch.home().join("secret")).unwrap();
    assert!(postgres.connection_url().contains(&secret));
    assert!(!format!("{postgres:?}").contains(&secret));
    let mode = fs::metadata(scratch.home().join("secret"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!scratch.home().join("secret.initdb").exists());

    let wrong = postgres.connection_url().replace(&secret, "guess");
    PgConnection::connect(&wrong).await.unwrap_err();
    let rules = fs::read_to_string(scratch.cluster().join("pg_hba.conf"));
    // Root may not be the reader the cluster is for, but it can read.
    assert!(!rules.unwrap().contains("trust"));
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn an_interrupt_on_the_terminal_spares_the_server() {
    let scratch = Scratch::new();
    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    let server = Pid::from_raw(scratch.server().unwrap().cast_signed()).unwrap();
    assert_eq!(getpgid(Some(server)).unwrap(), server);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn the_port_asked_for_is_used_or_reported() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    config.port = taken.local_addr().unwrap().port();
    let error = EmbeddedPostgres::start(config.clone()).await.unwrap_err();
    assert!(
        matches!(error, EmbeddedError::PortInUse { port } if port == config.port),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("another port"));

    drop(taken);
    let postgres = EmbeddedPostgres::start(config.clone()).await.unwrap();
    assert_eq!(postgres.port(), config.port);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_taken_between_choice_and_start_is_replaced_by_another() {
    let real = {
        let scratch = Scratch::new();
        let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
        let bin_dir = postgres.bin_dir().display().to_string();
        postgres.stop().await.unwrap();
        bin_dir
    };
    // A Postgres that loses the race for its port once, and then gets one.
    let bind_error = "could not bind IPv4 address \"127.0.0.1\": Address already in use";
    let programs = open_directory();
    let marker = programs.path().join("first");
    fs::write(&marker, "").unwrap();
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o777)).unwrap();
    for program in ["initdb", "pg_ctl", "postgres"] {
        let prelude = match program {
            "postgres" => format!(
                "case \"$*\" in *-p*) rm {} && echo '{bind_error}' >&2 && exit 1;; esac",
                marker.display()
            ),
            _ => String::new(),
        };
        let script = format!("#!/bin/sh\n{prelude}\nexec {real}/{program} \"$@\"\n");
        let path = programs.path().join(program);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    let scratch = Scratch::new();
    let mut config = scratch.config();
    config.bin_dir = Some(programs.path().to_owned());
    let postgres = EmbeddedPostgres::start(config).await.unwrap();
    assert!(!marker.exists());
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_data_directory_with_a_long_path_works() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    let long = "a directory whose name alone is longer than the path of a socket may be";
    config.data_dir = scratch.data_dir().join(long).join(long).join("données");
    let postgres = EmbeddedPostgres::start(config).await.unwrap();
    connect(&postgres.connection_url())
        .await
        .close()
        .await
        .unwrap();
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn dropping_without_stopping_stops_too() {
    let scratch = Scratch::new();
    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    drop(postgres);
    scratch.server_gone().await;
}

#[tokio::test]
async fn giving_up_a_start_leaves_nothing_running_and_nothing_broken() {
    let scratch = Scratch::new();
    for patience_ms in [1, 30, 100, 200, 400, 600, 800] {
        let starting = EmbeddedPostgres::start(scratch.config());
        let patience = std::time::Duration::from_millis(patience_ms);
        drop(tokio::time::timeout(patience, starting).await);
        scratch.server_gone().await;
    }
    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    let names: Vec<_> = fs::read_dir(scratch.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("pgdata."))
        .collect();
    assert!(names.is_empty(), "{names:?}");
    postgres.stop().await.unwrap();
}
