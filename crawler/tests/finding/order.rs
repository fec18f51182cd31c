//! Nothing is lost: whatever commits late, breaks off, or is done by several at once.

use bigbrotr_schema::store::{FoundBy, Mention};
use bigbrotr_schema::testing::OpenWriter;

use crate::support::{Finder, NO_BOUNDS, World, finder_config, relay_list, url};

#[tokio::test]
async fn an_event_that_commits_after_later_ones_is_not_passed_over() {
    let world = World::new().await;
    let slow = OpenWriter::begin(&world.store, &relay_list(1, "wss://slow.example.com"))
        .await
        .unwrap();
    // A higher number, and there for everybody to see.
    world
        .archive(&[relay_list(2, "wss://fast.example.com")])
        .await;
    let finder = Finder::start(&world.store, finder_config());
    finder.until(|now| now.cycles >= 2).await;
    slow.commit().await.unwrap();
    finder.until(|now| now.events == 2).await;
    let found = world.found().await;
    assert_eq!(found.len(), 2, "{found:?}");
    finder.stop().await;
}

#[tokio::test]
async fn a_crash_between_reading_and_storing_loses_nothing() {
    let world = World::new().await;
    world.archive(&[relay_list(1, "wss://a.example.com")]).await;
    let mut finding = world.store.begin_finding().await.unwrap().unwrap();
    let page = finding.page(0, i64::MAX, 100, 1 << 20).await.unwrap();
    assert_eq!((page.read, page.events.len()), (1, 1));
    let urls = [url("wss://a.example.com")];
    finding.judge(&urls, NO_BOUNDS).await.unwrap();
    // The process dies here: neither the cursor nor the candidate is there.
    drop(finding);
    assert_eq!(
        world
            .number("select max(event_num) as n from finder_sources")
            .await,
        0
    );
    let finder = world.find(finder_config()).await;
    assert_eq!(world.found().await.len(), 1);
    finder.stop().await;
}

#[tokio::test]
async fn candidates_and_cursors_are_stored_together_or_not_at_all() {
    let world = World::new().await;
    world
        .run("alter table finder_sources add check (event_num < 100)")
        .await;
    let mention = Mention {
        url: url("wss://a.example.com"),
        found_by: FoundBy::Tags,
    };
    let finish = async |num| {
        let finding = world.store.begin_finding().await.unwrap().unwrap();
        finding
            .finish(
                &[(FoundBy::Tags, num)],
                std::slice::from_ref(&mention),
                NO_BOUNDS,
            )
            .await
    };
    finish(100).await.unwrap_err();
    assert!(world.candidates().await.is_empty());
    finish(99).await.unwrap();
    assert_eq!(world.candidates().await.len(), 1);
}

#[tokio::test]
async fn two_finders_read_every_event_once() {
    let world = World::new().await;
    let lists: Vec<_> = (0..3_000)
        .map(|n| relay_list(n, &format!("wss://r{}.example.com", n % 400)))
        .collect();
    world.archive(&lists).await;
    let one = Finder::start(&world.store, finder_config());
    let other = Finder::start(&world.store, finder_config());
    let (first, second) = tokio::join!(one.idle(), other.idle());
    assert_eq!(first.events + second.events, 3_000, "{first:?} {second:?}");
    assert_eq!(first.candidates + second.candidates, 400);
    assert_eq!(world.found().await.len(), 400);
    assert_eq!(
        world
            .number("select sum(candidates)::bigint as n from finder_sources")
            .await,
        400
    );
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn an_archive_that_is_emptied_is_read_from_its_beginning() {
    let world = World::new().await;
    world
        .archive(&[
            relay_list(1, "wss://a.example.com"),
            relay_list(2, "wss://a.example.com"),
        ])
        .await;
    let finder = world.find(finder_config()).await;
    world.run("truncate events restart identity").await;
    world.archive(&[relay_list(3, "wss://b.example.com")]).await;
    finder.until(|now| now.candidates == 2).await;
    finder.stop().await;
}

#[tokio::test]
async fn an_outage_of_the_database_is_waited_for() {
    let world = World::new().await;
    let (store, proxy) = world.through_proxy().await;
    let mut finder = Finder::start(&store, finder_config());
    finder.until_health("ready").await;
    proxy.cut();
    finder.until_health("degraded").await;
    world.archive(&[relay_list(1, "wss://a.example.com")]).await;
    proxy.restore();
    finder.until(|now| now.candidates == 1).await;
    finder.until_health("ready").await;
    finder.stop().await;
}
