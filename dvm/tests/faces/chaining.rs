//! Questions that build upon other jobs and upon events, and results that do not fit.

use bigbrotr_core::config::ByteSize;
use bigbrotr_core::event::{Event, EventId};
use bigbrotr_dvm::DvmConfig;
use bigbrotr_dvm::ask::{Cipher, JobRequest, open};
use nostr::{EventBuilder, JsonUtil, Keys, Kind, Tag};
use serde_json::Value;

use crate::support::{Running, World, is_final, quick};

fn chained(query: &str, id: EventId, kind: &str) -> EventBuilder {
    let tags = [["i", query, "text"], ["i", &id.to_hex(), kind]];
    EventBuilder::new(Kind::Custom(5450), "").tags(tags.map(|tag| Tag::parse(tag).unwrap()))
}

fn data(event: &Event) -> Value {
    serde_json::from_str::<Value>(&event.content).unwrap()["data"].clone()
}

#[tokio::test]
async fn a_job_takes_what_it_needs_from_the_result_of_another_and_waits_for_it() {
    let world = World::new().await;
    let busiest = JobRequest::new("pubkeys.list").param("limit", "1");
    let first = busiest.to_event_builder().unwrap();
    let first = Event::from(&first.sign_with_keys(&world.customer).unwrap());
    // Asked before what it builds upon.
    let second = world
        .send_event(chained("pubkeys.get", first.id, "job"))
        .await;
    let dvm = world.start_dvm().await;
    tokio::time::sleep(quick().poll_interval).await;
    assert!(!world.answers(second).await.iter().any(is_final));
    world.store.publish(&first).await.unwrap();
    let list = data(&world.answer(first.id).await);
    let one = world.answer(second).await;
    assert_eq!(one.kind, 6450, "{}", one.content);
    assert_eq!(data(&one)["pubkey"], list[0]["pubkey"]);
    assert_eq!(one.tags.iter().filter(|tag| tag[0] == "i").count(), 2);

    let of_event = world
        .send_event(chained("pubkeys.get", first.id, "event"))
        .await;
    let answer = world.answer(of_event).await;
    // The customer has no archived events: it was their key that was asked for.
    assert!(answer.content.contains("not_found"), "{}", answer.content);
    let unknown = world
        .send_event(chained("pubkeys.get", EventId([9; 32]), "event"))
        .await;
    let answer = world.answer(unknown).await;
    assert!(
        answer.content.contains("this event is not here"),
        "{}",
        answer.content
    );
    dvm.stop().await;
}

#[tokio::test]
async fn an_encrypted_result_feeds_its_own_customers_encrypted_jobs_only() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    let provider = world.node.public_key();
    let list = JobRequest::new("pubkeys.list")
        .param("limit", "1")
        .provider(provider);
    let sealed = list
        .to_sealed_builder(&world.customer, Cipher::Nip44)
        .unwrap();
    let first = world.send_event(sealed).await;
    assert_eq!(world.answer(first).await.kind, 6450);

    let clear = world.send_event(chained("pubkeys.get", first, "job")).await;
    let refused = world.answer(clear).await;
    assert!(
        refused.content.contains("no result that can be used"),
        "{}",
        refused.content
    );

    let hidden = format!(
        r#"[["i","pubkeys.get","text"],["i","{}","job"]]"#,
        first.to_hex()
    );
    let asked_by = async |keys: &Keys| {
        let secret = keys.secret_key();
        let version = nostr::nips::nip44::Version::V2;
        let content = nostr::nips::nip44::encrypt(secret, &provider, &hidden, version).unwrap();
        let builder = EventBuilder::new(Kind::Custom(5450), content)
            .tag(Tag::parse(["encrypted"]).unwrap())
            .tag(Tag::public_key(provider));
        let event = Event::from(&builder.sign_with_keys(keys).unwrap());
        world.store.publish(&event).await.unwrap();
        let answer = world.answer(event.id).await;
        let answer = nostr::Event::from_json(answer.to_json()).unwrap();
        open(&answer, keys).unwrap().content
    };
    let mine = asked_by(&world.customer).await;
    assert!(mine.contains(r#""query":"pubkeys.get""#), "{mine}");
    let theirs = asked_by(&Keys::generate()).await;
    assert!(theirs.contains("no result that can be used"), "{theirs}");
    dvm.stop().await;
}

#[tokio::test]
async fn a_list_that_is_too_long_ends_earlier_and_goes_on_by_its_cursor() {
    let world = World::new().await;
    let config = DvmConfig {
        max_result_bytes: ByteSize::new(4_096),
        ..quick()
    };
    let dvm = Running::start(world.dvm(config)).await;
    let whole = JobRequest::new("pubkeys.list").param("limit", "1000");
    let all = world
        .catalog
        .run("pubkeys.list", &whole.params)
        .await
        .unwrap();
    let all: Value = serde_json::from_str(&all.json).unwrap();
    let mut rows = Vec::new();
    let mut request = whole.clone();
    loop {
        let id = world.send(&request).await;
        let result = world.answer(id).await;
        assert!(result.to_json().len() <= 4_096);
        let answer: Value = serde_json::from_str(&result.content).unwrap();
        rows.extend(answer["data"].as_array().unwrap().clone());
        // The same bytes as for whoever asks for so many.
        let mut same = request.params.clone();
        same.insert(
            "limit".into(),
            answer["meta"]["params"]["limit"].to_string(),
        );
        let expected = world.catalog.run("pubkeys.list", &same).await.unwrap();
        assert_eq!(result.content, expected.json);
        let Some(next) = answer["meta"]["next"].as_str() else {
            break;
        };
        let statuses: Vec<String> = world
            .answers(id)
            .await
            .iter()
            .filter_map(|event| event.tag_value("status").map(ToOwned::to_owned))
            .collect();
        assert_eq!(statuses, ["processing", "partial"]);
        request = whole.clone().param("cursor", next);
    }
    assert_eq!(Value::Array(rows), all["data"]);
    dvm.stop().await;
}
