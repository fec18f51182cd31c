//! Reading the archive in pages: nothing is missed, nothing comes twice, nothing is too much.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::cmp::Reverse;

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::ingest::{Ingest, IngestMetrics, Ingested, Refusal, RefusedPosition};
use bigbrotr_schema::store::{ArchiveOrder, ArchiveQuery, RelayId, Store};
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::population::{EventMaker, InvalidEvents, author_keys};
use bigbrotr_testkit::{Population, PopulationConfig, SimEvent};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const NOW: i64 = 1_750_000_000;

fn ingest(store: &Store) -> (Ingest, CancellationToken) {
    let stop = CancellationToken::new();
    let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
    let ingest = Ingest::start(store.clone(), metrics, &TaskTracker::new(), stop.clone());
    (ingest, stop)
}

async fn relay(store: &Store) -> RelayId {
    let url = RelayUrl::parse("wss://relay.example.com", &UrlPolicy::default()).unwrap();
    store
        .insert_relays(std::slice::from_ref(&url))
        .await
        .unwrap();
    store.get_relay(&url).await.unwrap().unwrap().id
}

/// Reads all pages; none of them may be larger than what was asked for.
async fn read(store: &Store, query: &ArchiveQuery, most: usize, max_bytes: usize) -> Vec<Event> {
    let (mut events, mut after) = (Vec::new(), None);
    loop {
        let page = store
            .archive_page(query, after, most, max_bytes)
            .await
            .unwrap();
        assert!(page.events.len() <= most);
        let sizes: Vec<usize> = page
            .events
            .iter()
            .map(|found| found.event.as_ref().unwrap().size_hint())
            .collect();
        let before_the_last: usize = sizes.iter().rev().skip(1).sum();
        assert!(before_the_last < max_bytes);
        events.extend(page.events.into_iter().filter_map(|found| found.event));
        match page.next {
            Some(next) => after = Some(next),
            None => return events,
        }
    }
}

fn query(filters: Vec<Filter>, relay: Option<RelayId>, order: ArchiveOrder) -> ArchiveQuery {
    ArchiveQuery {
        filters,
        relay,
        up_to: i64::MAX,
        order,
    }
}

/// A set of some of these values, or no condition; now and then the empty set.
fn some_of<T: Ord + Clone + std::fmt::Debug + 'static>(
    values: Vec<T>,
) -> impl Strategy<Value = Option<std::collections::BTreeSet<T>>> {
    proptest::option::weighted(
        0.4,
        proptest::collection::btree_set(proptest::sample::select(values), 0..6),
    )
}

fn filters(events: &[Event]) -> impl Strategy<Value = Vec<Filter>> + use<> {
    let ids = events.iter().map(|event| event.id).collect();
    let authors = events.iter().map(|event| event.pubkey).collect();
    let kinds = events.iter().map(|event| event.kind).collect();
    let times: Vec<i64> = events.iter().map(|event| event.created_at).collect();
    let time = || proptest::option::weighted(0.3, proptest::sample::select(times.clone()));
    let filter = (
        some_of(ids),
        some_of(authors),
        some_of(kinds),
        time(),
        time(),
    )
        .prop_map(|(ids, authors, kinds, since, until)| Filter {
            ids,
            authors,
            kinds,
            since,
            until,
            ..Filter::default()
        });
    proptest::collection::vec(filter, 1..4)
}

#[test]
fn pages_hold_what_the_matcher_finds_in_either_order() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (store, _database, events, had) = runtime.block_on(async {
        let (store, database) = test_store().await;
        let (ingest, _stop) = ingest(&store);
        let relay = relay(&store).await;
        let population = Population::generate(&PopulationConfig::new(21, 300, NOW));
        let mut events: Vec<Event> = population.events().iter().map(SimEvent::event).collect();
        // Many at the same second, so that ties matter.
        for n in 0..40 {
            let maker = EventMaker::new(NOW).content(n.to_string());
            events.push(maker.sign(&author_keys(1, n % 3)));
        }
        let (with, without) = events.split_at(200);
        ingest.submit(with.to_vec(), Some(relay)).await.unwrap();
        ingest.submit(without.to_vec(), None).await.unwrap();
        let had = with.to_vec();
        (store, database, events, (relay, had))
    });
    let (relay, had) = had;
    let by_num = runtime.block_on(store.list_events(0, 1_000)).unwrap();
    let archived: Vec<Event> = by_num
        .into_iter()
        .map(|(_, event)| event.unwrap())
        .collect();
    assert_eq!(archived.len(), events.len());

    let mut runner = TestRunner::new(ProptestConfig::with_cases(60));
    let strategy = (
        filters(&events),
        any::<bool>(),
        1_usize..90,
        500_usize..60_000,
    );
    runner
        .run(&strategy, |(filters, only_relay, most, max_bytes)| {
            let wanted = |event: &&Event| {
                filters.iter().any(|filter| filter.matches(event))
                    && (!only_relay || had.iter().any(|other| other.id == event.id))
            };
            let relay = only_relay.then_some(relay);
            let mut expected: Vec<Event> = archived.iter().filter(wanted).cloned().collect();
            let archive_order = query(filters.clone(), relay, ArchiveOrder::Archived);
            let found = runtime.block_on(read(&store, &archive_order, most, max_bytes));
            prop_assert_eq!(&found, &expected);
            expected.sort_by_key(|event| (Reverse(event.created_at), event.id));
            let newest = query(filters.clone(), relay, ArchiveOrder::Newest);
            let found = runtime.block_on(read(&store, &newest, most, max_bytes));
            prop_assert_eq!(&found, &expected);
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_page_of_megabyte_events_ends_before_it_is_large() {
    let (store, _database) = test_store().await;
    let (ingest, _stop) = ingest(&store);
    let events: Vec<Event> = (0..12)
        .map(|n| {
            let maker = EventMaker::new(NOW + n).content("x".repeat(1_000_000));
            maker.sign(&author_keys(1, 1))
        })
        .collect();
    ingest.submit(events, None).await.unwrap();
    let all = query(vec![Filter::default()], None, ArchiveOrder::Archived);
    let page = store.archive_page(&all, None, 2_000, 3_000_000).await;
    let page = page.unwrap();
    assert!(page.events.len() <= 4 && page.next.is_some());
    let archived = store.list_events(0, 100).await.unwrap();
    let archived: Vec<Event> = archived.into_iter().filter_map(|(_, e)| e).collect();
    assert_eq!(archived.len(), 12);
    assert_eq!(read(&store, &all, 2_000, 3_000_000).await, archived);
    // What is archived later does not get in.
    let until_now = ArchiveQuery {
        up_to: store.last_event_num().await.unwrap(),
        ..all
    };
    let later = EventMaker::new(NOW)
        .content("later")
        .sign(&author_keys(1, 2));
    ingest.submit(vec![later], None).await.unwrap();
    assert_eq!(read(&store, &until_now, 5, 10_000_000).await.len(), 12);
}

#[tokio::test]
async fn a_submitter_hears_which_events_were_refused_and_why() {
    let (store, _database) = test_store().await;
    let (ingest, _stop) = ingest(&store);
    let invalid = InvalidEvents::new(author_keys(2, 2), NOW);
    let valid = |n: u64| EventMaker::new(NOW).content("ok").sign(&author_keys(3, n));
    let events = vec![
        valid(1),
        invalid.wrong_signature(),
        valid(2),
        invalid.wrong_id(),
        invalid.impossible_pubkey(),
        valid(1),
        invalid.wrong_signature(),
    ];
    // Others' events are in the same batch; positions are the submission's own.
    let others = vec![valid(3), invalid.wrong_id()];
    let (others, report) = tokio::join!(
        ingest.submit_reporting(others, None),
        ingest.submit_reporting(events, None)
    );
    let refused = |position, refusal| RefusedPosition { position, refusal };
    assert_eq!(others.unwrap().refused, [refused(1, Refusal::WrongId)]);
    let report = report.unwrap();
    assert_eq!(
        report.refused,
        [
            refused(1, Refusal::WrongSignature),
            refused(3, Refusal::WrongId),
            refused(4, Refusal::WrongSignature),
            refused(6, Refusal::WrongSignature),
        ]
    );
    assert_eq!(
        report.ingested,
        Ingested {
            new: 2,
            known: 1,
            refused: 4,
            ..Ingested::default()
        }
    );
}
