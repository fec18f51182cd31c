//! Events taken and questions answered in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bigbrotr_testkit::bench::option;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout_at;

use crate::client::Client;
use crate::corpus::{Corpus, Question};
use crate::program::{Database, Relay};
use crate::tool;

pub(crate) async fn run() -> Value {
    let corpus = Arc::new(Corpus::make(option("events", 30_000)));
    let mut results = Map::new();
    let nothing = Relay::nothing();
    results.insert(nothing.name.into(), measure(&nothing, &corpus).await);
    drop(nothing);
    let database = Database::start().await;
    let ours = Relay::ours(&database.url());
    let ours_result = measure(&ours, &corpus).await;
    drop(ours);
    database.stop().await;
    if let Some(theirs) = Relay::nostr_rs_relay() {
        let result = measure(&theirs, &corpus).await;
        for (name, rate) in result.as_object().into_iter().flatten() {
            let (mine, other) = (ours_result[name].as_f64(), rate.as_f64());
            if let (Some(mine), Some(other)) = (mine, other) {
                println!("{name}: {:.1} times nostr-rs-relay", mine / other);
            }
        }
        results.insert(theirs.name.into(), result);
    }
    results.insert("bigbrotr".into(), ours_result);
    Value::Object(results)
}

async fn measure(relay: &Relay, corpus: &Arc<Corpus>) -> Value {
    let mut rates = Map::new();
    let mut note = |name: String, rate: f64| {
        println!("{}: {name} {rate:.0}/s", relay.name);
        rates.insert(name, json!(rate.round()));
    };
    note("events".into(), publish(relay, corpus).await);
    for question in Question::ALL {
        let (rate, events) = ask(relay, corpus, question).await;
        note(format!("{} questions", question.name()), rate);
        println!("  {events:.1} events each");
    }
    for arguments in [&["event"][..], &["req", "--limit", "20"]] {
        if let Some(rate) = tool::measure(relay, arguments) {
            note(format!("nostr-bench {}", arguments[0]), rate);
        }
    }
    Value::Object(rates)
}

/// Publishes all notes, each connection one after the other, and waits until they can be found:
/// a relay may say OK before.
async fn publish(relay: &Relay, corpus: &Arc<Corpus>) -> f64 {
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = connect(relay).await;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for mut client in clients.drain(..) {
        let (corpus, next) = (corpus.clone(), next.clone());
        tasks.spawn(async move {
            while let Some(event) = corpus.events.get(next.fetch_add(1, Ordering::Relaxed)) {
                assert!(client.publish(event).await, "the relay refuses a note");
            }
        });
    }
    finish(tasks).await;
    corpus.events.len() as f64 / begun.elapsed().as_secs_f64()
}

/// Asks one kind of question on all connections; how many a second were answered, and how many events
/// each had. What is not answered when the time is up does not count.
async fn ask(relay: &Relay, corpus: &Arc<Corpus>, question: Question) -> (f64, f64) {
    let within = Duration::from_secs(option("seconds", 8));
    let counters = || Arc::new(AtomicUsize::new(0));
    let (asked, answered, events) = (counters(), counters(), counters());
    let clients = connect(relay).await;
    let end = Instant::now() + within;
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let (asked, answered, events) = (asked.clone(), answered.clone(), events.clone());
        let corpus = corpus.clone();
        tasks.spawn(async move {
            loop {
                let n = asked.fetch_add(1, Ordering::Relaxed);
                let answer = client.ask(corpus.question(question, n));
                let Ok(found) = timeout_at(end.into(), answer).await else {
                    return;
                };
                answered.fetch_add(1, Ordering::Relaxed);
                events.fetch_add(found, Ordering::Relaxed);
            }
        });
    }
    finish(tasks).await;
    let answered = answered.load(Ordering::Relaxed) as f64;
    let events = events.load(Ordering::Relaxed) as f64;
    (answered / within.as_secs_f64(), events / answered.max(1.0))
}

async fn connect(relay: &Relay) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..option("connections", 100) {
        clients.push(Client::connect(&relay.address).await);
    }
    clients
}

async fn finish(mut tasks: JoinSet<()>) {
    while let Some(done) = tasks.join_next().await {
        done.expect("a client that goes on");
    }
}
