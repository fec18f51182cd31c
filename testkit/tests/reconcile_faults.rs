//! Each fault of the answers to NEG-OPEN and NEG-MSG that needs more than one message to see.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use bigbrotr_core::filter::Filter;
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::ReconcileFault;
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig, TestClient};

/// Everything asked of somebody with nothing.
const OPEN: &str = r#"["NEG-OPEN","n",{},"6100000200"]"#;
const AGAIN: &str = r#"["NEG-MSG","n","6100000200"]"#;

async fn start(count: i64, faults: Vec<ReconcileFault>) -> (SimRelay, TestClient) {
    let keys = author_keys(1, 0);
    let events = (0..count).map(|n| EventMaker::new(1_760_000_000 + n).sign(&keys));
    let config = SimRelayConfig {
        faults: faults.into_iter().map(Into::into).collect(),
        ..SimRelayConfig::with_events(events)
    };
    let relay = SimRelay::start(config).await.unwrap();
    let client = TestClient::connect(&relay.url()).await.unwrap();
    (relay, client)
}

#[tokio::test]
async fn rounds_and_bytes_are_counted() {
    let (relay, mut client) = start(3, vec![]).await;
    let mut bytes_out = 0;
    for text in [OPEN, AGAIN] {
        client.send_raw(text).await.unwrap();
        bytes_out += client.next().await.unwrap().len();
    }
    let stats = relay.stats();
    assert_eq!((stats.reconciliations, stats.reconcile_rounds), (1, 2));
    assert_eq!(stats.reconcile_bytes_in, (OPEN.len() + AGAIN.len()) as u64);
    assert_eq!(stats.reconcile_bytes_out, bytes_out as u64);
}

#[tokio::test]
async fn small_frames_cut_the_answer() {
    for (fault, most) in [
        (vec![ReconcileFault::Frames(4_096)], 8_300),
        (vec![], 40_000),
    ] {
        let (_relay, mut client) = start(500, fault).await;
        client.send_raw(OPEN).await.unwrap();
        let length = client.next().await.unwrap().len();
        assert!(length < most && length > most / 2, "{length}");
    }
}

#[tokio::test]
async fn sets_above_the_bound_are_refused_and_smaller_ones_are_not() {
    let (_relay, mut client) = start(5, vec![ReconcileFault::TooMany { above: 4 }]).await;
    client.send_raw(OPEN).await.unwrap();
    assert!(client.next().await.unwrap().contains("too many query"));
    let window = OPEN.replace("{}", r#"{"until":1760000003}"#);
    client.send_raw(window).await.unwrap();
    assert!(client.next().await.unwrap().contains("NEG-MSG"));
}

#[tokio::test]
async fn a_req_ends_or_releases_what_is_under_way() {
    let filters = [Filter::default()];
    let (_relay, mut client) = start(1, vec![ReconcileFault::ForgetOnReq]).await;
    client.send_raw(OPEN).await.unwrap();
    assert!(client.next().await.unwrap().contains("NEG-MSG"));
    client.req_until_eose("s", &filters).await.unwrap();
    client.send_raw(AGAIN).await.unwrap();
    let answer = client.next().await.unwrap();
    assert!(answer.contains(r#""closed: "#), "{answer}");

    let (_relay, mut client) = start(1, vec![ReconcileFault::AfterReq]).await;
    client.send_raw(OPEN).await.unwrap();
    client.req_until_eose("s", &filters).await.unwrap();
    assert!(client.next().await.unwrap().contains("NEG-MSG"));
}

#[tokio::test]
async fn lies_differ_from_answer_to_answer_unless_they_repeat() {
    for (fault, length) in [
        (ReconcileFault::Endless, 3_224),
        (ReconcileFault::Repeat, 3_224),
        (ReconcileFault::Stuck, 20),
    ] {
        let (_relay, mut client) = start(1, vec![fault.clone()]).await;
        let mut answers = Vec::new();
        for text in [OPEN, AGAIN] {
            client.send_raw(text).await.unwrap();
            answers.push(client.next().await.unwrap());
        }
        let differ = fault != ReconcileFault::Repeat;
        assert_eq!(answers[0] != answers[1], differ, "{fault:?}");
        let hex = answers[0].len() - r#"["NEG-MSG","n",""]"#.len();
        assert_eq!(hex, 2 * length, "{fault:?}");
    }
}

#[tokio::test]
async fn the_connection_ends_or_falls_silent_after_so_many_answers() {
    let (_relay, mut client) = start(1, vec![ReconcileFault::CutAfter(1)]).await;
    client.send_raw(OPEN).await.unwrap();
    assert!(client.next().await.unwrap().contains("NEG-MSG"));
    client.send_raw(AGAIN).await.unwrap();
    assert!(client.next().await.is_err());

    let (_relay, mut client) = start(1, vec![ReconcileFault::StallAfter(1)]).await;
    client.send_raw(OPEN).await.unwrap();
    assert!(client.next().await.unwrap().contains("NEG-MSG"));
    client.send_raw(AGAIN).await.unwrap();
    // The relay still answers what it is asked besides.
    let found = client.req_until_eose("s", &[Filter::default()]).await;
    assert_eq!(found.unwrap().events.len(), 1);
}

#[tokio::test]
async fn refusals_come_in_their_own_message() {
    let wordings = ReconcileFault::unsupported();
    assert!(wordings.len() >= 9);
    for fault in wordings {
        let (verb, words) = match &fault {
            ReconcileFault::Notice(words) => ("NOTICE", words),
            ReconcileFault::Refuse(words) => ("NEG-ERR", words),
            ReconcileFault::Closed(words) => ("CLOSED", words),
            other => panic!("{other:?}"),
        };
        let (_relay, mut client) = start(1, vec![fault.clone()]).await;
        client.send_raw(OPEN).await.unwrap();
        let answer: Vec<String> = serde_json::from_str(&client.next().await.unwrap()).unwrap();
        assert_eq!(answer.first().unwrap(), verb);
        assert_eq!(answer.last().unwrap(), words);
    }
}
