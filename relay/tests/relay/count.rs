//! COUNT (NIP-45).

use std::time::Duration;

use bigbrotr_core::message::ClientMessage;
use bigbrotr_schema::testing::{execute, look};

use bigbrotr_testkit::population::EventMaker;
use futures_util::future::select_all;
use tokio::task::JoinSet;

use crate::helper::{Sent, filter, next, note, now, relay, relay_with, stranger};

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

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_a_few_counts_at_a_time() {
    let relay = relay().await;
    let store = relay.store.clone();
    let mut locking = JoinSet::new();
    locking.spawn(async move {
        let lock = "do $$ begin lock table relay_events in access exclusive mode;
            perform pg_sleep(6); end $$";
        execute(&store, lock).await;
    });
    let locked = "select count(*) as n from pg_locks
        where relation = 'relay_events'::regclass and mode = 'AccessExclusiveLock' and granted";
    while look(&relay.store, locked).await[0]["n"] != 1 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let message = ClientMessage::Count {
        sub_id: "c".into(),
        filters: vec![filter("{}")],
    };
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = relay.client().await;
        client.send(&message).await.unwrap();
        clients.push(client);
    }
    let answers: Vec<_> = clients
        .iter_mut()
        .map(|client| Box::pin(next(client, "c")))
        .collect();
    let (first, _, _) = select_all(answers).await;
    let refused = "rate-limited: too many counts at once, wait for their answers";
    assert_eq!(first, Sent::Closed(refused.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_to_one_thing_are_counted_with_registers() {
    let relay = relay().await;
    let subject = format!("{}5{}", "a".repeat(32), "b".repeat(31));
    let mut expected = [0_u8; 256];
    for n in 0..40 {
        let maker = EventMaker::new(now()).kind(1).tag(["e", &subject]);
        let event = maker.sign(&stranger(n));
        relay.store.publish(&event).await.unwrap();
        // The digit at position 32 is 5: the registers begin at byte 13 of the public key.
        let rest = &event.pubkey.0[14..];
        let zeros: u32 = rest
            .iter()
            .scan(true, |all_zero, byte| {
                let bits = if *all_zero { byte.leading_zeros() } else { 0 };
                *all_zero &= *byte == 0;
                Some(bits)
            })
            .sum();
        let register = &mut expected[usize::from(event.pubkey.0[13])];
        *register = (*register).max(zeros as u8 + 1);
    }
    let mut client = relay.client().await;
    let question = format!(r##"["COUNT","c",{{"kinds":[1],"#e":["{subject}"]}}]"##);
    client.send_raw(question).await.unwrap();
    let hll = hex::encode(expected);
    loop {
        let told = client.next().await.unwrap();
        if told.starts_with("[\"COUNT\"") {
            assert_eq!(
                told,
                format!(r#"["COUNT","c",{{"count":40,"hll":"{hll}"}}]"#)
            );
            return;
        }
    }
}
