//! Each fault of the answer to REQ, as a client sees it.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::time::{Duration, Instant};

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::RelayMessage;
use bigbrotr_testkit::client::{ClientError, Collected, End};
use bigbrotr_testkit::population::{InvalidEvents, author_keys};
use bigbrotr_testkit::relay::faults::{Order, ReadFault};
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig, TestClient};
use tokio_tungstenite::tungstenite::Message;

const NOW: i64 = 1_760_000_000;
const STORED: usize = 20;
const QUIET: Duration = Duration::from_millis(100);

fn events() -> Vec<Event> {
    let make = |n: i64| {
        EventMaker::new(NOW + n)
            .kind(1 + (n % 2) as u16)
            .content(n.to_string())
            .sign(&author_keys(1, 0))
    };
    (0..STORED as i64).map(make).collect()
}

async fn relay(fault: ReadFault) -> (SimRelay, TestClient) {
    let relay = SimRelay::start(SimRelayConfig::with_events(events()))
        .await
        .unwrap();
    relay.set_faults([fault]);
    let client = TestClient::connect(&relay.url()).await.unwrap();
    (relay, client)
}

async fn collect(fault: ReadFault, filter: &str) -> (SimRelay, TestClient, Collected) {
    let (relay, mut client) = relay(fault).await;
    let filter = Filter::from_json(filter).unwrap();
    let collected = client.req_until_eose("s", &[filter]).await.unwrap();
    (relay, client, collected)
}

/// Reads event messages until nothing more comes.
async fn until_silence(client: &mut TestClient) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        match tokio::time::timeout(QUIET, client.next()).await {
            Ok(text) => texts.push(text.unwrap()),
            Err(_) => return texts,
        }
    }
}

fn contents(collected: &Collected) -> Vec<String> {
    collected
        .parsed()
        .into_iter()
        .map(|event| event.content)
        .collect()
}

#[tokio::test]
async fn silence_stall_and_no_eose() {
    for (fault, sent) in [
        (ReadFault::Silence, 0),
        (ReadFault::StallAfter(3), 3),
        (ReadFault::NoEose, STORED),
    ] {
        let (relay, mut client) = relay(fault.clone()).await;
        client.req("s", &[Filter::default()]).await.unwrap();
        let texts = until_silence(&mut client).await;
        assert_eq!(texts.len(), sent, "{fault:?}");
        assert!(texts.iter().all(|text| text.starts_with(r#"["EVENT""#)));
        relay.add(EventMaker::new(NOW + 99).sign(&author_keys(1, 1)));
        let live = until_silence(&mut client).await.len();
        assert_eq!(live, usize::from(fault == ReadFault::NoEose), "{fault:?}");
    }
}

#[tokio::test]
async fn eose_comes_first() {
    let (_relay, mut client, collected) = collect(ReadFault::EoseFirst, "{}").await;
    assert!(collected.events.is_empty());
    assert_eq!(until_silence(&mut client).await.len(), STORED);
}

#[tokio::test]
async fn broad_filters_find_nothing() {
    let (_relay, mut client, collected) = collect(ReadFault::EmptyForBroad, r#"{"since":1}"#).await;
    assert_eq!((collected.events.len(), collected.end), (0, End::Eose));
    let narrow = Filter::from_json(r#"{"kinds":[1]}"#).unwrap();
    let collected = client.req_until_eose("s", &[narrow]).await.unwrap();
    assert_eq!(collected.events.len(), STORED / 2);
}

#[tokio::test]
async fn caps_keep_the_newest_or_the_oldest() {
    let cap = |order| ReadFault::Cap { events: 3, order };
    let (_r, _c, collected) = collect(cap(Order::NewestFirst), r#"{"limit":10}"#).await;
    assert_eq!(contents(&collected), ["19", "18", "17"]);
    let (_r, _c, collected) = collect(cap(Order::OldestFirst), r#"{"limit":10}"#).await;
    assert_eq!(contents(&collected), ["0", "1", "2"]);
}

#[tokio::test]
async fn closed_in_place_of_eose_at_once_or_later() {
    let message = "error: shutting down".to_owned();
    let (_r, _c, collected) = collect(ReadFault::Closed(message.clone()), "{}").await;
    assert_eq!(
        (collected.events.len(), collected.end),
        (0, End::Closed(message.clone()))
    );
    let fault = ReadFault::PartialThenClosed {
        events: 4,
        message: message.clone(),
    };
    let (relay, mut client, collected) = collect(fault, "{}").await;
    assert_eq!(
        (collected.events.len(), collected.end),
        (4, End::Closed(message))
    );
    relay.add(EventMaker::new(NOW + 99).sign(&author_keys(1, 1)));
    assert!(
        client.is_silent_for(QUIET).await,
        "a closed subscription is not live"
    );
}

#[tokio::test]
async fn authentication_never_helps_with_or_without_a_challenge() {
    for challenge in [false, true] {
        let (_r, _c, collected) = collect(ReadFault::AuthRequired { challenge }, "{}").await;
        assert!(matches!(&collected.end, End::Closed(text) if text.starts_with("auth-required: ")));
        let challenges = collected
            .others
            .iter()
            .filter(|text| text.starts_with(r#"["AUTH""#));
        assert_eq!(challenges.count(), usize::from(challenge));
    }
}

#[tokio::test]
async fn a_notice_in_place_of_everything() {
    let (_relay, mut client) = relay(ReadFault::Notice("too many".into())).await;
    client.req("s", &[Filter::default()]).await.unwrap();
    assert_eq!(
        until_silence(&mut client).await,
        [r#"["NOTICE","too many"]"#]
    );
}

#[tokio::test]
async fn events_that_do_not_match() {
    let (_r, _c, collected) = collect(ReadFault::IgnoreFilter, r#"{"kinds":[1],"limit":6}"#).await;
    let kinds: Vec<u16> = collected.parsed().iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [2, 1, 2, 1, 2, 1]);
}

#[tokio::test]
async fn wrong_signatures_are_mixed_in() {
    let (_r, _c, collected) = collect(ReadFault::WrongSignatures { every: 4 }, "{}").await;
    let wrong: Vec<usize> = collected
        .parsed()
        .iter()
        .enumerate()
        .filter(|(_, event)| event.verify().is_err())
        .map(|(n, _)| n)
        .collect();
    assert_eq!(wrong, [3, 7, 11, 15, 19]);
}

#[tokio::test]
async fn another_subscriptions_id() {
    let (_r, _c, collected) = collect(ReadFault::WrongSubscription, "{}").await;
    assert_eq!(
        (collected.events.len(), collected.others.len()),
        (0, STORED)
    );
}

#[tokio::test]
async fn invalid_events_are_injected() {
    let invalid = InvalidEvents::new(author_keys(1, 0), NOW).all();
    let jsons: Vec<String> = invalid.into_iter().map(|(_, json)| json).collect();
    let (_r, _c, collected) = collect(ReadFault::Inject(jsons.clone()), r#"{"limit":2}"#).await;
    assert_eq!(collected.events[..jsons.len()], jsons);
    assert_eq!(collected.events.len(), jsons.len() + 2);
}

#[tokio::test]
async fn each_event_comes_twice() {
    let (_r, _c, collected) = collect(ReadFault::Duplicates, r#"{"limit":2}"#).await;
    assert_eq!(contents(&collected), ["19", "19", "18", "18"]);
}

#[tokio::test]
async fn the_stream_goes_on_past_the_limit_until_close() {
    let (_relay, mut client) = relay(ReadFault::Endless).await;
    client
        .req("s", &[Filter::from_json(r#"{"limit":5}"#).unwrap()])
        .await
        .unwrap();
    for n in 0..STORED + 200 {
        let text = client.next().await.unwrap();
        let Ok(RelayMessage::Event { event, .. }) = RelayMessage::parse(&text) else {
            panic!("message {n} is no event: {text}");
        };
        Event::from_json(event).unwrap().verify().unwrap();
    }
    client.close_sub("s").await.unwrap();
    until_silence(&mut client).await;
    assert!(client.is_silent_for(QUIET).await);
}

#[tokio::test]
async fn the_connection_ends_mid_message() {
    let (_relay, mut client) = relay(ReadFault::CutMidMessage { after: 2 }).await;
    client.req("s", &[Filter::default()]).await.unwrap();
    for _ in 0..2 {
        assert!(client.next().await.unwrap().starts_with(r#"["EVENT""#));
    }
    let error = client.next().await.unwrap_err();
    assert!(
        matches!(error, ClientError::WebSocket(_)),
        "not a clean end: {error:?}"
    );
}

#[tokio::test]
async fn a_close_frame_ends_the_subscription() {
    let (_relay, mut client) = relay(ReadFault::CloseFrame {
        after: 2,
        code: 1008,
    })
    .await;
    client.req("s", &[Filter::default()]).await.unwrap();
    for _ in 0..2 {
        assert!(client.next().await.unwrap().starts_with(r#"["EVENT""#));
    }
    let error = client.next().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Closed { code: Some(1008) }),
        "{error:?}"
    );
}

#[tokio::test]
async fn rubbish_comes_before_the_answer() {
    let (_r, _c, collected) = collect(ReadFault::rubbish(), "{}").await;
    assert_eq!((collected.events.len(), collected.end), (STORED, End::Eose));
    assert_eq!(collected.others.len(), 9);
    assert!(
        collected
            .others
            .iter()
            .all(|text| RelayMessage::parse(text).is_err())
    );
}

#[tokio::test]
async fn binary_frames_come_before_the_answer() {
    let (_relay, mut client) = relay(ReadFault::Binary).await;
    client.req("s", &[Filter::default()]).await.unwrap();
    for _ in 0..3 {
        assert!(matches!(
            client.next_frame().await.unwrap(),
            Message::Binary(_)
        ));
    }
    assert!(client.next().await.unwrap().starts_with(r#"["EVENT""#));
}

#[tokio::test]
async fn one_message_is_oversized() {
    let (_r, _c, collected) = collect(ReadFault::Oversized(3_000_000), r#"{"limit":1}"#).await;
    assert_eq!(collected.events.len(), 2);
    assert!(collected.events[0].len() > 3_000_000);
    collected.parsed()[0].verify().unwrap();
}

#[tokio::test]
async fn the_answer_drips() {
    let interval = Duration::from_micros(200);
    let begun = Instant::now();
    let (_r, _c, collected) = collect(ReadFault::Drip(interval), r#"{"limit":1}"#).await;
    assert_eq!(contents(&collected), ["19"]);
    let bytes = collected.events[0].len() as u32;
    assert!(
        begun.elapsed() >= interval * bytes,
        "{:?} for {bytes} bytes",
        begun.elapsed()
    );
}

#[tokio::test]
async fn latency_precedes_each_answer_and_does_not_add_up() {
    let latency = Duration::from_millis(300);
    let (_relay, mut client) = relay(ReadFault::Latency(latency)).await;
    let begun = Instant::now();
    let none = Filter::from_json(r#"{"limit":0}"#).unwrap();
    for sub_id in ["a", "b", "c", "d"] {
        client
            .req(sub_id, std::slice::from_ref(&none))
            .await
            .unwrap();
    }
    for _ in 0..4 {
        client.next().await.unwrap();
    }
    let taken = begun.elapsed();
    assert!(taken >= latency && taken < latency * 4, "{taken:?}");
}

#[tokio::test]
async fn answers_differ_each_time() {
    let (_relay, mut client) = relay(ReadFault::Inconsistent).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        let collected = client
            .req_until_eose("s", &[Filter::default()])
            .await
            .unwrap();
        assert!(collected.events.len() < STORED);
        answers.push(collected.events);
    }
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]));
    assert_eq!(answers.iter().map(Vec::len).sum::<usize>(), STORED * 3);
}

#[tokio::test]
async fn faults_change_at_runtime_and_can_be_for_the_next_requests_only() {
    let relay = SimRelay::start(SimRelayConfig::with_events(events()))
        .await
        .unwrap();
    let mut client = TestClient::connect(&relay.url()).await.unwrap();
    relay.fault_next(2, ReadFault::Closed("error: twice".into()));
    let mut ends = Vec::new();
    for _ in 0..3 {
        ends.push(
            client
                .req_until_eose("s", &[Filter::default()])
                .await
                .unwrap()
                .end,
        );
    }
    let closed = End::Closed("error: twice".into());
    assert_eq!(ends, [closed.clone(), closed, End::Eose]);

    relay.set_faults([ReadFault::Closed("error: for good".into())]);
    for _ in 0..3 {
        let end = client
            .req_until_eose("s", &[Filter::default()])
            .await
            .unwrap()
            .end;
        assert_eq!(end, End::Closed("error: for good".into()));
    }
    relay.clear_faults();
    let end = client
        .req_until_eose("s", &[Filter::default()])
        .await
        .unwrap()
        .end;
    assert_eq!(end, End::Eose);
}
