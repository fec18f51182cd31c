//! What is found in archived events, and what is found once only.

use std::time::Duration;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_crawler::finder::FinderConfig;
use bigbrotr_schema::config::{ArchiveConfig, DatabaseConfig};
use bigbrotr_schema::testing::test_store_with;
use std::sync::Arc;

use crate::support::{
    Finder, Validator, World, dialer, event, finder_config, impatient, networks, relay_list, url,
};

const ID: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(name, source)| (format!("wss://{name}.example.com"), (*source).to_owned()))
        .collect()
}

#[tokio::test]
async fn every_source_is_read_and_counted() {
    let world = World::new().await;
    world
        .archive(&[
            relay_list(1, "wss://a.example.com/"),
            event(2, 2, &[], "WSS://B.example.com:443"),
            event(3, 3, &[], r#"{"wss://c.example.com":{"read":true}}"#),
            event(4, 10_050, &[&["relay", "wss://d.example.com"]], ""),
            event(
                5,
                1,
                &[
                    &["r", "wss://e.example.com"],
                    &["r", "https://www.example.com"],
                ],
                "",
            ),
            event(
                6,
                1,
                &[&["e", ID, "wss://f.example.com", "root"], &["p", ID, ""]],
                "hi",
            ),
            event(
                7,
                1,
                &[
                    &["q", ID, "wss://g.example.com"],
                    &["r", "wss://bad.example.com:99999"],
                ],
                "hi",
            ),
            event(8, 30_166, &[&["d", "wss://h.example.com/"]], "{}"),
            event(9, 1, &[&["t", "nostr"]], "see wss://not.example.com"),
        ])
        .await;
    let finder = world.find(finder_config()).await;
    assert_eq!(
        world.found().await,
        pairs(&[
            ("a", "relay_lists"),
            ("b", "recommendations"),
            ("c", "contacts"),
            ("d", "tags"),
            ("e", "tags"),
            ("f", "hints"),
            ("g", "hints"),
            ("h", "monitors"),
        ])
    );
    for (source, new) in [
        ("relay_lists", 1),
        ("recommendations", 1),
        ("contacts", 1),
        ("tags", 2),
        ("hints", 2),
        ("monitors", 1),
    ] {
        assert_eq!(finder.urls(source, "new"), new, "{source}");
        let stored =
            format!("select candidates as n from finder_sources where source = '{source}'");
        assert_eq!(world.number(&stored).await, new as i64, "{source}");
    }
    assert_eq!(finder.urls("tags", "refused"), 1);
    finder.stop().await;
}

#[tokio::test]
async fn what_is_known_is_not_found_again() {
    let world = World::new().await;
    let known = url("wss://known.example.com");
    world.store.insert_relays(&[known]).await.unwrap();
    world
        .archive(&[
            relay_list(1, "wss://known.example.com"),
            relay_list(2, "wss://a.example.com"),
            event(3, 1, &[&["r", "wss://a.example.com/"]], ""),
            relay_list(4, "WSS://A.example.com:443//"),
        ])
        .await;
    let finder = world.find(finder_config()).await;
    assert_eq!(world.found().await, pairs(&[("a", "relay_lists")]));
    assert_eq!(finder.urls("relay_lists", "known"), 2);
    assert_eq!(finder.urls("tags", "known"), 1);

    world.archive(&[relay_list(5, "wss://a.example.com")]).await;
    finder.idle().await;
    assert_eq!(finder.urls("relay_lists", "known"), 3);
    assert_eq!(
        world
            .number("select sum(candidates)::bigint as n from finder_sources")
            .await,
        1
    );
    finder.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_the_last_run_ended() {
    let world = World::new().await;
    let lists: Vec<_> = (0..1_500)
        .map(|n| relay_list(n, &format!("wss://r{}.example.com", n % 7)))
        .collect();
    world.archive(&lists).await;
    let first = world.find(finder_config()).await;
    assert_eq!(first.until(|now| now.nothing_left).await.events, 1_500);
    first.stop().await;
    world
        .archive(&[relay_list(2_000, "wss://new.example.com")])
        .await;
    let second = Finder::start(&world.store, finder_config());
    assert_eq!(second.idle().await.events, 1);
    assert_eq!(world.found().await.len(), 8);
    second.stop().await;
}

#[tokio::test]
async fn a_source_that_is_switched_on_later_reads_the_archive_from_its_beginning() {
    let world = World::new().await;
    let tags: &[&[&str]] = &[&["e", ID, "wss://a.example.com"]];
    world
        .archive(&[event(1, 1, tags, ""), relay_list(2, "wss://b.example.com")])
        .await;
    let off = FinderConfig {
        hints: false,
        ..finder_config()
    };
    let finder = world.find(off).await;
    assert_eq!(world.found().await, pairs(&[("b", "relay_lists")]));
    finder.stop().await;
    let finder = world.find(finder_config()).await;
    assert_eq!(
        world.found().await,
        pairs(&[("a", "hints"), ("b", "relay_lists")])
    );
    // The others did not begin anew.
    assert_eq!(finder.urls("relay_lists", "known"), 0);
    finder.stop().await;
}

#[tokio::test]
async fn an_archive_without_tags_and_content_is_left_alone() {
    let config = DatabaseConfig {
        archive: ArchiveConfig {
            tags: false,
            content: false,
            signatures: false,
        },
        ..DatabaseConfig::default()
    };
    let clock = Arc::new(bigbrotr_core::clock::SystemClock);
    let (store, database) = test_store_with(config, clock).await;
    let world = World { store, database };
    world.archive(&[relay_list(1, "wss://a.example.com")]).await;
    let mut finder = Finder::start(&world.store, finder_config());
    assert_eq!(finder.idle().await.events, 0);
    finder.until_health("ready").await;
    finder.stop().await;
}

#[tokio::test]
async fn what_was_given_up_is_found_again_when_its_time_has_come() {
    let clock = ManualClock::new(1_750_000_000);
    let world = World::at(&clock).await;
    let dead = url("ws://relay.example.com:9");
    let finding = || {
        Finder::start_with(
            &world.store,
            finder_config(),
            dialer(networks()),
            Arc::new(clock.clone()),
        )
    };
    world.archive(&[relay_list(1, dead.as_str())]).await;
    let finder = finding();
    finder.idle().await;
    let mut tried = impatient();
    tried.max_attempts = 1;
    let proving = || {
        Validator::start_with(
            &world.store,
            tried.clone(),
            dialer(networks()),
            Arc::new(clock.clone()),
        )
    };
    let validator = proving();
    validator.until(|now| now.given_up == 1).await;
    validator.stop().await;
    assert_eq!(
        world.candidate(&dead).await.given_up_at,
        Some(1_750_000_000)
    );

    // Mentioned again, and again, before its time.
    world.archive(&[relay_list(2, dead.as_str())]).await;
    finder.idle().await;
    clock.advance(tried.forget_after.saturating_sub(Duration::from_secs(1)));
    let validator = proving();
    validator.idle().await;
    validator.stop().await;
    assert_eq!(world.candidate(&dead).await.attempts, 1);
    clock.advance(Duration::from_secs(2));
    let validator = proving();
    validator.idle().await;
    validator.stop().await;
    assert!(world.candidates().await.is_empty());
    world.archive(&[relay_list(3, dead.as_str())]).await;
    finder.idle().await;
    let again = world.candidate(&dead).await;
    assert_eq!((again.attempts, again.given_up_at), (0, None));
    finder.stop().await;
}
