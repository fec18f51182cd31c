//! The read probe and its verdicts.

use std::time::Duration;

use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_crawler::session::{ReadProbe, ReadVerdict};
use bigbrotr_testkit::relay::AuthPolicy;
use bigbrotr_testkit::relay::faults::{Fault, ReadFault};
use bigbrotr_testkit::{SimRelay, SimRelayConfig};

use crate::support::{connect, events};

async fn probe(auth: AuthPolicy, count: i64, fault: Option<ReadFault>) -> ReadProbe {
    let faults = fault.into_iter().map(Fault::from).collect();
    let config = SimRelayConfig {
        auth,
        faults,
        ..SimRelayConfig::with_events(events(count))
    };
    let relay = SimRelay::start(config).await.unwrap();
    connect(&relay)
        .await
        .probe_read(Duration::from_millis(300))
        .await
}

#[tokio::test]
async fn the_first_answer_to_the_question_counts() {
    let open = AuthPolicy::Open;
    for (auth, count, fault, wanted) in [
        (open, 2, None, "event"),
        (open, 0, None, "eose"),
        (AuthPolicy::Optional, 2, None, "event"),
        (AuthPolicy::Reads, 2, None, "closed"),
        (
            AuthPolicy::Optional,
            2,
            Some(ReadFault::Silence),
            "challenge",
        ),
        (
            open,
            2,
            Some(ReadFault::Notice("blocked: no".into())),
            "notice",
        ),
        (open, 2, Some(ReadFault::Silence), "silent"),
        (open, 2, Some(ReadFault::WrongSubscription), "eose"),
        (
            open,
            2,
            Some(ReadFault::CutMidMessage { after: 0 }),
            "disconnected",
        ),
    ] {
        let probe = probe(auth, count, fault.clone()).await;
        assert_eq!(
            probe.verdict.as_str(),
            wanted,
            "{auth:?} {fault:?}: {probe:?}"
        );
        assert_eq!(
            probe.verdict.is_readable(),
            matches!(wanted, "event" | "eose")
        );
        assert_eq!(
            probe.rtt.is_some(),
            !matches!(wanted, "silent" | "disconnected")
        );
    }
}

#[tokio::test]
async fn a_refusal_is_classified_by_its_prefix() {
    for (words, wanted) in [
        ("auth-required: sign in", Some(ReplyPrefix::AuthRequired)),
        ("restricted: members", Some(ReplyPrefix::Restricted)),
        ("author unknown", None),
    ] {
        let fault = Some(ReadFault::Closed(words.into()));
        let probe = probe(AuthPolicy::Open, 1, fault).await;
        let ReadVerdict::Closed { prefix, message } = probe.verdict else {
            panic!("{probe:?}");
        };
        assert_eq!((prefix, message.as_str()), (wanted, words));
    }
}
