//! EVENT: what is taken, what is refused, and with which prefix.

use bigbrotr_core::message::RelayMessage;
use bigbrotr_testkit::TestClient;
use bigbrotr_testkit::population::{EventMaker, InvalidEvents};

use crate::helper::{
    Sent, filter, next, node_keys, note, now, publish, relay, relay_with, stranger,
};

async fn stored(client: &mut TestClient, json: &str) -> Vec<String> {
    let collected = client
        .req_until_eose("stored", &[filter(json)])
        .await
        .unwrap();
    client.close_sub("stored").await.unwrap();
    let events = collected.parsed();
    events.into_iter().map(|event| event.content).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_is_served_byte_for_byte() {
    let relay = relay().await;
    let mut client = relay.client().await;
    let event = EventMaker::new(now())
        .tag(["t", "a\0b"])
        .tag(Vec::<String>::new())
        .content("\0 \u{2028} 😀 \" \\ \u{7f}")
        .sign(&stranger(0));
    publish(&mut client, &event).await;
    let collected = client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    assert_eq!(collected.events, [event.to_json()]);
    assert_eq!(
        client.publish(&event).await.unwrap(),
        (true, "duplicate: already have this event".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_replaces_an_older_one_and_the_lowest_id_wins_a_tie() {
    let relay = relay().await;
    let mut client = relay.client().await;
    let version = |created_at: i64, content: &str| {
        let maker = EventMaker::new(created_at).kind(30_166).tag(["d", "x"]);
        maker.content(content).sign(&stranger(0))
    };
    let now = now();
    publish(&mut client, &version(now - 5, "new")).await;
    assert_eq!(
        client.publish(&version(now - 6, "old")).await.unwrap(),
        (true, "duplicate: have a newer version".into())
    );
    assert_eq!(stored(&mut client, r#"{"kinds":[30166]}"#).await, ["new"]);

    let mut tied = [version(now, "one"), version(now, "two")];
    tied.sort_by_key(|event| event.id);
    publish(&mut client, &tied[1]).await;
    publish(&mut client, &tied[0]).await;
    assert_eq!(
        stored(&mut client, r##"{"#d":["x"]}"##).await,
        [tied[0].content.clone()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn authors_delete_their_own_events_and_nobody_elses() {
    let relay = relay().await;
    let mut client = relay.client().await;
    let event = note(now() - 10, "mine");
    publish(&mut client, &event).await;
    let deletion = |n: u64| {
        let maker = EventMaker::new(now())
            .kind(5)
            .tag(["e", &event.id.to_hex()]);
        maker.content(n.to_string()).sign(&stranger(n))
    };
    let foreign = "invalid: these events are for their own author to delete";
    assert_eq!(
        client.publish(&deletion(1)).await.unwrap(),
        (false, foreign.into())
    );
    assert_eq!(stored(&mut client, r#"{"kinds":[1]}"#).await, ["mine"]);
    publish(&mut client, &deletion(0)).await;
    assert!(stored(&mut client, r#"{"kinds":[1]}"#).await.is_empty());
    assert_eq!(stored(&mut client, r#"{"kinds":[5]}"#).await, ["0"]);
    assert_eq!(
        client.publish(&event).await.unwrap(),
        (false, "blocked: the author has deleted this event".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_events_are_answered_by_ok_false_and_the_connection_lives() {
    let relay = relay().await;
    let mut client = relay.client().await;
    let invalid = InvalidEvents::new(stranger(0), now());
    for (event, text) in [
        (invalid.wrong_signature(), "invalid: the signature is wrong"),
        (
            invalid.wrong_id(),
            "invalid: the id is not the hash of the event",
        ),
        (
            invalid.impossible_pubkey(),
            "invalid: the signature is wrong",
        ),
    ] {
        assert_eq!(client.publish(&event).await.unwrap(), (false, text.into()));
    }
    for json in [invalid.kind_too_large(), invalid.negative_created_at()] {
        client
            .send_raw(format!(r#"["EVENT",{json}]"#))
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
        assert!(message.starts_with("invalid: "), "{message}");
    }
    publish(&mut client, &note(now(), "still here")).await;
    assert_eq!(stored(&mut client, "{}").await, ["still here"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_standard_prefixes() {
    let relay = relay_with(|config| {
        config
            .policy
            .denied_pubkeys
            .insert(crate::helper::pubkey(&stranger(9)));
        config.policy.min_pow_difficulty = 24;
        config.limits.max_event_tags = 3;
        config.limits.max_content_length = 5;
    })
    .await;
    let mut client = relay.client().await;
    let now = now();
    let own = |maker: EventMaker| maker.sign(&node_keys());
    let refused = [
        (EventMaker::new(now).kind(4).sign(&stranger(0)), "blocked: "),
        (EventMaker::new(now).kind(5).sign(&stranger(9)), "blocked: "),
        (EventMaker::new(now).kind(5450).sign(&stranger(0)), "pow: "),
        (own(EventMaker::new(now + 3_600)), "invalid: "),
        (
            own(EventMaker::new(now).tag(["expiration", &now.to_string()])),
            "invalid: ",
        ),
        (own(EventMaker::new(now).kind(22_242)), "invalid: "),
        (own(EventMaker::new(now).tag(["-"])), "auth-required: "),
        (own(EventMaker::new(now).content("éééééé")), "invalid: "),
        (
            own(EventMaker::new(now)
                .tag(["a"])
                .tag(["a"])
                .tag(["a"])
                .tag(["a"])),
            "invalid: ",
        ),
    ];
    for (event, prefix) in refused {
        let (accepted, message) = client.publish(&event).await.unwrap();
        assert!(
            !accepted && message.starts_with(prefix),
            "{message} is not {prefix}"
        );
    }
    publish(
        &mut client,
        &own(EventMaker::new(now).kind(4).content("ééééé")),
    )
    .await;
    let refusals = relay.metric("bigbrotr_relay_refusals_total");
    assert_eq!(
        (
            refusals as u64,
            relay.metric("bigbrotr_relay_events_total") as u64
        ),
        (9, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ephemeral_events_reach_subscribers_and_are_not_kept() {
    let relay = relay().await;
    let (mut reader, mut writer) = (relay.client().await, relay.client().await);
    reader
        .req_until_eose("a", &[filter(r#"{"kinds":[20001]}"#)])
        .await
        .unwrap();
    let event = EventMaker::new(now()).kind(20_001).sign(&stranger(0));
    publish(&mut writer, &event).await;
    assert_eq!(next(&mut reader, "a").await, Sent::Event(event));
    assert!(stored(&mut writer, "{}").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_much_is_told_in_the_way_it_understands() {
    let relay = relay_with(|config| {
        config.limits.message_burst = 2;
        config.limits.messages_per_second = 1;
    })
    .await;
    let mut client = relay.client().await;
    let events: Vec<_> = (0..3).map(|n| note(now(), &n.to_string())).collect();
    publish(&mut client, &events[0]).await;
    publish(&mut client, &events[1]).await;
    let slow_down = "rate-limited: slow down";
    assert_eq!(
        client.publish(&events[2]).await.unwrap(),
        (false, slow_down.into())
    );
    // The pause after a refusal gives one token; the second of two messages has none.
    client.req("a", &[filter("{}")]).await.unwrap();
    client.req("b", &[filter("{}")]).await.unwrap();
    assert_eq!(next(&mut client, "b").await, Sent::Closed(slow_down.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_published_before_it_hung_up_is_stored() {
    let relay = relay().await;
    let event = note(now(), "last words");
    let mut client = relay.client().await;
    client
        .send(&bigbrotr_core::message::ClientMessage::Event(Box::new(
            event.clone(),
        )))
        .await
        .unwrap();
    client.close().await.unwrap();
    let mut other = relay.client().await;
    for _ in 0..100 {
        if !stored(&mut other, "{}").await.is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the event is lost");
}
