//! Somebody invents relays by the thousand.

use bigbrotr_core::event::Event;
use bigbrotr_crawler::finder::FinderConfig;

use crate::support::{Finder, World, event, finder_config, relay_list, url};

/// Relay lists with 50 invented relays each.
fn flood(from: u64, events: u64, name: impl Fn(u64) -> String) -> Vec<Event> {
    (from..from + events)
        .map(|n| {
            let names: Vec<String> = (0..50).map(|m| name(n * 50 + m)).collect();
            let tags: Vec<[&str; 2]> = names.iter().map(|name| ["r", name.as_str()]).collect();
            let tags: Vec<&[&str]> = tags.iter().map(<[&str; 2]>::as_slice).collect();
            event(n, 10_002, &tags, "")
        })
        .collect()
}

async fn like(world: &World, pattern: &str) -> i64 {
    let count = format!("select count(*) as n from candidates where url like '{pattern}'");
    world.number(&count).await
}

#[tokio::test]
async fn one_event_names_no_thousands() {
    let world = World::new().await;
    let names: Vec<String> = (0..3_000)
        .map(|n| format!("wss://n{n}.net{n}.com"))
        .collect();
    let tags: Vec<[&str; 2]> = names.iter().map(|name| ["r", name.as_str()]).collect();
    let tags: Vec<&[&str]> = tags.iter().map(<[&str; 2]>::as_slice).collect();
    world.archive(&[event(1, 10_002, &tags, "")]).await;
    let finder = world.find(finder_config()).await;
    let found = world.found().await.len() as u64;
    assert_eq!(found, finder.urls("relay_lists", "new"));
    assert!(found <= 100, "{found}");
    assert!(finder.urls("relay_lists", "excess") > 1_500);
    finder.stop().await;
}

#[tokio::test]
async fn the_paths_of_one_host_crowd_out_nobody() {
    let world = World::new().await;
    // Four are relays already: they count.
    let relays: Vec<_> = (0..4)
        .map(|n| url(&format!("wss://busy.example.com/r{n}")))
        .collect();
    world.store.insert_relays(&relays).await.unwrap();
    let mut events = flood(0, 60, |n| match n % 2 {
        0 => format!("wss://busy.example.com/p{n}"),
        _ => format!("wss://busy.example.com:{}", 1_000 + n),
    });
    events.push(relay_list(100, "wss://quiet.example.com"));
    world.archive(&events).await;
    let config = FinderConfig {
        max_per_host: 16,
        ..finder_config()
    };
    let finder = world.find(config.clone()).await;
    assert_eq!(like(&world, "wss://busy.example.com%").await, 12);
    assert_eq!(like(&world, "wss://quiet.example.com").await, 1);
    assert_eq!(finder.urls("relay_lists", "crowded"), 3_000 - 12);
    // Given up ones still count for their host: its paths lead to one server.
    world
        .run("update candidates set given_up_at = 1, attempts = 5")
        .await;
    world
        .archive(&[relay_list(101, "wss://busy.example.com/another")])
        .await;
    finder.idle().await;
    assert_eq!(like(&world, "wss://busy.example.com%").await, 12);
    finder.stop().await;
}

#[tokio::test]
async fn the_names_of_one_site_crowd_out_nobody_and_wait_for_their_turns() {
    let world = World::new().await;
    let mut events = flood(0, 10, |n| format!("wss://n{n}.flood.co.uk"));
    events.push(relay_list(100, "wss://quiet.other.co.uk"));
    events.push(relay_list(101, "wss://late.flood.co.uk"));
    world.archive(&events).await;
    let config = FinderConfig {
        max_per_host: 5,
        max_per_site: 40,
        site_pause: std::time::Duration::from_secs(3),
        ..finder_config()
    };
    let finder = world.find(config).await;
    assert_eq!(like(&world, "%.flood.co.uk").await, 40);
    assert_eq!(like(&world, "%.other.co.uk").await, 1);
    // Three seconds apart, so that forty of them do not take forty places at once.
    let turns = "select count(distinct due_at) as n from candidates where url like '%.flood.co.uk'";
    assert_eq!(world.number(turns).await, 40);
    let span =
        "select max(due_at) - min(due_at) as n from candidates where url like '%.flood.co.uk'";
    assert_eq!(world.number(span).await, 39 * 3);
    let waits = "select max(due_at - found_at) as n from candidates where url like '%.other.co.uk'";
    assert_eq!(world.number(waits).await, 0);

    // Given up ones make room: names that somebody made up must not keep real ones out.
    world
        .run("update candidates set given_up_at = 1, attempts = 5")
        .await;
    world
        .archive(&[relay_list(102, "wss://real.flood.co.uk")])
        .await;
    finder.idle().await;
    assert_eq!(like(&world, "wss://real.flood.co.uk").await, 1);
    finder.stop().await;
}

#[tokio::test]
async fn a_flood_through_one_source_stops_that_source_and_loses_nothing() {
    let world = World::new().await;
    let config = FinderConfig {
        max_untried: 400,
        ..finder_config()
    };
    let mut events = flood(0, 10, |n| format!("wss://n{n}.flood{n}.com"));
    events.push(relay_list(100, "wss://last.example.com"));
    events.push(event(101, 1, &[&["r", "wss://other.example.com"]], ""));
    world.archive(&events).await;
    let finder = Finder::start(&world.store, config);
    finder.idle().await;
    // Half of it is what one source may take: four events of fifty.
    assert_eq!(like(&world, "%flood%").await, 200);
    assert_eq!(like(&world, "wss://last.example.com").await, 0);
    assert_eq!(like(&world, "wss://other.example.com").await, 1);

    // As they are tried, there is room for the others.
    for expected in [400, 500] {
        world.run("update candidates set attempts = 1").await;
        finder.idle().await;
        assert_eq!(like(&world, "%flood%").await, expected);
    }
    assert_eq!(like(&world, "wss://last.example.com").await, 1);
    assert_eq!(finder.urls("relay_lists", "new"), 501);
    finder.stop().await;
}

#[tokio::test]
async fn a_cycle_adds_no_more_than_it_may() {
    let world = World::new().await;
    world
        .archive(&flood(0, 8, |n| format!("wss://n{n}.flood{n}.com")))
        .await;
    let config = FinderConfig {
        candidates_per_cycle: 100,
        ..finder_config()
    };
    let finder = Finder::start(&world.store, config);
    let done = finder.until(|now| now.candidates == 400).await;
    assert!(done.cycles >= 3, "{done:?}");
    finder.stop().await;
}

#[tokio::test]
async fn onions_without_tor_do_not_stop_the_others() {
    let world = World::new().await;
    let config = FinderConfig {
        max_untried: 200,
        max_per_site: 5_000,
        max_per_host: 5_000,
        ..finder_config()
    };
    let onion = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";
    let mut events = flood(0, 10, |n| format!("ws://{onion}.onion:{}", 1_000 + n));
    events.push(relay_list(100, "wss://last.example.com"));
    world.archive(&events).await;
    let finder = world.find(config).await;
    assert_eq!(like(&world, "%.onion%").await, 100);
    assert_eq!(finder.urls("relay_lists", "full"), 400);
    assert_eq!(like(&world, "wss://last.example.com").await, 1);
    finder.stop().await;
}
