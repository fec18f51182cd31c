//! What proves a relay, what does not, and what follows for the candidate.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::network::Network;
use bigbrotr_crawler::validator::ValidatorConfig;
use bigbrotr_testkit::relay::AuthPolicy;
use bigbrotr_testkit::relay::faults::{ConnectionFault, Fault, ReadFault};
use bigbrotr_testkit::{SimRelay, SimRelayConfig};

use crate::support::{
    Validator, World, dialer, event, impatient, networks, relay_with, url, url_of, validator_config,
};
use crate::web::{Answer, Web};

#[tokio::test]
async fn every_answer_to_a_req_makes_a_relay() {
    let world = World::new().await;
    let with_event = SimRelayConfig::with_events([event(1, 1, &[], "hello")]);
    let challenging = SimRelayConfig {
        auth: AuthPolicy::Optional,
        faults: vec![ReadFault::Silence.into()],
        ..SimRelayConfig::default()
    };
    let relays = [
        ("event", SimRelay::start(with_event).await.unwrap()),
        ("eose", relay_with::<Fault>([]).await),
        (
            "closed",
            relay_with([ReadFault::Closed("restricted: no".into())]).await,
        ),
        ("challenge", SimRelay::start(challenging).await.unwrap()),
        (
            "notice",
            relay_with([ReadFault::Notice("who are you?".into())]).await,
        ),
    ];
    let urls: Vec<_> = relays.iter().map(|(_, relay)| url_of(relay)).collect();
    world.add(&urls).await;
    let validator = Validator::start(&world.store, validator_config());
    let done = validator.until(|now| now.tried == 5).await;
    assert_eq!(done.promoted, 5, "{:?}", world.candidates().await);
    for (answer, _) in &relays {
        assert_eq!(validator.answers(answer), 1, "{answer}");
    }
    validator.stop().await;
    let mut expected: Vec<String> = urls.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(world.relays().await, expected);
    assert!(world.candidates().await.is_empty());
    // Due for their first check, and for archiving, at once.
    let due = world
        .store
        .lease_due_checks(&[Network::Clearnet], 10, 60)
        .await
        .unwrap();
    assert_eq!(due.len(), 5);
    let counted = "select relays as n from finder_sources where source = 'hints'";
    assert_eq!(world.number(counted).await, 5);
}

#[tokio::test]
async fn a_notice_counts_although_the_relay_hangs_up_after_it() {
    let world = World::new().await;
    let faults: [Fault; 2] = [
        ReadFault::Notice("go away".into()).into(),
        ConnectionFault::CutAfter(Duration::from_millis(400)).into(),
    ];
    let relay = relay_with(faults).await;
    world.add(&[url_of(&relay)]).await;
    let validator = Validator::start(&world.store, validator_config());
    validator.until(|now| now.promoted == 1).await;
    assert_eq!(validator.answers("notice"), 1);
    validator.stop().await;
}

#[tokio::test]
async fn a_websocket_or_a_web_page_makes_none() {
    let (world, web) = (World::new().await, Web::start().await);
    web.page("/", Answer::Body("text/html", "<h1>Nostr</h1>".into()));
    let rubbish: [Fault; 2] = [ReadFault::rubbish().into(), ReadFault::Silence.into()];
    let relays = [
        (relay_with([ReadFault::Silence]).await, "silent"),
        (relay_with(rubbish).await, "silent"),
        (
            relay_with([ReadFault::CloseFrame {
                after: 0,
                code: 1000,
            }])
            .await,
            "disconnected",
        ),
        (relay_with([ConnectionFault::Html]).await, ""),
        (relay_with([ConnectionFault::Status(403)]).await, ""),
        (relay_with([ConnectionFault::WrongAcceptKey]).await, ""),
        (relay_with([ConnectionFault::NoHandshake]).await, ""),
        (
            relay_with([ConnectionFault::Refuse]).await,
            "connect_refused",
        ),
    ];
    let mut urls: Vec<_> = relays.iter().map(|(relay, _)| url_of(relay)).collect();
    urls.push(url(&format!("ws://{}", web.address())));
    urls.push(url("wss://no.such.example.com"));
    world.add(&urls).await;
    let validator = Validator::start(&world.store, impatient());
    let done = validator.until(|now| now.tried == urls.len() as u64).await;
    assert_eq!((done.promoted, done.given_up, done.deferred), (0, 0, 0));
    assert_eq!(validator.tries("failed"), urls.len() as u64);
    validator.stop().await;
    assert!(world.relays().await.is_empty());
    for row in world.candidates().await {
        assert_eq!((row.attempts, row.leased_until), (1, 0), "{row:?}");
        assert!(row.last_error.is_some(), "{row:?}");
    }
    for (relay, reason) in relays.iter().filter(|(_, reason)| !reason.is_empty()) {
        let row = world.candidate(&url_of(relay)).await;
        assert_eq!(row.last_error.as_deref(), Some(*reason));
    }
}

#[tokio::test]
async fn failures_put_off_longer_and_longer_until_the_candidate_is_given_up() {
    let start = 1_750_000_000;
    let clock = ManualClock::new(start);
    let world = World::at(&clock).await;
    let relay = relay_with([ReadFault::Silence]).await;
    let candidate = url_of(&relay);
    world.add(std::slice::from_ref(&candidate)).await;
    let config = ValidatorConfig {
        max_attempts: 3,
        ..impatient()
    };
    // Whatever is due is tried.
    let try_what_is_due = async || {
        let shared = Arc::new(clock.clone());
        let dialer = dialer(networks());
        let validator = Validator::start_with(&world.store, config.clone(), dialer, shared);
        let done = validator.idle().await;
        validator.stop().await;
        (done.tried, done.given_up)
    };
    let mut now = start;
    for (attempts, pause) in [(1, 600), (2, 2_400)] {
        assert_eq!(try_what_is_due().await, (1, 0));
        let row = world.candidate(&candidate).await;
        assert_eq!((row.attempts, row.due_at - now), (attempts, pause));
        // A moment before its time it is left alone.
        clock.advance(Duration::from_secs(pause as u64 - 1));
        assert_eq!(try_what_is_due().await, (0, 0));
        clock.advance(Duration::from_secs(1));
        now += pause;
    }
    assert_eq!(try_what_is_due().await, (1, 1));
    assert_eq!(world.candidate(&candidate).await.given_up_at, Some(now));
    clock.advance(Duration::from_hours(7 * 24));
    assert_eq!(try_what_is_due().await, (0, 0));
    assert_eq!(relay.stats().sessions, 3);
}

#[tokio::test]
async fn networks_that_are_off_are_left_alone() {
    let world = World::new().await;
    let onion = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";
    let relay = relay_with::<Fault>([]).await;
    let (hidden, open) = (url(&format!("ws://{onion}.onion")), url_of(&relay));
    world.add(&[hidden.clone(), open]).await;
    let before = world.candidate(&hidden).await;
    let validator = Validator::start(&world.store, validator_config());
    validator.until(|now| now.promoted == 1).await;
    validator.idle().await;
    validator.stop().await;
    assert_eq!(world.candidate(&hidden).await, before);
}
