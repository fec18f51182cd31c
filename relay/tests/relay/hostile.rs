//! Clients that want to hurt: what they are told, what it costs, and that others are answered
//! rightly meanwhile.

use std::time::Duration;

use bigbrotr_core::config::ByteSize;
use bigbrotr_core::event::Event;
use bigbrotr_testkit::TestClient;
use bigbrotr_testkit::client::ClientError;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::helper::{
    TestRelay, archive_relay, filter, note, notice, now, publish, relay, relay_with, stored,
};

/// A client with manners, on a relay with some events: what it asks and what it has to be told.
struct WellBehaved {
    client: TestClient,
    events: Vec<Event>,
}

impl WellBehaved {
    async fn on(relay: &TestRelay) -> Self {
        let mut client = relay.client().await;
        let newest = now();
        let events: Vec<Event> = (0..20).map(|n| note(newest - n, &n.to_string())).collect();
        for event in &events {
            publish(&mut client, event).await;
        }
        Self { client, events }
    }

    /// Asks, counts, publishes; panics unless all of it is right.
    async fn is_served(&mut self) {
        let ids: Vec<_> = self.events.iter().map(|event| event.id).collect();
        let listed = serde_json::to_string(&ids).unwrap();
        let own = [filter(&format!(r#"{{"ids":{listed}}}"#))];
        let mut expected: Vec<_> = self
            .events
            .iter()
            .map(|event| (std::cmp::Reverse(event.created_at), event.id))
            .collect();
        expected.sort_unstable();
        let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
        assert_eq!(stored(&mut self.client, &own).await, expected);
        let count = self.client.count("c", &own).await.unwrap();
        assert_eq!(count, self.events.len() as u64);
        let event = note(now(), &self.events.len().to_string());
        publish(&mut self.client, &event).await;
        self.events.push(event);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_filters_and_huge_sets_are_refused_by_number() {
    let relay = relay_with(|config| {
        config.limits.max_message_bytes = ByteSize::mib(4);
        config.limits.outgoing_bytes = ByteSize::mib(4);
    })
    .await;
    let mut good = WellBehaved::on(&relay).await;
    let mut client = relay.client().await;
    let many = vec!["{}"; 10_000].join(",");
    client
        .send_raw(format!(r#"["REQ","a",{many}]"#))
        .await
        .unwrap();
    let id = "0".repeat(64);
    let set: Vec<String> = (0..50_000).map(|n| format!(r#""{n:064x}""#)).collect();
    let set = set.join(",");
    for (text, answer) in [
        (
            String::new(),
            r#"["CLOSED","a","invalid: more than 10 filters"]"#,
        ),
        (
            format!(r#"["REQ","b",{{"ids":[{set}]}}]"#),
            r#"["CLOSED","b","invalid: more than 1000 values in a filter"]"#,
        ),
        (
            format!(r#"["COUNT","b",{{"authors":[{set}]}}]"#),
            r#"["CLOSED","b","invalid: more than 1000 values in a filter"]"#,
        ),
        (
            format!(r##"["NEG-OPEN","b",{{"#e":[{set}]}},"61"]"##),
            r#"["NEG-ERR","b","invalid: more than 1000 values in a filter"]"#,
        ),
        (
            format!(r#"["COUNT","b",{many}]"#),
            r#"["CLOSED","b","invalid: more than 10 filters"]"#,
        ),
    ] {
        if !text.is_empty() {
            client.send_raw(text).await.unwrap();
        }
        let told = loop {
            let told = client.next().await.unwrap();
            if !told.contains("AUTH") {
                break told;
            }
        };
        assert_eq!(told, answer);
        good.is_served().await;
    }
    // As many as are allowed.
    let values: Vec<String> = (0..999).map(|n| format!(r#""{n:064x}""#)).collect();
    let full = format!(r#"{{"ids":[{},"{id}"]}}"#, values.join(","));
    client
        .send_raw(format!(r#"["REQ","c",{}]"#, vec![full; 3].join(",")))
        .await
        .unwrap();
    assert_eq!(client.next().await.unwrap(), r#"["EOSE","c"]"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_subscriptions_counts_and_reconciliations_are_bounded() {
    let relay = archive_relay(|config| {
        let limits = &mut config.limits;
        limits.max_subscriptions = 5;
        limits.message_burst = 1_000_000;
        limits.message_burst_per_ip = 1_000_000;
        limits.messages_per_second = 100_000;
        limits.max_reconcile_events_in_all = 1_000;
        limits.max_reconcile_events = 1_000;
    })
    .await;
    let at = now() - 5_000;
    let archived: Vec<Event> = (0..600).map(|n| note(at - n, "x")).collect();
    relay.archive(&archived).await;
    let mut good = WellBehaved::on(&relay).await;
    let mut floods = tokio::task::JoinSet::new();
    for flood in ["REQ", "COUNT", "NEG-OPEN"] {
        let mut client = relay.client().await;
        floods.spawn(async move {
            let last = if flood == "NEG-OPEN" { r#","61""# } else { "" };
            for n in 0..60 {
                let id = n.to_string();
                client
                    .send_raw(format!(r#"["{flood}","{id}",{{}}{last}]"#))
                    .await
                    .unwrap();
                // Reads what belongs to it, or is cut off: either way nothing piles up.
                loop {
                    let told = client.next().await.unwrap();
                    let ends = ["EOSE", "CLOSED", "COUNT", "NEG-MSG", "NEG-ERR"];
                    if ends
                        .iter()
                        .any(|end| told.starts_with(&format!(r#"["{end}","{id}""#)))
                    {
                        break;
                    }
                }
            }
        });
    }
    for _ in 0..5 {
        good.is_served().await;
    }
    while let Some(done) = floods.join_next().await {
        done.unwrap();
    }
    good.is_served().await;
    // Theirs have ended with their connections; the good client has none open.
    for _ in 0..100 {
        if relay.metric("bigbrotr_relay_subscriptions") as u64 == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("subscriptions stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn reconciliations_share_a_bounded_memory() {
    let relay = archive_relay(|config| {
        config.limits.max_reconcile_events = 700;
        config.limits.max_reconcile_events_in_all = 1_000;
    })
    .await;
    let at = now() - 5_000;
    let archived: Vec<Event> = (0..600).map(|n| note(at - n, "x")).collect();
    relay.archive(&archived).await;
    let mut answers = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = relay.client().await;
        client
            .send_raw(r#"["NEG-OPEN","n",{},"61"]"#)
            .await
            .unwrap();
        let answer = loop {
            let told = client.next().await.unwrap();
            if told.contains("NEG-") {
                break told;
            }
        };
        answers.push(answer);
        clients.push(client);
    }
    assert!(
        answers[0].starts_with(r#"["NEG-MSG","n","61"#),
        "{}",
        answers[0]
    );
    assert!(
        answers[1].starts_with(r#"["NEG-ERR","n","blocked: too many"#),
        "{}",
        answers[1]
    );
    // What one gives back is the other's.
    clients[0].send_raw(r#"["NEG-CLOSE","n"]"#).await.unwrap();
    clients[0].count("c", &[filter("{}")]).await.unwrap();
    clients[1]
        .send_raw(r#"["NEG-OPEN","n",{},"61"]"#)
        .await
        .unwrap();
    let answer = clients[1].next().await.unwrap();
    assert!(answer.starts_with(r#"["NEG-MSG","n","61"#), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_sends_slowly_or_half_opens_is_ended_and_nobody_waits() {
    let relay = relay_with(|config| {
        config.ping_interval = Duration::from_secs(1);
        config.idle_timeout = Duration::from_secs(2);
        config.limits.max_connections_per_ip = 100;
    })
    .await;
    let mut good = WellBehaved::on(&relay).await;
    let mut slow = Vec::new();
    // A handshake that never ends; a frame of which a byte a second comes; nothing at all.
    for n in 0..10 {
        let mut stream = TcpStream::connect(relay.address).await.unwrap();
        if n % 3 > 0 {
            stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        } else {
            stream.write_all(b"GET / HTTP/1.1\r\nHost").await.unwrap();
        }
        if n % 3 == 1 {
            // The head of a masked text frame of 60,000 bytes.
            stream
                .write_all(&[0x81, 0xfe, 0xea, 0x60, 1, 2, 3, 4])
                .await
                .unwrap();
        }
        slow.push(stream);
    }
    for _ in 0..8 {
        for stream in &mut slow {
            // Ended ones refuse it.
            drop(stream.write_all(b"x").await);
        }
        good.is_served().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for _ in 0..200 {
        if relay.metric("bigbrotr_relay_connections") as u64 == 1 {
            good.is_served().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        good.is_served().await;
    }
    panic!("slow senders stay connected");
}

const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_end_their_own_connection_only() {
    let relay = relay().await;
    let mut good = WellBehaved::on(&relay).await;
    let broken: [&[u8]; 6] = [
        // Not masked; a reserved opcode; reserved bits; a ping of 126 bytes; half a length.
        &[0x81, 0x02, b'[', b']'],
        &[0x83, 0x80, 0, 0, 0, 0],
        &[0xf1, 0x80, 0, 0, 0, 0],
        &[0x89, 0xfe, 0, 126, 0, 0, 0, 0],
        &[0x81, 0xff, 0xff],
        // 2^63 bytes are to come.
        &[
            0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4,
        ],
    ];
    for bytes in broken {
        let mut stream = TcpStream::connect(relay.address).await.unwrap();
        stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        good.is_served().await;
    }
    // Fragments without end count as one message.
    let mut client = relay.client().await;
    let fragment = |opcode, fin| {
        use tokio_tungstenite::tungstenite::protocol::frame::Frame;
        use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
        let opcode = OpCode::Data(if opcode == 1 {
            Data::Text
        } else {
            Data::Continue
        });
        Message::Frame(Frame::message(vec![b'x'; 60_000], opcode, fin))
    };
    client.send_frame(fragment(1, false)).await.unwrap();
    for _ in 0..6 {
        // The relay may hang up in the middle of it.
        if client.send_frame(fragment(0, false)).await.is_err() {
            break;
        }
    }
    assert_eq!(
        notice(&mut client).await,
        "invalid: message is longer than 256KiB"
    );
    let end = client.next().await.unwrap_err();
    assert!(
        matches!(end, ClientError::Closed { code: Some(1009) }),
        "{end:?}"
    );
    good.is_served().await;
}
