//! Full-text search (NIP-50), where it is switched on.

use std::time::Duration;

use bigbrotr_testkit::client::http_get;

use crate::helper::{archive_relay, filter, note, now, publish, relay_with, stored};

#[tokio::test(flavor = "multi_thread")]
async fn words_are_found_in_stored_events_here_and_in_the_archive() {
    let relay = archive_relay(|config| config.archive.search = true).await;
    let now = now();
    let archived = [
        note(now - 10, "Purple ostriches run"),
        note(now - 9, "purple prose \0 with a NUL, ostriches"),
        note(now - 8, "nothing of the kind"),
        note(now - 7, &"wordwithoutend".repeat(10_000)),
    ];
    relay.archive(&archived).await;
    let mut client = relay.client().await;
    let own = note(now - 5, "an OSTRICHES' purple");
    publish(&mut client, &own).await;
    let search = |words: &str| {
        [filter(&format!(
            r#"{{"search":{},"kinds":[1]}}"#,
            serde_json::json!(words)
        ))]
    };
    let both = [own.id, archived[1].id, archived[0].id];
    assert_eq!(stored(&mut client, &search("ostriches purple")).await, both);
    // Extensions are not understood and left out; operators are those of a web search.
    let extended = search("purple language:en include:spam -run -prose");
    assert_eq!(stored(&mut client, &extended).await, [own.id]);
    assert_eq!(
        client
            .count("c", &search("purple\0ostriches"))
            .await
            .unwrap(),
        3
    );
    assert!(
        stored(&mut client, &search("' & | ! ( :*"))
            .await
            .is_empty()
    );
    // A search is for what is stored.
    client.req_until_eose("s", &search("purple")).await.unwrap();
    relay.store.publish(&note(now, "purple")).await.unwrap();
    assert!(client.is_silent_for(Duration::from_millis(300)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn search_works_without_the_archive_and_is_announced() {
    let relay = relay_with(|config| config.archive.search = true).await;
    let mut client = relay.client().await;
    let own = note(now(), "needle");
    publish(&mut client, &own).await;
    let words = [filter(r#"{"search":"needle"}"#)];
    assert_eq!(stored(&mut client, &words).await, [own.id]);
    let accept = [("Accept", "application/nostr+json")];
    let answer = http_get(&relay.http_url(), &accept, Duration::from_secs(5))
        .await
        .unwrap();
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let nips = document["supported_nips"].as_array().unwrap();
    assert!(nips.contains(&50.into()));
}
