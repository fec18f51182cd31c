//! An implementation's own SQL: once, in order, all or nothing, and clear when it fails.

use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::overlay::Overlays;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::helper::{connect, execute, text};

fn overlays(files: &[(&str, &str)]) -> Overlays {
    let files = files
        .iter()
        .map(|(name, sql)| (format!("mine/sql/{name}"), (*sql).to_owned()));
    Overlays::new("mine", files).unwrap()
}

async fn names(store: &Store) -> Vec<String> {
    let applied = store.list_overlays().await.unwrap();
    applied.into_iter().map(|overlay| overlay.file).collect()
}

async fn query(database: &TestDatabase, sql: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(&database.url()).await?;
    execute(&mut connection, sql).await
}

const NOTES: (&str, &str) = (
    "0001_notes.sql",
    "-- Why: a test.\ncreate table notes (x int);\ninsert into notes values (1);\n",
);
const VIEW: (&str, &str) = (
    "0002_view.sql",
    "create view public_notes as select x from notes;\n\
     grant select on public_notes to readonly_public;",
);

#[tokio::test]
async fn overlays_run_once_in_order_and_are_noted() {
    let (store, database) = test_store().await;
    let both = overlays(&[VIEW, NOTES]);
    assert!(!store.overlays_are_current(&both).await.unwrap());
    let done = store.apply_overlays(&both).await.unwrap();
    assert_eq!(done.len(), 2);
    assert_eq!(names(&store).await, ["0001_notes.sql", "0002_view.sql"]);
    assert!(store.overlays_are_current(&both).await.unwrap());
    assert!(store.apply_overlays(&both).await.unwrap().is_empty());
    // Only what the overlay has granted is public.
    for (statement, allowed) in [
        ("select * from public_notes", true),
        ("select * from notes", false),
    ] {
        let mut connection = PgConnection::connect(&database.url()).await.unwrap();
        execute(&mut connection, "set role readonly_public")
            .await
            .unwrap();
        assert_eq!(
            execute(&mut connection, statement).await.is_ok(),
            allowed,
            "{statement}"
        );
    }
    // Another implementation's command on the same database leaves them alone.
    assert!(
        store
            .apply_overlays(&Overlays::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(names(&store).await.len(), 2);
}

#[tokio::test]
async fn many_processes_apply_each_overlay_once() {
    let database = TestDatabase::create().await;
    let mut running = JoinSet::new();
    for _ in 0..8 {
        let store = connect(&database.url()).await;
        running.spawn(async move {
            store.migrate().await.map_err(|error| text(&error))?;
            let done = store.apply_overlays(&overlays(&[NOTES, VIEW])).await;
            store.close().await;
            done.map(|done| done.len()).map_err(|error| text(&error))
        });
    }
    let mut applied = 0;
    while let Some(outcome) = running.join_next().await {
        applied += outcome.unwrap().unwrap();
    }
    assert_eq!(applied, 2);
}

#[tokio::test]
async fn an_applied_overlay_that_was_changed_is_named() {
    let (store, _database) = test_store().await;
    store.apply_overlays(&overlays(&[NOTES])).await.unwrap();
    let changed = overlays(&[(NOTES.0, "create table notes (x bigint)"), VIEW]);
    let error = text(&store.apply_overlays(&changed).await.unwrap_err());
    assert!(
        error.contains("mine/sql/0001_notes.sql: not the file 0001_notes.sql that the implementation mine has applied"),
        "{error}"
    );
    assert!(store.overlays_are_current(&changed).await.is_err());
    // Nothing after it was run.
    assert_eq!(names(&store).await, ["0001_notes.sql"]);
    // A new name is no change.
    let renamed = overlays(&[("0001_other.sql", NOTES.1), VIEW]);
    assert_eq!(store.apply_overlays(&renamed).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_overlay_that_comes_too_late_is_named() {
    let (store, _database) = test_store().await;
    let first = overlays(&[NOTES, ("0003_c.sql", "select 1")]);
    store.apply_overlays(&first).await.unwrap();
    let late = overlays(&[NOTES, VIEW, ("0003_c.sql", "select 1")]);
    let error = text(&store.apply_overlays(&late).await.unwrap_err());
    assert!(
        error.contains("mine/sql/0002_view.sql: comes too late, 0003_c.sql is applied already"),
        "{error}"
    );
}

#[tokio::test]
async fn an_overlay_that_fails_leaves_nothing_and_its_place_is_named() {
    let (store, database) = test_store().await;
    let broken = overlays(&[
        NOTES,
        (
            "0002_half.sql",
            "create table half (x int);\n\n-- ä\n  select nothing from half;",
        ),
        ("0003_after.sql", "create table after_it (x int)"),
    ]);
    let error = text(&store.apply_overlays(&broken).await.unwrap_err());
    assert!(error.contains("mine/sql/0002_half.sql:4:10: "), "{error}");
    assert!(error.contains("\"nothing\" does not exist"), "{error}");
    assert_eq!(names(&store).await, ["0001_notes.sql"]);
    for table in ["half", "after_it"] {
        assert!(
            query(&database, &format!("select from {table}"))
                .await
                .is_err()
        );
    }
    // Mended, it goes on where it stopped.
    let mended = overlays(&[NOTES, ("0002_half.sql", "create table half (x int)")]);
    assert_eq!(store.apply_overlays(&mended).await.unwrap().len(), 1);

    // An error with no place in the file still names it and says where it came from.
    let deep = overlays(&[
        NOTES,
        ("0002_half.sql", "create table half (x int)"),
        ("0003_deep.sql", "do $$ begin perform 1 / 0; end $$"),
    ]);
    let error = text(&store.apply_overlays(&deep).await.unwrap_err());
    assert!(
        error.contains("0003_deep.sql: ")
            && error.contains("division by zero")
            && error.contains("inline_code_block"),
        "{error}"
    );
    // So does one that only shows when the transaction ends.
    let deferred = overlays(&[(
        "0009_deferred.sql",
        "create table parent (id int primary key);
         create table child (id int references parent deferrable initially deferred);
         insert into child values (1);",
    )]);
    let error = text(&store.apply_overlays(&deferred).await.unwrap_err());
    assert!(
        error.contains("0009_deferred.sql: ") && error.contains("child"),
        "{error}"
    );
    assert!(query(&database, "select from child").await.is_err());
}

#[tokio::test]
async fn an_overlay_cannot_leave_its_transaction_or_its_settings_behind() {
    let (store, _database) = test_store().await;
    for sql in [
        "commit; select 1",
        "rollback; begin; select 1",
        "select 1; end",
    ] {
        let error = text(
            &store
                .apply_overlays(&overlays(&[("0001_x.sql", sql)]))
                .await
                .unwrap_err(),
        );
        assert!(
            error.contains("0001_x.sql: ends its transaction"),
            "{sql}: {error}"
        );
        assert!(names(&store).await.is_empty());
    }
    let settings = overlays(&[
        (
            "0001_settings.sql",
            "set search_path = pg_catalog; set role readonly_public;
            set session authorization readonly_public;",
        ),
        ("0002_plain.sql", "create table plain (x int)"),
    ]);
    assert_eq!(store.apply_overlays(&settings).await.unwrap().len(), 2);
}
