//! Clients that do not speak Nostr, or not well.

use std::time::Duration;

use bigbrotr_testkit::client::ClientError;
use bigbrotr_testkit::population::InvalidEvents;
use tokio_tungstenite::tungstenite::Message;

use crate::helper::{note, notice, now, publish, relay, relay_with, stranger};

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_gets_a_notice_and_the_connection_lives() {
    let relay = relay().await;
    let mut client = relay.client().await;
    for rubbish in [
        "",
        "hello",
        "{}",
        "[]",
        "[1,2]",
        r#"["NOPE",1]"#,
        r#"["REQ"]"#,
        r#"["REQ","",{}]"#,
        r#"["EVENT"]"#,
        r#"["EVENT",{"id":1}]"#,
    ] {
        client.send_raw(rubbish).await.unwrap();
        let notice = notice(&mut client).await;
        assert!(
            notice.starts_with("invalid: ") && notice.len() < 400,
            "{rubbish}: {notice}"
        );
    }
    let deep = InvalidEvents::new(stranger(0), now()).deeply_nested();
    let message = format!(r#"["EVENT",{deep}]"#);
    client.send_raw(message).await.unwrap();
    let answer = client.next().await.unwrap();
    assert!(answer.contains("invalid: "), "{answer}");
    client
        .send_frame(Message::binary(vec![0, 1, 2]))
        .await
        .unwrap();
    assert!(notice(&mut client).await.starts_with("invalid: binary"));
    publish(&mut client, &note(now(), "still here")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_long_is_refused_with_a_reason() {
    let relay = relay_with(|config| {
        config.limits.max_message_bytes = bigbrotr_core::config::ByteSize::kib(8);
    })
    .await;
    let mut client = relay.client().await;
    publish(&mut client, &note(now(), &"x".repeat(7_000))).await;
    client.send_raw("x".repeat(1_000_000)).await.unwrap();
    assert_eq!(
        notice(&mut client).await,
        "invalid: message is longer than 8KiB"
    );
    let closed = client.next().await.unwrap_err();
    assert!(
        matches!(closed, ClientError::Closed { code: Some(1009) }),
        "{closed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_client_is_pinged_and_one_that_is_gone_is_forgotten() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let relay = relay_with(|config| {
        config.ping_interval = Duration::from_secs(1);
        config.idle_timeout = Duration::from_secs(2);
    })
    .await;
    // Answers pings, as every WebSocket library does.
    let mut alive = relay.client().await;
    alive.next().await.unwrap();
    // Says nothing after the handshake.
    let mut dead = tokio::net::TcpStream::connect(relay.address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    dead.write_all(request.as_bytes()).await.unwrap();
    let reading = async {
        let mut received = Vec::new();
        dead.read_to_end(&mut received).await.unwrap();
        received
    };
    let (received, silent) =
        tokio::join!(reading, alive.is_silent_for(Duration::from_millis(4_500)));
    assert!(silent);
    // The last frame is Close, code 1001.
    let close = [0x88, 6, 0x03, 0xe9, b'i', b'd', b'l', b'e'];
    assert!(
        received.ends_with(&close),
        "{:?}",
        String::from_utf8_lossy(&received)
    );
    publish(&mut alive, &note(now(), "still here")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf_8_ends_the_connection_with_a_reason() {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    let relay = relay().await;
    let mut client = relay.client().await;
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    client.send_frame(Message::Frame(frame)).await.unwrap();
    assert_eq!(notice(&mut client).await, "invalid: text is not UTF-8");
    let closed = client.next().await.unwrap_err();
    assert!(
        matches!(closed, ClientError::Closed { code: Some(1007) }),
        "{closed:?}"
    );
}
