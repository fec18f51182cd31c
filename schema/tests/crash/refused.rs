//! An event that the database does not take: left out, recorded, and nobody else's problem.

use std::sync::Arc;

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::ingest::Ingested;
use bigbrotr_schema::limits::REFUSED_EVENT_BYTES;
use bigbrotr_testkit::population::{EventMaker, InvalidEvents, author_keys};
use tokio::task::JoinSet;

use crate::harness::{Archive, NOW, population};
use crate::model::Model;

/// Refuses events of one kind as an operator's trigger would.
const REFUSE_KIND_6666: &str = "
    create function refuse_kind_6666() returns trigger language plpgsql as $$
    begin
        if new.kind = 6666 then
            raise exception 'kind 6666 is not welcome';
        end if;
        return new;
    end $$;
    create trigger refuse before insert on events for each row execute function refuse_kind_6666();";

fn poison(content: &str) -> Event {
    EventMaker::new(NOW)
        .kind(6_666)
        .content(content)
        .sign(&author_keys(6, 6))
}

/// The ids of the records, the latest first, with how often each was refused.
async fn recorded(archive: &Archive) -> Vec<(EventId, u64)> {
    let records = archive.store.list_refused_events(100).await.unwrap();
    records.iter().map(|r| (r.id, r.times)).collect()
}

#[tokio::test]
async fn the_rest_of_the_batch_goes_in_and_the_poison_is_recorded() {
    let archive = Archive::new().await;
    archive.meddle(REFUSE_KIND_6666).await;
    let node = archive.node().await;
    let relays = archive.relays(2).await;
    let mut model = Model::default();
    // Many, few and one; the poison at the edges and in the middle; a copy of it.
    for (round, size) in [(0, 300), (1, 20), (2, 1)] {
        let good = population(round, size);
        let bad = [
            poison(&format!("a{round}")),
            poison(&"x".repeat(REFUSED_EVENT_BYTES)),
        ];
        let mut batch = vec![bad[0].clone()];
        batch.extend(good.clone());
        batch.insert(size / 2, bad[1].clone());
        batch.push(bad[0].clone());
        let ingested = node.submit(batch, Some(relays[0])).await.unwrap();
        let size = size as u64;
        assert_eq!(
            ingested,
            Ingested {
                new: size,
                known: 0,
                refused: 3,
                ..Ingested::default()
            }
        );
        model.add_all(&good, Some(relays[0]));
        // Alone, and from elsewhere.
        let alone = node
            .submit(vec![bad[0].clone()], Some(relays[1]))
            .await
            .unwrap();
        assert_eq!((alone.new, alone.known, alone.refused), (0, 0, 1));
        let records = archive.store.list_refused_events(100).await.unwrap();
        let record = records.iter().find(|r| r.id == bad[0].id).unwrap();
        assert_eq!(record.relay, Some(relays[1]));
        assert_eq!(record.sqlstate, "P0001");
        assert_eq!(record.message, "kind 6666 is not welcome");
        assert_eq!((record.times, record.refused_at), (2, NOW));
        let json = record.event.as_ref().unwrap();
        assert_eq!(record.bytes, json.len() as u64);
        assert_eq!(Event::from_json(json).unwrap(), bad[0]);
        let long = records.iter().find(|r| r.id == bad[1].id).unwrap();
        assert_eq!((&long.event, long.times), (&None, round + 1));
        assert!(long.bytes > REFUSED_EVENT_BYTES as u64);
    }
    assert_eq!(recorded(&archive).await.len(), 4);
    model.check(&archive.store, &archive.pool).await;

    // With the cause gone, the recorded event goes in.
    archive.meddle("drop trigger refuse on events").await;
    let ingested = node.submit(vec![poison("a0")], None).await.unwrap();
    assert_eq!(ingested.new, 1);
}

#[tokio::test]
async fn a_value_that_the_database_cannot_hold_is_a_poison_too() {
    let archive = Archive::new().await;
    // Data exceptions and violated constraints: classes 22 and 23.
    archive
        .meddle(
            "create unique index one_per_kind on events ((case when kind = 7777 then 1 end));
             create function divide() returns trigger language plpgsql as $$
             begin
                perform 1 / (new.kind - 7776);
                return new;
             end $$;
             create trigger divide before insert on events for each row execute function divide()",
        )
        .await;
    let node = archive.node().await;
    let event = |kind, n: i64| EventMaker::new(NOW + n).kind(kind).sign(&author_keys(6, 6));
    let mut batch = population(5, 100);
    batch.extend([event(7_776, 0), event(7_777, 1), event(7_777, 2)]);
    let ingested = node.submit(batch, None).await.unwrap();
    assert_eq!((ingested.new, ingested.refused), (101, 2));
    let records = archive.store.list_refused_events(10).await.unwrap();
    let mut codes: Vec<&str> = records.iter().map(|r| r.sqlstate.as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["22012", "23505"]);
}

#[tokio::test]
async fn wrong_events_of_relays_are_counted_and_not_recorded() {
    let archive = Archive::new().await;
    let node = archive.node().await;
    let invalid = InvalidEvents::new(author_keys(9, 9), NOW);
    let wrong = vec![
        invalid.wrong_signature(),
        invalid.wrong_id(),
        invalid.impossible_pubkey(),
    ];
    assert_eq!(node.submit(wrong, None).await.unwrap().refused, 3);
    assert_eq!(recorded(&archive).await, []);
}

/// The next batches are checked while the poison is on its way into the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_poison_in_flight_is_not_taken_for_known() {
    let archive = Archive::new().await;
    archive.meddle(REFUSE_KIND_6666).await;
    let node = Arc::new(archive.node().await);
    let relay = archive.relays(1).await[0];
    let mut submitters = JoinSet::new();
    for n in 0..30_u64 {
        let node = node.clone();
        submitters.spawn(async move {
            let mut batch = population(n, 40);
            batch.push(poison("the same"));
            let relay = (n % 3 > 0).then_some(relay);
            let ingested = node.submit(batch, relay).await.unwrap();
            assert_eq!((ingested.new, ingested.refused), (40, 1));
        });
    }
    submitters.join_all().await;
    let records = recorded(&archive).await;
    assert_eq!(records.len(), 1);
}

/// A table that is away, or a right that is missing, is no event's fault.
#[tokio::test]
async fn a_database_that_cannot_work_refuses_no_event() {
    let archive = Archive::new().await;
    let node = archive.node().await;
    let events = population(8, 50);
    archive.meddle("alter table events rename to away").await;
    let error = node.submit(events.clone(), None).await.unwrap_err();
    assert!(matches!(error, StoreError::Stopped), "{error:?}");
    archive.meddle("alter table away rename to events").await;
    archive
        .meddle(
            "create function not_yours() returns trigger language plpgsql as
                'begin raise insufficient_privilege; end';
             create trigger refuse before insert on events execute function not_yours()",
        )
        .await;
    node.submit(events.clone(), None).await.unwrap_err();
    assert_eq!(recorded(&archive).await, []);
    archive.meddle("drop trigger refuse on events").await;
    assert_eq!(node.submit(events, None).await.unwrap().new, 50);
}

#[tokio::test]
async fn the_record_is_bounded_and_for_monitoring_tools_to_read() {
    let archive = Archive::new().await;
    for n in 0..20_u8 {
        sqlx::query("select record_refused_event($1, 1, 'P0001', 'no', 2, '{}', $2, 10)")
            .bind([n; 32].as_slice())
            .bind(i64::from(n))
            .execute(&archive.pool)
            .await
            .unwrap();
    }
    let expected: Vec<(EventId, u64)> = (10..20).rev().map(|n| (EventId([n; 32]), 1)).collect();
    assert_eq!(recorded(&archive).await, expected);
    for (role, allowed) in [("readonly_system", true), ("readonly_public", false)] {
        let mut tx = archive.pool.begin().await.unwrap();
        let set = sqlx::AssertSqlSafe(format!("set local role {role}"));
        sqlx::raw_sql(set).execute(&mut *tx).await.unwrap();
        let read = sqlx::query("select * from refused_events")
            .execute(&mut *tx)
            .await;
        assert_eq!(read.is_ok(), allowed, "{role}");
    }
}
