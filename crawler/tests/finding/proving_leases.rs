//! Several validators on one database, and one that has to stop.

use std::time::Duration;

use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_crawler::validator::ValidatorConfig;
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::ReadFault;

use crate::support::{Validator, World, relay_with, url_of, validator_config};

#[tokio::test]
async fn two_validators_share_the_candidates_and_never_try_one_twice() {
    let world = World::new().await;
    let mut relays: Vec<SimRelay> = Vec::new();
    for _ in 0..24 {
        relays.push(relay_with([ReadFault::Latency(Duration::from_millis(150))]).await);
    }
    let urls: Vec<RelayUrl> = relays.iter().map(url_of).collect();
    world.add(&urls).await;
    let config = ValidatorConfig {
        concurrency: 4,
        ..validator_config()
    };
    let one = Validator::start(&world.store, config.clone());
    let other = Validator::start(&world.store, config);
    let (first, second) = tokio::join!(one.idle(), other.idle());
    assert_eq!(first.promoted + second.promoted, 24, "{first:?} {second:?}");
    assert!(
        first.promoted > 0 && second.promoted > 0,
        "{first:?} {second:?}"
    );
    one.stop().await;
    other.stop().await;
    for relay in &relays {
        assert_eq!(relay.stats().sessions, 1);
    }
    assert_eq!(world.relays().await.len(), 24);
}

#[tokio::test]
async fn a_validator_that_stops_gives_candidates_back_untried() {
    let world = World::new().await;
    let relay = relay_with([ReadFault::Silence]).await;
    world.add(&[url_of(&relay)]).await;
    let before = world.candidate(&url_of(&relay)).await;
    let patient = ValidatorConfig {
        read_timeout: Duration::from_mins(10),
        ..validator_config()
    };
    let validator = Validator::start(&world.store, patient);
    validator.until(|now| now.in_flight == 1).await;
    while relay.stats().sessions == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(world.candidate(&url_of(&relay)).await.leased_until > 0);
    validator.stop().await;
    assert_eq!(world.candidate(&url_of(&relay)).await, before);
    // Somebody else can have it at once.
    relay.set_faults::<ReadFault>([]);
    let other = Validator::start(&world.store, validator_config());
    other.until(|now| now.promoted == 1).await;
    other.stop().await;
}
