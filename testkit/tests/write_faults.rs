//! Each fault of the answers to EVENT and NEG-OPEN, as a client sees it; and healthy NIP-77.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage, ReplyPrefix};
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::{ReconcileFault, WriteFault};
use bigbrotr_testkit::relay::{AuthPolicy, NegentropyConfig};
use bigbrotr_testkit::{
    EventMaker, Population, PopulationConfig, SimEvent, SimRelay, SimRelayConfig, TestClient,
};
use negentropy::{Id, Negentropy, NegentropyStorageVector};

const NOW: i64 = 1_760_000_000;
const QUIET: Duration = Duration::from_millis(100);

fn event() -> Event {
    EventMaker::new(NOW)
        .content("written")
        .sign(&author_keys(1, 0))
}

async fn start(config: SimRelayConfig) -> (SimRelay, TestClient) {
    let relay = SimRelay::start(config).await.unwrap();
    let client = TestClient::connect(&relay.url()).await.unwrap();
    (relay, client)
}

#[tokio::test]
async fn events_are_refused_with_every_prefix() {
    for prefix in [
        ReplyPrefix::Duplicate,
        ReplyPrefix::Pow,
        ReplyPrefix::Blocked,
        ReplyPrefix::RateLimited,
        ReplyPrefix::Invalid,
        ReplyPrefix::Restricted,
        ReplyPrefix::Mute,
        ReplyPrefix::Error,
        ReplyPrefix::AuthRequired,
    ] {
        let config = SimRelayConfig::with_faults([WriteFault::refuse(prefix)]);
        let (relay, mut client) = start(config).await;
        let (accepted, message) = client.publish(&event()).await.unwrap();
        assert_eq!((accepted, ReplyPrefix::of(&message)), (false, Some(prefix)));
        assert_eq!(relay.event_count(), 0);
    }
}

#[tokio::test]
async fn events_get_no_ok() {
    for (fault, answers) in [
        (WriteFault::Silence, 0),
        (WriteFault::Notice("no".into()), 1),
    ] {
        let (relay, mut client) = start(SimRelayConfig::with_faults([fault])).await;
        client
            .send(&ClientMessage::Event(Box::new(event())))
            .await
            .unwrap();
        for _ in 0..answers {
            assert_eq!(client.next().await.unwrap(), r#"["NOTICE","no"]"#);
        }
        assert!(client.is_silent_for(QUIET).await);
        assert_eq!(relay.event_count(), 0);
    }
}

#[tokio::test]
async fn events_are_accepted_and_forgotten() {
    let (relay, mut client) = start(SimRelayConfig::with_faults([WriteFault::Forget])).await;
    assert!(client.publish(&event()).await.unwrap().0);
    assert_eq!(relay.event_count(), 0);
}

#[tokio::test]
async fn ok_names_another_event() {
    let (relay, mut client) = start(SimRelayConfig::with_faults([WriteFault::WrongId])).await;
    client
        .send(&ClientMessage::Event(Box::new(event())))
        .await
        .unwrap();
    let text = client.next().await.unwrap();
    let Ok(RelayMessage::Ok {
        event_id, accepted, ..
    }) = RelayMessage::parse(&text)
    else {
        panic!("no OK: {text}");
    };
    assert!(accepted && event_id != event().id);
    assert_eq!(relay.event_count(), 1);
}

#[tokio::test]
async fn ok_takes_its_time() {
    let latency = Duration::from_millis(120);
    let (_r, mut client) = start(SimRelayConfig::with_faults([WriteFault::Latency(latency)])).await;
    let begun = Instant::now();
    assert!(client.publish(&event()).await.unwrap().0);
    assert!(begun.elapsed() >= latency);
}

/// Reconciles with the relay from what the client has; returns ids it lacks and ids the relay
/// lacks, or the relay's refusal.
async fn reconcile(
    client: &mut TestClient,
    have: &[SimEvent],
) -> Result<(BTreeSet<EventId>, BTreeSet<EventId>), String> {
    let mut storage = NegentropyStorageVector::new();
    for event in have {
        storage
            .insert(event.created_at() as u64, Id::from_byte_array(event.id().0))
            .unwrap();
    }
    storage.seal().unwrap();
    let mut negentropy = Negentropy::owned(storage, 0).unwrap();
    let first = ClientMessage::NegOpen {
        sub_id: "n".into(),
        filter: Box::default(),
        message: hex::encode(negentropy.initiate().unwrap()),
    };
    client.send(&first).await.unwrap();
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    loop {
        let text = client.next().await.unwrap();
        let Ok(RelayMessage::NegMsg { message, .. }) = RelayMessage::parse(&text) else {
            return Err(text);
        };
        let Ok(message) = hex::decode(message) else {
            return Err(text);
        };
        match negentropy
            .reconcile_with_ids(&message, &mut ours, &mut theirs)
            .unwrap()
        {
            Some(next) => {
                let message = hex::encode(next);
                client
                    .send(&ClientMessage::NegMsg {
                        sub_id: "n".into(),
                        message,
                    })
                    .await
                    .unwrap();
            }
            None => break,
        }
    }
    client
        .send(&ClientMessage::NegClose { sub_id: "n".into() })
        .await
        .unwrap();
    let ids = |ids: Vec<Id>| ids.into_iter().map(|id| EventId(*id.as_bytes())).collect();
    Ok((ids(theirs), ids(ours)))
}

fn population() -> Vec<SimEvent> {
    let population = Population::generate(&PopulationConfig::new(1, 2_000, NOW));
    population
        .events()
        .iter()
        .filter(|event| !event.is_ephemeral())
        .cloned()
        .collect()
}

fn ids(events: &[SimEvent]) -> BTreeSet<EventId> {
    events.iter().map(SimEvent::id).collect()
}

#[tokio::test]
async fn reconciliation_finds_both_differences() {
    let events = population();
    for frame_limit_bytes in [0, 4_096] {
        let negentropy = Some(NegentropyConfig {
            frame_limit_bytes,
            max_records: None,
        });
        let config = SimRelayConfig {
            negentropy,
            ..SimRelayConfig::with_events(&events[100..])
        };
        let (relay, mut client) = start(config).await;
        let have = &events[..events.len() - 70];
        let (theirs, ours) = reconcile(&mut client, have).await.unwrap();
        assert_eq!(theirs, ids(&events[events.len() - 70..]));
        assert_eq!(ours, ids(&events[..100]));
        assert_eq!(relay.stats().reconciliations, 1);
    }
}

#[tokio::test]
async fn reconciliation_promises_what_the_relay_does_not_have() {
    let phantom = EventId([7; 32]);
    let (_r, mut client) = start(SimRelayConfig::with_faults([ReconcileFault::Phantom(
        vec![phantom],
    )]))
    .await;
    let (theirs, _) = reconcile(&mut client, &[]).await.unwrap();
    assert_eq!(theirs, BTreeSet::from([phantom]));
    let filter = Filter {
        ids: Some(theirs),
        ..Filter::default()
    };
    assert!(
        client
            .req_until_eose("s", &[filter])
            .await
            .unwrap()
            .events
            .is_empty()
    );
}

#[tokio::test]
async fn reconciliation_is_refused_in_every_way() {
    for (fault, answer) in [
        (
            ReconcileFault::Refuse("blocked: no".into()),
            r#"["NEG-ERR","n","blocked: no"]"#,
        ),
        (
            ReconcileFault::Notice("unknown cmd".into()),
            r#"["NOTICE","unknown cmd"]"#,
        ),
        (ReconcileFault::Rubbish, r#"["NEG-MSG","n","zz"]"#),
    ] {
        let (_r, mut client) = start(SimRelayConfig::with_faults([fault])).await;
        assert_eq!(reconcile(&mut client, &[]).await.unwrap_err(), answer);
    }
    let (_r, mut client) = start(SimRelayConfig {
        negentropy: None,
        ..Default::default()
    })
    .await;
    assert!(
        reconcile(&mut client, &[])
            .await
            .unwrap_err()
            .starts_with(r#"["NOTICE""#)
    );

    let max_records = Some(10);
    let negentropy = Some(NegentropyConfig {
        max_records,
        ..NegentropyConfig::default()
    });
    let config = SimRelayConfig {
        negentropy,
        ..SimRelayConfig::with_events(population())
    };
    let (_r, mut client) = start(config).await;
    assert!(
        reconcile(&mut client, &[])
            .await
            .unwrap_err()
            .contains("blocked: too many")
    );

    let (_r, mut client) = start(SimRelayConfig {
        auth: AuthPolicy::All,
        ..Default::default()
    })
    .await;
    assert!(client.next().await.unwrap().starts_with(r#"["AUTH""#));
    assert!(
        reconcile(&mut client, &[])
            .await
            .unwrap_err()
            .contains("auth-required: ")
    );
}

#[tokio::test]
async fn reconciliation_stops_midway_or_never_begins() {
    let config = SimRelayConfig::with_events(population());
    let (relay, mut client) = start(config).await;
    relay.set_faults([ReconcileFault::CloseMidway]);
    let error = reconcile(&mut client, &[]).await;
    // The first answer may be enough for the client; NEG-ERR follows it all the same.
    let text = if let Err(text) = error {
        text
    } else {
        client.next().await.unwrap()
    };
    assert!(text.contains(r#""closed: "#), "{text}");

    relay.set_faults([ReconcileFault::Silence]);
    let open = r#"["NEG-OPEN","n",{},"6100000200"]"#;
    client.send_raw(open).await.unwrap();
    while !client.is_silent_for(QUIET).await {}
}
