//! A client of other people's: nostr-sdk.

use std::time::Duration;

use nostr_sdk::prelude::*;

use crate::helper::{now, relay, stranger};

#[tokio::test(flavor = "multi_thread")]
async fn nostr_sdk_publishes_fetches_counts_and_subscribes() {
    let relay = relay().await;
    let client = Client::new(stranger(0));
    client.add_relay(relay.url()).await.unwrap();
    client.connect().await;
    let wait = Duration::from_secs(5);

    let published = client
        .send_event_builder(EventBuilder::text_note("hello"))
        .await
        .unwrap();
    assert!(published.failed.is_empty(), "{:?}", published.failed);
    let filter = Filter::new()
        .kind(Kind::TextNote)
        .author(stranger(0).public_key());
    let fetched = client.fetch_events(filter.clone(), wait).await.unwrap();
    assert_eq!(fetched.first().unwrap().id, *published.id());

    let mut notifications = client.notifications();
    client.subscribe(filter.limit(0), None).await.unwrap();
    let answered = async {
        loop {
            if let Ok(RelayPoolNotification::Message { message, .. }) = notifications.recv().await
                && let RelayMessage::EndOfStoredEvents(_) = message
            {
                return;
            }
        }
    };
    tokio::time::timeout(wait, answered).await.unwrap();
    let live = crate::helper::note(now(), "live");
    relay.store.publish(&live).await.unwrap();
    let heard = async {
        loop {
            if let Ok(RelayPoolNotification::Event { event, .. }) = notifications.recv().await {
                return event.id.to_bytes();
            }
        }
    };
    assert_eq!(tokio::time::timeout(wait, heard).await.unwrap(), live.id.0);

    let refused = EventBuilder::new(Kind::Custom(4_242), "x")
        .sign_with_keys(&stranger(0))
        .unwrap();
    let output = client.send_event(&refused).await.unwrap();
    let reason = output.failed.values().next().unwrap();
    assert!(reason.starts_with("blocked: "), "{reason}");
    client.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nostr_sdk_authenticates_by_itself_to_publish_a_protected_event() {
    let relay = relay().await;
    let client = Client::new(stranger(0));
    client.automatic_authentication(true);
    client.add_relay(relay.url()).await.unwrap();
    client.connect().await;
    let builder = EventBuilder::text_note("only mine").tag(Tag::protected());
    let output = client.send_event_builder(builder).await.unwrap();
    assert!(output.failed.is_empty(), "{:?}", output.failed);
    client.shutdown().await;
}
