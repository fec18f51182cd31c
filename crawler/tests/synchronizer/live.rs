//! Relays that are followed once they are caught up with.

use std::time::Duration;

use bigbrotr_crawler::synchronizer::{LiveConfig, SynchronizerConfig};
use bigbrotr_schema::store::SyncScope;
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::ReconcileFault;

use super::support::{World, following, note, notes, now, relay, relay_with, until};

/// Never asked again: what is archived after the start came by subscription.
fn rarely() -> SynchronizerConfig {
    SynchronizerConfig {
        interval: Duration::from_hours(1),
        live: LiveConfig {
            verify_interval: Duration::from_hours(1),
            ..LiveConfig::default()
        },
        // Nothing happens for a while on a quiet relay.
        request_timeout: Duration::from_secs(5),
        ..following()
    }
}

async fn is_live(running: &super::support::Running, relays: usize) {
    until("relays are followed", async || {
        running.metric("bigbrotr_synchronizer_live_relays") as usize == relays
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_is_archived_without_asking_again() {
    let one = relay(notes(101, 30, 10)).await;
    let other = relay_with(notes(102, 30, 10), [ReconcileFault::Silence]).await;
    let world = World::of(&[&one, &other]).await;
    let running = world.start(rarely());
    is_live(&running, 2).await;
    let asked = one.stats().req_count;
    for n in 0..20 {
        one.add(note(101, now(), 1_000 + n));
        // Made a year ago, and published just now.
        other.add(note(102, now() - 31_536_000, 2_000 + n));
    }
    until("it is archived", async || {
        world.provenance().await.len() == one.event_count() + other.event_count()
    })
    .await;
    world.assert_holds(&[&one, &other]).await;
    assert_eq!(one.stats().req_count, asked);
    // Somebody who follows is not busy.
    assert!(running.service.is_idle().await.unwrap());
    running.stop().await;
    until("the connections are closed", async || {
        one.stats().open_sessions + other.stats().open_sessions == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hole_of_a_lost_connection_is_closed() {
    for reconciles in [true, false] {
        let faults = (!reconciles).then_some(ReconcileFault::Silence);
        let relay = relay_with(notes(103, 30, 10), faults).await;
        let world = World::of(&[&relay]).await;
        let running = world.start(rarely());
        is_live(&running, 1).await;
        let connections = relay.stats().connections;
        relay.disconnect_all();
        // Nobody is connected to hear of these.
        for n in 0..10 {
            relay.add(note(103, now(), 1_000 + n));
        }
        until("it is connected again", async || {
            relay.stats().connections > connections
        })
        .await;
        is_live(&running, 1).await;
        relay.add(note(103, now(), 2_000));
        until("all is archived", async || {
            world.provenance().await.len() == relay.event_count()
        })
        .await;
        world.assert_holds(&[&relay]).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_subscription_kept_back_is_found_by_asking() {
    let relay = relay(notes(104, 30, 10)).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(SynchronizerConfig {
        live: LiveConfig {
            verify_interval: Duration::from_secs(2),
            ..LiveConfig::default()
        },
        ..rarely()
    });
    is_live(&running, 1).await;
    // Loaded past the subscription.
    relay.load(vec![note(104, now(), 5_000)]);
    let connections = relay.stats().connections;
    until("it is archived", async || {
        world.provenance().await.len() == relay.event_count()
    })
    .await;
    assert_eq!(relay.stats().connections, connections);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_relays_than_may_be_followed_are_asked_in_turn() {
    let mut relays = Vec::new();
    for n in 0..4 {
        relays.push(relay(notes(110 + n, 10, 10)).await);
    }
    let relays: Vec<&SimRelay> = relays.iter().collect();
    let world = World::of(&relays).await;
    let running = world.start(SynchronizerConfig {
        interval: Duration::from_secs(1),
        live: LiveConfig {
            max_relays: 2,
            ..LiveConfig::default()
        },
        ..following()
    });
    is_live(&running, 2).await;
    for (n, relay) in relays.iter().enumerate() {
        relay.add(note(110 + n as u64, now(), 1_000));
    }
    let total: usize = relays.iter().map(|relay| relay.event_count()).sum();
    until("all is archived", async || {
        world.provenance().await.len() == total
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_of_a_followed_relay_is_kept_and_a_lost_one_let_go() {
    let relay = relay(notes(120, 10, 10)).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(SynchronizerConfig {
        lease: Duration::from_secs(2),
        ..rarely()
    });
    is_live(&running, 1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let networks = [bigbrotr_core::network::Network::Clearnet];
    let leased = world
        .store
        .lease_due_syncs(&networks, 1, 60, SyncScope::All, &[]);
    assert_eq!(leased.await.unwrap().len(), 0, "the lease ran out");
    // As if this process had slept through its lease, and another had taken the relay.
    let later = world.later(3_600).await;
    let leased = later.lease_due_syncs(&networks, 1, 60, SyncScope::All, &[]);
    assert_eq!(leased.await.unwrap().len(), 1);
    is_live(&running, 0).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_events_of_a_subscription_are_refused() {
    let relay = relay(notes(121, 10, 10)).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(rarely());
    is_live(&running, 1).await;
    let mut forged = note(121, now(), 1_000);
    forged.content = "somebody else's words".to_owned();
    relay.add(forged);
    relay.add(note(121, now(), 1_001));
    until("the true one is archived", async || {
        world.provenance().await.len() == 11
    })
    .await;
    running.stop().await;
}
