//! A synchronizer that ends in the middle of a scan, by a stop or by force.

use std::time::Duration;

use bigbrotr_crawler::synchronizer::SynchronizerConfig;
use bigbrotr_schema::store::SyncScope;
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::{Fault, Order, ReadFault};

use super::support::{Mortal, World, config, notes, now, reconciling, relay_with, until};

const EVENTS: i64 = 1_000;

/// A relay that gives a hundred events at a time, slowly.
async fn slow(order: Order) -> SimRelay {
    let faults = [
        Fault::from(ReadFault::Cap { events: 100, order }),
        Fault::from(ReadFault::Latency(Duration::from_millis(150))),
    ];
    relay_with(notes(31, EVENTS, 3_600), faults).await
}

fn seldom() -> SynchronizerConfig {
    SynchronizerConfig {
        interval: Duration::from_mins(5),
        request_timeout: Duration::from_secs(5),
        lease: Duration::from_secs(2),
        ..config()
    }
}

async fn half_way(relay: &SimRelay) {
    until("half is sent", async || {
        relay.stats().events_sent >= EVENTS as u64 / 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_scan_goes_on_where_it_was() {
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let relay = slow(order).await;
        let world = World::of(&[&relay]).await;
        let first = world.start(seldom());
        half_way(&relay).await;
        first.stop().await;
        // The lease was given back: the next one can begin at once.
        let pending = [bigbrotr_core::network::Network::Clearnet];
        let leased = world
            .store
            .lease_due_syncs(&pending, 1, 1, SyncScope::All, &[])
            .await
            .unwrap();
        assert_eq!(leased.len(), 1);

        let second = world.start(seldom());
        world.covered(&relay, now() - 60).await;
        world.assert_holds(&[&relay]).await;
        let sent = relay.stats().events_sent;
        assert!(
            sent <= EVENTS as u64 + 350,
            "{order:?}: {sent} events were sent"
        );
        second.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_scan_costs_a_page_or_two() {
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let relay = slow(order).await;
        let world = World::of(&[&relay]).await;
        let first = Mortal::start(&world, seldom()).await;
        half_way(&relay).await;
        first.kill();
        let second = world.start(seldom());
        world.covered(&relay, now() - 60).await;
        world.assert_holds(&[&relay]).await;
        let sent = relay.stats().events_sent;
        assert!(
            sent <= EVENTS as u64 + 450,
            "{order:?}: {sent} events were sent"
        );
        second.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_takes_long_makes_room_for_others() {
    for negentropy in [config().negentropy, reconciling().negentropy] {
        let relay = slow(Order::NewestFirst).await;
        let other = relay_with::<Fault>(notes(32, 20, 20), []).await;
        let world = World::of(&[&relay, &other]).await;
        let running = world.start(SynchronizerConfig {
            concurrency: 1,
            turn_timeout: Duration::from_millis(400),
            negentropy,
            ..seldom()
        });
        world.covered(&other, now() - 60).await;
        world.covered(&relay, now() - 60).await;
        world.assert_holds(&[&relay, &other]).await;
        assert!(relay.stats().sessions > 1);
        running.stop().await;
    }
}
