//! Who may write and read, and how much: by configuration.

use std::time::Duration;

use bigbrotr_testkit::TestClient;
use bigbrotr_testkit::client::{ClientError, End, http_get};
use bigbrotr_testkit::population::EventMaker;

use crate::helper::{
    TestRelay, filter, node_keys, note, now, pubkey, relay_with, stored, stranger,
};

#[tokio::test(flavor = "multi_thread")]
async fn strangers_write_job_requests_and_deletions_unless_told_otherwise() {
    let relay = relay_with(|config| {
        config.policy = bigbrotr_relay::PolicyConfig::default();
    })
    .await;
    let mut client = relay.client().await;
    for (kind, taken) in [
        (5_450, true),
        (5_400, true),
        (5, true),
        (1, false),
        (30_166, false),
    ] {
        let event = EventMaker::new(now()).kind(kind).sign(&stranger(0));
        let (accepted, message) = client.publish(&event).await.unwrap();
        assert_eq!(accepted, taken, "{kind}: {message}");
        assert!(taken || message.starts_with("blocked: "), "{message}");
    }
    let own = EventMaker::new(now()).kind(30_166).sign(&node_keys());
    assert!(client.publish(&own).await.unwrap().0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_author_is_slowed_down_and_others_are_not() {
    let relay = relay_with(|config| {
        config.policy.events_per_minute_per_pubkey = 1;
        config.policy.event_burst_per_pubkey = 3;
    })
    .await;
    // On connections of their own: it is the author who counts.
    for n in 0..5 {
        let mut client = relay.client().await;
        let event = note(now(), &n.to_string());
        // A forged event costs its author nothing.
        let mut forged = event.clone();
        forged.sig[0] ^= 1;
        let (_, message) = client.publish(&forged).await.unwrap();
        assert!(message.starts_with("invalid: "), "{message}");
        let (accepted, message) = client.publish(&event).await.unwrap();
        assert_eq!(accepted, n < 3, "{message}");
        assert!(
            accepted || message.starts_with("rate-limited: "),
            "{message}"
        );
    }
    let mut client = relay.client().await;
    let other = EventMaker::new(now()).sign(&stranger(1));
    assert!(client.publish(&other).await.unwrap().0);
    for n in 0..5 {
        let own = EventMaker::new(now())
            .content(n.to_string())
            .sign(&node_keys());
        assert!(client.publish(&own).await.unwrap().0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_slowed_down_over_all_of_its_connections() {
    let relay = relay_with(|config| {
        config.limits.messages_per_second_per_ip = 1;
        config.limits.message_burst_per_ip = 4;
    })
    .await;
    let mut refused = 0;
    for _ in 0..6 {
        let mut client = relay.client().await;
        let end = client
            .req_until_eose("a", &[filter("{}")])
            .await
            .unwrap()
            .end;
        if let End::Closed(reason) = end {
            assert!(reason.starts_with("rate-limited: "), "{reason}");
            refused += 1;
        }
    }
    assert!(refused > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_readers_read() {
    let relay = relay_with(|config| {
        config.auth.readers = [pubkey(&stranger(1))].into();
    })
    .await;
    let mut client = relay.client().await;
    let closed = |end: End| match end {
        End::Closed(reason) => reason,
        End::Eose => panic!("answered"),
    };
    let all = [filter("{}")];
    let end = client.req_until_eose("a", &all).await.unwrap().end;
    assert!(closed(end).starts_with("auth-required: "));
    let url = relay.url();
    client
        .authenticate(&url, &stranger(2), now())
        .await
        .unwrap();
    let end = client.req_until_eose("a", &all).await.unwrap().end;
    assert!(closed(end).starts_with("restricted: "));
    client
        .authenticate(&url, &stranger(1), now())
        .await
        .unwrap();
    assert!(stored(&mut client, &all).await.is_empty());
    let document = document(&relay).await;
    assert_eq!(document["limitation"]["auth_required"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn banned_addresses_are_kept_out_behind_a_proxy_too() {
    let relay = relay_with(|config| {
        config.denied_addresses = ["127.0.0.0/8".parse().unwrap()].into();
    })
    .await;
    let refused = TestClient::connect(&relay.url()).await;
    assert!(refused.is_err());

    let relay = relay_with(|config| {
        config.denied_addresses = ["203.0.113.0/24".parse().unwrap()].into();
        config.trusted_proxies = ["127.0.0.1".parse().unwrap()].into();
        config.proxy_header = bigbrotr_relay::ProxyHeader::Forwarded;
    })
    .await;
    let answer = |forwarded: &'static str, name: &'static str| {
        let url = relay.http_url();
        async move {
            let headers = [
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                (name, forwarded),
            ];
            http_get(&url, &headers, Duration::from_millis(500)).await
        }
    };
    assert_eq!(
        answer("for=203.0.113.9", "Forwarded").await.unwrap().status,
        403
    );
    // The other header is not the proxies'.
    let accepted = answer("203.0.113.9", "X-Forwarded-For").await;
    assert!(
        matches!(accepted, Err(ClientError::Timeout { .. })),
        "{accepted:?}"
    );
}

async fn document(relay: &TestRelay) -> serde_json::Value {
    let accept = [("Accept", "application/nostr+json")];
    let answer = http_get(&relay.http_url(), &accept, Duration::from_secs(5)).await;
    serde_json::from_slice(&answer.unwrap().body).unwrap()
}
