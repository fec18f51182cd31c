//! Seconds with more events than a relay gives at once are archived by other means, where there
//! are any.

use bigbrotr_testkit::relay::faults::{Order, ReadFault, ReconcileFault};
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig};

use super::support::{Running, World, config, note, notes, now, reconciling, until};

/// Sixty events in one second, of three kinds, on a relay that gives twenty-five at once.
fn crowded(seed: u64, count: bool) -> SimRelayConfig {
    let mut events = notes(seed, 60, 5);
    let second = events[30].created_at;
    events.extend((0..20).map(|n| note(seed + 1, second, n)));
    for kind in [7, 40_001] {
        for n in 0..20 {
            let maker = EventMaker::new(second).kind(kind).content(format!("{n}"));
            events.push(maker.sign(&bigbrotr_testkit::population::author_keys(seed, 0)));
        }
    }
    // The unusual kind is known of elsewhere.
    let known = EventMaker::new(second - 100).kind(40_001);
    events.push(known.sign(&bigbrotr_testkit::population::author_keys(seed, 0)));
    let cap = ReadFault::Cap {
        events: 25,
        order: Order::NewestFirst,
    };
    SimRelayConfig {
        count,
        faults: vec![cap.into(), ReconcileFault::Silence.into()],
        ..SimRelayConfig::with_events(events)
    }
}

/// Finds the gap, and tries it once more when it is known which kinds the relay has.
async fn tried_again(world: &World, relay: &SimRelay) -> Running {
    let running = world.start(config());
    world.covered(relay, now() - 60).await;
    until("the gap is found", async || world.gapped().await == 1).await;
    running.stop().await;
    while (world.store.rollup_step().await.unwrap()).is_none_or(|step| step.more) {}
    Running::start(world.later(7_200).await, config())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowded_second_is_asked_for_kind_by_kind_and_counted() {
    let relay = SimRelay::start(crowded(301, true)).await.unwrap();
    let world = World::of(&[&relay]).await;
    let running = tried_again(&world, &relay).await;
    until("the gap is closed", async || {
        running.metric("bigbrotr_synchronizer_gaps_closed_total") > 0.5
    })
    .await;
    until("no gap is left", async || world.gapped().await == 0).await;
    world.assert_holds(&[&relay]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_count_the_second_stays_a_gap_though_all_may_have_come() {
    let relay = SimRelay::start(crowded(303, false)).await.unwrap();
    let world = World::of(&[&relay]).await;
    let running = tried_again(&world, &relay).await;
    until("all has come", async || {
        world.provenance().await.len() == relay.event_count()
    })
    .await;
    world.assert_holds(&[&relay]).await;
    assert_eq!(world.gapped().await, 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowded_second_is_reconciled_where_the_relay_learns_to() {
    let relay = SimRelay::start(crowded(305, false)).await.unwrap();
    let world = World::of(&[&relay]).await;
    let running = world.start(config());
    world.covered(&relay, now() - 60).await;
    until("the gap is found", async || world.gapped().await == 1).await;
    running.stop().await;
    relay.clear_faults();
    // It is tried again after an hour.
    let running = Running::start(world.later(7_200).await, reconciling());
    until("no gap is left", async || world.gapped().await == 0).await;
    world.assert_holds(&[&relay]).await;
    running.stop().await;
}
