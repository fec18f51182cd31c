//! The HTTP face: NIP-11 and what else is answered.

use std::time::Duration;

use bigbrotr_testkit::client::{HttpAnswer, http_get};

use crate::helper::{TestRelay, relay, relay_with};

const NOSTR_JSON: (&str, &str) = ("Accept", "application/nostr+json");

async fn get(relay: &TestRelay, headers: &[(&str, &str)]) -> HttpAnswer {
    http_get(&relay.http_url(), headers, Duration::from_secs(5))
        .await
        .unwrap()
}

/// The document, whatever the version.
fn document(answer: &HttpAnswer) -> serde_json::Value {
    let mut document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    document["version"] = "[version]".into();
    document
}

fn has_cors(answer: &HttpAnswer) -> bool {
    ["origin", "headers", "methods"].iter().all(|what| {
        answer
            .header(&format!("access-control-allow-{what}"))
            .is_some()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_what_the_default_configuration_enforces() {
    // Not the helper's configuration: the document that people will read.
    let relay = relay_with(|config| {
        let listen = config.listen;
        *config = bigbrotr_relay::RelayConfig::default();
        config.listen = listen;
    })
    .await;
    let answer = get(&relay, &[NOSTR_JSON]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/nostr+json")
    );
    assert!(has_cors(&answer));
    let document = document(&answer);
    insta::assert_json_snapshot!("nip11", document);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_follows_the_configuration() {
    let relay = relay_with(|config| {
        config.contact = "mailto:admin@example.com".into();
        config.icon = "https://example.com/icon.png".into();
        config.operator = Some(crate::helper::pubkey(&crate::helper::stranger(0)));
        config.policy.min_pow_difficulty = 20;
        config.policy.created_at_lower_limit = Some(Duration::from_hours(24));
        config.auth.to_write = true;
        config.limits.max_subscriptions = 3;
    })
    .await;
    let answer = get(
        &relay,
        &[("Accept", "text/html, Application/Nostr+JSON;q=0.9")],
    )
    .await;
    let document = document(&answer);
    insta::assert_json_snapshot!("nip11_configured", document);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_get_a_line_of_text_and_only_get_is_answered() {
    let relay = relay().await;
    let answer = get(&relay, &[]).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("This is a Nostr relay."));

    let without_version = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let answer = get(&relay, &without_version).await;
    assert_eq!(answer.status, 426);
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_may_ask_from_anywhere() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let relay = relay().await;
    for (method, status) in [("OPTIONS", "204"), ("POST", "405")] {
        let mut stream = tokio::net::TcpStream::connect(relay.address).await.unwrap();
        let request = format!("{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
        let allowed = answer.contains("access-control-allow-origin: *");
        assert_eq!(allowed, method == "OPTIONS");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_keep_their_names() {
    let relay = relay().await;
    let families = relay.registry.gather();
    let names: Vec<&str> = families
        .iter()
        .map(prometheus::proto::MetricFamily::name)
        .collect();
    insta::assert_json_snapshot!("metrics", names);
}
