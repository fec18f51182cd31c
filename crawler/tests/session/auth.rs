//! Authentication (NIP-42), done only when a relay refuses without it.

use bigbrotr_core::event::Pubkey;
use bigbrotr_crawler::session::{AuthFailure, PageEnd, PublishOutcome, Session, SessionConfig};
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::AuthPolicy;
use bigbrotr_testkit::relay::faults::{Fault, ReadFault};
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig};
use std::time::Duration;

use crate::support::{START, config, connect, connect_to, events, notes, quick};

async fn guarded(auth: AuthPolicy, faults: Vec<Fault>) -> SimRelay {
    let config = SimRelayConfig {
        auth,
        faults,
        ..SimRelayConfig::with_events(events(3))
    };
    SimRelay::start(config).await.unwrap()
}

async fn with_keys(relay: &SimRelay) -> Session {
    let keys = Some(author_keys(9, 0));
    connect_to(&relay.url(), &SessionConfig { keys, ..config() }).await
}

#[tokio::test]
async fn a_refused_page_is_asked_for_again_after_authentication() {
    let relay = guarded(AuthPolicy::Reads, Vec::new()).await;
    let mut session = with_keys(&relay).await;
    let page = session.fetch_page(&notes(), &quick()).await;
    assert!(page.is_complete(), "{:?}", page.end);
    assert_eq!(page.events.len(), 3);
    let ours = Pubkey(author_keys(9, 0).public_key().to_bytes());
    assert_eq!(relay.stats().authenticated, [ours]);
    assert!(session.fetch_page(&notes(), &quick()).await.is_complete());
    assert_eq!(relay.stats().authenticated.len(), 1, "once is enough");
}

#[tokio::test]
async fn without_keys_we_stay_anonymous_and_the_page_says_why() {
    let relay = guarded(AuthPolicy::Reads, Vec::new()).await;
    let page = connect(&relay).await.fetch_page(&notes(), &quick()).await;
    assert!(
        matches!(page.end, PageEnd::AuthRequired(AuthFailure::NoKeys)),
        "{:?}",
        page.end
    );
}

#[tokio::test]
async fn a_challenge_alone_is_no_reason_to_authenticate() {
    let relay = guarded(AuthPolicy::Optional, Vec::new()).await;
    let mut session = with_keys(&relay).await;
    assert!(session.fetch_page(&notes(), &quick()).await.is_complete());
    assert!(session.challenge().is_some());
    assert!(relay.stats().authenticated.is_empty());
}

#[tokio::test]
async fn a_relay_that_is_never_content_is_given_up() {
    for (challenge, wanted) in [(true, "auth_not_enough"), (false, "auth_no_challenge")] {
        let fault = ReadFault::AuthRequired { challenge };
        let relay = guarded(AuthPolicy::Open, vec![fault.into()]).await;
        let mut session = with_keys(&relay).await;
        let page = session.fetch_page(&notes(), &quick()).await;
        let PageEnd::AuthRequired(failure) = &page.end else {
            panic!("{:?}", page.end);
        };
        assert_eq!(failure.reason(), wanted);
        assert!(session.is_alive());
    }
}

#[tokio::test]
async fn publishing_authenticates_when_asked() {
    let relay = guarded(AuthPolicy::Writes, Vec::new()).await;
    let event = EventMaker::new(START + 60).sign(&author_keys(7, 3));
    let timeout = Duration::from_secs(2);
    let anonymous = connect(&relay).await.publish(&event, timeout).await;
    assert!(
        matches!(anonymous, PublishOutcome::Rejected { .. }),
        "{anonymous:?}"
    );
    let known = with_keys(&relay).await.publish(&event, timeout).await;
    assert!(
        matches!(known, PublishOutcome::Accepted { .. }),
        "{known:?}"
    );
    assert_eq!(relay.event_count(), 4);
}
