//! WebSocket frames that no server should send, before any question and in place of an answer.

use std::time::Duration;

use bigbrotr_core::filter::Filter;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::session::{PageEnd, PageLimits, Session, SessionConfig};
use bigbrotr_testkit::relay::faults::{ConnectionFault, ReadFault, Wire};
use tokio::time::timeout;

use crate::support::{PATIENCE, check, dialer, impatient, networks, patient, read, relay};

#[tokio::test]
async fn broken_frames_end_the_conversation_and_are_named() {
    for (wire, reason) in [
        (Wire::compressed_frame(), "websocket_protocol"),
        (Wire::masked_frame(), "websocket_protocol"),
        (Wire::large_ping(), "websocket_protocol"),
        (Wire::fragmented_ping(), "websocket_protocol"),
        (Wire::unknown_frame(), "websocket_protocol"),
        (Wire::invalid_text(), "websocket_protocol"),
        (Wire::stray_continuation(), "websocket_protocol"),
        (Wire::nested_message(), "websocket_protocol"),
        (Wire::short_close(), "websocket_protocol"),
        (Wire::invalid_close(), "websocket_protocol"),
        (Wire::pings_between_fragments(), "websocket_protocol"),
        (Wire::giant_frame(), "message_too_large"),
        (Wire::endless_fragments(), "message_too_large"),
        (Wire::close_within_message(), "closed"),
        (Wire::cut_message(), "disconnected"),
    ] {
        let early = relay([ConnectionFault::Begin(wire.clone())], None).await;
        let answer = relay([ReadFault::Answer(wire.clone())], None).await;
        for relay in [early, answer] {
            let result = check(&relay, &patient()).await;
            assert!(result.is_online(), "{wire:?}");
            assert_eq!(read(&result), reason, "{wire:?}");
            // It was not asked to take an event after that.
            assert_eq!(result.write, None, "{wire:?}");
        }
    }
}

#[tokio::test]
async fn floods_of_frames_end_by_the_clock_or_by_their_bytes() {
    for wire in [
        Wire::empty_fragments(),
        Wire::ping_flood(),
        Wire::binary_flood(),
    ] {
        let early = relay([ConnectionFault::Begin(wire.clone())], None).await;
        let answer = relay([ReadFault::Answer(wire.clone())], None).await;
        for relay in [early, answer] {
            let result = check(&relay, &impatient()).await;
            let reason = read(&result);
            assert!(
                ["silent", "byte_cap"].contains(&reason),
                "{wire:?}: {reason}"
            );
        }
    }
}

/// A relay that is always ready with another frame, none of which ends a message, must not keep
/// the clock from being looked at. Nothing else bounds a session without a cap on its bytes. The
/// relay has a thread of its own, or it would have to pause whenever we read.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn frames_without_end_do_not_stop_the_clock() {
    for wire in [Wire::empty_fragments(), Wire::ping_flood()] {
        let relay = relay([ReadFault::Answer(wire.clone())], None).await;
        let policy = UrlPolicy {
            allow_private: true,
            ..UrlPolicy::default()
        };
        let url = RelayUrl::parse(&relay.url(), &policy).unwrap();
        let config = SessionConfig {
            max_bytes: None,
            ..SessionConfig::default()
        };
        let session = Session::connect(&dialer(networks()), &url, &config).await;
        let mut session = session.unwrap();
        let limits = PageLimits {
            timeout: Duration::from_millis(500),
            idle_timeout: Duration::from_millis(500),
            ..PageLimits::default()
        };
        let everything = Filter::default();
        let page = session.fetch_page(&everything, &limits);
        let page = timeout(PATIENCE, page)
            .await
            .expect("the page does not end");
        assert!(
            matches!(page.end, PageEnd::TimedOut),
            "{wire:?}: {:?}",
            page.end
        );
    }
}
