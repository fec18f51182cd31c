//! What the intake remembers is a cache: the archive is right, whatever happens behind its back.

use bigbrotr_schema::store::RelayId;

use crate::harness::{Archive, Node, population};
use crate::model::{Model, fold};

/// As a retention of another process would, before the statistics have met the events.
const DELETE_EVERYTHING: &str = "delete from events_relays; delete from events";

#[tokio::test]
async fn an_event_deleted_behind_the_intakes_back_is_archived_again() {
    let archive = Archive::new().await;
    let relays = archive.relays(2).await;
    // Many and few, from a relay and from a file.
    for (seed, size) in [(1, 60), (2, 8)] {
        for relay in [Some(relays[1]), None] {
            let node = archive.node().await;
            let events = population(seed, size as usize);
            node.submit(events.clone(), Some(relays[0])).await.unwrap();
            // Now the numbers are known for sure.
            let known = node.submit(events.clone(), Some(relays[0])).await.unwrap();
            assert_eq!(known.known, size);
            archive.meddle(DELETE_EVERYTHING).await;
            let again = node.submit(events.clone(), relay).await.unwrap();
            assert_eq!((again.new, again.known, again.refused), (size, 0, 0));
            let mut model = Model::default();
            model.add_all(&events, relay);
            model.check(&archive.store, &archive.pool).await;
            // And the new numbers are remembered in place of the old.
            let known = node.submit(events.clone(), Some(relays[0])).await.unwrap();
            assert_eq!(known.known, size);
            model.add_all(&events, Some(relays[0]));
            model.check_tables(&archive.pool).await;
            archive.meddle("truncate rollup_queue").await;
            forget_statistics(&archive).await;
        }
    }
}

/// Empties the archive and all its counters.
async fn forget_statistics(archive: &Archive) {
    archive
        .meddle(
            "truncate events, events_relays, stats_kinds, stats_pubkeys, stats_pubkey_kinds,
                stats_relay_kinds, stats_relay_pubkeys, stats_relay_pubkey_kinds;
             delete from stats_relays;
             update stats_totals set events = 0, regular = 0, replaceable = 0, ephemeral = 0,
                addressable = 0, pubkeys = 0, kinds = 0",
        )
        .await;
}

#[tokio::test]
async fn some_of_a_batch_may_be_deleted() {
    let archive = Archive::new().await;
    let relays = archive.relays(2).await;
    let node = archive.node().await;
    let mut events = population(3, 120);
    let later = events.split_off(100);
    node.submit(events.clone(), Some(relays[0])).await.unwrap();
    archive
        .meddle(
            "delete from events_relays where event_num % 3 = 0;
             delete from events where num % 3 = 0",
        )
        .await;
    let left = archive.count("select count(*) from events").await as u64;
    events.extend(later);
    let mut twice = events.clone();
    twice.extend(events.clone());
    let again = node.submit(twice, Some(relays[1])).await.unwrap();
    assert_eq!((again.new, again.known), (120 - left, 120 + left));
    let mut model = Model::default();
    model.add_all(&events, Some(relays[1]));
    let still: Vec<Vec<u8>> = sqlx::query_scalar(
        "select id from events e join events_relays er on er.event_num = e.num where relay_id = $1",
    )
    .bind(relays[0].0)
    .fetch_all(&archive.pool)
    .await
    .unwrap();
    assert_eq!(still.len() as u64, left);
    for event in &events {
        if still.iter().any(|id| id[..] == event.id.0) {
            model.add(event, Some(relays[0]));
        }
    }
    model.check(&archive.store, &archive.pool).await;
}

/// Known events are not checked again, so what is archived again has to be.
#[tokio::test]
async fn a_forged_copy_of_a_deleted_event_does_not_take_its_place() {
    let archive = Archive::new().await;
    let relays = archive.relays(2).await;
    let node = archive.node().await;
    let events = population(4, 50);
    node.submit(events.clone(), Some(relays[0])).await.unwrap();
    archive.meddle(DELETE_EVERYTHING).await;
    let mut forged = events.clone();
    for event in &mut forged {
        event.sig[5] ^= 1;
    }
    let refused = node.submit(forged.clone(), Some(relays[1])).await.unwrap();
    assert_eq!(refused.refused, 50);
    Model::default().check_tables(&archive.pool).await;
    // Beside the true one, it is the true one that goes in.
    node.submit(events.clone(), Some(relays[0])).await.unwrap();
    archive.meddle(DELETE_EVERYTHING).await;
    let mut both = forged;
    both.extend(events.clone());
    let ingested = node.submit(both, Some(relays[1])).await.unwrap();
    assert_eq!((ingested.new, ingested.refused), (50, 50));
    for event in &events {
        let back = archive.store.get_event(&event.id).await.unwrap().unwrap();
        assert_eq!(&back, event);
    }
}

/// A process that remembers nothing comes to the same answers.
#[tokio::test]
async fn a_process_without_memory_knows_what_the_archive_knows() {
    let archive = Archive::new().await;
    let relays = archive.relays(3).await;
    let events = population(5, 200);
    let mut model = Model::default();
    let submit = async |node: &Node, relay: RelayId| {
        let answer = node.submit(events.clone(), Some(relay)).await.unwrap();
        (answer.new, answer.known)
    };
    assert_eq!(submit(&archive.node().await, relays[0]).await, (200, 0));
    for relay in &relays {
        assert_eq!(submit(&archive.node().await, *relay).await, (0, 200));
        model.add_all(&events, Some(*relay));
    }
    fold(&archive.store).await;
    model.check(&archive.store, &archive.pool).await;
}
