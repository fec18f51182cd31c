//! NEG-OPEN and its kin (NIP-77).

use std::collections::BTreeSet;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{ClientMessage, RelayMessage};
use bigbrotr_testkit::TestClient;
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use crate::helper::{filter, note, now, relay, relay_with};

/// Reconciles against what the client has; returns what it needs and what the relay needs.
async fn reconcile(
    client: &mut TestClient,
    filter: Filter,
    ours: &[(i64, EventId)],
) -> (BTreeSet<[u8; 32]>, BTreeSet<[u8; 32]>) {
    let mut storage = NegentropyStorageVector::new();
    for (created_at, id) in ours {
        storage
            .insert(*created_at as u64, Id::from_byte_array(id.0))
            .unwrap();
    }
    storage.seal().unwrap();
    let mut negentropy = Negentropy::owned(storage, 4_096).unwrap();
    let mut message = ClientMessage::NegOpen {
        sub_id: "n".into(),
        filter: Box::new(filter),
        message: hex::encode(negentropy.initiate().unwrap()),
    };
    let (mut have, mut need) = (Vec::new(), Vec::new());
    loop {
        client.send(&message).await.unwrap();
        let answer = neg_answer(client).await.unwrap();
        let answer = hex::decode(answer).unwrap();
        match negentropy
            .reconcile_with_ids(&answer, &mut have, &mut need)
            .unwrap()
        {
            Some(next) => {
                message = ClientMessage::NegMsg {
                    sub_id: "n".into(),
                    message: hex::encode(next),
                };
            }
            None => break,
        }
    }
    let ids = |ids: Vec<Id>| ids.into_iter().map(Id::to_bytes).collect();
    (ids(need), ids(have))
}

async fn neg_answer(client: &mut TestClient) -> Result<String, String> {
    loop {
        let text = client.next().await.unwrap();
        match RelayMessage::parse(&text).unwrap() {
            RelayMessage::NegMsg { message, .. } => return Ok(message),
            RelayMessage::NegErr { message, .. } => return Err(message),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_learn_what_they_lack() {
    let relay = relay().await;
    let mut all = Vec::new();
    for n in 0..600 {
        let event = note(now() - 1_000 + n / 3, &n.to_string());
        if n % 10 != 0 {
            relay.store.publish(&event).await.unwrap();
        }
        all.push((event.created_at, event.id));
    }
    // The client lacks every seventh, the relay every tenth.
    let lacks = |n: &usize, every: usize| n.is_multiple_of(every);
    let ours: Vec<_> = (0..600).filter(|n| !lacks(n, 7)).map(|n| all[n]).collect();
    let mut client = relay.client().await;
    let (need, have) = reconcile(&mut client, filter(r#"{"kinds":[1]}"#), &ours).await;
    let expect = |lacked: usize, present: usize| -> BTreeSet<[u8; 32]> {
        (0..600)
            .filter(|n| lacks(n, lacked) && !lacks(n, present))
            .map(|n| all[n].1.0)
            .collect()
    };
    assert_eq!((need, have), (expect(7, 10), expect(10, 7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_neg_err_and_the_connection_lives() {
    let relay = relay_with(|config| config.limits.max_filter_values = 2).await;
    let mut client = relay.client().await;
    for (text, prefix) in [
        (r#"["NEG-OPEN","n",{"kinds":[1,2,3]},"6100"]"#, "invalid: "),
        (r#"["NEG-OPEN","n",{"kinds":["x"]},"6100"]"#, "invalid: "),
        (r#"["NEG-OPEN","n",{},"xyz"]"#, "invalid: "),
        (r#"["NEG-OPEN","n",{},"6100000205"]"#, "invalid: "),
        (r#"["NEG-MSG","unknown","61"]"#, "closed: "),
    ] {
        client.send_raw(text).await.unwrap();
        let error = neg_answer(&mut client).await.unwrap_err();
        assert!(error.starts_with(prefix), "{text}: {error}");
    }
    // An unknown protocol version is answered by ours.
    client
        .send_raw(r#"["NEG-OPEN","n",{},"62"]"#)
        .await
        .unwrap();
    assert_eq!(neg_answer(&mut client).await.unwrap(), "61");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_few_and_may_close_or_replace_them() {
    let relay = relay().await;
    let mut client = relay.client().await;
    let open = |id: &str| format!(r#"["NEG-OPEN","{id}",{{}},"61"]"#);
    for id in ["a", "b", "b"] {
        client.send_raw(open(id)).await.unwrap();
        neg_answer(&mut client).await.unwrap();
    }
    client.send_raw(open("c")).await.unwrap();
    assert!(
        neg_answer(&mut client)
            .await
            .unwrap_err()
            .starts_with("blocked: ")
    );
    client.send_raw(r#"["NEG-CLOSE","a"]"#).await.unwrap();
    client.send_raw(open("c")).await.unwrap();
    neg_answer(&mut client).await.unwrap();
}
