//! Reports and announcements of other monitors (NIP-66) that were archived: served in any case.

use bigbrotr_core::event::Event;
use bigbrotr_testkit::population::EventMaker;

use crate::helper::{Sent, filter, launch, next, now, pubkey, relay, stored, stranger};

fn report(monitor: u64, relay: &str, at: i64) -> Event {
    let maker = EventMaker::new(at).kind(30_166).tag(["d", relay]);
    maker.tag(["rtt-open", "120"]).sign(&stranger(monitor))
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_reports_are_served_live_and_stored_the_latest_of_each() {
    let relay = relay().await;
    let now = now();
    let mut client = relay.client().await;
    let reports = filter(r#"{"kinds":[30166,10166]}"#);
    client
        .req_until_eose("live", std::slice::from_ref(&reports))
        .await
        .unwrap();
    let a = "wss://a.example";
    let (old, new, other) = (
        report(0, a, now - 50),
        report(0, a, now - 40),
        report(1, a, now - 45),
    );
    let announcement = EventMaker::new(now - 60).kind(10_166).sign(&stranger(0));
    let protected = EventMaker::new(now)
        .kind(10_166)
        .tag(["-"])
        .sign(&stranger(1));
    let note = EventMaker::new(now).sign(&stranger(0));
    let archived = [
        new.clone(),
        old,
        other.clone(),
        announcement.clone(),
        protected,
        note,
    ];
    relay.archive(&archived).await;
    let mut live = Vec::new();
    for _ in 0..3 {
        let Sent::Event(event) = next(&mut client, "live").await else {
            panic!("no event");
        };
        live.push(event.id);
    }
    let expected = [new.id, other.id, announcement.id];
    assert_eq!(
        live.iter().collect::<std::collections::BTreeSet<_>>(),
        expected.iter().collect()
    );
    assert_eq!(stored(&mut client, &[filter("{}")]).await, expected);
    let of_relay = [filter(&format!(r##"{{"kinds":[30166],"#d":["{a}"]}}"##))];
    assert_eq!(client.count("c", &of_relay).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitors_deletions_count_whether_archived_before_or_after_its_reports() {
    let relay = relay().await;
    let now = now();
    let (a, b) = ("wss://a.example", "wss://b.example");
    let (first, second) = (report(0, a, now - 50), report(0, b, now - 50));
    let deletion = |event: &Event, at: i64| {
        let maker = EventMaker::new(at).kind(5);
        maker.tag(["e", &event.id.to_hex()]).sign(&stranger(0))
    };
    // Nobody knows yet that this is a monitor.
    relay.archive(&[deletion(&first, now - 40)]).await;
    let strangers = EventMaker::new(now).kind(5).tag(["e", &second.id.to_hex()]);
    relay.archive(&[strangers.sign(&stranger(5))]).await;
    relay.archive(&[first, second.clone()]).await;
    relay
        .counts("bigbrotr_relay_mirrored_events_total", 2)
        .await;
    let mut client = relay.client().await;
    let reports = [filter(r#"{"kinds":[30166]}"#)];
    assert_eq!(stored(&mut client, &reports).await, [second.id]);
    relay.archive(&[deletion(&second, now - 30)]).await;
    relay
        .counts("bigbrotr_relay_mirrored_events_total", 3)
        .await;
    assert!(stored(&mut client, &reports).await.is_empty());
    // The stranger's deletion is of no concern here.
    let by = [filter(&format!(
        r#"{{"authors":["{}"]}}"#,
        pubkey(&stranger(5))
    ))];
    assert!(stored(&mut client, &by).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_archived_before_the_start_is_served_too_and_once_by_two_processes() {
    let first = relay().await;
    let now = now();
    let reports: Vec<Event> = (0..1_200)
        .map(|n| {
            report(
                n % 3,
                &format!("wss://{}.example", n / 6),
                now - 5_000 + n as i64,
            )
        })
        .collect();
    first.archive(&reports).await;
    let (database, store) = (first.database.url(), first.other_process().await);
    assert!(!database.is_empty());
    first
        .counts("bigbrotr_relay_mirrored_events_total", 600)
        .await;
    let copied = first.metric("bigbrotr_relay_mirrored_events_total");
    assert!(copied <= 1_200.0, "{copied}");
    let count = store.count_relay_events(&[filter("{}")]).await.unwrap();
    assert_eq!(count, 600);
    // Another relay on the same events has nothing left to copy.
    let again = bigbrotr_schema::testing::test_store().await;
    let second = launch(again.0, again.1, |_| {}).await;
    assert_eq!(
        second.metric("bigbrotr_relay_mirrored_events_total") as u64,
        0
    );
}
