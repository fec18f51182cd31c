//! Logins that are no superuser, as on a managed server.

use std::collections::BTreeMap;
use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::store::Store;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use sqlx::{Connection, PgConnection};

use crate::helper::{Server, connect, execute, text};

/// Does what services do: writes, publishes, folds, recomputes, asks.
async fn works(store: &Store) {
    let url = RelayUrl::parse("wss://relay.example.com", &UrlPolicy::default()).unwrap();
    store.insert_relays(&[url]).await.unwrap();
    let keys = author_keys(1, 1);
    let event = EventMaker::new(1_750_000_000).sign(&keys);
    store.insert_events(&[&event], &[]).await.unwrap();
    let report = EventMaker::new(1_750_000_000)
        .kind(30_166)
        .tag(["d", "x"])
        .sign(&keys);
    store.publish(&report).await.unwrap();
    store.rollup_to_end().await.unwrap();
    assert!(store.verify_statistics(5).await.unwrap().is_empty());
    let catalog = Catalog::load(store.clone(), &[]).await.unwrap();
    let answer = catalog.run("events.stats", &BTreeMap::new()).await.unwrap();
    assert!(answer.json.contains("\"events\":1,"), "{}", answer.json);
}

#[tokio::test]
async fn an_owner_who_may_create_roles_needs_no_superuser() {
    let server = Server::start().await;
    let create = "create role op login createrole password 'secret'";
    server
        .run("postgres", &[create, "create database mine owner op"])
        .await;
    let store = connect(&server.url_as("op", "mine")).await;
    store.migrate().await.unwrap();
    works(&store).await;
    // It owns the database, so temporary tables are forbidden; functions are the superuser's.
    let excess = store.list_public_excess().await.unwrap();
    assert_eq!(excess.len(), 1, "{excess:?}");
    assert!(excess[0].contains("functions"), "{excess:?}");

    // One visit of the superuser closes the rest, and the services go on.
    let superuser = connect(&server.url("mine")).await;
    superuser.migrate().await.unwrap();
    assert_eq!(
        store.list_public_excess().await.unwrap(),
        Vec::<String>::new()
    );
    store.migrate().await.unwrap();
    store.close().await;
    let store = connect(&server.url_as("op", "mine")).await;
    works(&store).await;
    server.stop().await;
}

#[tokio::test]
async fn a_login_that_may_not_is_told_what_an_administrator_has_to_run() {
    let server = Server::start().await;
    let create = "create role op login password 'secret'";
    server
        .run("postgres", &[create, "create database mine"])
        .await;
    let store = connect(&server.url_as("op", "mine")).await;
    // Each error names statements; once they are run, the next one comes, or none.
    let mut told = Vec::new();
    let outcome = loop {
        match store.migrate().await {
            Err(StoreError::Privileges { action, sql }) => {
                told.push(format!("{action}: {sql}"));
                assert!(told.len() < 10, "{told:#?}");
                let statements: Vec<&str> = sql.split("; ").collect();
                server.run("mine", &statements).await;
            }
            outcome => break outcome,
        }
    };
    outcome.unwrap();
    assert_eq!(
        told,
        [
            "create the role admin as \"op\": create role admin nologin; grant admin to \"op\"",
            "create the role readonly_public as \"op\": create role readonly_public nologin; \
             grant readonly_public to \"op\"",
            "create the role readonly_system as \"op\": create role readonly_system nologin; \
             grant readonly_system to \"op\"",
            "create tables in the database \"mine\" as \"op\": alter database \"mine\" owner to \
             \"op\"",
        ]
    );
    works(&store).await;
    server.stop().await;
}

#[tokio::test]
async fn roles_that_belong_to_somebody_else_are_used_as_they_are() {
    let server = Server::start().await;
    server
        .run(
            "postgres",
            &[
                "create role op login password 'secret'",
                "create role admin nologin",
                "create role readonly_public nologin",
                "create role readonly_system nologin",
                "alter role readonly_public set statement_timeout = '42s'",
                "grant admin, readonly_system to op",
                "create database mine owner op",
            ],
        )
        .await;
    let store = connect(&server.url_as("op", "mine")).await;
    let error = text(&store.migrate().await.unwrap_err());
    assert_eq!(
        error,
        "cannot grant the role readonly_public as \"op\": the database does not allow it. Hint: \
         have an administrator run: grant readonly_public to \"op\""
    );
    server
        .run("postgres", &["grant readonly_public to op"])
        .await;
    // It may not set what is missing, and does without.
    store.migrate().await.unwrap();
    works(&store).await;
    let settings = async || -> Vec<String> {
        let mut connection = PgConnection::connect(&server.url("mine")).await.unwrap();
        sqlx::query_scalar(
            "select unnest(rolconfig) from pg_roles where rolname = 'readonly_public'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap()
    };
    assert_eq!(settings().await, ["statement_timeout=42s"]);
    // Who may, sets the rest, and leaves what somebody has chosen.
    connect(&server.url("mine")).await.migrate().await.unwrap();
    assert_eq!(
        settings().await,
        [
            "statement_timeout=42s",
            "default_transaction_read_only=on",
            "idle_in_transaction_session_timeout=30000ms",
            "lock_timeout=2000ms",
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn a_public_role_that_is_more_than_public_is_cut_down_or_refused() {
    let server = Server::start().await;
    server
        .run(
            "postgres",
            &[
                "create role op login createrole password 'secret'",
                "create role readonly_public superuser nologin",
                "create database mine owner op",
            ],
        )
        .await;
    let store = connect(&server.url_as("op", "mine")).await;
    let error = text(&store.migrate().await.unwrap_err());
    assert!(
        error.ends_with(
            "have an administrator run: alter role readonly_public nosuperuser nocreaterole \
             nocreatedb noreplication nobypassrls"
        ),
        "{error}"
    );
    connect(&server.url("mine")).await.migrate().await.unwrap();
    store.migrate().await.unwrap();
    server
        .run("postgres", &["grant pg_read_all_data to readonly_public"])
        .await;
    let excess = store.list_public_excess().await.unwrap();
    assert_eq!(excess, ["the membership in pg_read_all_data"]);
    server.stop().await;
}

#[tokio::test]
async fn whoever_logs_in_as_a_read_only_role_is_limited_from_the_start() {
    let server = Server::start().await;
    connect(&server.url("bigbrotr"))
        .await
        .migrate()
        .await
        .unwrap();
    for role in ["readonly_public", "readonly_system"] {
        let login = format!("alter role {role} login password 'secret'");
        server.run("postgres", &[&login]).await;
        let url = server.url_as(role, "bigbrotr");
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let (read_only, statement_ms, idle_ms): (String, i32, i32) = sqlx::query_as(
            "select current_setting('default_transaction_read_only'),
                (select setting::int from pg_settings where name = 'statement_timeout'),
                (select setting::int from pg_settings
                 where name = 'idle_in_transaction_session_timeout')",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert_eq!(read_only, "on");
        assert!(
            (1..=60_000).contains(&statement_ms),
            "{role}: {statement_ms}"
        );
        assert!((1..=30_000).contains(&idle_ms), "{role}: {idle_ms}");
        execute(&mut connection, "select * from events_statistics")
            .await
            .unwrap();
        for escape in [
            "set role postgres",
            "set role admin",
            "create table t (x int)",
        ] {
            assert!(
                execute(&mut connection, escape).await.is_err(),
                "{role}: {escape}"
            );
        }
        // The defaults of the session can be changed by whoever has it; what the role lacks
        // cannot.
        execute(&mut connection, "set default_transaction_read_only = off")
            .await
            .unwrap();
        for write in ["delete from relays", "create temporary table t (x int)"] {
            let error = execute(&mut connection, write).await.unwrap_err();
            assert!(
                error.to_string().contains("permission denied"),
                "{role}: {error}"
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_password_may_stand_apart_from_the_urls_and_one_in_a_url_wins() {
    let server = Server::start().await;
    let create = "create role op login createrole password 'secret'";
    server
        .run("postgres", &[create, "create database mine owner op"])
        .await;
    let with = server.url_as("op", "mine");
    let without = with.replace(":secret@", "@");
    assert_ne!(with, without);
    let login = async |url: &str, password: &str| {
        let config = DatabaseConfig {
            max_connections: 2,
            public_connections: 2,
            direct_url: without.clone().into(),
            replica_url: without.clone().into(),
            password: password.to_owned().into(),
            ..DatabaseConfig::default()
        };
        Store::connect(url, Arc::new(config), Arc::new(SystemClock)).await
    };
    let store = login(&without, "secret").await.unwrap();
    // Directly, and over the replica.
    store.migrate().await.unwrap();
    works(&store).await;
    store.close().await;
    assert!(login(&without, "another").await.is_err());
    let parameter = format!("{without}&password=secret");
    for url in [&with, &parameter] {
        login(url, "another").await.unwrap().close().await;
    }
    server.stop().await;
}
