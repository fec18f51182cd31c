//! What healthy relays hold is archived, all of it, with who had it.

use std::time::Duration;

use bigbrotr_core::limits::MAX_CREATED_AT;
use bigbrotr_crawler::synchronizer::SynchronizerConfig;
use bigbrotr_testkit::relay::AuthPolicy;
use bigbrotr_testkit::relay::faults::{Fault, Order, ReadFault};
use bigbrotr_testkit::{Population, PopulationConfig, SimRelay, SimRelayConfig};

use super::support::{World, config, keys, note, notes, now, relay, relay_with, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_archive_is_the_union_of_what_relays_hold() {
    let population = Population::generate(&PopulationConfig::new(1, 1_500, now() - 30));
    let mut relays = Vec::new();
    for n in 0..4 {
        let config = SimRelayConfig::with_events(population.subset(n, 4, 0.4));
        relays.push(SimRelay::start(config).await.unwrap());
    }
    let relays: Vec<&SimRelay> = relays.iter().collect();
    let world = World::of(&relays).await;
    let running = world.start(config());
    let started = now();
    for relay in &relays {
        world.covered(relay, started).await;
    }
    world.assert_holds(&relays).await;
    assert_eq!(world.gapped().await, 0);
    assert!((running.metric("bigbrotr_synchronizer_caught_up_relays") - 4.0).abs() < 0.1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caught_up_service_says_so_and_takes_up_what_comes_later() {
    let relay = relay(notes(2, 30, 10)).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(config());
    until("it is idle", async || {
        world.is_covered(&relay).await && running.service.is_idle().await.unwrap()
    })
    .await;
    // One made just now, one that was on its way for five minutes.
    relay.add(note(2, now(), 1_000));
    relay.add(note(2, now() - 300, 1_001));
    let added = now();
    world.covered(&relay, added + 1).await;
    world.assert_holds(&[&relay]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ends_of_time_are_archived() {
    let mut events = notes(3, 30, 10);
    let times = [
        0,
        1,
        now() + 86_400,
        1 << 33,
        MAX_CREATED_AT - 1,
        MAX_CREATED_AT,
    ];
    events.extend(times.map(|time| note(3, time, time)));
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let relay = relay_with(events.clone(), [ReadFault::Cap { events: 10, order }]).await;
        let world = World::of(&[&relay]).await;
        let running = world.start(config());
        world.covered(&relay, now()).await;
        world.assert_holds(&[&relay]).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_wanted_is_archived() {
    let mut events = notes(4, 40, 10);
    let reaction = bigbrotr_testkit::EventMaker::new(now() - 100).kind(7);
    events.push(reaction.sign(&keys()));
    let (newest, oldest) = (events[10].created_at, events[30].created_at);
    let relay = relay(events).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(SynchronizerConfig {
        since: Some(oldest),
        until: Some(newest),
        kinds: Some(vec![1]),
        ..config()
    });
    world.covered(&relay, newest).await;
    assert_eq!(world.provenance().await.len(), 21);
    assert_eq!(world.coverage(&relay).await.covered_from, Some(oldest));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_demands_authentication_gets_ours() {
    let relay = SimRelay::start(SimRelayConfig {
        auth: AuthPolicy::Reads,
        ..SimRelayConfig::with_events(notes(5, 20, 10))
    })
    .await
    .unwrap();
    let world = World::of(&[&relay]).await;
    let running = world.start(config());
    world.covered(&relay, now()).await;
    world.assert_holds(&[&relay]).await;
    let us = bigbrotr_core::event::Pubkey(keys().public_key().to_bytes());
    assert!(relay.stats().authenticated.contains(&us));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_relay_is_caught_up_while_events_arrive() {
    let relay = relay_with::<Fault>(notes(6, 300, 3), []).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(config());
    let started = now();
    for n in 0..200 {
        relay.add(note(6, now() - n % 3, 10_000 + n));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.covered(&relay, started).await;
    world.covered(&relay, now() + 1).await;
    world.assert_holds(&[&relay]).await;
    assert_eq!(world.gapped().await, 0);
    running.stop().await;
}
