//! Relays that do not let us read, or send rubbish: left alone, with a reason, and not for ever.

use std::time::Duration;

use bigbrotr_crawler::synchronizer::SynchronizerConfig;
use bigbrotr_testkit::relay::faults::ReadFault;

use super::support::{World, config, notes, now, relay, relay_with, until};

async fn put_aside(world: &World) -> Option<String> {
    let syncs = world.store.list_syncs(10).await.unwrap();
    syncs.into_iter().next().unwrap().put_aside
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_does_not_let_us_read_is_put_aside_by_its_prefix() {
    for (words, reason) in [
        ("restricted: members only", Some("restricted")),
        ("payment-required: 5 sats a month", Some("payment_required")),
        ("blocked: your address", Some("blocked")),
        ("error: no author may restrict, block or pay", None),
    ] {
        let fault = ReadFault::Closed(words.to_owned());
        let relay = relay_with(notes(401, 20, 10), [fault]).await;
        let world = World::of(&[&relay]).await;
        let running = world.start(SynchronizerConfig {
            put_aside: Duration::from_secs(2),
            ..config()
        });
        if reason.is_some() {
            until("it is put aside", async || {
                put_aside(&world).await.as_deref() == reason
            })
            .await;
            let syncs = world.store.list_syncs(1).await.unwrap();
            assert!(syncs[0].last_error.as_ref().unwrap().contains(words));
        } else {
            until("it failed", async || {
                running.metric("bigbrotr_synchronizer_turns_total") >= 3.0
            })
            .await;
            assert_eq!(put_aside(&world).await, None);
        }
        relay.clear_faults();
        world.covered(&relay, now() - 5).await;
        until("it is no longer put aside", async || {
            put_aside(&world).await.is_none()
        })
        .await;
        world.assert_holds(&[&relay]).await;
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_sends_mostly_rubbish_rests_and_its_refusals_are_counted() {
    let rubbish = relay_with(notes(402, 3_000, 10), [ReadFault::WrongSubscription]).await;
    let other = relay(notes(403, 30, 10)).await;
    let world = World::of(&[&rubbish]).await;
    let running = world.start(SynchronizerConfig {
        put_aside: Duration::from_hours(24),
        ..config()
    });
    until("it rests", async || {
        put_aside(&world).await.as_deref() == Some("rubbish")
    })
    .await;
    let sync = world.store.list_syncs(1).await.unwrap().remove(0);
    assert!(sync.refused_events >= 200, "{sync:?}");
    let sessions = rubbish.stats().sessions;
    world.add(&[&other]).await;
    world.covered(&other, now() - 5).await;
    assert!(!world.is_covered(&rubbish).await);
    assert_eq!(rubbish.stats().sessions, sessions, "it is not left alone");
    running.stop().await;
}
