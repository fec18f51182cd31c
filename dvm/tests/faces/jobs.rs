//! Jobs: what is answered, how, and what is left alone.

use std::collections::{BTreeMap, BTreeSet};

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_dvm::DvmConfig;
use bigbrotr_dvm::ask::{JobRequest, Output, Reply};
use nostr::{EventBuilder, JsonUtil, Keys, Kind, Tag};

use crate::support::{Running, World, eventually, is_final, quick};

#[tokio::test]
async fn a_job_is_answered_with_the_catalogues_bytes() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    let request = JobRequest::new("kinds.list")
        .param("limit", "3")
        .provider(world.node.public_key());
    let id = world.send(&request).await;
    let result = world.answer(id).await;
    let expected = world.catalog.run("kinds.list", &request.params).await;
    assert_eq!(result.content, expected.unwrap().json);

    result.verify().unwrap();
    assert_eq!(result.kind, 6450);
    assert_eq!(result.pubkey.to_hex(), world.node.public_key().to_hex());
    let customer = world.customer.public_key().to_hex();
    assert_eq!(result.tag_value("p"), Some(customer.as_str()));
    let tag = |name: &str| result.tags.iter().find(|tag| tag[0] == name).unwrap();
    assert_eq!(tag("i")[..], ["i", "kinds.list", "text"]);
    assert_eq!(tag("e")[1..], [&id.to_hex(), "wss://relay.example.com"]);
    let asked = Event::from_json(&tag("request")[1]).unwrap();
    assert_eq!(asked.id, id);
    asked.verify().unwrap();

    let answers = world.answers(id).await;
    let kinds: Vec<u16> = answers.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [7000, 6450, 7000],
        "processing, then the result, then success"
    );
    let read = |event: &Event| {
        let event = nostr::Event::from_json(event.to_json()).unwrap();
        Reply::from_event(&event, nostr::EventId::from_byte_array(id.0))
    };
    assert_eq!(read(&answers[0]), Some(Reply::Processing));
    let Some(Reply::Result { content, .. }) = read(&answers[1]) else {
        panic!("the result is not read as one");
    };
    assert_eq!(content, result.content);
    dvm.stop().await;
}

#[tokio::test]
async fn bad_requests_get_the_errors_words_and_json() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    for (request, code) in [
        (JobRequest::new("nope"), "unknown_query"),
        (
            JobRequest::new("kinds.list").param("limit", "0"),
            "invalid_param",
        ),
        (
            JobRequest::new("events.get").param("id", "0".repeat(64)),
            "not_found",
        ),
    ] {
        let id = world.send(&request).await;
        let feedback = world.answer(id).await;
        let error = world
            .catalog
            .run(&request.query, &request.params)
            .await
            .unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!((feedback.kind, &feedback.content), (7000, &error.to_json()));
        let status = feedback.tags.iter().find(|tag| tag[0] == "status").unwrap();
        assert_eq!(status[1..], ["error", &error.to_string()]);
    }
    dvm.stop().await;
}

#[tokio::test]
async fn jobs_of_others_are_left_alone() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    let other = Keys::generate().public_key();
    let theirs = world
        .send(&JobRequest::new("events.stats").provider(other))
        .await;
    let other_kind = EventBuilder::new(Kind::Custom(5300), "")
        .tag(Tag::parse(["i", "events.stats", "text"]).unwrap());
    let other_kind = world.send_event(other_kind).await;
    let anybodys = world.send(&JobRequest::new("events.stats")).await;
    world.answer(anybodys).await;
    // What was sent before it has been looked at by now, and by the next look at the latest.
    tokio::time::sleep(quick().poll_interval * 2).await;
    for id in [theirs, other_kind] {
        assert!(world.answers(id).await.is_empty());
    }
    assert_eq!(world.store.count_queued_jobs().await.unwrap(), 0);
    dvm.stop().await;
}

#[tokio::test]
async fn tables_come_as_csv_and_plain_text_with_the_cursor_in_a_tag() {
    let world = World::new().await;
    let dvm = world.start_dvm().await;
    let request = JobRequest::new("kinds.list").param("limit", "2");
    let json = world
        .catalog
        .run("kinds.list", &request.params)
        .await
        .unwrap();
    let csv = world.send(&request.clone().output(Output::Csv)).await;
    let csv = world.answer(csv).await;
    let lines: Vec<&str> = csv.content.split_terminator("\r\n").collect();
    assert_eq!((lines.len(), lines[0]), (3, "kind,class,events,pubkeys"));
    assert!(json.next.is_some());
    assert_eq!(csv.tag_value("cursor"), json.next.as_deref());
    let plain = world.send(&request.output(Output::Plain)).await;
    let plain = world.answer(plain).await;
    assert_eq!(plain.content.lines().count(), 3);
    assert!(plain.content.starts_with("kind "), "{}", plain.content);
    dvm.stop().await;
}

#[tokio::test]
async fn what_we_answer_is_announced_and_again_only_when_it_changes() {
    let world = World::new().await;
    let announced = async || {
        let filter = Filter {
            kinds: Some(BTreeSet::from([31_990])),
            tags: BTreeMap::from([('d', BTreeSet::from(["bigbrotr".to_owned()]))]),
            ..Filter::default()
        };
        let found = world.store.query_relay_events(&filter, 10).await.unwrap();
        assert_eq!(found.len(), 1);
        found[0].event().unwrap()
    };
    world.start_dvm().await.stop().await;
    let first = announced().await;
    first.verify().unwrap();
    assert_eq!(first.tag_value("k"), Some("5450"));
    assert!(first.content.contains("kinds.list"), "{}", first.content);
    world.start_dvm().await.stop().await;
    assert_eq!(announced().await.id, first.id);
    let renamed = DvmConfig {
        name: "Other".into(),
        ..quick()
    };
    Running::start(world.dvm(renamed)).await.stop().await;
    let second = announced().await;
    assert!(second.created_at > first.created_at && second.content.contains("Other"));
}

#[tokio::test]
async fn a_cancelled_job_is_not_answered_and_only_its_author_cancels() {
    let world = World::new().await;
    let request = JobRequest::new("events.stats").to_event_builder().unwrap();
    let request = Event::from(&request.sign_with_keys(&world.customer).unwrap());
    world.store.publish(&request).await.unwrap();
    world.store.insert_job(&request, None).await.unwrap();
    // In the hands of a worker that will not finish.
    assert_eq!(world.store.claim_jobs(1, 600).await.unwrap().len(), 1);
    let dvm = world.start_dvm().await;
    let deletion = || {
        let tag = Tag::parse(["e", &request.id.to_hex()]).unwrap();
        EventBuilder::new(Kind::EventDeletion, "").tag(tag)
    };
    let stranger = deletion().sign_with_keys(&Keys::generate()).unwrap();
    world.store.publish(&Event::from(&stranger)).await.unwrap();
    world
        .answer(world.send(&JobRequest::new("catalog")).await)
        .await;
    assert_eq!(world.store.count_queued_jobs().await.unwrap(), 1);
    world.send_event(deletion()).await;
    eventually("the cancellation", async || {
        (world.store.count_queued_jobs().await.unwrap() == 0).then_some(())
    })
    .await;
    dvm.stop().await;
    assert!(!world.answers(request.id).await.iter().any(is_final));
}
