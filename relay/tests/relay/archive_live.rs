//! Newly archived events, live.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::event::{Event, EventId};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::TcpProxy;
use tokio::task::JoinSet;

use crate::helper::{Sent, archive_relay, filter, launch, next, note, now};

#[tokio::test(flavor = "multi_thread")]
async fn what_any_process_archives_reaches_subscribers_unless_it_is_old() {
    let relay = archive_relay(|config| {
        config.archive.live_window = Duration::from_mins(10);
    })
    .await;
    let mut client = relay.client().await;
    client
        .req_until_eose("a", &[filter(r#"{"kinds":[1]}"#)])
        .await
        .unwrap();
    let other = relay.other_process().await;
    let (old, new) = (note(now() - 3_600, "old"), note(now(), "new"));
    other.insert_events(&[&old, &new], &[]).await.unwrap();
    assert_eq!(next(&mut client, "a").await, Sent::Event(new.clone()));
    // Sent here as well, it is no news.
    relay.store.insert_events(&[], &[]).await.unwrap();
    assert!(client.is_silent_for(Duration::from_millis(300)).await);
    let again = client.req_until_eose("b", &[filter("{}")]).await.unwrap();
    assert_eq!(again.parsed(), [new, old]);
}

/// As the test of the relay's own events: subscribers that come in the middle of an ingest.
#[tokio::test(flavor = "multi_thread")]
async fn between_stored_and_live_nothing_archived_is_lost_or_doubled() {
    const EVENTS: usize = 400;
    const WRITERS: usize = 4;
    let relay = archive_relay(|config| config.limits.max_connections_per_ip = 100).await;
    let base = now() - 1_000;
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let store = relay.other_process().await;
        tasks.spawn(async move {
            for batch in 0..EVENTS / WRITERS / 5 {
                let events: Vec<Event> = (0..5)
                    .map(|n| {
                        let age = ((batch * 5 + n) * 7 % 100) as i64;
                        note(base + age, &format!("{writer} {batch} {n}"))
                    })
                    .collect();
                let events: Vec<&Event> = events.iter().collect();
                store.insert_events(&events, &[]).await.unwrap();
            }
        });
    }
    let mut readers = JoinSet::new();
    for reader in 0..12_u64 {
        let mut client = relay.client().await;
        readers.spawn(async move {
            tokio::time::sleep(Duration::from_millis(reader * 15)).await;
            client
                .req("a", &[filter(r#"{"kinds":[1]}"#)])
                .await
                .unwrap();
            let mut seen: HashMap<EventId, usize> = HashMap::new();
            while seen.len() < EVENTS {
                match next(&mut client, "a").await {
                    Sent::Event(event) => *seen.entry(event.id).or_default() += 1,
                    Sent::Eose => {}
                    Sent::Closed(reason) => panic!("closed: {reason}"),
                }
            }
            assert!(client.is_silent_for(Duration::from_millis(300)).await);
            assert!(seen.values().all(|count| *count == 1), "doubled");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    while let Some(done) = readers.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_archived_while_the_listener_was_cut_off_comes_once() {
    let (_, database) = test_store().await;
    let target = ([127, 0, 0, 1], database.port()).into();
    let proxy = TcpProxy::start(target).await.unwrap();
    let (direct, through) = (
        format!(":{}/", database.port()),
        format!(":{}/", proxy.address().port()),
    );
    let config = DatabaseConfig {
        direct_url: database.url().replace(&direct, &through).into(),
        ..DatabaseConfig::default()
    };
    let url = database.url();
    let store = Store::connect(&url, Arc::new(config), Arc::new(SystemClock));
    let relay = launch(store.await.unwrap(), database, |config| {
        config.archive.enabled = true;
    })
    .await;
    relay.counts("bigbrotr_relay_archive_open", 1).await;
    let mut client = relay.client().await;
    let before = note(now(), "before");
    relay.archive(std::slice::from_ref(&before)).await;
    client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    proxy.cut();
    let missed = note(now(), "while it was cut off");
    relay.archive(std::slice::from_ref(&missed)).await;
    relay.counts("bigbrotr_relay_feed_failures_total", 1).await;
    proxy.restore();
    assert_eq!(next(&mut client, "a").await, Sent::Event(missed));
    assert!(client.is_silent_for(Duration::from_millis(300)).await);
}
