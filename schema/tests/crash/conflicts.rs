//! Transactions that the database ends so that others may live: tried again, and right.

use bigbrotr_core::event::Event;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use sqlx::Connection;

use crate::harness::{Archive, NOW, population, wait_until};
use crate::model::Model;

/// Sessions of this test that wait for a lock.
pub(crate) const WAITING: &str = "
    select count(*) from pg_locks l join pg_stat_activity a using (pid)
    where not l.granted and a.datname = current_database()";

/// Raises a code in the first few transactions that write the table, at once or at the commit. A
/// sequence counts them: it does not roll back.
async fn fail_at_first(archive: &Archive, code: &str, timing: &str) {
    let sql = format!(
        "create sequence tries;
         create function fail_at_first() returns trigger language plpgsql as $$
         begin
            if nextval('tries') <= 3 then
                raise exception 'not now' using errcode = '{code}';
            end if;
            return null;
         end $$;
         create constraint trigger fail after insert on events deferrable initially {timing}
         for each row execute function fail_at_first()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&archive.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn serialisation_failures_and_deadlocks_are_tried_again() {
    // What a standby says in the middle of a failover (25006) passes too.
    for (code, timing) in [
        ("40001", "immediate"),
        ("40001", "deferred"),
        ("40P01", "deferred"),
        ("25006", "immediate"),
    ] {
        for size in [100, 10] {
            let archive = Archive::new().await;
            let relay = archive.relays(1).await[0];
            fail_at_first(&archive, code, timing).await;
            let node = archive.node().await;
            let events = population(1, size);
            let ingested = node.submit(events.clone(), Some(relay)).await.unwrap();
            let new = (ingested.new, ingested.known, ingested.refused);
            assert_eq!(new, (size as u64, 0, 0), "{code} {timing}");
            assert_eq!(node.metric("bigbrotr_ingest_new_events_total"), size as u64);
            assert_eq!(node.metric("bigbrotr_ingest_retries_total"), 3);
            assert!(
                archive
                    .store
                    .list_refused_events(1)
                    .await
                    .unwrap()
                    .is_empty()
            );
            let mut model = Model::default();
            model.add_all(&events, Some(relay));
            model.check(&archive.store, &archive.pool).await;
        }
    }
}

/// Another session writes the same events in the opposite order, and is the more patient one.
#[tokio::test]
async fn a_deadlock_with_another_writer_is_survived() {
    for size in [60, 6] {
        let archive = Archive::new().await;
        let relay = archive.relays(1).await[0];
        let mut events = population(2, size);
        events.sort_by_key(|event| (event.created_at, event.id));
        let mut other = sqlx::PgConnection::connect(&archive.database.url())
            .await
            .unwrap();
        sqlx::raw_sql("set deadlock_timeout = '1min'; begin")
            .execute(&mut other)
            .await
            .unwrap();
        insert(&mut other, &events[size - 1]).await;
        let node = archive.node().await;
        let submitted = node.submit(events.clone(), Some(relay));
        let opposed = async {
            wait_until("ingest waits for the other session", async || {
                archive.count(WAITING).await > 0
            })
            .await;
            insert(&mut other, &events[0]).await;
            sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
        };
        let (ingested, ()) = tokio::join!(submitted, opposed);
        let ingested = ingested.unwrap();
        // Whoever of the two was ended: nothing is there twice, and nothing is missing.
        assert_eq!(ingested.new + ingested.known, size as u64);
        let written = node.metric("bigbrotr_ingest_new_events_total");
        assert_eq!(written, ingested.new);
        assert_eq!(ingested.known, 2);
        // The other session left out to tell the rollup, so only the tables are compared.
        let mut model = Model::default();
        model.add_all(&events, Some(relay));
        model.check_tables(&archive.pool).await;
    }
}

/// The orders of two processes meet at events whose ids are sorted against their times. A third
/// holds one of them up between the two.
#[tokio::test]
async fn all_writers_take_events_in_the_same_order() {
    let archive = Archive::new().await;
    let relays = archive.relays(2).await;
    let keys = author_keys(3, 3);
    let event = |at: i64, content: i64| {
        EventMaker::new(NOW + at)
            .content(content.to_string())
            .sign(&keys)
    };
    let (first, middle) = (event(0, 0), event(1, 0));
    let last = (0..1_000).map(|n| event(2, n)).find(|e| e.id < first.id);
    let both = vec![first, last.unwrap()];
    let mut many = both.clone();
    many.push(middle.clone());
    many.extend((3..60).map(|at| event(at, 0)));

    let mut third = sqlx::PgConnection::connect(&archive.database.url())
        .await
        .unwrap();
    sqlx::raw_sql("begin").execute(&mut third).await.unwrap();
    insert(&mut third, &middle).await;
    let (copying, calling) = (archive.node().await, archive.node().await);
    let waiting = async |writers: i64| {
        wait_until("writers wait", async || {
            archive.count(WAITING).await == writers
        })
        .await;
    };
    let copied = copying.submit(many.clone(), Some(relays[0]));
    let called = async {
        waiting(1).await;
        let freed = async {
            waiting(2).await;
            sqlx::raw_sql("rollback").execute(&mut third).await.unwrap();
        };
        tokio::join!(calling.submit(both.clone(), Some(relays[1])), freed).0
    };
    let (copied, called) = tokio::join!(copied, called);
    assert_eq!(copied.unwrap().new, many.len() as u64);
    assert_eq!(called.unwrap().known, 2);
    for node in [copying, calling] {
        assert_eq!(node.metric("bigbrotr_ingest_retries_total"), 0);
    }
    let mut model = Model::default();
    model.add_all(&many, Some(relays[0]));
    model.add_all(&both, Some(relays[1]));
    model.check(&archive.store, &archive.pool).await;
}

async fn insert(connection: &mut sqlx::PgConnection, event: &Event) {
    sqlx::query(
        "insert into events (created_at, kind, id, pubkey, sig, tags, content)
         values ($1, $2, $3, $4, $5, $6::json, $7::json)",
    )
    .bind(event.created_at)
    .bind(i32::from(event.kind))
    .bind(event.id.0.as_slice())
    .bind(event.pubkey.0.as_slice())
    .bind(event.sig.as_slice())
    .bind(serde_json::to_string(&event.tags).unwrap())
    .bind(serde_json::to_string(&event.content).unwrap())
    .execute(connection)
    .await
    .unwrap();
}
