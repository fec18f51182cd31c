//! Public faces are restarted one after another while they are asked: no job is lost or answered
//! twice, and a subscriber that comes back misses nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "faces/mod.rs"]
mod customers;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::TestClient;
use common::{Node, PATIENCE, sync};
use customers::{RESULT, Subscriber, job, results};
use nostr::Keys;
use serde_json::json;
use tokio::task::{JoinSet, block_in_place};
use tokio_util::sync::CancellationToken;

/// Answers are made a moment before they are published, maybe by another face: whoever comes back
/// asks for a little more than what is new.
const OVERLAP: i64 = 10;

/// The faces, as a supervisor runs them: at the same address each time.
struct Faces<'a> {
    folder: &'a Path,
    database: &'a TestDatabase,
    secret: String,
    nodes: Vec<Node>,
}

impl Faces<'_> {
    fn start(&self, n: usize, listen: &str) -> Node {
        let flags = [
            ["--database-url", &self.database.url()],
            ["--services", "relay,dvm"],
            ["--relay-listen", listen],
        ];
        let data = self.folder.join(format!("face-{n}"));
        let settings = [("BIGBROTR_SECRET_KEY", self.secret.as_str())];
        Node::start_with(&data, flags.as_flattened(), &settings)
    }

    fn restart(&mut self, n: usize) {
        let node = self.nodes.remove(n);
        let listen = node.relay.trim_start_matches("ws://").to_owned();
        assert_eq!(node.terminate(), Some(0));
        let again = self.start(n, &listen);
        self.nodes.insert(n, again);
    }
}

/// Sends jobs to the faces in turn, and to the next one when a face does not say OK. Returns those
/// that were accepted.
async fn ask(faces: Vec<String>, stop: CancellationToken) -> Vec<String> {
    let mut accepted = Vec::new();
    for n in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let request = job();
        for attempt in n.. {
            // A request that is sent twice is one job.
            if let Ok(mut client) = TestClient::connect(&faces[attempt % faces.len()]).await
                && let Ok((true, _)) = client.publish(&request).await
            {
                accepted.push(request.id.to_hex());
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Slow enough that what comes during a restart is one page: a relay caps stored events.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    accepted
}

/// What a subscriber has heard: the requests that results were for, and how often the face said
/// goodbye.
#[derive(Default)]
struct Heard {
    answered: Mutex<BTreeSet<String>>,
    goodbyes: AtomicUsize,
}

/// Reads results from one face, and comes back when it is gone.
async fn listen(face: String, heard: Arc<Heard>) {
    let mut since = SystemClock.now() - OVERLAP;
    loop {
        let filter = json!({ "kinds": [RESULT], "since": since });
        let Some(mut subscriber) = Subscriber::connect(&face, &filter).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        loop {
            for (_, event) in std::mem::take(&mut subscriber.events) {
                since = since.max(event["created_at"].as_i64().unwrap() - OVERLAP);
                let tags = event["tags"].as_array().unwrap();
                let request = tags.iter().find(|tag| tag[0] == "e").unwrap();
                let request = request[1].as_str().unwrap().to_owned();
                heard.answered.lock().unwrap().insert(request);
            }
            if subscriber.next().await.is_none() {
                break;
            }
        }
        let goodbye = usize::from(subscriber.closed);
        heard.goodbyes.fetch_add(goodbye, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn faces_are_restarted_one_by_one_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (store, database) = test_store().await;
    let keeper = folder.path().join("keeper");
    let keeper = sync::node(&keeper, &database.url(), "initializer,rollup", &[]);
    let mut faces = Faces {
        folder: folder.path(),
        database: &database,
        secret: Keys::generate().secret_key().to_secret_hex(),
        nodes: Vec::new(),
    };
    for n in 0..2 {
        let node = faces.start(n, "127.0.0.1:0");
        faces.nodes.push(node);
    }
    let urls: Vec<String> = faces.nodes.iter().map(|node| node.relay.clone()).collect();
    let asking = CancellationToken::new();
    let (mut customers, mut listeners) = (JoinSet::new(), JoinSet::new());
    customers.spawn(ask(urls.clone(), asking.clone()));
    let heard: [Arc<Heard>; 2] = std::array::from_fn(|_| Arc::default());
    for (url, heard) in urls.iter().zip(&heard) {
        listeners.spawn(listen(url.clone(), heard.clone()));
    }

    for n in [0, 1, 0] {
        tokio::time::sleep(Duration::from_secs(2)).await;
        block_in_place(|| faces.restart(n));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    asking.cancel();
    let accepted = customers.join_next().await.unwrap().unwrap();
    assert!(accepted.len() > 20, "{} jobs", accepted.len());
    let waiting = async {
        while results(&store).await.len() < accepted.len() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    let answered = results(&store).await;
    assert!(waited.is_ok(), "{} of {}", answered.len(), accepted.len());
    for id in &accepted {
        assert_eq!(answered.get(id), Some(&1), "answers to {id}");
    }
    for (n, heard) in heard.iter().enumerate() {
        let missed = || {
            let answered = heard.answered.lock().unwrap();
            accepted.iter().filter(|id| !answered.contains(*id)).count()
        };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while missed() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(missed(), 0, "missed by the subscriber of face {n}");
        let goodbyes = heard.goodbyes.load(Ordering::Relaxed);
        assert!(
            goodbyes >= [2, 1][n],
            "face {n} said goodbye {goodbyes} times"
        );
    }
    listeners.shutdown().await;
    for node in faces.nodes.into_iter().chain([keeper]) {
        assert_eq!(block_in_place(|| node.terminate()), Some(0));
    }
    store.close().await;
}
