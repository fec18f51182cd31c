//! What growth costs: ingest, look-ups, questions and bytes at 100 thousand, 1 and 10 million
//! events.
//!
//! `cargo bench -p bigbrotr-schema --bench growth -- [--events N] [--seed N] [--url URL]`
mod support;

use std::sync::Arc;
use std::time::Instant;

use bigbrotr_core::clock::ManualClock;
use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::store::{Sighting, Store};

#[tokio::main]
async fn main() {
    let events: usize = support::option("events", 1_000_000);
    let url: String = support::option("url", String::new());
    let clock = ManualClock::new(support::NOW);
    let store = Store::connect(&url, Arc::new(DatabaseConfig::default()), Arc::new(clock))
        .await
        .expect("a connection");
    store.migrate().await.expect("migrations");
    let mut relays = Vec::new();
    for n in 0..2 {
        let url = RelayUrl::parse(
            &format!("wss://relay{n}.example.com"),
            &UrlPolicy::default(),
        )
        .expect("a URL");
        store
            .insert_relays(std::slice::from_ref(&url))
            .await
            .expect("a relay");
        relays.push(
            store
                .get_relay(&url)
                .await
                .expect("a relay")
                .expect("a relay")
                .id,
        );
    }
    let mut lines = support::corpus(
        support::option("seed", 1),
        support::option("corpus", events),
    );
    let begun = Instant::now();
    let mut done = 0;
    let mut mark = Instant::now();
    while done < events {
        let batch: Vec<String> = lines.by_ref().take(5_000).collect();
        if batch.is_empty() {
            break;
        }
        let parsed: Vec<Event> = std::thread::scope(|scope| {
            let handles: Vec<_> = batch
                .chunks(2_500)
                .map(|c| {
                    scope.spawn(move || {
                        c.iter()
                            .map(|l| Event::from_json(l).expect("an event"))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            handles
                .into_iter()
                .flat_map(|h| h.join().expect("t"))
                .collect()
        });
        let refs: Vec<&Event> = parsed.iter().collect();
        let sightings: Vec<Sighting> = parsed
            .iter()
            .flat_map(|e| {
                relays.iter().map(|r| Sighting {
                    event: e,
                    num: None,
                    relay: *r,
                    seen_at: support::NOW,
                })
            })
            .collect();
        store
            .insert_events(&refs, &sightings, 0)
            .await
            .expect("insert");
        done += parsed.len();
        if done % 100_000 == 0 {
            println!("{done} {:.0}/s", 100_000.0 / mark.elapsed().as_secs_f64());
            mark = Instant::now();
        }
    }
    println!("{done} in {:.1} s", begun.elapsed().as_secs_f64());
}
