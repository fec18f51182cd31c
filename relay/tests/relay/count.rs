//! COUNT (NIP-45).

use bigbrotr_core::message::ClientMessage;

use crate::helper::{Sent, filter, next, note, now, relay, relay_with};

#[tokio::test(flavor = "multi_thread")]
async fn events_that_match_any_filter_are_counted_once() {
    let relay = relay().await;
    let now = now();
    for n in 0..5 {
        relay.store.publish(&note(now - n, "x")).await.unwrap();
    }
    let mut client = relay.client().await;
    let both = [filter(r#"{"kinds":[1]}"#), filter("{}")];
    assert_eq!(client.count("c", &both).await.unwrap(), 5);
    let some = [filter(&format!(r#"{{"since":{}}}"#, now - 2))];
    assert!(client.count("c", &some).await.unwrap() == 3);
    assert_eq!(
        client
            .count("c", &[filter(r#"{"kinds":[2]}"#)])
            .await
            .unwrap(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_count_is_closed() {
    let relay = relay_with(|config| config.limits.max_filters = 1).await;
    let mut client = relay.client().await;
    let message = ClientMessage::Count {
        sub_id: "c".into(),
        filters: vec![filter("{}"), filter("{}")],
    };
    client.send(&message).await.unwrap();
    let closed = next(&mut client, "c").await;
    assert_eq!(closed, Sent::Closed("invalid: more than 1 filters".into()));
}
