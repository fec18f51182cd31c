//! Each fault before the session and of the NIP-11 document, as a client sees it.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::time::{Duration, Instant};

use bigbrotr_core::filter::Filter;
use bigbrotr_testkit::client::{ClientError, HttpAnswer, http_get};
use bigbrotr_testkit::relay::Information;
use bigbrotr_testkit::relay::faults::{ConnectionFault, Fault, InformationFault};
use bigbrotr_testkit::{SimRelay, SimRelayConfig, TestClient};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;

const SHORT: Duration = Duration::from_millis(200);

async fn relay(fault: impl Into<Fault>) -> SimRelay {
    SimRelay::start(SimRelayConfig::with_faults([fault]))
        .await
        .unwrap()
}

async fn get(relay: &SimRelay) -> Result<HttpAnswer, ClientError> {
    let headers = [("Accept", "application/nostr+json")];
    http_get(&relay.information_url(), &headers, SHORT * 5).await
}

fn json(answer: &HttpAnswer) -> serde_json::Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Connects and returns the HTTP status with which the upgrade failed.
async fn upgrade_status(relay: &SimRelay) -> u16 {
    match TestClient::connect(&relay.url()).await.unwrap_err() {
        ClientError::WebSocket(error) => match *error {
            Error::Http(response) => response.status().as_u16(),
            other => panic!("no HTTP answer: {other:?}"),
        },
        other => panic!("no HTTP answer: {other:?}"),
    }
}

#[tokio::test]
async fn the_port_closes_and_opens_again() {
    let relay = relay(ConnectionFault::Refuse).await;
    for _ in 0..3 {
        relay.set_faults([ConnectionFault::Refuse]);
        assert!(matches!(
            TestClient::connect(&relay.url()).await,
            Err(ClientError::Io(_) | ClientError::WebSocket(_))
        ));
        // Once the listener has seen it, the kernel refuses.
        while TcpStream::connect(relay.address()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        relay.clear_faults();
        let deadline = Instant::now() + Duration::from_secs(5);
        while TestClient::connect(&relay.url()).await.is_err() {
            assert!(Instant::now() < deadline, "the port stays closed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn the_handshake_is_never_answered() {
    let relay = relay(ConnectionFault::NoHandshake).await;
    let url = relay.url();
    let connecting = TestClient::connect(&url);
    assert!(tokio::time::timeout(SHORT, connecting).await.is_err());
    assert_eq!(
        get(&relay).await.unwrap().status,
        200,
        "NIP-11 works all the same"
    );
    relay.stop().await;
}

#[tokio::test]
async fn the_upgrade_is_answered_by_http() {
    for (fault, status) in [
        (ConnectionFault::Status(500), 500),
        (ConnectionFault::Status(403), 403),
        (ConnectionFault::Redirect("ws://127.0.0.1:1/".into()), 302),
        (ConnectionFault::Html, 200),
    ] {
        let relay = relay(fault.clone()).await;
        assert_eq!(upgrade_status(&relay).await, status, "{fault:?}");
    }
}

#[tokio::test]
async fn a_wrong_accept_key_is_noticed() {
    let relay = relay(ConnectionFault::WrongAcceptKey).await;
    let error = TestClient::connect(&relay.url()).await.unwrap_err();
    assert!(format!("{error:?}").contains("Protocol"), "{error:?}");
}

#[tokio::test]
async fn the_handshake_takes_its_time() {
    let relay = relay(ConnectionFault::HandshakeDelay(SHORT)).await;
    let begun = Instant::now();
    TestClient::connect(&relay.url()).await.unwrap();
    assert!(begun.elapsed() >= SHORT);
}

#[tokio::test]
async fn quick_reconnects_are_banned() {
    let relay = relay(ConnectionFault::BanReconnects(SHORT * 2)).await;
    let client = TestClient::connect(&relay.url()).await.unwrap();
    client.close().await.unwrap();
    while relay.stats().open_sessions > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(TestClient::connect(&relay.url()).await.is_err());
    assert!(get(&relay).await.is_err());
    tokio::time::sleep(SHORT * 2).await;
    assert!(TestClient::connect(&relay.url()).await.is_ok());
}

#[tokio::test]
async fn sessions_are_cut_after_a_time() {
    let relay = relay(ConnectionFault::CutAfter(SHORT)).await;
    let mut client = TestClient::connect(&relay.url()).await.unwrap();
    client
        .req_until_eose("s", &[Filter::default()])
        .await
        .unwrap();
    let error = client.next().await.unwrap_err();
    assert!(!matches!(error, ClientError::Timeout { .. }), "{error:?}");
}

#[tokio::test]
async fn the_document_is_correct_and_has_its_headers() {
    let config = SimRelayConfig {
        max_limit: Some(300),
        ..Default::default()
    };
    let relay = SimRelay::start(config).await.unwrap();
    let answer = get(&relay).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/nostr+json")
    );
    for header in ["origin", "headers", "methods"] {
        assert!(
            answer
                .header(&format!("access-control-allow-{header}"))
                .is_some()
        );
    }
    assert_eq!(
        json(&answer)["supported_nips"],
        serde_json::json!([1, 11, 45, 77])
    );
    assert_eq!(json(&answer)["limitation"]["max_limit"], 300);
    relay.set_information(Information::Raw("{\"name\":".into()));
    assert_eq!(get(&relay).await.unwrap().text(), "{\"name\":");
    relay.set_information(Information::Absent);
    assert_eq!(get(&relay).await.unwrap().status, 404);
    assert_eq!(relay.stats().information_requests, 3);
    let page = http_get(&relay.information_url(), &[], SHORT)
        .await
        .unwrap();
    assert!(page.text().contains("<html>"));
}

#[tokio::test]
async fn documents_of_the_wrong_form() {
    let html = get(&relay(InformationFault::Html).await).await.unwrap();
    assert!(html.text().starts_with("<!DOCTYPE") && html.status == 200);
    let wrong = get(&relay(InformationFault::WrongTypes).await)
        .await
        .unwrap();
    assert!(json(&wrong)["name"].is_number() && json(&wrong)["supported_nips"].is_string());
    let body = get(&relay(InformationFault::Body("[1]".into())).await)
        .await
        .unwrap();
    assert_eq!(body.text(), "[1]");
    let missing = get(&relay(InformationFault::Status(404)).await)
        .await
        .unwrap();
    assert_eq!(missing.status, 404);
    let bare = get(&relay(InformationFault::NoCors).await).await.unwrap();
    assert!(bare.header("access-control-allow-origin").is_none() && json(&bare).is_object());
}

#[tokio::test]
async fn a_late_document_is_correct() {
    let late = relay(InformationFault::Latency(SHORT / 10)).await;
    assert!(json(&get(&late).await.unwrap())["name"].is_string());
}

#[tokio::test]
async fn documents_that_redirect() {
    let around = relay(InformationFault::RedirectLoop).await;
    let answer = get(&around).await.unwrap();
    assert_eq!(
        answer.header("location"),
        Some(around.information_url().as_str())
    );
    let away = relay(InformationFault::Redirect("http://127.0.0.1:9/".into())).await;
    let answer = get(&away).await.unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (302, Some("http://127.0.0.1:9/"))
    );
}

#[tokio::test]
async fn documents_that_do_not_end() {
    let endless = get(&relay(InformationFault::Endless).await).await.unwrap();
    assert!(endless.truncated && endless.body.starts_with(b"{\"name\":\"xxx"));
    for fault in [
        InformationFault::Slow(Duration::from_millis(20)),
        InformationFault::Silence,
    ] {
        let error = get(&relay(fault).await).await.unwrap_err();
        assert!(matches!(error, ClientError::Timeout { .. }), "{error:?}");
    }
    let cut = get(&relay(InformationFault::Cut).await).await.unwrap();
    let announced: usize = cut.header("content-length").unwrap().parse().unwrap();
    assert!(cut.body.len() < announced);
}

#[tokio::test]
async fn a_gzip_bomb_unpacks_to_far_more_than_it_is() {
    let bomb = get(&relay(InformationFault::GzipBomb).await).await.unwrap();
    assert_eq!(bomb.header("content-encoding"), Some("gzip"));
    assert!(bomb.truncated);
    let mut unpacked = flate2::read::GzDecoder::new(bomb.body.as_slice());
    let mut total = 0_usize;
    let mut buffer = vec![1; 1 << 20];
    while let Ok(read) = std::io::Read::read(&mut unpacked, &mut buffer) {
        assert!(read > 0 && buffer[..read].iter().all(|byte| *byte == 0));
        total += read;
    }
    assert!(
        total > bomb.body.len() * 100,
        "{total} from {}",
        bomb.body.len()
    );
}
