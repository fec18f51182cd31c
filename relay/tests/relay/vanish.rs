//! Requests to vanish (NIP-62): whose are followed, and what is left.

use bigbrotr_core::event::Event;
use bigbrotr_testkit::TestClient;
use bigbrotr_testkit::population::EventMaker;

use crate::helper::{
    Sent, TestRelay, filter, next, now, pubkey, publish, relay, relay_with, stranger,
};

const VANISHED: &str = "blocked: whose event this is has asked to vanish from here";

fn request(n: u64, at: i64, relay: &str) -> Event {
    EventMaker::new(at)
        .kind(62)
        .tag(["relay", relay])
        .content("goodbye")
        .sign(&stranger(n))
}

fn note(n: u64, at: i64) -> Event {
    EventMaker::new(at).sign(&stranger(n))
}

async fn stored(client: &mut TestClient) -> Vec<Event> {
    let collected = client.req_until_eose("stored", &[filter("{}")]).await;
    client.close_sub("stored").await.unwrap();
    collected.unwrap().parsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_vanishes_and_stays_away() {
    let relay = relay_with(|config| config.policy.accepted_kinds.extend([1_059])).await;
    let mut client = relay.client().await;
    let now = now();
    let hex = pubkey(&stranger(0)).to_hex();
    let wrap = EventMaker::new(now - 10).kind(1_059).tag(["p", &hex]);
    let before = [
        note(0, now - 20),
        EventMaker::new(now - 10)
            .kind(5)
            .tag(["e", &"0".repeat(64)])
            .sign(&stranger(0)),
        EventMaker::new(now - 10)
            .kind(30_166)
            .tag(["d", "x"])
            .sign(&stranger(0)),
        wrap.sign(&stranger(9)),
    ];
    let theirs = note(1, now - 10);
    for event in before.iter().chain([&theirs]) {
        publish(&mut client, event).await;
    }
    let mut reader = relay.client().await;
    reader
        .req("live", &[filter(r#"{"kinds":[62]}"#)])
        .await
        .unwrap();
    assert_eq!(next(&mut reader, "live").await, Sent::Eose);

    let request = request(0, now, "ALL_RELAYS");
    publish(&mut client, &request).await;
    assert_eq!(
        next(&mut reader, "live").await,
        Sent::Event(request.clone())
    );
    assert_eq!(stored(&mut client).await, [request.clone(), theirs.clone()]);
    for event in &before {
        let answer = client.publish(event).await.unwrap();
        assert_eq!(answer, (false, VANISHED.to_owned()));
    }
    let older = client.publish(&note(0, now - 1_000)).await.unwrap();
    assert_eq!(older, (false, VANISHED.to_owned()));

    // It is no ban, and it is not taken back.
    let undo = EventMaker::new(now + 1)
        .kind(5)
        .tag(["e", &request.id.to_hex()])
        .sign(&stranger(0));
    let anew = note(0, now + 2);
    publish(&mut client, &undo).await;
    publish(&mut client, &anew).await;
    assert_eq!(client.publish(&before[0]).await.unwrap().1, VANISHED);
    assert_eq!(stored(&mut client).await, [anew, undo, request, theirs]);
}

/// Publishes something, then a request that names this relay so; says whether it worked.
async fn works(relay: &TestRelay, n: u64, named: &str) -> bool {
    let mut client = relay.client().await;
    let note = note(n, now() - 10);
    publish(&mut client, &note).await;
    let request = request(n, now(), named);
    let (accepted, message) = client.publish(&request).await.unwrap();
    let left = stored(&mut client).await;
    let gone = !left.contains(&note);
    assert_eq!((accepted, left.contains(&request)), (gone, gone), "{named}");
    if !accepted {
        assert_eq!(
            message,
            "blocked: this request to vanish names other relays"
        );
    }
    gone
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_to_name_the_relay_by_its_public_url() {
    let relay = relay_with(|config| config.public_url = "wss://relay.example.com/in".into()).await;
    for (n, (named, expected)) in (0..).zip([
        ("wss://relay.example.com/in", true),
        ("WSS://Relay.Example.com:443/in/", true),
        ("wss://relay.example.com/out", false),
        ("wss://relay.example.com", false),
        ("wss://relay.example.com.evil.example/in", false),
        ("all_relays", false),
        ("", false),
        (&relay.url(), false),
    ]) {
        assert_eq!(works(&relay, n, named).await, expected, "{named}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_public_url_it_names_the_address_of_the_connection() {
    let relay = relay().await;
    let port = relay.address.port();
    let localhost = format!("ws://localhost:{port}/");
    let other = format!("ws://127.0.0.1:{}", port ^ 1);
    for (n, (named, expected)) in (0..).zip([
        (relay.url().as_str(), true),
        (&localhost, true),
        (&other, false),
        ("wss://relay.example.com", false),
    ]) {
        assert_eq!(works(&relay, n, named).await, expected, "{named}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_written_does_not_bind_who_vanishes() {
    let relay = relay_with(|config| {
        config.policy.accepted_kinds.clear();
        config.policy.denied_pubkeys.insert(pubkey(&stranger(0)));
        config.policy.min_pow_difficulty = 30;
        config.policy.created_at_lower_limit = Some(std::time::Duration::from_mins(1));
    })
    .await;
    let old = note(0, now() - 10_000);
    relay.store.publish(&old).await.unwrap();
    let mut client = relay.client().await;
    let request = request(0, now() - 5_000, "ALL_RELAYS");
    publish(&mut client, &request).await;
    assert_eq!(stored(&mut client).await, [request]);
}
