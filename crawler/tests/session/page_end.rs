//! How pages end: only EOSE is a whole answer, and no relay holds us for ever.

use std::time::Duration;

use bigbrotr_crawler::session::{PageEnd, PageLimit, PageLimits, SessionConfig, SessionError};
use bigbrotr_testkit::relay::faults::ReadFault;

use crate::support::{config, connect, connect_to, notes, page_of, patient, quick, relay};

#[tokio::test]
async fn a_page_without_eose_times_out_and_keeps_its_events() {
    for (fault, wanted) in [
        (ReadFault::Silence, 0),
        (ReadFault::StallAfter(2), 2),
        (ReadFault::NoEose, 5),
        // Drips for an hour, a byte at a time: that is no progress.
        (ReadFault::Drip(Duration::from_millis(100)), 0),
    ] {
        let page = page_of(5, fault.clone()).await;
        assert!(
            matches!(page.end, PageEnd::TimedOut),
            "{fault:?}: {:?}",
            page.end
        );
        assert_eq!(page.events.len(), wanted, "{fault:?}");
        assert!(!page.is_complete());
    }
}

#[tokio::test]
async fn closed_is_never_an_empty_answer() {
    let page = page_of(5, ReadFault::Closed("error: shutting down".into())).await;
    assert!(matches!(&page.end, PageEnd::Closed(words) if words == "error: shutting down"));
    let message = "rate-limited: slow down".to_owned();
    let page = page_of(5, ReadFault::PartialThenClosed { events: 2, message }).await;
    assert!(matches!(page.end, PageEnd::Closed(_)) && !page.is_complete());
    assert_eq!(page.events.len(), 2);
}

#[tokio::test]
async fn a_lost_connection_is_told_and_ends_the_session() {
    let relay = relay(5, [ReadFault::CutMidMessage { after: 2 }]).await;
    let mut session = connect(&relay).await;
    let page = session.fetch_page(&notes(), &quick()).await;
    assert!(
        matches!(
            page.end,
            PageEnd::Disconnected(SessionError::Disconnected { .. })
        ),
        "{:?}",
        page.end
    );
    assert_eq!(page.events.len(), 2);
    assert!(!session.is_alive());
    let next = session.fetch_page(&notes(), &quick()).await;
    assert!(
        matches!(next.end, PageEnd::Disconnected(SessionError::Over)),
        "{:?}",
        next.end
    );

    let page = page_of(
        5,
        ReadFault::CloseFrame {
            after: 1,
            code: 1008,
        },
    )
    .await;
    assert!(
        matches!(
            page.end,
            PageEnd::Disconnected(SessionError::Closed {
                code: Some(1008),
                ..
            })
        ),
        "{:?}",
        page.end
    );
    assert_eq!(page.events.len(), 1);
}

#[tokio::test]
async fn an_endless_relay_is_stopped_at_the_cap_and_the_session_goes_on() {
    let relay = relay(5, [ReadFault::Endless]).await;
    let mut session = connect(&relay).await;
    let limits = PageLimits {
        max_events: 50,
        max_refused: 100_000,
        ..patient()
    };
    let page = session.fetch_page(&notes(), &limits).await;
    assert!(
        matches!(page.end, PageEnd::LimitExceeded(PageLimit::Events)),
        "{:?}",
        page.end
    );
    assert_eq!(page.events.len(), 50);
    relay.clear_faults();
    // What was on its way is late, not wrong.
    let page = session.fetch_page(&notes(), &patient()).await;
    assert!(page.is_complete(), "{:?}", page.end);
    assert_eq!(page.refused.wrong_subscription, 0);
    assert_eq!(page.events.len(), 5);
}

#[tokio::test]
async fn bytes_and_refusals_are_bounded() {
    let limits = PageLimits {
        max_bytes: 1_000,
        ..quick()
    };
    let relay_of_many = relay(50, [ReadFault::Latency(Duration::ZERO)]).await;
    let page = connect(&relay_of_many)
        .await
        .fetch_page(&notes(), &limits)
        .await;
    assert!(
        matches!(page.end, PageEnd::LimitExceeded(PageLimit::Bytes)),
        "{:?}",
        page.end
    );

    let limits = PageLimits {
        max_refused: 3,
        ..quick()
    };
    let liar = relay(50, [ReadFault::WrongSubscription]).await;
    let page = connect(&liar).await.fetch_page(&notes(), &limits).await;
    assert!(
        matches!(page.end, PageEnd::LimitExceeded(PageLimit::Refused)),
        "{:?}",
        page.end
    );
    assert_eq!(page.refused.total(), 4);
}

#[tokio::test]
async fn a_message_above_the_bound_and_a_session_above_its_cap_end_the_session() {
    let relay = relay(5, [ReadFault::Oversized(200_000)]).await;
    let mut small = config();
    small.websocket.max_message_bytes = 100_000;
    let mut session = connect_to(&relay.url(), &small).await;
    let page = session.fetch_page(&notes(), &patient()).await;
    assert!(
        matches!(page.end, PageEnd::LimitExceeded(PageLimit::Message)),
        "{:?}",
        page.end
    );
    assert!(!session.is_alive());

    let capped = SessionConfig {
        max_bytes: Some(50_000),
        ..config()
    };
    let mut session = connect_to(&relay.url(), &capped).await;
    let page = session.fetch_page(&notes(), &patient()).await;
    assert!(
        matches!(page.end, PageEnd::LimitExceeded(PageLimit::Bytes)),
        "{:?}",
        page.end
    );
    assert!(!session.is_alive());
    assert_eq!(session.counts().bytes_received, 50_000);
}
