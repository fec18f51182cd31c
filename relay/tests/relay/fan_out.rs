//! Live events: none lost, none doubled, and nobody slowed down by somebody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::event::EventId;
use bigbrotr_core::message::RelayMessage;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::TcpProxy;
use tokio::task::JoinSet;

use crate::helper::{Sent, filter, launch, next, note, now, relay, relay_with};

#[tokio::test(flavor = "multi_thread")]
async fn events_published_by_another_process_reach_subscribers() {
    let relay = relay().await;
    let mut client = relay.client().await;
    client
        .req_until_eose("a", &[filter(r#"{"kinds":[1]}"#)])
        .await
        .unwrap();
    let other = relay.other_process().await;
    let event = note(now(), "from elsewhere");
    other.publish(&event).await.unwrap();
    assert_eq!(next(&mut client, "a").await, Sent::Event(event));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_reaches_every_subscription_that_matches() {
    let relay = relay().await;
    let (mut first, mut second) = (relay.client().await, relay.client().await);
    first.req_until_eose("a", &[filter("{}")]).await.unwrap();
    first
        .req_until_eose("b", &[filter(r#"{"kinds":[1]}"#), filter("{}")])
        .await
        .unwrap();
    first
        .req_until_eose("c", &[filter(r#"{"kinds":[7]}"#)])
        .await
        .unwrap();
    second
        .req_until_eose("a", &[filter(r#"{"kinds":[1,7]}"#)])
        .await
        .unwrap();
    let event = note(now(), "x");
    relay.store.publish(&event).await.unwrap();
    let mut subscriptions = Vec::new();
    for _ in 0..2 {
        let text = first.next().await.unwrap();
        let Ok(RelayMessage::Event { sub_id, .. }) = RelayMessage::parse(&text) else {
            panic!("{text}");
        };
        subscriptions.push(sub_id.into_owned());
    }
    subscriptions.sort();
    assert_eq!(subscriptions, ["a", "b"]);
    assert_eq!(next(&mut second, "a").await, Sent::Event(event));
    assert!(first.is_silent_for(Duration::from_millis(200)).await);
}

/// Subscribers that come in the middle of a stream of events get each of them exactly once,
/// stored or live.
#[tokio::test(flavor = "multi_thread")]
async fn between_stored_and_live_nothing_is_lost_or_doubled() {
    const EVENTS: usize = 400;
    const WRITERS: usize = 4;
    let relay = relay_with(|config| config.limits.max_connections_per_ip = 100).await;
    let base = now() - 1_000;
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let store = relay.other_process().await;
        tasks.spawn(async move {
            for n in 0..EVENTS / WRITERS {
                // Not in the order of their times.
                let age = (n * 7 % 100) as i64;
                let event = note(base + age, &format!("{writer} {n}"));
                store.publish(&event).await.unwrap();
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
async fn what_comes_while_stored_events_are_sent_follows_eose() {
    const STORED: i64 = 300;
    let relay = relay().await;
    let content = "x".repeat(60_000);
    let oldest = now() - 1_000;
    for n in 0..STORED {
        let event = note(oldest + n, &content);
        relay.store.publish(&event).await.unwrap();
    }
    let mut client = relay.client().await;
    client.req("a", &[filter("{}")]).await.unwrap();
    // More than the sockets and the queue hold: the relay waits for the client, in the middle of
    // the stored events and past where new ones would be among them.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let live: Vec<_> = (0..5).map(|n| note(now(), &n.to_string())).collect();
    for event in &live {
        relay.store.publish(event).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..STORED {
        let Sent::Event(event) = next(&mut client, "a").await else {
            panic!("the stored events are not complete");
        };
        assert_eq!(event.content, content);
    }
    assert_eq!(next(&mut client, "a").await, Sent::Eose);
    for event in live {
        assert_eq!(next(&mut client, "a").await, Sent::Event(event));
    }
    assert!(client.is_silent_for(Duration::from_millis(200)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_while_the_listener_was_cut_off_comes_once() {
    let (_, database) = test_store().await;
    let target = ([127, 0, 0, 1], database.port()).into();
    let proxy = TcpProxy::start(target).await.unwrap();
    let (direct, through) = (
        format!(":{}/", database.port()),
        format!(":{}/", proxy.address().port()),
    );
    // Listening goes through the proxy, as do questions.
    let config = DatabaseConfig {
        direct_url: database.url().replace(&direct, &through).into(),
        ..DatabaseConfig::default()
    };
    let url = database.url();
    let store = Store::connect(&url, Arc::new(config), Arc::new(SystemClock));
    let mut relay = launch(store.await.unwrap(), database, |_| {}).await;
    relay.becomes(|health| health.as_str() == "ready").await;
    let mut client = relay.client().await;
    let before = note(now(), "before");
    relay.store.publish(&before).await.unwrap();
    client.req_until_eose("a", &[filter("{}")]).await.unwrap();

    proxy.cut();
    let missed = note(now(), "while it was cut off");
    relay.store.publish(&missed).await.unwrap();
    relay.becomes(|health| health.as_str() == "degraded").await;
    assert!(
        relay
            .health
            .borrow()
            .reason()
            .unwrap()
            .starts_with("new events are not heard of")
    );
    // Publishing goes on. Questions go the direct way too.
    let also_missed = note(now(), "while it was known to be cut off");
    relay.store.publish(&also_missed).await.unwrap();

    proxy.restore();
    assert_eq!(next(&mut client, "a").await, Sent::Event(missed));
    assert_eq!(next(&mut client, "a").await, Sent::Event(also_missed));
    relay.becomes(|health| health.as_str() == "ready").await;
    // The connections that questions had are dead, which clients need not know.
    let mut other = relay.client().await;
    assert_eq!(other.count("c", &[filter("{}")]).await.unwrap(), 3);
    let after = note(now(), "after");
    relay.store.publish(&after).await.unwrap();
    assert_eq!(next(&mut client, "a").await, Sent::Event(after));
    assert!(client.is_silent_for(Duration::from_millis(300)).await);
}

/// A client that does not read is told that it lost its subscription; meanwhile others get every
/// event, and the relay's memory for it is bounded.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_loses_its_subscription_and_disturbs_nobody() {
    const EVENTS: usize = 400;
    let relay = relay_with(|config| {
        config.limits.outgoing_messages = 16;
        config.limits.outgoing_bytes = bigbrotr_core::config::ByteSize::kib(256);
    })
    .await;
    let (mut slow, mut quick) = (relay.client().await, relay.client().await);
    slow.req_until_eose("a", &[filter("{}")]).await.unwrap();
    quick.req_until_eose("a", &[filter("{}")]).await.unwrap();
    let content = "x".repeat(60_000);
    for n in 0..EVENTS {
        let event = note(now(), &format!("{n} {content}"));
        relay.store.publish(&event).await.unwrap();
        assert_eq!(next(&mut quick, "a").await, Sent::Event(event));
    }
    // What it was sent before the queue was full, and then the reason.
    let mut received = 0;
    let reason = loop {
        match next(&mut slow, "a").await {
            Sent::Event(_) => received += 1,
            Sent::Eose => panic!("a second EOSE"),
            Sent::Closed(reason) => break reason,
        }
    };
    assert!(
        received < EVENTS && reason.starts_with("error: too slow"),
        "{received} {reason}"
    );
    // It may subscribe again.
    let again = slow
        .req_until_eose("a", &[filter(r#"{"limit":1}"#)])
        .await
        .unwrap();
    assert_eq!(again.events.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_at_all_is_disconnected() {
    let relay = relay_with(|config| config.write_timeout = Duration::from_secs(1)).await;
    let content = "x".repeat(100_000);
    let newest = now();
    for n in 0..300 {
        relay
            .store
            .publish(&note(newest - n, &content))
            .await
            .unwrap();
    }
    let mut client = relay.client().await;
    client.req("a", &[filter("{}")]).await.unwrap();
    for _ in 0..100 {
        // Both: before the session is counted there is no connection either.
        let slow = relay.metric("bigbrotr_relay_slow_clients_total") as u64;
        if slow == 1 && relay.metric("bigbrotr_relay_connections") as u64 == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the client is still connected");
}
