//! From when another process begins to publish a report until each subscriber has it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bigbrotr_core::event::Event;
use bigbrotr_testkit::bench::option;
use nostr::{EventBuilder, Keys, Kind, Tag};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::quantile;
use crate::client::Client;
use crate::program::{Database, Relay};

/// How long a subscriber waits for a report that does not come.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn run() -> Value {
    let subscribers: usize = option("subscribers", 5_000);
    let reports: usize = option("reports", 20);
    let pause = Duration::from_secs_f64(1.0 / option("rate", 1.0));
    let database = Database::start().await;
    let relay = Relay::ours(&database.url());
    let published: Arc<Mutex<HashMap<String, Instant>>> = Arc::default();
    let mut tasks = JoinSet::new();
    for _ in 0..subscribers {
        let mut client = Client::connect(&relay.address).await;
        client
            .say(r#"["REQ","q",{"kinds":[30166],"limit":0}]"#.to_owned())
            .await;
        let end = client.hear().await;
        assert!(end.starts_with(r#"["EOSE""#), "{end}");
        let published = published.clone();
        tasks.spawn(async move {
            let mut delays = Vec::with_capacity(reports);
            while delays.len() < reports {
                let Ok(report) = tokio::time::timeout(PATIENCE, client.hear()).await else {
                    break;
                };
                let now = Instant::now();
                let id = report
                    .split(r#""id":""#)
                    .nth(1)
                    .and_then(|rest| rest.get(..64));
                let begun = published.lock().expect("a lock")[id.expect("an id")];
                delays.push(now.duration_since(begun).as_secs_f64() * 1_000.0);
            }
            delays
        });
    }
    println!("{subscribers} subscribers are there");
    publish(&database, reports, pause, &published).await;
    let mut delays = Vec::new();
    while let Some(done) = tasks.join_next().await {
        delays.extend(done.expect("a subscriber that goes on"));
    }
    delays.sort_by(f64::total_cmp);
    drop(relay);
    database.stop().await;
    let lost = subscribers * reports - delays.len();
    let (p50, p99) = (quantile(&delays, 0.5), quantile(&delays, 0.99));
    println!(
        "{reports} reports to {subscribers} subscribers: p50 {p50:.1} ms, p99 {p99:.1} ms, {lost} lost"
    );
    json!({"subscribers": subscribers, "reports": reports, "lost": lost, "p50_ms": p50, "p99_ms": p99})
}

async fn publish(
    database: &Database,
    reports: usize,
    pause: Duration,
    published: &Mutex<HashMap<String, Instant>>,
) {
    let store = database.store().await;
    let keys = Keys::generate();
    for n in 0..reports {
        let tags = [
            Tag::identifier(format!("wss://relay{n}.example.com/")),
            Tag::parse(["rtt-open", "123"]).expect("a tag"),
            Tag::parse(["n", "clearnet"]).expect("a tag"),
        ];
        let report = EventBuilder::new(Kind::Custom(30_166), "{}")
            .tags(tags)
            .sign_with_keys(&keys)
            .expect("a signature");
        published
            .lock()
            .expect("a lock")
            .insert(report.id.to_hex(), Instant::now());
        let outcome = store.publish_report(&Event::from(&report)).await;
        outcome.expect("a report is published");
        tokio::time::sleep(pause).await;
    }
    store.close().await;
}
