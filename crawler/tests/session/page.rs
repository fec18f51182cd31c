//! What is taken into a page and what is dropped from it.

use std::time::Duration;

use bigbrotr_core::filter::Filter;
use bigbrotr_crawler::session::{PageEnd, PageLimits, PublishOutcome, Refused};
use bigbrotr_testkit::population::{InvalidEvents, author_keys};
use bigbrotr_testkit::relay::faults::{Fault, ReadFault};
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig};

use crate::support::{START, connect, events, notes, page_of, patient, quick, relay};

#[tokio::test]
async fn eose_completes_a_page_newest_first() {
    let relay = relay(20, [] as [Fault; 0]).await;
    let mut session = connect(&relay).await;
    let page = session.fetch_page(&notes(), &quick()).await;
    assert!(page.is_complete(), "{:?}", page.end);
    let mut wanted = events(20);
    wanted.reverse();
    assert_eq!(page.events, wanted);
    assert_eq!(page.refused, Refused::default());
    assert!(page.bytes > 0 && session.counts().bytes_received > page.bytes);
    let empty = Filter {
        since: Some(START + 100),
        ..notes()
    };
    let page = session.fetch_page(&empty, &quick()).await;
    assert!(page.is_complete() && page.events.is_empty());
}

#[tokio::test]
async fn each_page_has_a_subscription_of_its_own_and_closes_it() {
    let relay = relay(3, [] as [Fault; 0]).await;
    let mut session = connect(&relay).await;
    for _ in 0..3 {
        assert!(session.fetch_page(&notes(), &quick()).await.is_complete());
    }
    let ids: Vec<_> = relay
        .stats()
        .reqs
        .into_iter()
        .map(|req| req.sub_id)
        .collect();
    assert!(ids.iter().all(|id| (1..=64).contains(&id.len())));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    // A subscription left open would bring this event before its own answer does.
    let event = EventMaker::new(START + 50).sign(&author_keys(7, 0));
    let outcome = session.publish(&event, Duration::from_secs(2)).await;
    assert!(
        matches!(outcome, PublishOutcome::Accepted { .. }),
        "{outcome:?}"
    );
    let page = session.fetch_page(&notes(), &quick()).await;
    assert_eq!((page.events.len(), page.late), (4, 0));
}

#[tokio::test]
async fn events_that_do_not_match_are_dropped_and_counted() {
    let other = EventMaker::new(START).kind(7).sign(&author_keys(7, 1));
    let config = SimRelayConfig::with_events(events(4).into_iter().chain([other]));
    let config = SimRelayConfig {
        faults: vec![ReadFault::IgnoreFilter.into()],
        ..config
    };
    let relay = SimRelay::start(config).await.unwrap();
    let page = connect(&relay).await.fetch_page(&notes(), &quick()).await;
    assert!(page.is_complete());
    assert_eq!((page.events.len(), page.refused.no_match), (4, 1));
}

#[tokio::test]
async fn malformed_events_are_dropped_and_the_page_goes_on() {
    let invalid = InvalidEvents::new(author_keys(7, 2), START);
    let malformed = [invalid.kind_too_large(), invalid.negative_created_at()];
    let page = page_of(3, ReadFault::Inject(malformed.to_vec())).await;
    assert!(page.is_complete());
    assert_eq!((page.events.len(), page.refused.malformed), (3, 2));
}

#[tokio::test]
async fn duplicates_and_foreign_subscriptions_are_dropped() {
    let page = page_of(3, ReadFault::Duplicates).await;
    assert!(page.is_complete());
    assert_eq!((page.events.len(), page.refused.duplicate), (3, 3));
    let page = page_of(3, ReadFault::WrongSubscription).await;
    assert_eq!((page.events.len(), page.refused.wrong_subscription), (0, 3));
}

#[tokio::test]
async fn rubbish_between_messages_is_counted_and_survived() {
    let rubbish = ReadFault::rubbish();
    let ReadFault::Rubbish(texts) = &rubbish else {
        unreachable!()
    };
    let wanted = texts.len() as u64;
    let page = page_of(3, rubbish).await;
    assert!(page.is_complete(), "{:?}", page.end);
    assert_eq!((page.events.len(), page.refused.unreadable), (3, wanted));
    let page = page_of(3, ReadFault::Binary).await;
    assert!(page.is_complete() && page.events.len() == 3);
}

#[tokio::test]
async fn an_event_above_the_bound_is_refused_and_below_the_message_bound_survived() {
    let relay = relay(2, [ReadFault::Oversized(100_000)]).await;
    let limits = PageLimits {
        max_event_bytes: 50_000,
        ..patient()
    };
    let page = connect(&relay).await.fetch_page(&notes(), &limits).await;
    assert!(page.is_complete());
    assert_eq!((page.events.len(), page.refused.too_large), (2, 1));
}

#[tokio::test]
async fn notices_are_kept_for_the_log_and_end_nothing() {
    let page = page_of(
        3,
        ReadFault::Notice("ERROR: ".to_owned() + &"x".repeat(1000)),
    )
    .await;
    assert!(matches!(page.end, PageEnd::TimedOut), "{:?}", page.end);
    assert_eq!(page.notices.len(), 1);
    assert_eq!(
        page.notices[0].len(),
        bigbrotr_crawler::limits::KEPT_TEXT_CHARS
    );
}
