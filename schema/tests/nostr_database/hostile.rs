//! What only Postgres has to bear: many writers at once, large events, colliding hashes, and
//! events that rust-nostr cannot hold.

use std::sync::Arc;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::event::Event as OwnEvent;
use bigbrotr_core::filter::Filter as OwnFilter;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::nostr_database::RelayDatabase;
use bigbrotr_schema::store::PublishOutcome;
use bigbrotr_schema::testing::{test_store, test_store_with};
use bigbrotr_testkit::population::EventMaker;
use nostr::{Event, Filter, JsonUtil};
use nostr_database::{Backend, NostrDatabase, RejectedReason, SaveEventStatus};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::subject::{
    T, deletion, event, hex, keys, note, postgres, rejected, save_in_the_crowd, version,
};

/// Saves all of the events at once, from as many tasks.
async fn save_at_once(database: &RelayDatabase, events: Vec<Event>) {
    let mut tasks = JoinSet::new();
    let ready = Arc::new(tokio::sync::Barrier::new(events.len()));
    for event in events {
        let (database, ready) = (database.clone(), ready.clone());
        tasks.spawn(async move {
            ready.wait().await;
            save_in_the_crowd(&database, &event).await;
        });
    }
    while let Some(saved) = tasks.join_next().await {
        saved.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_what_it_is() {
    let (subject, _database) = postgres().await;
    let backend = subject.database.backend();
    assert_eq!(backend, Backend::Custom("postgres".to_owned()));
    assert!(backend.is_persistent());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_versions_written_at_once_the_right_one_stays() {
    let (subject, _database) = postgres().await;
    for round in 0..5 {
        let d = round.to_string();
        // Ties for the newest, too.
        let mut versions: Vec<Event> = (0..24)
            .map(|n| version(0, n % 6, &d, &n.to_string()))
            .collect();
        save_at_once(&subject.database, versions.clone()).await;
        versions.sort_by_key(|version| (std::cmp::Reverse(version.created_at), version.id));
        let kept = subject.ids(Filter::new().identifier(d)).await;
        assert_eq!(kept, [versions[0].id]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_while_it_is_written_is_gone() {
    let (subject, _database) = postgres().await;
    for round in 0..5 {
        let mut events: Vec<Event> = (0..10)
            .map(|n| note(n % 3, 0, &format!("{round}-{n}")))
            .collect();
        let wraps = (0..5).map(|n| {
            let content = format!("{round}-{n}");
            event(7, 0, 1_059, &[&["p", &hex(0)], &["p", &hex(n)]], &content)
        });
        events.extend(wraps);
        let deletions: Vec<Event> = (0..3)
            .map(|n| {
                let own = events.iter().filter(|event| {
                    event.pubkey == keys(n).public_key() || (n == 0 && event.kind.as_u16() == 1_059)
                });
                deletion(n, round, &own.collect::<Vec<_>>())
            })
            .collect();
        events.extend(deletions.iter().cloned());
        save_at_once(&subject.database, events).await;
        subject.holds(&deletions.iter().collect::<Vec<_>>()).await;
        subject.database.wipe().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_vanishes_while_writing_is_gone() {
    let (subject, _database) = postgres().await;
    let mut events: Vec<Event> = (0..20).map(|n| note(0, n % 5, &n.to_string())).collect();
    let request = event(0, 5, 62, &[&["relay", "ALL_RELAYS"]], "");
    events.push(request.clone());
    save_at_once(&subject.database, events).await;
    subject.holds(&[&request]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_the_vanished_are_forgotten() {
    let (store, _database) = test_store().await;
    let request = |n: u64, at: i64| {
        let maker = EventMaker::new(T + at).kind(5_450).tag(["i", "\0"]);
        maker.content(r#""created_at":1"#).sign(&keys(n))
    };
    let (theirs, later, gone) = (request(1, 0), request(0, 11), request(0, 10));
    for job in [&theirs, &later, &gone] {
        assert!(store.insert_job(job, None).await.unwrap());
    }
    let vanish = EventMaker::new(T + 10)
        .kind(62)
        .tag(["relay", "ALL_RELAYS"]);
    store.publish(&vanish.sign(&keys(0))).await.unwrap();
    let jobs = store.claim_jobs(10, 60).await.unwrap();
    let mut left: Vec<_> = jobs.into_iter().map(|job| job.request.id).collect();
    left.sort_unstable();
    let mut expected = [theirs.id, later.id];
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_may_name_thousands() {
    let (subject, _database) = postgres().await;
    let present: Vec<Event> = (0..20).map(|n| note(0, 0, &n.to_string())).collect();
    let absent: Vec<Event> = (0..1_970).map(|n| note(0, 1, &n.to_string())).collect();
    let theirs: Vec<Event> = (0..10).map(|n| note(1, 0, &n.to_string())).collect();
    subject.put(present.iter().chain(&theirs)).await;
    let named: Vec<&Event> = present.iter().chain(&absent).chain(&theirs).collect();
    let gone = deletion(0, 2, &named);
    assert_eq!(gone.tags.len(), 2_000);
    subject.put([&gone]).await;
    let mut kept: Vec<&Event> = theirs.iter().collect();
    kept.push(&gone);
    subject.holds(&kept).await;
    for event in [&present[19], &absent[0], &absent[1_969]] {
        let again = subject.save(event).await;
        assert_eq!(again, rejected(RejectedReason::Deleted));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gift_wrap_may_be_for_thousands() {
    let (subject, _database) = postgres().await;
    let mut maker = EventMaker::new(T).kind(1_059).tag(["p", &hex(0)]);
    for n in 0..2_000_u64 {
        let key = format!("{:064x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        maker = maker.tag(["p", &key]).tag(["p", "no key"]);
    }
    let wrap = Event::from_json(maker.sign(&keys(7)).to_json()).unwrap();
    subject.put([&wrap]).await;
    let gone = deletion(0, 1, &[&wrap]);
    subject.put([&gone]).await;
    subject.holds(&[&gone]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_statement_removes_is_removed() {
    let (subject, _database) = postgres().await;
    let notes: Vec<Event> = (0..1_050).map(|n| note(0, n % 7, &n.to_string())).collect();
    let other = note(1, 0, "");
    subject.put(notes.iter().chain([&other])).await;
    let found = subject.ids(Filter::new()).await;
    assert_eq!(found.len(), 1_051);
    let own = Filter::new().author(notes[0].pubkey);
    subject.database.delete(own).await.unwrap();
    subject.holds(&[&other]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn colliding_tag_hashes_cost_no_answers() {
    let (store, database) = test_store().await;
    let tagged = |at: i64, value: &str| {
        let maker = EventMaker::new(T + at).tag(["t", value]);
        maker.content(at.to_string()).sign(&keys(0))
    };
    let wanted: Vec<OwnEvent> = (0..12).map(|at| tagged(at, "wanted")).collect();
    // Newer, so that they are found first.
    for event in wanted
        .iter()
        .cloned()
        .chain((100..130).map(|at| tagged(at, "other")))
    {
        store.publish(&event).await.unwrap();
    }
    // As if the two values had one hash.
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::query(
        "update relay_events set tag_hashes =
            (select array_agg(h) from (select distinct unnest(tag_hashes) as h from relay_events) as x)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();

    let filter = OwnFilter::from_json(r##"{"#t":["wanted"]}"##).unwrap();
    let newest: Vec<_> = wanted.iter().rev().map(|event| event.id).collect();
    for most in [1, 5, 12, 100] {
        let expected = &newest[..most.min(12)];
        let found = store.query_relay_events(&filter, most).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|stored| stored.id).collect();
        assert_eq!(found, expected);
        let ids = store.relay_event_ids(&filter, most).await.unwrap();
        let ids: Vec<_> = ids.into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, expected);
        let limited = OwnFilter {
            limit: Some(most),
            ..filter.clone()
        };
        let found = store.query_relay_events(&limited, 1_000).await.unwrap();
        assert_eq!(found.len(), expected.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_crowd_each_is_told_what_became_of_its_own() {
    let clock = ManualClock::new(T);
    let (store, _database) =
        test_store_with(DatabaseConfig::default(), Arc::new(clock.clone())).await;
    let note = |n: u64, at: i64| {
        EventMaker::new(T + at)
            .content(at.to_string())
            .sign(&keys(n))
    };
    let deleted = note(1, 1);
    let deletion = EventMaker::new(T)
        .kind(5)
        .tag(["e", &deleted.id.to_string()]);
    store.publish(&deletion.sign(&keys(1))).await.unwrap();
    let vanish = EventMaker::new(T + 5).kind(62).tag(["relay", "ALL_RELAYS"]);
    store.publish(&vanish.sign(&keys(2))).await.unwrap();
    let profile = |at: i64| EventMaker::new(T + at).kind(0).content("me").sign(&keys(3));
    store.publish(&profile(9)).await.unwrap();
    let expires = (T - 1).to_string();
    let expired = EventMaker::new(T).tag(["expiration", expires.as_str()]);

    let mut crowd = vec![
        (deleted.clone(), PublishOutcome::Deleted),
        (deleted, PublishOutcome::Deleted),
        (note(2, 5), PublishOutcome::Vanished),
        (note(2, 6), PublishOutcome::Stored),
        (profile(8), PublishOutcome::Older),
        (profile(10), PublishOutcome::Stored),
        (expired.sign(&keys(4)), PublishOutcome::Expired),
    ];
    crowd.extend((0..300).map(|at| (note(5, at), PublishOutcome::Stored)));
    let twice = note(6, 0);
    let ready = Arc::new(tokio::sync::Barrier::new(crowd.len() + 3));
    let mut tasks = JoinSet::new();
    for (event, expected) in crowd {
        let (store, ready) = (store.clone(), ready.clone());
        tasks.spawn(async move {
            ready.wait().await;
            assert_eq!(store.publish(&event).await.unwrap(), expected, "{event:?}");
            false
        });
    }
    for _ in 0..3 {
        let (store, ready, twice) = (store.clone(), ready.clone(), twice.clone());
        tasks.spawn(async move {
            ready.wait().await;
            store.publish(&twice).await.unwrap() == PublishOutcome::Stored
        });
    }
    let told = tasks.join_all().await;
    assert_eq!(told.into_iter().filter(|is_stored| *is_stored).count(), 1);
    let everything = OwnFilter::from_json(r#"{"kinds":[0,1]}"#).unwrap();
    let found = store.query_relay_events(&everything, 1_000).await.unwrap();
    assert_eq!(found.len(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_rust_nostr_cannot_hold_hides_no_others() {
    let (store, _database) = test_store().await;
    let database = RelayDatabase::new(store.clone(), []);
    let odd = EventMaker::new(T).tag(Vec::<String>::new()).sign(&keys(0));
    assert_eq!(store.publish(&odd).await.unwrap(), PublishOutcome::Stored);
    let even = note(0, 0, "even");
    database.save_event(&even).await.unwrap();
    let found = database.query(Filter::new()).await.unwrap().to_vec();
    assert_eq!(found, [even]);
    let id = nostr::EventId::from_byte_array(odd.id.0);
    assert!(database.event_by_id(&id).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_has_expired_stands_in_nobodys_way() {
    let clock = ManualClock::new(T);
    let (store, _database) =
        test_store_with(DatabaseConfig::default(), Arc::new(clock.clone())).await;
    let database = RelayDatabase::new(store, []);
    let expiry = (T + 100).to_string();
    let short = event(0, 5, 30_023, &[&["d", "x"], &["expiration", &expiry]], "");
    let older = version(0, 1, "x", "older");
    let save = async |event: &Event| database.save_event(event).await.unwrap();
    assert_eq!(save(&short).await, SaveEventStatus::Success);
    assert_eq!(save(&older).await, rejected(RejectedReason::Replaced));
    clock.advance(std::time::Duration::from_secs(100));
    assert_eq!(database.event_by_id(&short.id).await.unwrap(), None);
    assert_eq!(database.count(Filter::new()).await.unwrap(), 0);
    assert_eq!(save(&short).await, rejected(RejectedReason::Expired));
    assert_eq!(save(&older).await, SaveEventStatus::Success);
    assert_eq!(database.count(Filter::new()).await.unwrap(), 1);
}
