//! The same question gets the same bytes on both faces, errors included.

use std::collections::BTreeMap;

use bigbrotr_dvm::ask::JobRequest;
use bigbrotr_schema::catalog::{CATALOG, Entry, ParamType};
use serde_json::Value;

use crate::support::{RELAY, World, encode, get, open};

/// A value that the archive knows, for a parameter that an entry needs.
async fn value(world: &World, kind: &ParamType) -> String {
    let first = async |query: &str, field: &str| {
        let answer = world.catalog.run(query, &BTreeMap::new()).await.unwrap();
        let json: Value = serde_json::from_str(&answer.json).unwrap();
        match &json["data"][0][field] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    };
    match kind {
        ParamType::Relay | ParamType::Relays => RELAY.to_owned(),
        ParamType::Pubkey => first("pubkeys.list", "pubkey").await,
        ParamType::Integer { .. } => first("kinds.list", "kind").await,
        ParamType::EventId => {
            let events = bigbrotr_testkit::Population::generate(
                &bigbrotr_testkit::PopulationConfig::new(1, 300, 1_700_000_000),
            );
            events.events()[0].event().id.to_hex()
        }
        ParamType::Window => "all".to_owned(),
        ParamType::Enum(words) => words[0].clone(),
        ParamType::Country => "DE".to_owned(),
        ParamType::Filter => r#"{"kinds":[1]}"#.to_owned(),
        ParamType::Groups => "kind".to_owned(),
        ParamType::Text | ParamType::Cursor => "text".to_owned(),
    }
}

fn target(entry: &Entry, params: &BTreeMap<String, String>) -> String {
    let mut path = format!("/v1{}", entry.path);
    let mut query = Vec::new();
    for (name, value) in params {
        let place = format!("{{{name}}}");
        if path.contains(&place) {
            path = path.replace(&place, &encode(value));
        } else {
            query.push(format!("{name}={}", encode(value)));
        }
    }
    if query.is_empty() {
        path
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

async fn over_nostr(world: &World, query: &str, params: &BTreeMap<String, String>) -> String {
    let mut request = JobRequest::new(query);
    request.params.clone_from(params);
    world.answer(world.send(&request).await).await.content
}

#[tokio::test]
async fn every_question_gets_the_same_bytes_on_both_faces() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    let (api, address) = world.start_api(open()).await;
    let mut asked = 0;
    for entry in world.catalog.entries() {
        let mut params = BTreeMap::new();
        for param in &entry.params {
            if !param.optional && param.default.is_none() {
                params.insert(param.name.clone(), value(&world, &param.kind).await);
            }
        }
        let good = (params.clone(), 200);
        params.insert("nope".into(), "1".into());
        for (params, status) in [good, (params, 400)] {
            let target = target(entry, &params);
            let rest = get(address, &target).await;
            assert_eq!(rest.status, status, "{target}: {}", rest.text());
            let nostr = over_nostr(&world, &entry.name, &params).await;
            assert_eq!(nostr, rest.text(), "{target}");
            asked += 1;
        }
    }
    assert!(asked >= 18);
    let rest = get(address, "/v1/catalog").await;
    let nostr = over_nostr(&world, CATALOG, &BTreeMap::new()).await;
    assert_eq!(nostr, rest.text());
    api.stop().await;
    dvm.stop().await;
}
