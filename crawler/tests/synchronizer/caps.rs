//! Relays that give fewer events than were asked for.

use bigbrotr_crawler::synchronizer::SynchronizerConfig;
use bigbrotr_testkit::relay::faults::{Order, ReadFault};

use super::support::{World, config, note, notes, now, relay_with};

fn cap(events: usize, order: Order) -> ReadFault {
    ReadFault::Cap { events, order }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_caps_hide_nothing() {
    for order in [Order::NewestFirst, Order::OldestFirst] {
        for events in [10, 50] {
            // Three events in each second, so that pages end inside seconds.
            let mut held = notes(11, 100, 7);
            let more: Vec<_> = held.iter().map(|e| note(12, e.created_at, 1)).collect();
            held.extend(more);
            let relay = relay_with(held, [cap(events, order)]).await;
            let world = World::of(&[&relay]).await;
            let running = world.start(config());
            world.covered(&relay, now()).await;
            world.assert_holds(&[&relay]).await;
            assert_eq!(world.gapped().await, 0);
            running.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_that_keeps_the_newest_costs_no_extra_pages() {
    let relay = relay_with(notes(13, 1_000, 60), [cap(100, Order::NewestFirst)]).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(SynchronizerConfig {
        interval: std::time::Duration::from_mins(5),
        ..config()
    });
    world.covered(&relay, now() - 5).await;
    // Eleven pages, one event of each repeated, one to see that there is nothing below, and one to
    // have that confirmed.
    assert_eq!(relay.stats().req_count, 14);
    assert!(relay.stats().events_sent <= 1_012);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_with_more_events_than_the_cap_is_named_and_the_rest_archived() {
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let mut events = notes(14, 60, 5);
        let crowded = events[30].created_at;
        events.extend((0..40).map(|n| note(15, crowded, n)));
        let relay = relay_with(events, [cap(20, order)]).await;
        let world = World::of(&[&relay]).await;
        let running = world.start(config());
        world.covered(&relay, now()).await;
        assert_eq!(world.gapped().await, 1);
        let archived = world.provenance().await;
        for event in relay.events() {
            let is_crowd = event.created_at() == crowded;
            assert!(is_crowd || archived.contains_key(&event.id()), "{order:?}");
        }
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowded_second_that_the_relay_gives_whole_is_no_gap() {
    let mut events = notes(16, 30, 5);
    let crowded = events[10].created_at;
    events.extend((0..120).map(|n| note(17, crowded, n)));
    let relay = relay_with::<ReadFault>(events, []).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(SynchronizerConfig {
        page_limit: 25,
        ..config()
    });
    let started = now();
    world.covered(&relay, started + 3).await;
    world.assert_holds(&[&relay]).await;
    assert_eq!(world.gapped().await, 0);
    running.stop().await;
}
