//! Several crawlers and several public faces on one database are one node to whoever asks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "faces/mod.rs"]
mod customers;

use bigbrotr_schema::testing::{look, test_store};
use bigbrotr_testkit::{Population, PopulationConfig, SimRelay, SimRelayConfig, TestClient};
use common::{Node, eventually, get_json, sync};
use customers::{RESULT, Subscriber, job, results};
use nostr::Keys;
use serde_json::json;

const RELAYS: usize = 8;

const JOBS: usize = 10;

async fn farm() -> Vec<SimRelay> {
    let population = Population::generate(&PopulationConfig::new(6, 600, 1_750_000_000));
    let mut relays = Vec::new();
    for n in 0..RELAYS {
        let events = population.subset(n, RELAYS, 0.3);
        relays.push(sync::relay(n, events, SimRelayConfig::default()).await);
    }
    relays
}

#[tokio::test(flavor = "multi_thread")]
async fn two_crawlers_and_two_faces_are_one_node() {
    let relays = farm().await;
    let (store, database) = test_store().await;
    let folder = tempfile::tempdir().unwrap();
    // One identity: the reports are one monitor's, and any face answers for all.
    let secret = Keys::generate().secret_key().to_secret_hex();
    let settings = [("BIGBROTR_SECRET_KEY", secret.as_str())];
    let start = |name: &str, services: &str| -> Node {
        sync::node(
            &folder.path().join(name),
            &database.url(),
            services,
            &settings,
        )
    };
    let keeper = start("keeper", "initializer,rollup,retention");
    let faces = [
        start("face-1", "relay,api,dvm"),
        start("face-2", "relay,api,dvm"),
    ];

    // What a crawler reports reaches subscribers of every face.
    let filter = json!({ "kinds": [30166] });
    let mut listeners = Vec::new();
    for face in &faces {
        listeners.push(Subscriber::connect(&face.relay, &filter).await.unwrap());
    }
    sync::insert(&store, &relays).await;
    let crawlers = [
        start("crawler-1", "monitor,synchronizer"),
        start("crawler-2", "monitor,synchronizer"),
    ];
    for listener in &mut listeners {
        listener.until(RELAYS).await;
    }
    assert_eq!(listeners[0].events, listeners[1].events);
    let checks = look(
        &store,
        "select count(*) as all, count(distinct relay_id) as relays from relay_metadata",
    )
    .await;
    assert_eq!(checks[0]["all"], json!(RELAYS), "{checks}");
    assert_eq!(checks[0]["relays"], json!(RELAYS), "{checks}");

    // What is asked of one face is heard at the other, and answered once.
    let filter = json!({ "kinds": [5450, RESULT], "limit": 0 });
    let mut listeners = Vec::new();
    for face in &faces {
        listeners.push(Subscriber::connect(&face.relay, &filter).await.unwrap());
    }
    let mut asked = Vec::new();
    for n in 0..JOBS {
        let request = job();
        // To one face, to the other, or to both: it stays one job.
        for (face, _) in faces.iter().enumerate().filter(|(face, _)| n % 3 != *face) {
            let mut client = TestClient::connect(&faces[face].relay).await.unwrap();
            let (accepted, why) = client.publish(&request).await.unwrap();
            assert!(accepted, "{why}");
        }
        asked.push(request.id.to_hex());
    }
    for listener in &mut listeners {
        listener.until(2 * JOBS).await;
    }
    assert_eq!(listeners[0].events, listeners[1].events);
    let answered = results(&store).await;
    assert_eq!(answered.len(), JOBS, "{answered:?}");
    for id in &asked {
        assert_eq!(answered.get(id), Some(&1), "{answered:?}");
    }

    let held = sync::held(&relays).len() as u64;
    for face in &faces {
        eventually("every event counted", || {
            let stats = get_json(&format!("{}/v1/events/stats", face.api));
            stats["data"]["events"].as_u64() == Some(held)
        });
    }
    sync::assert_exact(
        &store,
        &database.url(),
        &folder.path().join("look"),
        &relays,
    )
    .await;
    for node in crawlers.into_iter().chain(faces).chain([keeper]) {
        assert_eq!(node.terminate(), Some(0));
    }
    store.close().await;
}
