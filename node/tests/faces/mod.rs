//! Customers and subscribers of public faces.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;

use bigbrotr_core::event::Event;
use bigbrotr_dvm::ask::JobRequest;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::look;
use bigbrotr_testkit::TestClient;
use nostr::{JsonUtil, Keys};
use serde_json::{Value, json};

/// The kind of results.
pub(crate) const RESULT: u16 = 6_450;

/// A job of a customer of its own: nobody asks too much.
pub(crate) fn job() -> Event {
    let request = JobRequest::new("kinds.list").to_event_builder().unwrap();
    let request = request.sign_with_keys(&Keys::generate()).unwrap();
    Event::from_json(&request.as_json()).unwrap()
}

/// A subscription, on a connection of its own. It has had its stored events when this returns.
pub(crate) struct Subscriber {
    client: TestClient,
    /// The events that came, by id.
    pub(crate) events: BTreeMap<String, Value>,
    /// The subscription was ended in words.
    pub(crate) closed: bool,
}

impl Subscriber {
    pub(crate) async fn connect(url: &str, filter: &Value) -> Option<Self> {
        let mut client = TestClient::connect(url).await.ok()?;
        let request = json!(["REQ", "all", filter]).to_string();
        client.send_raw(request).await.ok()?;
        let mut subscriber = Self {
            client,
            events: BTreeMap::new(),
            closed: false,
        };
        while subscriber.next().await? != "EOSE" {
            if subscriber.closed {
                return None;
            }
        }
        Some(subscriber)
    }

    /// Takes the next message and says what it is; `None` when the connection has ended, or
    /// nothing comes.
    pub(crate) async fn next(&mut self) -> Option<String> {
        let text = self.client.next().await.ok()?;
        let message: Value = serde_json::from_str(&text).unwrap();
        let name = message[0].as_str().unwrap().to_owned();
        match name.as_str() {
            "EVENT" => {
                let id = message[2]["id"].as_str().unwrap().to_owned();
                self.events.insert(id, message[2].clone());
            }
            "CLOSED" => self.closed = true,
            _ => {}
        }
        Some(name)
    }

    /// Takes messages until so many events have come.
    pub(crate) async fn until(&mut self, events: usize) {
        while self.events.len() < events {
            let next = self.next().await;
            assert!(next.is_some(), "{} of {events} events", self.events.len());
        }
    }
}

/// How many results each request has.
pub(crate) async fn results(store: &Store) -> BTreeMap<String, u64> {
    let rows = look(store, "select event from relay_events where kind = 6450").await;
    let mut results = BTreeMap::new();
    for row in rows.as_array().unwrap() {
        let tags = row["event"]["tags"].as_array().unwrap();
        let request = tags.iter().find(|tag| tag[0] == "e").unwrap();
        let request = request[1].as_str().unwrap().to_owned();
        *results.entry(request).or_default() += 1;
    }
    results
}
