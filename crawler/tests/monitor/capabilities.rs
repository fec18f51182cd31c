//! What relays can do, by trying.

use bigbrotr_core::message::ClientMessage;
use bigbrotr_crawler::monitor::{CheckResult, MonitorConfig, relay_report};
use bigbrotr_crawler::session::{Capability, CapabilityAnswers};
use bigbrotr_testkit::relay::faults::ReconcileFault;
use bigbrotr_testkit::relay::{AuthPolicy, SimRelayConfig};
use bigbrotr_testkit::{EventMaker, SimRelay};
use nostr::Keys;

use crate::scripted::{Scripted, ordinary};
use crate::support::{check, check_url, config, relay_with};

/// No document, which the scripted relay does not have.
fn without_document() -> MonitorConfig {
    MonitorConfig {
        nip11: false,
        dns: false,
        ..config()
    }
}

async fn scripted(script: impl Fn(ClientMessage) -> Vec<String> + Send + 'static) -> CheckResult {
    let relay = Scripted::start(Vec::new(), script).await;
    check_url(&relay.url(), &without_document()).await
}

#[tokio::test]
async fn what_a_relay_does_is_proven_in_one_session() {
    let relay = SimRelay::start(SimRelayConfig::with_events([EventMaker::new(
        1_700_000_000,
    )
    .content("nostr")
    .sign(&Keys::generate())]));
    let relay = relay.await.unwrap();
    let result = check(&relay, &config()).await;
    assert_eq!(result.capabilities.count, Some(Capability::Yes));
    assert_eq!(result.capabilities.negentropy, Some(Capability::Yes));
    // The simulated relay takes no notice of the word.
    assert_eq!(result.capabilities.search, Some(Capability::No("ignored")));
    assert_eq!(result.auth_on_read(), Capability::No("not_needed"));
    let stats = relay.stats();
    assert_eq!((stats.connections, stats.sessions), (2, 1));
    let report = relay_report(&result).unwrap();
    let labelled = |value: &str, space: &str| {
        let label = ["l", value, space].map(str::to_owned).to_vec();
        report.tags.contains(&label)
    };
    assert!(labelled("45", "nip66.proven") && labelled("50", "nip66.disproven"));
}

#[tokio::test]
async fn what_a_relay_does_not_know_is_told_from_silence() {
    let relay = SimRelay::start(SimRelayConfig {
        count: false,
        negentropy: None,
        ..SimRelayConfig::default()
    });
    let result = check(&relay.await.unwrap(), &config()).await;
    assert_eq!(
        result.capabilities.count,
        Some(Capability::No("unsupported"))
    );
    assert_eq!(
        result.capabilities.negentropy,
        Some(Capability::No("notice"))
    );
    assert_eq!(
        result.capabilities.search,
        Some(Capability::Unknown("nothing_found"))
    );
    let silent = scripted(|message| ordinary(&message)).await;
    for capability in [silent.capabilities.count, silent.capabilities.negentropy] {
        assert_eq!(capability, Some(Capability::Unknown("silent")));
    }
}

#[tokio::test]
async fn a_refusal_for_who_we_are_is_no_proof() {
    let relay = SimRelay::start(SimRelayConfig {
        auth: AuthPolicy::Reads,
        ..SimRelayConfig::default()
    });
    let stranger = MonitorConfig {
        auth: false,
        ..config()
    };
    let relay = relay.await.unwrap();
    let result = check(&relay, &stranger).await;
    let auth = Some(Capability::Unknown("auth-required"));
    assert_eq!(result.capabilities.count, auth);
    assert_eq!(result.capabilities.negentropy, auth);
    assert_eq!(result.auth_on_read(), Capability::Yes);
    assert_eq!(result.auth_on_write(), Capability::No("not_needed"));
    // Signed in, it is asked once more.
    let result = check(&relay, &config()).await;
    assert_eq!(result.capabilities.count, Some(Capability::Yes));
}

#[tokio::test]
async fn reconciliations_that_fail_are_told_apart() {
    for (fault, expected) in [
        (
            ReconcileFault::Refuse("blocked: too big".into()),
            Capability::Unknown("blocked"),
        ),
        (ReconcileFault::Rubbish, Capability::No("malformed")),
        (ReconcileFault::Silence, Capability::Unknown("silent")),
        (
            ReconcileFault::Notice("rate-limited: slow down".into()),
            Capability::Unknown("rate-limited"),
        ),
    ] {
        let result = check(&relay_with([fault.clone()]).await, &config()).await;
        assert_eq!(result.capabilities.negentropy, Some(expected), "{fault:?}");
    }
}

#[tokio::test]
async fn counts_that_are_no_numbers_are_no_counts() {
    for answer in [
        r#"{"count":"many"}"#,
        r#"{"count":-1}"#,
        r#"{"count":1e400}"#,
        r#"{"count":184467440737095516160}"#,
        "[]",
    ] {
        let result = scripted(move |message| match message {
            ClientMessage::Count { sub_id, .. } => {
                vec![format!(r#"[ "COUNT" , "{sub_id}",{answer}]"#)]
            }
            other => ordinary(&other),
        });
        let count = result.await.capabilities.count;
        assert_eq!(count, Some(Capability::No("malformed")), "{answer}");
    }
}

#[tokio::test]
async fn search_is_proven_by_what_it_finds_and_what_it_does_not() {
    let found = EventMaker::new(1_700_000_000)
        .content("Hello Nostr")
        .sign(&Keys::generate());
    let found = found.to_json();
    let result = scripted(move |message| match message {
        ClientMessage::Req { sub_id, filters } => {
            let mut answer = Vec::new();
            if filters[0].search.as_deref() == Some("nostr") {
                answer.push(format!(r#"["EVENT","{sub_id}",{found}]"#));
            }
            answer.push(format!(r#"["EOSE","{sub_id}"]"#));
            answer
        }
        other => ordinary(&other),
    });
    let result = result.await;
    assert_eq!(result.capabilities.search, Some(Capability::Yes));
    let report = relay_report(&result).unwrap();
    for tag in [["T", "Search"], ["N", "50"]] {
        assert!(report.tags.contains(&tag.map(str::to_owned).to_vec()));
    }
}

#[tokio::test]
async fn answers_without_end_end() {
    let flood = scripted(|message| match message {
        ClientMessage::Count { .. } => vec![format!(r#"["NOTICE","{}"]"#, "x".repeat(3 << 20)); 4],
        other => ordinary(&other),
    });
    let result = flood.await;
    assert!(result.is_online());
    assert_eq!(
        result.capabilities.negentropy,
        Some(Capability::Unknown("byte_cap"))
    );
}

#[tokio::test]
async fn what_is_switched_off_is_not_tried() {
    let relay = relay_with([ReconcileFault::Silence]).await;
    let off = MonitorConfig {
        count: false,
        negentropy: false,
        search: false,
        ..config()
    };
    let result = check(&relay, &off).await;
    assert_eq!(result.capabilities, CapabilityAnswers::default());
    let stats = relay.stats();
    assert_eq!(
        (stats.req_count, stats.count_count, stats.reconciliations),
        (1, 0, 0)
    );
}
