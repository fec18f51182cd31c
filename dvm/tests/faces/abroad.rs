//! Other relays: requests are heard there, answers are taken there, and neither is lost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::other_relays::{Conversation, Heard, OtherRelays, Taken};
use bigbrotr_dvm::DvmConfig;
use bigbrotr_dvm::ask::JobRequest;
use bigbrotr_schema::testing::execute;
use nostr::nips::nip44;
use nostr::{EventBuilder, Keys, Kind, Tag};
use tokio::sync::mpsc;

use crate::support::{Running, World, eventually, is_final, quick};

const THERE: &str = "wss://there.example.com";

/// Relays in memory: what they hold, what they were given, how they were asked.
#[derive(Default)]
struct Fake {
    holds: Mutex<Vec<Event>>,
    live: Mutex<Vec<mpsc::Sender<Heard>>>,
    given: Mutex<BTreeMap<String, Vec<Event>>>,
    asked: Mutex<Vec<Vec<Filter>>>,
    /// Attempts that fail before one is taken.
    failures: Mutex<usize>,
}

impl Fake {
    fn given(&self, relay: &str) -> Vec<Event> {
        self.given
            .lock()
            .unwrap()
            .get(relay)
            .cloned()
            .unwrap_or_default()
    }
}

impl OtherRelays for Fake {
    fn publish<'a>(&'a self, relay: &'a str, events: &'a [Event]) -> Conversation<'a, Vec<Taken>> {
        Box::pin(async move {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return vec![Taken::NotNow("away".into())];
            }
            let mut given = self.given.lock().unwrap();
            given
                .entry(relay.to_owned())
                .or_default()
                .extend(events.iter().cloned());
            vec![Taken::Yes; events.len()]
        })
    }

    fn follow<'a>(
        &'a self,
        _relay: &'a str,
        filters: &'a [Filter],
        heard: mpsc::Sender<Heard>,
    ) -> Conversation<'a, String> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(filters.to_vec());
            let holds = self.holds.lock().unwrap().clone();
            for event in holds {
                if filters.iter().any(|filter| filter.matches(&event)) {
                    heard.send(Heard::Event(Box::new(event))).await.unwrap();
                }
            }
            heard.send(Heard::CaughtUp).await.unwrap();
            self.live.lock().unwrap().push(heard);
            std::future::pending().await
        })
    }
}

fn listening() -> DvmConfig {
    DvmConfig {
        listen_relays: vec![THERE.into()],
        ..quick()
    }
}

fn sign(builder: EventBuilder, keys: &Keys) -> Event {
    Event::from(&builder.sign_with_keys(keys).unwrap())
}

async fn start(world: &World, fake: &Arc<Fake>) -> Running {
    let service = world.dvm(listening());
    service.reach_through(fake.clone());
    Running::start(service).await
}

#[tokio::test]
async fn a_request_from_another_relay_is_answered_there_once_and_announced_to() {
    let world = World::new().await;
    let fake = Arc::new(Fake::default());
    let request = JobRequest::new("events.stats").to_event_builder().unwrap();
    let request = sign(request, &world.customer);
    let others = JobRequest::new("events.stats").provider(Keys::generate().public_key());
    let others = sign(others.to_event_builder().unwrap(), &world.customer);
    let protected = JobRequest::new("kinds.list").to_event_builder().unwrap();
    let protected = sign(protected.tag(Tag::parse(["-"]).unwrap()), &world.customer);
    // The relay repeats itself.
    *fake.holds.lock().unwrap() = vec![
        request.clone(),
        others.clone(),
        protected.clone(),
        request.clone(),
    ];
    let dvm = start(&world, &fake).await;
    let answer = world.answer(request.id).await;
    assert_eq!(answer.kind, 6450);
    let kinds = eventually("everything there", async || {
        let given = fake.given(THERE);
        let kinds: Vec<u16> = given.iter().map(|event| event.kind).collect();
        (given.len() == 5).then_some(kinds)
    })
    .await;
    for (kind, expected) in [(7000, 2), (6450, 1), (31_990, 2)] {
        let found = kinds.iter().filter(|k| **k == kind).count();
        assert_eq!(found, expected, "{kinds:?}");
    }
    dvm.stop().await;
    for id in [others.id, protected.id] {
        assert!(world.answers(id).await.is_empty());
        assert!(world.store.get_relay_event(&id).await.unwrap().is_none());
    }

    // After a restart it is asked from where it was, and what it repeats is known.
    let asked_since = |n: usize| fake.asked.lock().unwrap()[n][0].since.unwrap();
    let known = world.store.listening_since(THERE).await.unwrap().unwrap();
    let dvm = start(&world, &fake).await;
    eventually("the second look", async || {
        (fake.asked.lock().unwrap().len() == 2).then_some(())
    })
    .await;
    assert!(asked_since(1) >= known - 300 && asked_since(1) >= asked_since(0));
    world
        .answer(world.send(&JobRequest::new("catalog")).await)
        .await;
    assert_eq!(world.answers(request.id).await.len(), 3);
    dvm.stop().await;
}

#[tokio::test]
async fn a_deletion_on_another_relay_cancels_and_only_its_author_can() {
    let world = World::new().await;
    let fake = Arc::new(Fake::default());
    let request = JobRequest::new("events.stats").to_event_builder().unwrap();
    let request = sign(request, &world.customer);
    world.store.take_request(&request, THERE).await.unwrap();
    world.store.insert_job(&request, None).await.unwrap();
    // In the hands of a worker that will not finish.
    assert_eq!(world.store.claim_jobs(1, 600).await.unwrap().len(), 1);
    let dvm = start(&world, &fake).await;
    let deletion = |keys: &Keys| {
        let tags = [["e", &request.id.to_hex()], ["k", "5450"]];
        let tags = tags.map(|tag| Tag::parse(tag).unwrap());
        sign(EventBuilder::new(Kind::EventDeletion, "").tags(tags), keys)
    };
    let live = eventually("somebody who listens", async || {
        fake.live.lock().unwrap().first().cloned()
    })
    .await;
    let say = async |keys: &Keys| {
        let heard = Heard::Event(Box::new(deletion(keys)));
        live.send(heard).await.unwrap();
    };
    say(&Keys::generate()).await;
    say(&world.customer).await;
    eventually("the cancellation", async || {
        (world.store.count_queued_jobs().await.unwrap() == 0).then_some(())
    })
    .await;
    assert!(!world.answers(request.id).await.iter().any(is_final));
    dvm.stop().await;
}

#[tokio::test]
async fn answers_reach_the_relays_that_a_request_names_after_a_failure_and_a_crash() {
    let world = World::new().await;
    let mut request = JobRequest::new("events.stats");
    request.relays = vec!["wss://x.example".into(), "wss://y.example".into()];
    // No way to other relays: answers wait, as after a crash.
    let dvm = world.start_dvm().await;
    let id = world.send(&request).await;
    world.answer(id).await;
    dvm.stop().await;
    assert_eq!(world.store.count_deliveries().await.unwrap(), 6);

    let fake = Arc::new(Fake::default());
    let service = world.dvm(quick());
    service.reach_through(fake.clone());
    let dvm = Running::start(service).await;
    for relay in &request.relays {
        let kinds = eventually("the answers there", async || {
            let kinds: Vec<u16> = fake.given(relay).iter().map(|event| event.kind).collect();
            (kinds.len() == 3).then_some(kinds)
        })
        .await;
        assert_eq!(kinds, [7000, 6450, 7000]);
    }
    eventually("an empty outbox", async || {
        (world.store.count_deliveries().await.unwrap() == 0).then_some(())
    })
    .await;
    // What fails stays for later. Another question: the same one, asked within the same
    // second, is the same event, which has been answered.
    *fake.failures.lock().unwrap() = usize::MAX;
    let mut another = JobRequest::new("kinds.list");
    another.relays = request.relays;
    world.answer(world.send(&another).await).await;
    assert!(world.store.count_deliveries().await.unwrap() > 0);
    dvm.stop().await;
}

#[tokio::test]
async fn relays_that_customers_name_keep_no_answer_from_those_that_they_asked() {
    let world = World::new().await;
    let fake = Arc::new(Fake::default());
    let earlier = sign(EventBuilder::text_note("an answer"), &world.node);
    execute(
        &world.store,
        &format!(
            "insert into dvm_deliveries (relay, queued_at, due_at, event, named)
             select 'wss://tarpit.example/' || n, 1, 9999999999, '{}', true from generate_series(1, 5000) n",
            earlier.to_json()
        ),
    )
    .await;
    let mut request = JobRequest::new("events.stats");
    request.relays = vec!["wss://one-more.example".into()];
    let request = sign(request.to_event_builder().unwrap(), &world.customer);
    *fake.holds.lock().unwrap() = vec![request.clone()];
    let dvm = start(&world, &fake).await;
    world.answer(request.id).await;
    eventually("the answer where it was asked for", async || {
        let given = fake.given(THERE);
        given.iter().any(|event| event.kind == 6450).then_some(())
    })
    .await;
    assert!(fake.given("wss://one-more.example").is_empty());
    dvm.stop().await;
}

#[tokio::test]
async fn a_request_that_names_what_is_no_relay_is_answered_like_any_other() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    let long = format!("wss://x.example/{}", "x".repeat(10_000));
    for name in ["wss://x\0.example", &long] {
        let request = JobRequest::new("events.stats").to_event_builder().unwrap();
        let request = request.tag(Tag::parse(["relays", name]).unwrap());
        let answer = world.answer(world.send_event(request).await).await;
        assert_eq!(answer.kind, 6450);
    }
    dvm.stop().await;
}

#[tokio::test]
async fn relays_that_an_encrypted_request_hides_get_the_result() {
    let world = World::new().await;
    let fake = Arc::new(Fake::default());
    let dvm = start(&world, &fake).await;
    let hidden = r#"[["i","events.stats","text"],["relays","wss://hidden.example.com"]]"#;
    let (secret, node) = (world.customer.secret_key(), world.node.public_key());
    let content = nip44::encrypt(secret, &node, hidden, nip44::Version::V2).unwrap();
    let request = EventBuilder::new(Kind::Custom(5450), content)
        .tags([Tag::parse(["encrypted"]).unwrap(), Tag::public_key(node)]);
    let id = world.send_event(request).await;
    let result = world.answer(id).await;
    assert!(!result.to_json().contains("hidden.example.com"));
    let copy = eventually("the result there", async || {
        let given = fake.given("wss://hidden.example.com");
        given.into_iter().find(|event| event.kind == 6450)
    })
    .await;
    assert_eq!(copy.id, result.id);
    dvm.stop().await;
}
