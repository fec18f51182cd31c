//! Every request is answered once, whatever happens in between.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::event::Event;
use bigbrotr_dvm::ask::JobRequest;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::testing::test_store_with;
use nostr::{EventBuilder, Kind, Tag};

use crate::support::{Running, World, eventually, is_final, quick};

fn ask(n: usize) -> JobRequest {
    JobRequest::new("kinds.list").param("limit", (n + 1).to_string())
}

#[tokio::test]
async fn a_request_from_while_the_service_was_down_is_answered_once() {
    let world = World::new().await;
    let id = world.send(&ask(0)).await;
    for _ in 0..2 {
        let dvm = world.start_dvm().await;
        assert_eq!(world.answer(id).await.kind, 6450);
        // Another job, so that this start has certainly looked at the first.
        world
            .answer(world.send(&JobRequest::new("catalog")).await)
            .await;
        dvm.stop().await;
    }
    let answers = world.answers(id).await;
    assert_eq!(
        answers.len(),
        3,
        "processing, result and success: {answers:?}"
    );
}

async fn timeless() -> (World, ManualClock) {
    let clock = ManualClock::new(1_800_000_000);
    let shared = Arc::new(clock.clone());
    let (store, database) = test_store_with(DatabaseConfig::default(), shared).await;
    (World::on(store, database).await, clock)
}

#[tokio::test]
async fn a_request_that_is_too_old_is_not_answered() {
    let (world, clock) = timeless().await;
    let old = world.send(&ask(0)).await;
    clock.advance(Duration::from_hours(2));
    let new = world.send(&ask(1)).await;
    let dvm = Running::start(world.dvm_by(quick(), Arc::new(clock))).await;
    world.answer(new).await;
    dvm.stop().await;
    assert!(world.answers(old).await.is_empty());
}

#[tokio::test]
async fn old_jobs_are_forgotten_and_not_answered_again() {
    let (world, clock) = timeless().await;
    let old = world.send(&ask(0)).await;
    for n in 1..3 {
        let dvm = Running::start(world.dvm_by(quick(), Arc::new(clock.clone()))).await;
        world.answer(world.send(&ask(n)).await).await;
        dvm.stop().await;
        let answer = world.store.get_job_result(&old).await.unwrap();
        assert_eq!(answer.is_some(), n == 1, "start {n}");
        clock.advance(Duration::from_hours(8 * 24));
    }
}

#[tokio::test]
async fn a_job_that_was_cancelled_while_the_service_was_down_is_not_answered() {
    let world = World::new().await;
    let queued = ask(0).to_event_builder().unwrap();
    let queued = Event::from(&queued.sign_with_keys(&world.customer).unwrap());
    world.store.publish(&queued).await.unwrap();
    world.store.insert_job(&queued, None).await.unwrap();
    let unqueued = world.send(&ask(1)).await;
    for id in [queued.id, unqueued] {
        let tag = Tag::parse(["e", &id.to_hex()]).unwrap();
        world
            .send_event(EventBuilder::new(Kind::EventDeletion, "").tag(tag))
            .await;
    }
    let dvm = world.start_dvm().await;
    world.answer(world.send(&ask(2)).await).await;
    dvm.stop().await;
    for id in [queued.id, unqueued] {
        assert!(
            !world
                .answers(id)
                .await
                .iter()
                .any(|event| event.kind >= 6_000)
        );
    }
}

#[tokio::test]
async fn two_machines_on_one_database_answer_each_job_once() {
    const JOBS: usize = 40;
    let world = World::new().await;
    let machines = [world.start_dvm().await, world.start_dvm().await];
    let mut ids = Vec::new();
    for n in 0..JOBS {
        ids.push(world.send(&ask(n)).await);
    }
    for id in &ids {
        world.answer(*id).await;
    }
    for machine in machines {
        machine.stop().await;
    }
    for id in ids {
        let answers = world.answers(id).await;
        let finals = answers.iter().filter(|event| is_final(event)).count();
        assert_eq!((answers.len(), finals), (3, 1), "{answers:?}");
    }
}

#[tokio::test]
async fn a_job_of_a_worker_that_died_is_taken_over() {
    let world = World::new().await;
    let request = ask(0).to_event_builder().unwrap();
    let request = Event::from(&request.sign_with_keys(&world.customer).unwrap());
    world.store.publish(&request).await.unwrap();
    world.store.insert_job(&request, None).await.unwrap();
    assert_eq!(world.store.claim_jobs(1, 2).await.unwrap().len(), 1);
    let dvm = world.start_dvm().await;
    eventually("the answer", async || {
        let answers = world.answers(request.id).await;
        answers.iter().any(is_final).then_some(())
    })
    .await;
    dvm.stop().await;
}
