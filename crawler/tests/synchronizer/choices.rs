//! Which events are archived of which relay, and what a changed choice costs.

use std::time::Duration;

use bigbrotr_core::config::ByteSize;
use bigbrotr_core::event::{Event, Pubkey};
use bigbrotr_crawler::synchronizer::{DenyConfig, RelayRules, SynchronizerConfig};
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::ReconcileFault;
use bigbrotr_testkit::{EventMaker, SimRelay};

use super::support::{World, config, notes, now, reconciling, relay, relay_with, until, url};

/// Notes (kind 1), reactions (7) and lists (10002 by others), a few of each.
fn mixed() -> Vec<Event> {
    let mut events = notes(201, 40, 10);
    for n in 0..30 {
        let at = now() - 65 - n * 10;
        events.push(EventMaker::new(at).kind(7).sign(&author_keys(202, 0)));
        let tagged = EventMaker::new(at)
            .kind(1)
            .tag(["t", if n % 2 == 0 { "a" } else { "b" }]);
        events.push(tagged.sign(&author_keys(203, 0)));
    }
    events
}

/// Runs until the relay is covered anew, and returns how many events it sent.
async fn runs(world: &World, relay: &SimRelay, config: SynchronizerConfig) -> u64 {
    let before = relay.stats().events_sent;
    let asked = relay.stats().req_count + relay.stats().reconciliations;
    let running = world.start(config);
    until("the relay is asked", async || {
        relay.stats().req_count + relay.stats().reconciliations > asked
    })
    .await;
    world.covered(relay, now()).await;
    until("all is done", async || {
        running.service.is_idle().await.unwrap()
    })
    .await;
    running.stop().await;
    relay.stats().events_sent - before
}

fn once(config: SynchronizerConfig) -> SynchronizerConfig {
    SynchronizerConfig {
        interval: Duration::from_secs(2),
        overlap: Duration::ZERO,
        ..config
    }
}

async fn kinds_archived(world: &World, relay: &SimRelay, kind: u16) -> usize {
    let archived = world.provenance().await;
    let events = relay.events();
    let of_kind = events.iter().filter(|event| event.kind() == kind);
    of_kind
        .filter(|event| archived.contains_key(&event.id()))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_are_added_are_fetched_and_the_others_are_not_sent_again() {
    let relay = relay(mixed()).await;
    let world = World::of(&[&relay]).await;
    let with = |kinds: Vec<u16>| SynchronizerConfig {
        kinds: Some(kinds),
        ..once(config())
    };
    runs(&world, &relay, with(vec![1])).await;
    assert_eq!(kinds_archived(&world, &relay, 1).await, 70);
    assert_eq!(kinds_archived(&world, &relay, 7).await, 0);
    let sent = runs(&world, &relay, with(vec![1, 7])).await;
    world.assert_holds(&[&relay]).await;
    // 30 reactions, each perhaps twice, and a few notes at the top.
    assert!(sent <= 70, "{sent} events were sent for 30");
    // Fewer, and again as many: nothing is missing.
    let sent = runs(&world, &relay, with(vec![1])).await;
    assert!(sent <= 10, "{sent} events were sent for none");
    let sent = runs(&world, &relay, with(vec![1, 7])).await;
    assert!(sent <= 10, "{sent} events were sent for none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_in_time_that_are_widened_cost_what_they_add() {
    let relay = relay(notes(204, 200, 10)).await;
    let world = World::of(&[&relay]).await;
    let since = |back: i64| SynchronizerConfig {
        since: Some(now() - 60 - back),
        ..once(config())
    };
    let sent = runs(&world, &relay, since(500)).await;
    assert!((45..=110).contains(&sent), "{sent} for 50");
    let sent = runs(&world, &relay, since(1_000)).await;
    assert!((45..=110).contains(&sent), "{sent} for 50 more");
    runs(&world, &relay, once(config())).await;
    world.assert_holds(&[&relay]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_s_own_rules_hold_for_it_alone() {
    let (one, other) = (relay(mixed()).await, relay(mixed()).await);
    let world = World::of(&[&one, &other]).await;
    let rules = RelayRules {
        kinds: Some(vec![7]),
        ..RelayRules::default()
    };
    let running = world.start(SynchronizerConfig {
        relays: [(url(&one).as_str().to_owned(), rules)].into(),
        ..config()
    });
    world.covered(&one, now() - 5).await;
    world.covered(&other, now() - 5).await;
    let archived = world.provenance().await;
    for event in one.events() {
        let relays = &archived[&event.id()];
        let is_on_one = relays.contains(url(&one).as_str());
        assert_eq!(is_on_one, event.kind() == 7);
        assert!(relays.contains(url(&other).as_str()));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_choose_and_added_values_are_fetched() {
    let relay = relay(mixed()).await;
    let world = World::of(&[&relay]).await;
    let with = |values: &[&str]| SynchronizerConfig {
        tags: [('t', values.iter().map(|v| (*v).to_owned()).collect())].into(),
        ..once(reconciling())
    };
    runs(&world, &relay, with(&["a"])).await;
    assert_eq!(world.provenance().await.len(), 15);
    runs(&world, &relay, with(&["a", "b"])).await;
    assert_eq!(world.provenance().await.len(), 30);
    runs(&world, &relay, once(reconciling())).await;
    world.assert_holds(&[&relay]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_denied_is_not_archived_until_it_is_allowed_again() {
    let spammer = Pubkey(author_keys(202, 0).public_key().to_bytes());
    for base in [config(), reconciling()] {
        let relay = relay(mixed()).await;
        let world = World::of(&[&relay]).await;
        let denying = SynchronizerConfig {
            deny: DenyConfig {
                pubkeys: [spammer].into(),
                ..DenyConfig::default()
            },
            ..once(base.clone())
        };
        runs(&world, &relay, denying).await;
        assert_eq!(kinds_archived(&world, &relay, 7).await, 0);
        assert_eq!(kinds_archived(&world, &relay, 1).await, 70);
        runs(&world, &relay, once(base)).await;
        world.assert_holds(&[&relay]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_relay_is_left_alone_until_it_is_allowed_again() {
    let relay = relay(notes(205, 20, 10)).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(SynchronizerConfig {
        deny: DenyConfig {
            relays: [url(&relay).as_str().to_owned()].into(),
            ..DenyConfig::default()
        },
        put_aside: Duration::from_hours(1),
        ..config()
    });
    until("it is put aside", async || {
        let syncs = world.store.list_syncs(10).await.unwrap();
        syncs[0].put_aside.as_deref() == Some("denied")
    })
    .await;
    assert_eq!(relay.stats().connections, 0);
    running.stop().await;
    let running = world.start(config());
    world.covered(&relay, now() - 5).await;
    world.assert_holds(&[&relay]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_pages_of_too_large_events_is_archived() {
    let mut events = notes(207, 20, 10);
    let oldest = now() - 60 - 20 * 10;
    for n in 0..25 {
        let large = EventMaker::new(oldest - n).content("x".repeat(5_000));
        events.push(large.sign(&author_keys(207, 0)));
    }
    events.push(EventMaker::new(oldest - 100).sign(&author_keys(208, 0)));
    let relay = relay(events).await;
    let world = World::of(&[&relay]).await;
    let few = SynchronizerConfig {
        max_event_bytes: ByteSize::new(2_000),
        page_limit: 10,
        ..once(config())
    };
    runs(&world, &relay, few).await;
    assert_eq!(world.provenance().await.len(), 21);
    assert_eq!(world.gapped().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_were_too_large_are_fetched_once_larger_ones_are_taken() {
    let large = EventMaker::new(now() - 100).content("x".repeat(5_000));
    let mut events = notes(206, 20, 10);
    events.push(large.sign(&author_keys(206, 0)));
    for faults in [
        vec![],
        vec![ReconcileFault::Notice("unknown command".to_owned())],
    ] {
        let relay = relay_with(events.clone(), faults).await;
        let world = World::of(&[&relay]).await;
        let up_to = |bytes| SynchronizerConfig {
            max_event_bytes: ByteSize::new(bytes),
            negentropy: bigbrotr_crawler::synchronizer::NegentropyConfig {
                full_interval: Duration::from_secs(1),
                ..Default::default()
            },
            ..once(reconciling())
        };
        runs(&world, &relay, up_to(2_000)).await;
        assert_eq!(world.provenance().await.len(), 20);
        runs(&world, &relay, up_to(10_000)).await;
        world.assert_holds(&[&relay]).await;
        until("there is no gap any more", async || {
            world.gapped().await == 0
        })
        .await;
    }
}
