//! Several synchronizers on one database.

use std::time::Duration;

use bigbrotr_crawler::synchronizer::SynchronizerConfig;
use bigbrotr_testkit::{Population, PopulationConfig, SimRelay, SimRelayConfig};

use super::support::{World, config, now};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_services_share_relays_and_do_no_work_twice() {
    let population = Population::generate(&PopulationConfig::new(41, 1_000, now() - 30));
    let mut relays = Vec::new();
    for n in 0..12 {
        let config = SimRelayConfig::with_events(population.subset(n, 12, 0.2));
        relays.push(SimRelay::start(config).await.unwrap());
    }
    let relays: Vec<&SimRelay> = relays.iter().collect();
    let world = World::of(&relays).await;
    let config = SynchronizerConfig {
        concurrency: 2,
        interval: Duration::from_mins(5),
        ..config()
    };
    let started = now();
    let (one, two) = (world.start(config.clone()), world.start(config));
    for relay in &relays {
        world.covered(relay, started).await;
    }
    world.assert_holds(&relays).await;
    let turns = |running: &super::support::Running| {
        running.metric("bigbrotr_synchronizer_caught_up_relays")
    };
    assert!((turns(&one) + turns(&two) - 12.0).abs() < 0.1);
    assert!(turns(&one) > 0.5 && turns(&two) > 0.5);
    for relay in &relays {
        assert_eq!(relay.stats().sessions, 1);
    }
    assert!(one.service.is_idle().await.unwrap());
    one.stop().await;
    two.stop().await;
}
