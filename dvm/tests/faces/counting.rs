//! Kind 5400: events counted as the registry's page says.

use std::collections::BTreeMap;

use bigbrotr_core::event::Event;
use nostr::{EventBuilder, Kind, Tag};
use serde_json::Value;

use crate::support::{RELAY, World, eventually};

/// Asks and waits for the content of the result, or of the error.
async fn count(world: &World, content: &str, tags: &[&[&str]]) -> Event {
    let tags = tags
        .iter()
        .map(|tag| Tag::parse(tag.iter().copied()).unwrap());
    let builder = EventBuilder::new(Kind::Custom(5400), content).tags(tags);
    let id = world.send_event(builder).await;
    eventually("an answer", async || {
        let answers = world.answers(id).await;
        let mut last = answers
            .into_iter()
            .filter(|event| event.kind == 6400 || event.tag_value("status") == Some("error"));
        let answer = last.next()?;
        assert!(last.next().is_none(), "answered twice");
        Some(answer)
    })
    .await
}

#[tokio::test]
async fn counts_are_bare_numbers_and_groups_nested_dictionaries() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    let ask = async |filter: &str, group: &str| -> Value {
        let mut params = BTreeMap::from([("filter".to_owned(), filter.to_owned())]);
        if !group.is_empty() {
            params.insert("group".to_owned(), group.to_owned());
        }
        let answer = world.catalog.run("events.count", &params).await.unwrap();
        serde_json::from_str::<Value>(&answer.json).unwrap()["data"].clone()
    };
    let ones = ask(r#"{"kinds":[1]}"#, "").await["count"].to_string();
    assert_ne!(ones, "0");

    let in_content = count(&world, r##"[{"#kinds":[1],"limit":3}]"##, &[]).await;
    assert_eq!((in_content.kind, &in_content.content), (6400, &ones));
    assert!(in_content.tags.iter().any(|tag| tag[0] == "request"));
    let in_input = count(&world, "", &[&["i", r#"{"kinds":[1]}"#, "text"]]).await;
    assert_eq!(in_input.content, ones);
    let input = in_input.tags.iter().find(|tag| tag[0] == "i").unwrap();
    assert_eq!(input[1..], [r#"{"kinds":[1]}"#, "text"]);
    let on_relay: &[&[&str]] = &[&["param", "relay", RELAY], &["output", "text/plain"]];
    assert_eq!(
        count(&world, r#"{"kinds":[1]}"#, on_relay).await.content,
        ones
    );
    let elsewhere: &[&[&str]] = &[&["param", "relay", "wss://nowhere.example.com"]];
    assert_eq!(
        count(&world, r#"{"kinds":[1]}"#, elsewhere).await.content,
        "0"
    );

    let groups: &[&[&str]] = &[&["param", "group", "kind"], &["param", "group", "pubkey"]];
    let grouped = count(&world, "{}", groups).await;
    let grouped: Value = serde_json::from_str(&grouped.content).unwrap();
    assert_eq!(grouped, ask("{}", "kind,pubkey").await["groups"]);
    let of_ones = grouped["1"].as_object().unwrap().values();
    let sum: u64 = of_ones.map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(sum.to_string(), ones);

    for (content, tags, param) in [
        ("", &[][..], "filter"),
        ("{}", &[&["param", "window", "7d"][..]], "window"),
        ("[7]", &[], "filter"),
        ("{}", &[&["param", "relay", "no url"][..]], "relay"),
    ] {
        let refused = count(&world, content, tags).await;
        let error: Value = serde_json::from_str(&refused.content).unwrap();
        assert_eq!(error["error"]["code"], "invalid_param", "{error}");
        assert_eq!(error["error"]["param"], param, "{error}");
    }
    dvm.stop().await;
}
