//! Relays that do not answer as they should: nothing false is ever claimed, and once they are
//! well again the archive is right.

use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::population::InvalidEvents;
use bigbrotr_testkit::relay::faults::{ConnectionFault, Fault, Order, ReadFault};

use super::support::{Running, World, config, keys, note, notes, now, relay_with, until};

/// A relay with this fault is never believed to be covered while it has the fault; afterwards
/// it is, and the archive is right.
async fn is_never_believed(fault: impl Into<Fault>) {
    is_never_believed_to_have(notes(21, 120, 20), fault).await;
}

/// As [`is_never_believed`], of a relay with these events.
async fn is_never_believed_to_have(events: Vec<Event>, fault: impl Into<Fault>) {
    let fault = fault.into();
    let relay = relay_with(events, [fault.clone()]).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(config());
    is_not_covered_after(2.0, &running, &world, &relay, &fault).await;
    relay.clear_faults();
    world.covered(&relay, now()).await;
    world.assert_holds(&[&relay]).await;
    assert_eq!(world.gapped().await, 0, "{fault:?}");
    running.stop().await;
}

/// So many turns leave the relay uncovered.
async fn is_not_covered_after(
    turns: f64,
    running: &Running,
    world: &World,
    relay: &SimRelay,
    fault: &Fault,
) {
    until("some turns have failed", async || {
        running.metric("bigbrotr_synchronizer_turns_total") >= turns
    })
    .await;
    assert!(!world.is_covered(relay).await, "{fault:?}");
}

/// A relay with this fault from the second question on: what the first page proved stays.
async fn is_survived_in_mid_scan(fault: impl Into<Fault>) {
    let fault = fault.into();
    let cap = ReadFault::Cap {
        events: 20,
        order: Order::NewestFirst,
    };
    // Slow enough for the fault to come in the middle.
    let slowly = ReadFault::Latency(Duration::from_millis(100));
    let well = [Fault::from(cap), Fault::from(slowly)];
    let relay = relay_with(notes(22, 120, 20), well.clone()).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(config());
    until("the scan is under way", async || {
        relay.stats().req_count >= 3
    })
    .await;
    assert!(!world.is_covered(&relay).await);
    relay.set_faults(well.iter().cloned().chain([fault.clone()]));
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    relay.set_faults(well);
    world.covered(&relay, now()).await;
    world.assert_holds(&[&relay]).await;
    assert_eq!(world.gapped().await, 0, "{fault:?}");
    running.stop().await;
}

macro_rules! never_believed {
    ($($name:ident: $fault:expr;)+) => {$(
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn is_never_believed() {
                super::is_never_believed($fault).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn is_survived_in_mid_scan() {
                super::is_survived_in_mid_scan($fault).await;
            }
        }
    )+};
}

never_believed! {
    silence: ReadFault::Silence;
    a_stall: ReadFault::StallAfter(5);
    no_end: ReadFault::NoEose;
    an_end_before_the_events: ReadFault::EoseFirst;
    nothing_for_broad_filters: ReadFault::EmptyForBroad;
    a_refusal: ReadFault::Closed("error: come back later".to_owned());
    a_refusal_after_some_events: ReadFault::PartialThenClosed {
        events: 7,
        message: "rate-limited: slow down".to_owned(),
    };
    a_refusal_with_a_nul: ReadFault::Closed("error: \0".to_owned());
    a_demand_for_authentication: ReadFault::AuthRequired { challenge: false };
    a_notice: ReadFault::Notice("could not parse command".to_owned());
    wrong_signatures: ReadFault::WrongSignatures { every: 3 };
    other_subscriptions: ReadFault::WrongSubscription;
    a_cut_in_mid_message: ReadFault::CutMidMessage { after: 5 };
    a_close_frame: ReadFault::CloseFrame { after: 5, code: 1_008 };
    an_oversized_message: ReadFault::Oversized(6 << 20);
    a_closed_port: ConnectionFault::Refuse;
    a_web_page: ConnectionFault::Html;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_ignores_filters_is_never_believed() {
    is_never_believed(ReadFault::IgnoreFilter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_stream_is_never_believed() {
    is_never_believed_though_more_is_archived(ReadFault::Endless).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_relay_that_answers_nothing_to_broad_filters_is_never_believed() {
    // Its newest events come now: they say nothing of what was there before.
    let newest = now();
    let events = (0..120).map(|n| note(24, newest + 20 - n, n)).collect();
    is_never_believed_to_have(events, ReadFault::EmptyForBroad).await;
}

/// As [`is_never_believed`], for faults that make up events which are true.
async fn is_never_believed_though_more_is_archived(fault: ReadFault) {
    let fault = Fault::from(fault);
    let relay = relay_with(notes(23, 20, 20), [fault.clone()]).await;
    let world = World::of(&[&relay]).await;
    let running = world.start(config());
    is_not_covered_after(1.0, &running, &world, &relay, &fault).await;
    relay.clear_faults();
    world.covered(&relay, now()).await;
    let archived = world.provenance().await;
    let has = |event: &bigbrotr_testkit::SimEvent| archived.contains_key(&event.id());
    assert!(relay.events().iter().all(has));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_and_repetitions_are_put_up_with() {
    let unreadable = InvalidEvents::new(keys(), now());
    for fault in [
        ReadFault::rubbish(),
        ReadFault::Binary,
        ReadFault::Duplicates,
        ReadFault::Latency(Duration::from_millis(50)),
        ReadFault::Inject(vec![
            unreadable
                .wrong_signature()
                .to_json()
                .replace("\"kind\":1", "\"kind\":70000"),
        ]),
    ] {
        let relay = relay_with(notes(24, 60, 20), [fault.clone()]).await;
        let world = World::of(&[&relay]).await;
        let running = world.start(config());
        world.covered(&relay, now()).await;
        world.assert_holds(&[&relay]).await;
        assert_eq!(world.gapped().await, 0, "{fault:?}");
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_event_does_not_block_a_relay_for_ever() {
    let relay = relay_with(
        notes(25, 60, 20),
        [ReadFault::WrongSignatures { every: 50 }],
    )
    .await;
    let world = World::of(&[&relay]).await;
    let running = world.start(config());
    world.covered(&relay, now()).await;
    // What could not be taken is named.
    assert_eq!(world.gapped().await, 1);
    running.stop().await;
}
