//! Memory of a connection that hears nothing.

use std::time::Duration;

use bigbrotr_testkit::bench::option;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::program::{Database, Relay};

pub(crate) async fn run() -> Value {
    let mut results = Map::new();
    let database = Database::start().await;
    let ours = Relay::ours(&database.url());
    results.insert(ours.name.into(), measure(&ours).await);
    drop(ours);
    database.stop().await;
    if let Some(theirs) = Relay::nostr_rs_relay() {
        results.insert(theirs.name.into(), measure(&theirs).await);
    }
    Value::Object(results)
}

async fn measure(relay: &Relay) -> Value {
    let count: usize = option("connections", 5_000);
    // What is set up once is not a connection's.
    drop(subscribe(relay, 50).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = relay.memory();
    let clients = subscribe(relay, count).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let each = (relay.memory() - before) / count as f64 / 1024.0;
    println!(
        "{}: {each:.1} KiB for each of {} connections",
        relay.name,
        clients.len()
    );
    json!({"kib_each": (each * 10.0).round() / 10.0})
}

async fn subscribe(relay: &Relay, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = Client::connect(&relay.address).await;
        client
            .say(r#"["REQ","q",{"kinds":[30166],"limit":1}]"#.to_owned())
            .await;
        let end = client.hear().await;
        assert!(end.starts_with(r#"["EOSE""#), "{end}");
        clients.push(client);
    }
    clients
}
