//! Migrating: many at once, after a newer version, and the form of the files.

use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::Store;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::helper::{Server, connect, execute, text};

/// Migrates each of these databases from `times` stores at once.
async fn migrate_together(urls: &[String], times: usize) {
    let mut stores = Vec::new();
    for url in urls.iter().flat_map(|url| vec![url; times]) {
        stores.push(connect(url).await);
    }
    let mut running = JoinSet::new();
    for store in stores {
        running.spawn(async move {
            store.migrate().await.map_err(|error| text(&error))?;
            assert!(store.schema_is_current().await.unwrap());
            assert_eq!(
                store.list_public_excess().await.unwrap(),
                Vec::<String>::new()
            );
            store.close().await;
            Ok::<(), String>(())
        });
    }
    while let Some(outcome) = running.join_next().await {
        outcome.unwrap().unwrap();
    }
}

#[tokio::test]
async fn many_processes_may_prepare_one_database_at_once() {
    let database = TestDatabase::create().await;
    migrate_together(&[database.url()], 8).await;
    // And again, with nothing to do.
    migrate_together(&[database.url()], 8).await;
}

#[tokio::test]
async fn many_databases_of_a_new_server_may_be_prepared_at_once() {
    let server = Server::start().await;
    let names = ["one", "two", "three"];
    for name in names {
        server
            .run("postgres", &[&format!("create database {name}")])
            .await;
    }
    let urls = names.map(|name| server.url(name));
    migrate_together(&urls, 3).await;
    server.stop().await;
}

#[tokio::test]
async fn ordinary_logins_may_prepare_their_databases_at_once() {
    // The superuser needs no grants; these do, and all of them change the same rows.
    let server = Server::start().await;
    let logins = ["anna", "berta", "clara"];
    for login in logins {
        let create = format!("create role {login} login createrole password 'secret'");
        let database = format!("create database {login} owner {login}");
        server.run("postgres", &[&create, &database]).await;
    }
    let mut running = JoinSet::new();
    for login in logins.into_iter().flat_map(|login| [login; 2]) {
        let store = connect(&server.url_as(login, login)).await;
        running.spawn(async move { store.migrate().await.map_err(|error| text(&error)) });
    }
    while let Some(outcome) = running.join_next().await {
        outcome.unwrap().unwrap();
    }
    server.stop().await;
}

#[tokio::test]
async fn what_another_database_changes_at_the_same_moment_is_tried_again() {
    let server = Server::start().await;
    server
        .run(
            "postgres",
            &[
                "create role op login createrole password 'secret'",
                "create database mine owner op",
            ],
        )
        .await;
    let mut other = PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap();
    let mut watch = PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap();
    let settings = "alter role readonly_public set timezone = 'UTC'";
    // Each change is under way in another database when ours comes to the same row: a row that
    // both add, but for the last, which both update.
    let reset = "alter role readonly_public reset all";
    for (before, change) in [
        (&[][..], "create role readonly_public nologin"),
        (
            &["revoke readonly_public from op"],
            "grant readonly_public to op",
        ),
        (&[reset], settings),
        (
            &[reset, settings],
            "alter role readonly_public set work_mem = '4MB'",
        ),
    ] {
        for statement in before {
            execute(&mut other, statement).await.unwrap();
        }
        execute(&mut other, &format!("begin; {change}"))
            .await
            .unwrap();
        let store = connect(&server.url_as("op", "mine")).await;
        let mut migrating = JoinSet::new();
        migrating.spawn(async move { store.migrate().await });
        let waits = "select exists (select from pg_stat_activity
            where usename = 'op' and wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(waits)
            .fetch_one(&mut watch)
            .await
            .unwrap()
        {
            assert!(
                migrating.try_join_next().is_none(),
                "{change}: nobody waits for it"
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        execute(&mut other, "commit").await.unwrap();
        let outcome = migrating.join_next().await.unwrap();
        outcome
            .unwrap()
            .unwrap_or_else(|error| panic!("{change}: {}", text(&error)));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_with_what_to_do() {
    let database = TestDatabase::create().await;
    let store = connect(&database.url()).await;
    store.migrate().await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    execute(
        &mut connection,
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9001, 'from the future', true, '\\x00', 0)",
    )
    .await
    .unwrap();
    let error = store.migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9001, .. }));
    let known = Store::schema_version();
    assert_eq!(
        text(&error),
        format!(
            "the database was migrated by a newer BigBrotr: it has migration 9001, this program \
             knows those up to {known}. Hint: run the newer one, or give this one another database"
        )
    );
    // Nothing but migrating is refused: an older process goes on beside a newer one.
    assert!(store.schema_is_current().await.unwrap());
}

#[tokio::test]
async fn a_migration_that_was_edited_after_it_was_applied_is_noticed() {
    let database = TestDatabase::create().await;
    let store = connect(&database.url()).await;
    store.migrate().await.unwrap();
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let edit = "update _sqlx_migrations set checksum = '\\x00' where version = 2";
    execute(&mut connection, edit).await.unwrap();
    let error = text(&store.migrate().await.unwrap_err());
    assert!(error.contains("migration 2"), "{error}");
}

#[test]
fn every_migration_says_why_it_is_there_and_what_it_serves() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (number, _) = name.split_once('_').unwrap();
        assert_eq!(
            number.len(),
            4,
            "{name}: four digits keep the files in order"
        );
        let number: i64 = number.parse().unwrap();
        numbers.push(number);
        let text = std::fs::read_to_string(&path).unwrap();
        let header: Vec<&str> = text
            .lines()
            .take_while(|line| line.starts_with("--"))
            .collect();
        let says = |what: &str| {
            header.iter().any(|line| {
                line.split_once(what)
                    .is_some_and(|(_, rest)| rest.trim().len() > 10)
            })
        };
        assert!(
            text.starts_with("-- Why: ") && says("Why: "),
            "{name}: the first line is `-- Why: …`"
        );
        // The first ones say it in the same sentence.
        assert!(
            number <= 8 || says("Serves: "),
            "{name}: the header says what the migration serves: `Serves: …`"
        );
    }
    numbers.sort_unstable();
    assert_eq!(numbers.last(), Some(&Store::schema_version()));
}
