//! Relays that reconcile (NIP-77): what the archive has is not sent again, and a relay's word is
//! worth what it gives.

use std::time::Duration;

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_crawler::synchronizer::{NegentropyConfig, SynchronizerConfig};
use bigbrotr_testkit::relay::faults::{Fault, ReadFault, ReconcileFault};
use bigbrotr_testkit::{Population, PopulationConfig, SimRelay, SimRelayConfig};

use super::support::{World, note, notes, now, reconciling, relay, relay_with, until};

/// Some kilobytes a note: what is downloaded shows.
fn long_notes(seed: u64, count: i64) -> Vec<Event> {
    let newest = now() - 60;
    let text = "a".repeat(2_000);
    (0..count)
        .map(|n| {
            bigbrotr_testkit::EventMaker::new(newest - n)
                .content(format!("{text}{n}"))
                .sign(&bigbrotr_testkit::population::author_keys(seed, 0))
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_relay_costs_ids_and_not_events() {
    let events = long_notes(61, 600);
    let first = relay(events.clone()).await;
    let world = World::of(&[&first]).await;
    let running = world.start(reconciling());
    world.covered(&first, now() - 60).await;
    let mut more = events;
    more.push(note(62, now() - 100, 1));
    let second = relay(more).await;
    world.add(&[&second]).await;
    world.covered(&second, now() - 60).await;
    world.assert_holds(&[&first, &second]).await;
    let (first, second) = (first.stats(), second.stats());
    assert!(
        second.bytes_out * 2 < first.bytes_out,
        "{} bytes after {}",
        second.bytes_out,
        first.bytes_out
    );
    // Some are asked for to see that the relay has what it says, and the new one.
    assert!(second.events_sent <= 125, "{} sent", second.events_sent);
    // Of ids only those that differ are named.
    let named = second.reconcile_bytes_out + second.reconcile_bytes_in;
    assert!(named < 600 * 64 / 2, "{named} bytes to compare 600 ids");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_agrees_to_everything_gets_no_credit_for_it() {
    let events = notes(93, 600, 5);
    let first = relay(events.clone()).await;
    let world = World::of(&[&first]).await;
    let running = world.start(reconciling());
    world.covered(&first, now() - 60).await;
    // The newest are there, and nothing of the rest.
    let few = events[..150].to_vec();
    let liar = relay_with(few, [ReconcileFault::Message("61".to_owned())]).await;
    world.add(&[&liar]).await;
    world.covered(&liar, now() - 60).await;
    assert!(liar.stats().reconciliations > 0);
    world.assert_holds(&[&first, &liar]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_archive_is_the_union_of_what_relays_hold() {
    let population = Population::generate(&PopulationConfig::new(63, 2_000, now() - 30));
    let mut relays = Vec::new();
    for n in 0..4 {
        let config = SimRelayConfig {
            // One small frame at a time; one gives few events at once.
            faults: match n {
                1 => vec![ReconcileFault::Frames(4_096).into()],
                2 => vec![Fault::from(ReadFault::Cap {
                    events: 30,
                    order: bigbrotr_testkit::relay::faults::Order::NewestFirst,
                })],
                3 => vec![ReconcileFault::TooMany { above: 90 }.into()],
                _ => Vec::new(),
            },
            ..SimRelayConfig::with_events(population.subset(n, 4, 0.4))
        };
        relays.push(SimRelay::start(config).await.unwrap());
    }
    let relays: Vec<&SimRelay> = relays.iter().collect();
    let world = World::of(&relays).await;
    let running = world.start(SynchronizerConfig {
        negentropy: NegentropyConfig {
            window_events: 300,
            ..NegentropyConfig::default()
        },
        ..reconciling()
    });
    let started = now();
    for relay in &relays {
        world.covered(relay, started).await;
    }
    world.assert_holds(&relays).await;
    assert_eq!(world.gapped().await, 0);
    for relay in &relays {
        assert!(relay.stats().reconciliations > 0);
        let id = world.id(relay).await;
        assert_eq!(world.store.count_missing(id).await.unwrap(), 0);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caught_up_relay_costs_a_fingerprint() {
    let relay = relay(notes(64, 400, 2)).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(SynchronizerConfig {
        overlap: Duration::from_hours(1),
        ..reconciling()
    });
    world.covered(&relay, now() - 5).await;
    let (events, rounds) = (relay.stats().events_sent, relay.stats().reconcile_rounds);
    let to = world.coverage(&relay).await.covered_to.unwrap();
    world.covered(&relay, to + 2).await;
    let stats = relay.stats();
    assert_eq!(stats.events_sent, events, "known events were sent again");
    assert!(stats.reconcile_rounds > rounds);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_reached_a_relay_late_is_found() {
    let relay = relay(notes(65, 50, 10)).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(SynchronizerConfig {
        negentropy: NegentropyConfig {
            full_interval: Duration::from_secs(2),
            ..NegentropyConfig::default()
        },
        ..reconciling()
    });
    world.covered(&relay, now() - 60).await;
    // Years old, far below the overlap.
    relay.add(note(65, 1_600_000_000, 9_999));
    until("it is found", async || {
        world.provenance().await.len() == relay.event_count()
    })
    .await;
    world.assert_holds(&[&relay]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_falls_back_to_pages_and_is_remembered() {
    let refusals = ReconcileFault::unsupported()
        .into_iter()
        .chain([ReconcileFault::Rubbish, ReconcileFault::version(0x60)]);
    let mut relays = Vec::new();
    for (n, fault) in refusals.enumerate() {
        relays.push(relay_with(notes(66 + n as u64, 30, 10), [fault]).await);
    }
    let relays: Vec<&SimRelay> = relays.iter().collect();
    let world = World::of(&relays).await;
    let running = world.start(reconciling());
    let started = now();
    for relay in &relays {
        world.covered(relay, started + 3).await;
    }
    world.assert_holds(&relays).await;
    for relay in &relays {
        let asked = relay.stats().reconciliations;
        assert_eq!(asked, 1, "asked again for what was refused");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_that_are_not_kept_are_noted_and_do_not_hide_the_rest() {
    let ghosts: Vec<EventId> = (0..3).map(|n| EventId([n; 32])).collect();
    let faults = [ReconcileFault::Phantom(ghosts.clone())];
    let relay = relay_with(notes(90, 60, 10), faults).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(reconciling());
    world.covered(&relay, now()).await;
    world.assert_holds(&[&relay]).await;
    let id = world.id(&relay).await;
    let noted = world.store.list_missing(id, &ghosts, 0).await.unwrap();
    assert_eq!(noted.len(), 3);
    // They are not asked for each time.
    let asked = |stats: bigbrotr_testkit::relay::RelayStats| {
        stats
            .reqs
            .iter()
            .filter(|req| req.filters.iter().any(|filter| filter.ids.is_some()))
            .count()
    };
    let before = asked(relay.stats());
    let to = world.coverage(&relay).await.covered_to.unwrap();
    world.covered(&relay, to + 2).await;
    assert_eq!(asked(relay.stats()), before);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_breaks_most_promises_is_paged() {
    for fault in [ReconcileFault::Endless, ReconcileFault::Repeat] {
        let relay = relay_with(notes(91, 60, 10), [fault]).await;
        let world = World::of(&[&relay]).await;
        let running = world.start(reconciling());
        world.covered(&relay, now()).await;
        world.assert_holds(&[&relay]).await;
        let asked = relay.stats().reconciliations;
        let to = world.coverage(&relay).await.covered_to.unwrap();
        world.covered(&relay, to + 2).await;
        assert_eq!(relay.stats().reconciliations, asked);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_on_the_way_costs_time_and_loses_nothing() {
    for fault in [
        ReconcileFault::CutAfter(1),
        ReconcileFault::CloseMidway,
        ReconcileFault::ForgetOnReq,
        ReconcileFault::AfterReq,
    ] {
        let name = format!("{fault:?}");
        let faults = [fault, ReconcileFault::Frames(4_096)];
        let relay = relay_with(notes(92, 700, 10), faults).await;
        let world = World::of(&[&relay]).await;
        let running = world.start(reconciling());
        until(&format!("{name}: something came"), async || {
            relay.stats().reconciliations > 1
        })
        .await;
        relay.clear_faults();
        world.covered(&relay, now()).await;
        world.assert_holds(&[&relay]).await;
        assert_eq!(world.gapped().await, 0, "{name}");
        running.stop().await;
    }
}
