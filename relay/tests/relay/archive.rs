//! The archive, served as if it were a relay that follows the rules.

use bigbrotr_core::event::Event;
use bigbrotr_schema::testing::execute;
use bigbrotr_testkit::client::End;
use bigbrotr_testkit::population::EventMaker;

use crate::helper::{archive_relay, filter, note, now, pubkey, publish, relay, stored, stranger};

fn made(n: u64, kind: u16, created_at: i64, tags: &[&[&str]]) -> Event {
    let maker = EventMaker::new(created_at).kind(kind);
    let maker = tags
        .iter()
        .fold(maker, |maker, tag| maker.tag(tag.iter().copied()));
    maker.sign(&stranger(n))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_is_served_only_where_that_is_switched_on() {
    for enabled in [false, true] {
        let relay = if enabled {
            archive_relay(|_| {}).await
        } else {
            relay().await
        };
        let (archived, own) = (note(now() - 10, "archived"), note(now() - 5, "own"));
        relay.archive(&[archived.clone(), own.clone()]).await;
        let mut client = relay.client().await;
        publish(&mut client, &own).await;
        let expected = if enabled {
            vec![own.id, archived.id]
        } else {
            vec![own.id]
        };
        let all = [filter("{}")];
        assert_eq!(stored(&mut client, &all).await, expected);
        let count = client.count("c", &all).await.unwrap();
        assert_eq!(count, expected.len() as u64, "an event in both counts once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_latest_version_is_served_and_the_lowest_id_of_a_second() {
    let relay = archive_relay(|_| {}).await;
    let now = now();
    let old = made(0, 0, now - 100, &[]);
    let mut same = [
        made(0, 0, now - 50, &[&["x", "1"]]),
        made(0, 0, now - 50, &[&["x", "2"]]),
    ];
    same.sort_by_key(|event| event.id);
    let d = |d: &str, at: i64| made(0, 30_023, at, &[&["d", d], &["d", "other"]]);
    let (first, second, nul) = (d("a", now - 40), d("a", now - 30), d("a\0b", now - 20));
    let nul_old = d("a\0b", now - 25);
    let another = made(1, 0, now - 90, &[]);
    relay
        .archive(&[
            old.clone(),
            same[0].clone(),
            same[1].clone(),
            first,
            second.clone(),
            nul.clone(),
            nul_old,
            another.clone(),
        ])
        .await;
    let mut client = relay.client().await;
    let all = [filter("{}")];
    assert_eq!(
        stored(&mut client, &all).await,
        [nul.id, second.id, same[0].id, another.id]
    );
    assert_eq!(client.count("c", &all).await.unwrap(), 4);
    // Not even by its id, nor because the filter leaves out what replaced it.
    let by_id = [filter(&format!(
        r#"{{"ids":["{}"],"until":{}}}"#,
        old.id,
        now - 60
    ))];
    assert!(stored(&mut client, &by_id).await.is_empty());
    assert!(relay.store.get_event(&old.id).await.unwrap().is_some());

    // Versions of the relay's own count too, in both directions.
    let newest = made(1, 0, now - 5, &[]);
    publish(&mut client, &newest).await;
    let replaced = made(2, 0, now - 80, &[]);
    publish(&mut client, &replaced).await;
    let replacing = made(2, 0, now - 70, &[]);
    relay.archive(std::slice::from_ref(&replacing)).await;
    let profiles = [filter(r#"{"kinds":[0]}"#)];
    assert_eq!(
        stored(&mut client, &profiles).await,
        [newest.id, same[0].id, replacing.id]
    );
    assert_eq!(client.count("c", &profiles).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_author_has_deleted_is_not_served() {
    let relay = archive_relay(|_| {}).await;
    let now = now();
    let (kept, gone) = (made(0, 1, now - 90, &[]), made(0, 1, now - 80, &[]));
    let (article, newer) = (
        made(0, 30_023, now - 70, &[&["d", "x"]]),
        made(0, 30_023, now - 10, &[&["d", "y"]]),
    );
    let address = |d: &str| format!("30023:{}:{d}", pubkey(&stranger(0)));
    let deletion = made(
        0,
        5,
        now - 20,
        &[
            &["e", &gone.id.to_hex()],
            &["a", &address("x")],
            &["a", &address("y")],
        ],
    );
    // Somebody else's, and one of a deletion: of no effect.
    let foreign = made(1, 5, now - 5, &[&["e", &kept.id.to_hex()]]);
    let undeletion = made(0, 5, now - 4, &[&["e", &deletion.id.to_hex()]]);
    let wrap = |n: u64, at: i64| made(n, 1_059, at, &[&["p", &pubkey(&stranger(3)).to_hex()]]);
    let (unwanted, wanted) = (wrap(5, now - 60), wrap(6, now - 61));
    let by_recipient = made(3, 5, now - 3, &[&["e", &unwanted.id.to_hex()]]);
    let all = [
        kept.clone(),
        gone.clone(),
        article,
        newer.clone(),
        deletion.clone(),
        foreign.clone(),
        undeletion.clone(),
        unwanted,
        wanted.clone(),
        by_recipient.clone(),
    ];
    relay.archive(&all).await;
    let mut client = relay.client().await;
    let expected = [
        by_recipient.id,
        undeletion.id,
        foreign.id,
        newer.id,
        deletion.id,
        wanted.id,
        kept.id,
    ];
    assert_eq!(stored(&mut client, &[filter("{}")]).await, expected);
    // A deletion that only the relay itself was sent, and one that only the archive has.
    let here = made(0, 5, now - 2, &[&["e", &kept.id.to_hex()]]);
    publish(&mut client, &here).await;
    let own = made(0, 1, now - 1, &[]);
    publish(&mut client, &own).await;
    let notes = [filter(r#"{"kinds":[1]}"#)];
    assert_eq!(stored(&mut client, &notes).await, [own.id]);
    let there = made(0, 5, now, &[&["e", &own.id.to_hex()]]);
    relay.archive(std::slice::from_ref(&there)).await;
    assert!(stored(&mut client, &notes).await.is_empty());
    assert_eq!(client.count("c", &notes).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_protected_and_ephemeral_events_are_kept_and_not_served() {
    let relay = archive_relay(|_| {}).await;
    let now = now();
    let soon = (now + 1_000).to_string();
    let events = [
        made(0, 1, now - 50, &[&["expiration", &(now - 1).to_string()]]),
        made(0, 1, now - 49, &[&["-"]]),
        made(0, 20_001, now - 48, &[]),
        made(
            0,
            1,
            now - 47,
            &[&["expiration", &soon], &["-", "x"], &["t", "[\"-\"]"]],
        ),
        made(
            0,
            1,
            now - 46,
            &[&["expiration", "never"], &["expiration", "1"]],
        ),
    ];
    relay.archive(&events).await;
    let mut client = relay.client().await;
    let all = [filter("{}")];
    let expected = [events[4].id, events[3].id];
    assert_eq!(stored(&mut client, &all).await, expected);
    assert_eq!(client.count("c", &all).await.unwrap(), 2);
    for event in &events {
        assert!(relay.store.get_event(&event.id).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_vanish_are_followed_wherever_they_were_sent() {
    let relay = archive_relay(|config| {
        config.public_url = "wss://relay.example.com".into();
    })
    .await;
    let now = now();
    let request = |n: u64, relay: &str| made(n, 62, now - 50, &[&["relay", relay]]);
    let mut events: Vec<Event> = (0..3)
        .flat_map(|n| [made(n, 1, now - 100, &[]), made(n, 1, now - 10, &[])])
        .collect();
    let wrap = made(
        9,
        1_059,
        now - 70,
        &[&["p", &pubkey(&stranger(0)).to_hex()]],
    );
    events.extend([
        wrap,
        request(0, "ALL_RELAYS"),
        request(1, "WSS://Relay.example.com:443/"),
        request(2, "wss://other.example.com"),
    ]);
    relay.archive(&events).await;
    // The two that are meant for this relay.
    relay
        .counts("bigbrotr_relay_mirrored_events_total", 2)
        .await;
    let mut client = relay.client().await;
    let notes = stored(&mut client, &[filter(r#"{"kinds":[1,1059]}"#)]).await;
    let mut expected = vec![events[1].id, events[3].id, events[5].id];
    expected.sort();
    expected.push(events[4].id);
    assert_eq!(notes, expected);
    let requests = stored(&mut client, &[filter(r#"{"kinds":[62]}"#)]).await;
    assert_eq!(requests.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_needs_too_much_is_closed_and_the_next_is_answered() {
    let relay = archive_relay(|config| {
        config.limits.max_limit = 20;
        config.limits.default_limit = 20;
        config.limits.max_scanned_events = 200;
        config.limits.max_count = 100;
        config.limits.max_reconcile_events = 100;
        config.limits.query_timeout = std::time::Duration::from_secs(2);
    })
    .await;
    let now = now();
    // Old versions, all but one: none of them is served, each is met.
    let versions: Vec<Event> = (0..400)
        .map(|n| made(0, 10_002, now - 1_000 + n, &[]))
        .collect();
    relay.archive(&versions).await;
    let notes: Vec<Event> = (0..150).map(|n| note(now - 2_000 - n, "x")).collect();
    relay.archive(&notes).await;
    let mut client = relay.client().await;
    let lists = filter(r#"{"kinds":[10002]}"#);
    let End::Closed(reason) = client
        .req_until_eose("a", std::slice::from_ref(&lists))
        .await
        .unwrap()
        .end
    else {
        panic!("answered");
    };
    assert!(reason.starts_with("error: too many events"), "{reason}");
    client
        .send_raw(r#"["COUNT","b",{"kinds":[1]}]"#)
        .await
        .unwrap();
    let answer = client.next().await.unwrap();
    assert!(
        answer.starts_with(r#"["CLOSED","b","error: too many"#),
        "{answer}"
    );
    client
        .send_raw(r#"["NEG-OPEN","n",{"kinds":[1]},"61"]"#)
        .await
        .unwrap();
    let answer = client.next().await.unwrap();
    assert!(
        answer.starts_with(r#"["NEG-ERR","n","blocked: more than 100"#),
        "{answer}"
    );

    // The database itself gives up, and is not asked in vain for long.
    execute(
        &relay.store,
        "create or replace function hidden_archived_events(nums bigint[]) returns setof bigint
         language plpgsql as $$
         begin
            perform pg_sleep(60) from events where num = any (nums) and kind = 1;
         end $$",
    )
    .await;
    for question in [
        r#"["REQ","c",{"kinds":[1]}]"#,
        r#"["COUNT","c",{"kinds":[1],"limit":1}]"#,
    ] {
        client.send_raw(question).await.unwrap();
        let answer = client.next().await.unwrap();
        assert!(
            answer.starts_with(r#"["CLOSED","c","error: that took too long"#),
            "{answer}"
        );
    }
    let newest = [filter(&format!(
        r#"{{"kinds":[0,10003],"authors":["{}"]}}"#,
        pubkey(&stranger(0))
    ))];
    assert!(stored(&mut client, &newest).await.is_empty());
}

/// Postgres refuses to read such texts, and what stands for them must not be another name.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_nul_is_one_name_here_and_in_the_archive() {
    let relay = archive_relay(|_| {}).await;
    let now = now();
    let d = |d: &str, at: i64| made(0, 30_023, at, &[&["d", d]]);
    let (replaced, latest) = (d("a\0b", now - 40), d("a\0b", now - 30));
    let deleted = d("\0", now - 35);
    let address = format!("30023:{}:\0", pubkey(&stranger(0)));
    let deletion = made(0, 5, now - 20, &[&["a", &address]]);
    let other = d("\u{fffd}", now - 50);
    relay.archive(&[latest.clone(), deletion.clone()]).await;
    for event in [&replaced, &deleted, &other] {
        relay.store.publish(event).await.unwrap();
    }
    let mut client = relay.client().await;
    let all = [filter("{}")];
    assert_eq!(
        stored(&mut client, &all).await,
        [deletion.id, latest.id, other.id]
    );
    assert_eq!(client.count("c", &all).await.unwrap(), 3);
}
