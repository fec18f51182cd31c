//! A simulated relay without faults behaves as the NIPs say.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::HashSet;
use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage};
use bigbrotr_testkit::client::{ClientError, End};
use bigbrotr_testkit::population::{InvalidEvents, author_keys};
use bigbrotr_testkit::relay::AuthPolicy;
use bigbrotr_testkit::{
    EventMaker, Population, PopulationConfig, SimEvent, SimRelay, SimRelayConfig, TestClient,
};

const NOW: i64 = 1_760_000_000;
const QUIET: Duration = Duration::from_millis(100);

fn population(events: usize) -> Population {
    Population::generate(&PopulationConfig::new(11, events, NOW))
}

fn filter(json: &str) -> Filter {
    Filter::from_json(json).unwrap()
}

fn note(created_at: i64, content: &str) -> Event {
    EventMaker::new(created_at)
        .content(content)
        .sign(&author_keys(11, 0))
}

async fn relay(config: SimRelayConfig) -> (SimRelay, TestClient) {
    let relay = SimRelay::start(config).await.unwrap();
    let client = TestClient::connect(&relay.url()).await.unwrap();
    (relay, client)
}

/// What the relay should answer, found by the plain matcher.
fn expected(population: &Population, filter: &Filter) -> Vec<String> {
    let mut events: Vec<SimEvent> = population
        .events()
        .iter()
        .filter(|event| !event.is_ephemeral() && filter.matches(&event.event()))
        .cloned()
        .collect();
    events.sort_by_key(|event| (std::cmp::Reverse(event.created_at()), event.id()));
    events.truncate(filter.limit.unwrap_or(usize::MAX));
    events.iter().map(|event| event.json().to_owned()).collect()
}

#[tokio::test]
async fn answers_are_what_the_matcher_says_newest_first() {
    let population = population(1_000);
    let (_relay, mut client) = relay(SimRelayConfig::with_events(population.events())).await;
    let author = population.authors()[0].public_key().to_hex();
    let id = population.events()[10].id();
    let (since, until) = (NOW - 10 * 86_400, NOW - 5 * 86_400);
    for json in [
        "{}".to_owned(),
        r#"{"limit":7}"#.to_owned(),
        r#"{"limit":0}"#.to_owned(),
        r#"{"kinds":[1,7],"limit":50}"#.to_owned(),
        r#"{"kinds":[]}"#.to_owned(),
        format!(r#"{{"authors":["{author}"]}}"#),
        format!(r#"{{"ids":["{id}"]}}"#),
        format!(r#"{{"ids":["{id}"],"kinds":[65535]}}"#),
        format!(r#"{{"since":{since},"until":{until}}}"#),
        format!(r#"{{"since":{until},"until":{since}}}"#),
        r##"{"#t":["nostr","日本語"]}"##.to_owned(),
    ] {
        let filter = filter(&json);
        let collected = client
            .req_until_eose("s", std::slice::from_ref(&filter))
            .await
            .unwrap();
        assert_eq!(collected.end, End::Eose);
        assert_eq!(collected.events, expected(&population, &filter), "{json}");
        assert!(collected.others.is_empty());
    }
}

#[tokio::test]
async fn several_filters_give_each_event_once() {
    let population = population(300);
    let (_relay, mut client) = relay(SimRelayConfig::with_events(population.events())).await;
    let filters = [
        filter(r#"{"kinds":[1],"limit":20}"#),
        filter(r#"{"limit":20}"#),
    ];
    let collected = client.req_until_eose("s", &filters).await.unwrap();
    let union: HashSet<String> = filters
        .iter()
        .flat_map(|filter| expected(&population, filter))
        .collect();
    assert_eq!(collected.events.len(), union.len());
    assert_eq!(collected.events.into_iter().collect::<HashSet<_>>(), union);
}

#[tokio::test]
async fn ties_come_lowest_id_first_and_the_limit_is_kept() {
    let events: Vec<Event> = (0..20).map(|n| note(NOW, &n.to_string())).collect();
    let mut ids: Vec<_> = events.iter().map(|event| event.id).collect();
    ids.sort();
    let config = SimRelayConfig {
        max_limit: Some(5),
        ..SimRelayConfig::with_events(&events)
    };
    let (relay, mut client) = relay(config).await;
    let collected = client
        .req_until_eose("s", &[filter(r#"{"limit":50}"#)])
        .await
        .unwrap();
    let got: Vec<_> = collected.parsed().iter().map(|event| event.id).collect();
    assert_eq!(got, ids[..5]);
    assert_eq!(
        relay.events().iter().map(SimEvent::id).collect::<Vec<_>>(),
        ids
    );
}

#[tokio::test]
async fn live_events_come_once_and_close_ends_them() {
    let (relay, mut client) = relay(SimRelayConfig::default()).await;
    client
        .req_until_eose("live", &[filter(r#"{"kinds":[1],"limit":0}"#)])
        .await
        .unwrap();
    assert!(relay.add(note(NOW, "live")));
    assert!(!relay.add(note(NOW, "live")), "known");
    assert!(relay.add(EventMaker::new(NOW).kind(7).sign(&author_keys(1, 1))));
    let text = client.next().await.unwrap();
    assert!(text.starts_with(r#"["EVENT","live""#) && text.contains(r#""content":"live""#));
    assert!(client.is_silent_for(QUIET).await);
    client.close_sub("live").await.unwrap();
    client.count("sync", &[Filter::default()]).await.unwrap();
    relay.add(note(NOW, "after close"));
    assert!(client.is_silent_for(QUIET).await);
}

#[tokio::test]
async fn no_live_event_is_lost_or_doubled_around_eose() {
    let (relay, mut client) = relay(SimRelayConfig::default()).await;
    let adding = async {
        for n in 0..500 {
            relay.add(note(NOW + n, "stream"));
            tokio::task::yield_now().await;
        }
    };
    let reading = async {
        client.req("s", &[Filter::default()]).await.unwrap();
        let mut ids = Vec::new();
        while ids.len() < 500 {
            let text = client.next().await.unwrap();
            if let Ok(RelayMessage::Event { event, .. }) = RelayMessage::parse(&text) {
                ids.push(Event::from_json(event).unwrap().id);
            }
        }
        ids
    };
    let ((), ids) = tokio::join!(adding, reading);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 500);
    assert!(client.is_silent_for(QUIET).await);
}

#[tokio::test]
async fn published_events_are_verified_kept_and_sent_on() {
    let (relay, mut client) = relay(SimRelayConfig::default()).await;
    let mut reader = TestClient::connect(&relay.url()).await.unwrap();
    reader
        .req_until_eose("s", &[Filter::default()])
        .await
        .unwrap();
    let event = note(NOW, "hello");
    assert_eq!(client.publish(&event).await.unwrap(), (true, String::new()));
    let (accepted, message) = client.publish(&event).await.unwrap();
    assert!(accepted && message.starts_with("duplicate: "));
    assert!(reader.next().await.unwrap().contains("hello"));

    let invalid = InvalidEvents::new(author_keys(1, 1), NOW);
    for bad in [invalid.wrong_id(), invalid.wrong_signature()] {
        let (accepted, message) = client.publish(&bad).await.unwrap();
        assert!(!accepted && message.starts_with("invalid: "), "{message}");
    }
    let ephemeral = EventMaker::new(NOW).kind(20_001).sign(&author_keys(1, 1));
    assert!(client.publish(&ephemeral).await.unwrap().0);
    assert!(
        reader.next().await.unwrap().contains("20001"),
        "ephemeral events are sent on"
    );
    assert_eq!(relay.event_count(), 1, "but not kept");
    assert_eq!(relay.stats().events_received, 5);
}

#[tokio::test]
async fn counts_are_exact_and_can_be_off() {
    let population = population(300);
    let (_relay, mut client) = relay(SimRelayConfig::with_events(population.events())).await;
    let notes = filter(r#"{"kinds":[1]}"#);
    let count = client
        .count("c", std::slice::from_ref(&notes))
        .await
        .unwrap();
    assert_eq!(count, expected(&population, &notes).len() as u64);

    let (_relay, mut client) = relay(SimRelayConfig {
        count: false,
        ..Default::default()
    })
    .await;
    let message = ClientMessage::Count {
        sub_id: "c".into(),
        filters: vec![notes],
    };
    client.send(&message).await.unwrap();
    assert!(
        client
            .next()
            .await
            .unwrap()
            .starts_with(r#"["CLOSED","c","unsupported: "#)
    );
}

#[tokio::test]
async fn rubbish_is_answered_and_the_connection_lives() {
    let (_relay, mut client) = relay(SimRelayConfig::default()).await;
    for (text, answer) in [
        ("rubbish", r#"["NOTICE","invalid: "#),
        (
            r#"["REQ","s",{"kinds":["x"]}]"#,
            r#"["CLOSED","s","invalid: "#,
        ),
        (
            r#"["NEG-OPEN","n",{"kinds":["x"]},"61"]"#,
            r#"["NEG-ERR","n","invalid: "#,
        ),
    ] {
        client.send_raw(text).await.unwrap();
        let got = client.next().await.unwrap();
        assert!(got.starts_with(answer), "{text}: {got}");
    }
    assert_eq!(client.count("c", &[Filter::default()]).await.unwrap(), 0);
}

#[tokio::test]
async fn authentication_guards_what_the_policy_says() {
    let keys = author_keys(9, 9);
    for (auth, reads, writes) in [
        (AuthPolicy::Optional, true, true),
        (AuthPolicy::Reads, false, true),
        (AuthPolicy::Writes, true, false),
        (AuthPolicy::All, false, false),
    ] {
        let (relay, mut client) = relay(SimRelayConfig {
            auth,
            ..Default::default()
        })
        .await;
        let end = client
            .req_until_eose("s", &[Filter::default()])
            .await
            .unwrap()
            .end;
        assert_eq!(end == End::Eose, reads, "{auth:?}: {end:?}");
        let (accepted, message) = client.publish(&note(NOW, "one")).await.unwrap();
        assert_eq!(accepted, writes, "{auth:?}: {message}");
        assert!(accepted || message.starts_with("auth-required: "));

        assert!(
            client
                .authenticate(&relay.url(), &keys, NOW)
                .await
                .unwrap()
                .0
        );
        let end = client
            .req_until_eose("s", &[Filter::default()])
            .await
            .unwrap()
            .end;
        assert_eq!(end, End::Eose);
        assert!(client.publish(&note(NOW, "two")).await.unwrap().0);
        let authenticated = relay.stats().authenticated;
        assert_eq!(authenticated[0].to_hex(), keys.public_key().to_hex());
    }
}

#[tokio::test]
async fn a_wrong_challenge_does_not_authenticate() {
    let (_relay, mut client) = relay(SimRelayConfig {
        auth: AuthPolicy::All,
        ..Default::default()
    })
    .await;
    let event = EventMaker::new(NOW)
        .kind(22_242)
        .tag(["relay", "ws://x"])
        .tag(["challenge", "made-up"])
        .sign(&author_keys(1, 1));
    client
        .send(&ClientMessage::Auth(Box::new(event)))
        .await
        .unwrap();
    client.next().await.unwrap(); // the challenge
    assert!(
        client
            .next()
            .await
            .unwrap()
            .contains(r#",false,"invalid: "#)
    );
}

#[tokio::test]
async fn statistics_tell_what_happened() {
    let population = population(50);
    let (relay, mut client) = relay(SimRelayConfig::with_events(population.events())).await;
    let wanted = filter(r#"{"limit":10}"#);
    client
        .req_until_eose("s", std::slice::from_ref(&wanted))
        .await
        .unwrap();
    let stats = relay.stats();
    assert_eq!(
        (stats.connections, stats.sessions, stats.open_sessions),
        (1, 1, 1)
    );
    assert_eq!((stats.req_count, stats.events_sent), (1, 10));
    assert_eq!(stats.reqs[0].filters, [wanted]);
    assert!(stats.bytes_out > 3_000 && stats.bytes_in > 100);
}

#[tokio::test]
async fn stopping_ends_everything_and_frees_the_port() {
    let (relay, mut client) = relay(SimRelayConfig::default()).await;
    let (url, port) = (relay.url(), relay.address().port());
    relay.disconnect_all();
    assert!(matches!(
        client.next().await,
        Err(ClientError::Closed { .. } | ClientError::WebSocket(_))
    ));
    let mut client = TestClient::connect(&url).await.unwrap();
    relay.stop().await;
    assert!(client.next().await.is_err());
    assert!(TestClient::connect(&url).await.is_err());
    let again = SimRelay::start(SimRelayConfig {
        port,
        ..Default::default()
    })
    .await
    .unwrap();
    assert_eq!(again.url(), url);
    drop(again);
}

#[tokio::test]
async fn clients_that_read_at_once_are_counted_by_who_they_are() {
    let (relay, mut first) = relay(SimRelayConfig {
        auth: AuthPolicy::Reads,
        ..SimRelayConfig::default()
    })
    .await;
    let everything = [Filter::default()];
    let (one, another) = (author_keys(9, 1), author_keys(9, 2));
    // Refused: nobody reads yet.
    first.req_until_eose("s", &everything).await.unwrap();
    assert_eq!(relay.stats().most_readers, 0);
    let url = relay.url();
    first.authenticate(&url, &one, NOW).await.unwrap();
    first.req_until_eose("s", &everything).await.unwrap();
    let mut same = TestClient::connect(&url).await.unwrap();
    same.req_until_eose("s", &everything).await.unwrap();
    same.authenticate(&url, &one, NOW).await.unwrap();
    same.req_until_eose("s", &everything).await.unwrap();
    assert_eq!(relay.stats().most_readers, 1);
    // One after the other is not at once.
    drop((first, same));
    while relay.stats().open_sessions > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut open = Vec::new();
    for (most, keys) in [(1, &another), (2, &one)] {
        let mut client = TestClient::connect(&url).await.unwrap();
        client.req_until_eose("s", &everything).await.unwrap();
        client.authenticate(&url, keys, NOW).await.unwrap();
        client.req_until_eose("s", &everything).await.unwrap();
        assert_eq!(relay.stats().most_readers, most);
        open.push(client);
    }
}
