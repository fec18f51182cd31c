//! What a relay says to a published event.

use std::time::Duration;

use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_crawler::session::{PublishOutcome, SessionError};
use bigbrotr_testkit::EventMaker;
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::{Fault, WriteFault};

use crate::support::{START, connect, relay};

async fn publish(fault: Option<WriteFault>) -> PublishOutcome {
    let relay = relay(1, fault).await;
    let event = EventMaker::new(START + 60).sign(&author_keys(7, 3));
    connect(&relay)
        .await
        .publish(&event, Duration::from_millis(300))
        .await
}

#[tokio::test]
async fn every_answer_is_told_apart() {
    let accepted = publish(None).await;
    assert!(
        matches!(accepted, PublishOutcome::Accepted { .. }),
        "{accepted:?}"
    );
    let refused = publish(Some(WriteFault::refuse(ReplyPrefix::Pow))).await;
    let pow = Some(ReplyPrefix::Pow);
    assert!(
        matches!(refused, PublishOutcome::Rejected { prefix, .. } if prefix == pow),
        "{refused:?}"
    );
    let wordy = publish(Some(WriteFault::Refuse("author is unknown".into()))).await;
    assert!(
        matches!(wordy, PublishOutcome::Rejected { prefix: None, .. }),
        "{wordy:?}"
    );
    for fault in [
        WriteFault::Silence,
        WriteFault::WrongId,
        WriteFault::Notice("no".into()),
    ] {
        let silent = publish(Some(fault)).await;
        assert!(matches!(silent, PublishOutcome::Silent), "{silent:?}");
    }
}

#[tokio::test]
async fn a_session_that_is_over_says_so() {
    let relay = relay(1, [] as [Fault; 0]).await;
    let mut session = connect(&relay).await;
    relay.disconnect_all();
    let event = EventMaker::new(START + 60).sign(&author_keys(7, 3));
    let outcome = session.publish(&event, Duration::from_secs(2)).await;
    assert!(
        matches!(outcome, PublishOutcome::Disconnected(_)),
        "{outcome:?}"
    );
    let outcome = session.publish(&event, Duration::from_secs(2)).await;
    assert!(
        matches!(outcome, PublishOutcome::Disconnected(SessionError::Over)),
        "{outcome:?}"
    );
}
