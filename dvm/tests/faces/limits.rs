//! Fairness: what one customer, and all of them together, may ask of the machine.

use bigbrotr_core::event::Event;
use bigbrotr_dvm::DvmConfig;
use bigbrotr_dvm::ask::JobRequest;
use nostr::Keys;

use crate::support::{Running, World, quick};

#[tokio::test]
async fn a_customer_who_asks_too_much_is_told_and_others_are_served() {
    let mut world = World::new().await;
    let config = DvmConfig {
        jobs_per_minute: 2,
        ..quick()
    };
    let dvm = Running::start(world.dvm(config)).await;
    for kind in [6450, 6450, 7000] {
        let answer = world.answer(world.send(&distinct()).await).await;
        assert_eq!(answer.kind, kind);
        if kind == 7000 {
            assert!(answer.content.contains(r#""code":"rate_limited""#));
        }
    }
    world.customer = Keys::generate();
    let answer = world.answer(world.send(&distinct()).await).await;
    assert_eq!(answer.kind, 6450);
    dvm.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_with_feedback() {
    let world = World::new().await;
    // A job in the hands of a worker that does not finish fills the queue.
    let stuck = distinct().to_event_builder().unwrap();
    let stuck = Event::from(&stuck.sign_with_keys(&Keys::generate()).unwrap());
    world.store.publish(&stuck).await.unwrap();
    world.store.insert_job(&stuck, None).await.unwrap();
    assert_eq!(world.store.claim_jobs(1, 600).await.unwrap().len(), 1);
    let config = DvmConfig {
        max_queue: 1,
        ..quick()
    };
    let dvm = Running::start(world.dvm(config)).await;
    let refused = world.answer(world.send(&distinct()).await).await;
    assert!(refused.content.contains(r#""code":"rate_limited""#));
    assert_eq!(world.store.count_queued_jobs().await.unwrap(), 1);
    dvm.stop().await;
}

/// Requests of the same second differ by their order of parameters, or they are one event.
fn distinct() -> JobRequest {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let limit = COUNT.fetch_add(1, Ordering::SeqCst);
    JobRequest::new("kinds.list").param("limit", limit.to_string())
}
