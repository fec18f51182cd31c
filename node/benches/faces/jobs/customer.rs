//! A customer with a key and a connection: it signs, sends, and knows the end of a job.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_dvm::ask::{FEEDBACK_KIND, JobRequest, REQUEST_KIND, RESULT_OFFSET};
use bigbrotr_testkit::{EventMaker, TestClient};
use nostr::Keys;

/// How long an answer may take before the benchmark is given up.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long nothing has to come for nothing to come any more.
const SILENCE: Duration = Duration::from_millis(500);

/// What only the JSON of a result has; the request in its tags has quotes with backslashes.
const RESULT: &str = "\"kind\":6450";

pub(super) struct Customer {
    client: TestClient,
    keys: Keys,
    clock: SharedClock,
    /// Makes every request another event.
    count: u64,
    /// Jobs that have been answered, whose last feedback may still be on its way.
    answered: BTreeSet<String>,
}

impl Customer {
    /// Connects, and subscribes to everything that is for this customer.
    pub(super) async fn connect(relay: &str, clock: &SharedClock) -> Self {
        let client = TestClient::connect(relay).await.expect("a connection");
        let mut client = client.with_timeout(PATIENCE);
        let keys = Keys::generate();
        let filter = Filter {
            kinds: Some(BTreeSet::from([
                FEEDBACK_KIND,
                REQUEST_KIND + RESULT_OFFSET,
            ])),
            tags: BTreeMap::from([('p', BTreeSet::from([keys.public_key().to_hex()]))]),
            ..Filter::default()
        };
        let stored = client.req_until_eose("answers", &[filter]).await;
        assert!(stored.expect("a subscription").events.is_empty());
        Self {
            client,
            keys,
            clock: clock.clone(),
            count: 0,
            answered: BTreeSet::new(),
        }
    }

    /// Signs a request with these tags.
    pub(super) fn sign(&mut self, tags: Vec<Vec<String>>) -> Event {
        self.count += 1;
        let mut maker = EventMaker::new(self.clock.now()).kind(REQUEST_KIND);
        for tag in tags {
            maker = maker.tag(tag);
        }
        maker
            .tag(["client", &self.count.to_string()])
            .sign(&self.keys)
    }

    async fn send(&mut self, request: &Event) {
        self.client
            .send_raw(format!("[\"EVENT\",{}]", request.to_json()))
            .await
            .expect("room to send");
    }

    /// Sends a request and waits for its result.
    pub(super) async fn ask(&mut self, request: &Event) {
        let id = request.id.to_hex();
        self.send(request).await;
        loop {
            let text = self.client.next().await.expect("an answer");
            if !text.contains(&id) {
                continue;
            }
            if text.contains(RESULT) {
                assert!(self.answered.insert(id), "answered twice");
                return;
            }
            let refused = text.starts_with("[\"OK\"") && text.contains(",false,");
            let failed = text.contains("[\"status\",\"error\"");
            assert!(!refused && !failed, "{text}");
        }
    }

    /// Sends a request that has been answered, and waits for the OK. Panics when there is a second
    /// result meanwhile.
    pub(super) async fn send_again(&mut self, request: &Event) {
        let id = request.id.to_hex();
        self.send(request).await;
        loop {
            let text = self.client.next().await.expect("an OK");
            assert!(!text.contains(RESULT), "answered twice: {text}");
            if text.starts_with("[\"OK\"") && text.contains(&id) {
                assert!(text.contains(",true,\"duplicate:"), "{text}");
                return;
            }
        }
    }

    /// Waits until nothing comes any more. Panics when a result was among it: each job has had its
    /// one.
    pub(super) async fn expect_silence(&mut self) {
        while let Ok(text) = tokio::time::timeout(SILENCE, self.client.next()).await {
            let text = text.expect("a connection");
            assert!(!text.contains(RESULT), "answered twice: {text}");
        }
    }
}

/// The tags of a request.
pub(super) fn tags(name: &str, params: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let mut request = JobRequest::new(name);
    request.params.clone_from(params);
    request.to_tags()
}
