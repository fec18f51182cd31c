//! AUTH (NIP-42) and protected events (NIP-70).

use bigbrotr_core::message::{ClientMessage, RelayMessage};
use bigbrotr_testkit::TestClient;
use bigbrotr_testkit::client::End;
use bigbrotr_testkit::population::EventMaker;

use crate::helper::{filter, node_keys, now, publish, relay, relay_with, stranger};

async fn challenge(client: &mut TestClient) -> String {
    let greeting = client.next().await.unwrap();
    let Ok(RelayMessage::Auth { challenge }) = RelayMessage::parse(&greeting) else {
        panic!("no challenge: {greeting}");
    };
    challenge
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_is_greeted_with_its_own_challenge() {
    let relay = relay().await;
    let first = challenge(&mut relay.client().await).await;
    let second = challenge(&mut relay.client().await).await;
    assert!(first.len() >= 32 && first != second);
}

#[tokio::test(flavor = "multi_thread")]
async fn authors_publish_their_protected_events_and_nobody_elses() {
    let relay = relay().await;
    let mut client = relay.client().await;
    let protected = |n| EventMaker::new(now()).tag(["-"]).sign(&stranger(n));
    let refused = "auth-required: this event may only be published by its author";
    assert_eq!(
        client.publish(&protected(0)).await.unwrap(),
        (false, refused.into())
    );
    let ok = client
        .authenticate(&relay.url(), &stranger(0), now())
        .await
        .unwrap();
    assert_eq!(ok, (true, String::new()));
    publish(&mut client, &protected(0)).await;
    let (accepted, message) = client.publish(&protected(1)).await.unwrap();
    assert!(
        !accepted && message.starts_with("restricted: "),
        "{message}"
    );
    // One connection, several accounts.
    client
        .authenticate(&relay.url(), &stranger(1), now())
        .await
        .unwrap();
    publish(&mut client, &protected(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_authentication_is_refused() {
    let relay = relay().await;
    let mut client = relay.client().await;
    let challenge = challenge(&mut client).await;
    let url = relay.url();
    let auth = |kind: u16, created_at: i64, url: &str, challenge: &str| {
        let maker = EventMaker::new(created_at).kind(kind);
        maker
            .tag(["relay", url])
            .tag(["challenge", challenge])
            .sign(&stranger(0))
    };
    let mut forged = auth(22_242, now(), &url, &challenge);
    forged.sig[3] ^= 1;
    for (event, part) in [
        (auth(22_243, now(), &url, &challenge), "22242"),
        (auth(22_242, now() - 3_600, &url, &challenge), "created_at"),
        (
            auth(22_242, now(), "wss://other.example.com", &challenge),
            "another relay",
        ),
        (auth(22_242, now(), &url, "0123456789abcdef"), "challenge"),
        (forged, "signature"),
    ] {
        client
            .send(&ClientMessage::Auth(Box::new(event)))
            .await
            .unwrap();
        let answer = client.next().await.unwrap();
        let Ok(RelayMessage::Ok {
            accepted: false,
            message,
            ..
        }) = RelayMessage::parse(&answer)
        else {
            panic!("{answer}");
        };
        assert!(
            message.starts_with("invalid: ") && message.contains(part),
            "{message}"
        );
    }
    let right = auth(22_242, now(), &url, &challenge);
    client
        .send(&ClientMessage::Auth(Box::new(right)))
        .await
        .unwrap();
    assert!(client.next().await.unwrap().contains("true"));
    // It is not an event to anybody else.
    let collected = client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    assert!(collected.events.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_required_nothing_goes_without() {
    let relay = relay_with(|config| {
        config.auth.to_read = true;
        config.auth.to_write = true;
        config.public_url = "wss://relay.example.com".into();
    })
    .await;
    let mut client = relay.client().await;
    let own = EventMaker::new(now()).sign(&node_keys());
    let (accepted, message) = client.publish(&own).await.unwrap();
    assert!(!accepted && message.starts_with("auth-required: "));
    let refused = client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    assert!(matches!(refused.end, End::Closed(reason) if reason.starts_with("auth-required: ")));

    let with_address = client
        .authenticate(&relay.url(), &stranger(0), now())
        .await
        .unwrap();
    assert!(!with_address.0);
    let url = "wss://relay.example.com/";
    assert!(
        client
            .authenticate(url, &stranger(0), now())
            .await
            .unwrap()
            .0
    );
    publish(&mut client, &own).await;
    let collected = client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    assert_eq!(collected.events.len(), 1);
}
