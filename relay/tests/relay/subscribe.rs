//! REQ and CLOSE: stored events in their order, then live ones.

use std::collections::BTreeSet;
use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_schema::store::PublishOutcome;
use bigbrotr_testkit::client::End;
use bigbrotr_testkit::population::EventMaker;

use crate::helper::{Sent, filter, next, note, now, publish, relay, relay_with, stranger};

#[tokio::test(flavor = "multi_thread")]
async fn stored_events_come_newest_first_lowest_id_first_and_each_once() {
    let relay = relay().await;
    let now = now();
    let mut events = Vec::new();
    for n in 0..60 {
        // Five to a second.
        let kind = if n % 2 == 0 { 1 } else { 1_111 };
        let maker = EventMaker::new(now - 100 + n / 5).kind(kind);
        let event = maker.content(n.to_string()).sign(&stranger(0));
        relay.store.publish(&event).await.unwrap();
        events.push(event);
    }
    events.sort_by_key(|event| (std::cmp::Reverse(event.created_at), event.id));
    let mut client = relay.client().await;
    let all = client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    assert_eq!((all.parsed(), all.end), (events.clone(), End::Eose));

    // Each filter has its own limit; what both match comes once.
    let filters = [
        filter(r#"{"kinds":[1],"limit":7}"#),
        filter(r#"{"limit":10}"#),
    ];
    let both = client.req_until_eose("b", &filters).await.unwrap().parsed();
    let newest_of_kind_1 = events.iter().filter(|event| event.kind == 1).take(7);
    let expected: BTreeSet<_> = events[..10]
        .iter()
        .chain(newest_of_kind_1)
        .map(|event| event.id)
        .collect();
    assert_eq!(
        both.iter().map(|event| event.id).collect::<BTreeSet<_>>(),
        expected
    );
    assert_eq!(both.len(), expected.len());
    assert!(both.is_sorted_by_key(|event| (std::cmp::Reverse(event.created_at), event.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answers_are_complete_across_pages() {
    let relay = relay_with(|config| config.limits.max_limit = 2_000).await;
    let now = now();
    // More than a page of events, ties across its end, and more than a page of bytes.
    let mut expected = Vec::new();
    for n in 0..700 {
        let content = if n % 100 == 0 {
            format!("{n} {}", "x".repeat(200_000))
        } else {
            n.to_string()
        };
        let event = note(now - n / 300, &content);
        relay.store.publish(&event).await.unwrap();
        expected.push((std::cmp::Reverse(event.created_at), event.id));
    }
    expected.sort_unstable();
    let mut client = relay.client().await;
    let limited = [filter(r#"{"limit":650}"#)];
    let got = client.req_until_eose("a", &limited).await.unwrap().parsed();
    let got: Vec<_> = got
        .iter()
        .map(|event| (std::cmp::Reverse(event.created_at), event.id))
        .collect();
    assert_eq!(got, expected[..650]);
    let two = [
        filter(r#"{"limit":2000}"#),
        filter(r#"{"kinds":[1],"limit":2000}"#),
    ];
    let got = client.req_until_eose("b", &two).await.unwrap();
    assert_eq!(got.events.len(), 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_the_ones_announced() {
    let relay = relay_with(|config| {
        config.limits.max_limit = 5;
        config.limits.default_limit = 3;
    })
    .await;
    let newest = now();
    for n in 0..8 {
        relay.store.publish(&note(newest - n, "x")).await.unwrap();
    }
    let mut client = relay.client().await;
    for (json, count) in [("{}", 3), (r#"{"limit":4}"#, 4), (r#"{"limit":100}"#, 5)] {
        let collected = client.req_until_eose("a", &[filter(json)]).await.unwrap();
        assert_eq!(collected.events.len(), count, "{json}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limit_zero_sends_eose_and_stays_live() {
    let relay = relay().await;
    let mut client = relay.client().await;
    publish(&mut client, &note(now(), "stored")).await;
    let collected = client
        .req_until_eose("a", &[filter(r#"{"limit":0}"#)])
        .await
        .unwrap();
    assert_eq!((collected.events.len(), collected.end), (0, End::Eose));
    let live = note(now(), "live");
    relay.store.publish(&live).await.unwrap();
    assert_eq!(next(&mut client, "a").await, Sent::Event(live));
}

#[tokio::test(flavor = "multi_thread")]
async fn void_filters_are_answered_by_eose() {
    let relay = relay().await;
    let mut client = relay.client().await;
    publish(&mut client, &note(now(), "x")).await;
    for json in [
        r#"{"kinds":[]}"#,
        r#"{"since":5,"until":4}"#,
        r##"{"#e":[]}"##,
    ] {
        let collected = client.req_until_eose("a", &[filter(json)]).await.unwrap();
        assert_eq!(
            (collected.events.len(), collected.end),
            (0, End::Eose),
            "{json}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_of_the_same_id_replaces_and_close_ends_it() {
    let relay = relay().await;
    let mut client = relay.client().await;
    client
        .req_until_eose("a", &[filter(r#"{"kinds":[1]}"#)])
        .await
        .unwrap();
    client
        .req_until_eose("a", &[filter(r#"{"kinds":[1111]}"#)])
        .await
        .unwrap();
    let comment = |text: &str| {
        EventMaker::new(now())
            .kind(1_111)
            .content(text)
            .sign(&stranger(0))
    };
    relay
        .store
        .publish(&note(now(), "not wanted any more"))
        .await
        .unwrap();
    relay.store.publish(&comment("wanted")).await.unwrap();
    let Sent::Event(Event { content, .. }) = next(&mut client, "a").await else {
        panic!("no event");
    };
    assert_eq!(content, "wanted");
    client.close_sub("a").await.unwrap();
    // Answered after CLOSE was handled.
    client.count("c", &[filter("{}")]).await.unwrap();
    relay.store.publish(&comment("after CLOSE")).await.unwrap();
    assert!(client.is_silent_for(Duration::from_millis(300)).await);
    assert_eq!(relay.metric("bigbrotr_relay_subscriptions") as u64, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_closed_with_the_reason() {
    let relay = relay_with(|config| {
        config.limits.max_subscriptions = 2;
        config.limits.max_filters = 2;
        config.limits.max_filter_values = 3;
        config.limits.max_subid_length = 8;
    })
    .await;
    let mut client = relay.client().await;
    let any = filter("{}");
    for (sub_id, filters, prefix) in [
        (
            "a",
            vec![any.clone(), any.clone(), any.clone()],
            "invalid: ",
        ),
        (
            "b",
            vec![filter(r##"{"kinds":[1,2],"#t":["x","y"]}"##)],
            "invalid: ",
        ),
        ("c", vec![filter(r#"{"search":"x"}"#)], "unsupported: "),
        ("123456789", vec![any.clone()], "invalid: "),
    ] {
        let collected = client.req_until_eose(sub_id, &filters).await.unwrap();
        let End::Closed(message) = collected.end else {
            panic!("{sub_id} was accepted");
        };
        assert!(message.starts_with(prefix), "{message}");
    }
    client
        .send_raw(r#"["REQ","d",{"kinds":["x"]}]"#)
        .await
        .unwrap();
    let Sent::Closed(message) = next(&mut client, "d").await else {
        panic!("a bad filter was accepted");
    };
    assert!(message.starts_with("invalid: filter field"), "{message}");

    for sub_id in ["1", "2", "2"] {
        let collected = client
            .req_until_eose(sub_id, std::slice::from_ref(&any))
            .await
            .unwrap();
        assert_eq!(collected.end, End::Eose);
    }
    let third = client
        .req_until_eose("3", std::slice::from_ref(&any))
        .await
        .unwrap();
    assert!(matches!(third.end, End::Closed(reason) if reason.starts_with("rate-limited: ")));
    client.close_sub("1").await.unwrap();
    assert_eq!(
        client.req_until_eose("3", &[any]).await.unwrap().end,
        End::Eose
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_events_are_not_served() {
    let relay = relay().await;
    let mut client = relay.client().await;
    let expiring = EventMaker::new(now())
        .tag(["expiration", &(now() + 2).to_string()])
        .sign(&stranger(0));
    publish(&mut client, &expiring).await;
    assert_eq!(client.count("c", &[filter("{}")]).await.unwrap(), 1);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let collected = client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    assert!(collected.events.is_empty());
    assert_eq!(client.count("c", &[filter("{}")]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_events_are_deleted() {
    let relay = relay_with(|config| config.expiry_interval = Duration::from_secs(1)).await;
    let expiring = EventMaker::new(now() - 10)
        .tag(["expiration", &(now() + 2).to_string()])
        .sign(&stranger(0));
    let outcome = relay.store.publish(&expiring).await.unwrap();
    assert_eq!(outcome, PublishOutcome::Stored);
    for _ in 0..200 {
        if relay.metric("bigbrotr_relay_expired_events_total") as u64 == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the expired event stays");
}
