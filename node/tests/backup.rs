//! A backup, restored elsewhere, is the same archive, and the node that goes on there does nothing
//! twice.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "faces/mod.rs"]
mod customers;

use std::path::Path;
use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::{TestDatabase, TestServer};
use bigbrotr_schema::store::Store;
use bigbrotr_testkit::{Population, PopulationConfig, SimRelayConfig, TestClient};
use common::{bigbrotr, eventually, get_json, output, sync};
use customers::{RESULT, Subscriber, job, results};
use serde_json::json;

const EVENTS: usize = 300;

/// Runs a command on a database, the data directory's own if none is given.
fn run(data: &Path, database: Option<&TestDatabase>, words: &[&str]) -> (bool, String, String) {
    let mut command = bigbrotr(data);
    if let Some(database) = database {
        command.args(["--database-url", &database.url()]);
    }
    let (done, stdout, stderr) = output(command.args(words));
    (done.status.success(), stdout, stderr)
}

fn must(data: &Path, database: Option<&TestDatabase>, words: &[&str]) -> String {
    let (done, stdout, stderr) = run(data, database, words);
    assert!(done, "{words:?}: {stdout}{stderr}");
    stdout
}

async fn store(database: &TestDatabase) -> Store {
    let config = Arc::new(DatabaseConfig::default());
    Store::connect(&database.url(), config, Arc::new(SystemClock))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_may_stand_outside_of_the_url() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let database = TestServer::shared().await.empty_database().await;
    must(&data, Some(&database), &["init"]);
    let url = database.url();
    let (user, rest) = url.split_once('@').unwrap();
    let (user, password) = user.rsplit_once(':').unwrap();
    let file = folder.path().join("backup.dump");
    let mut command = bigbrotr(&data);
    command.args(["--database-url", &format!("{user}@{rest}"), "backup"]);
    command.env("BIGBROTR__DATABASE__PASSWORD", password);
    let (done, _, stderr) = output(command.arg(&file));
    assert!(done.status.success(), "{stderr}");
    assert!(file.metadata().unwrap().len() > 0);

    // Who fails leaves nothing, and the file of another that is at it alone.
    let other = folder.path().join("other.dump");
    let nobody = ["--database-url", "postgres://127.0.0.1:1/x", "backup"];
    let (done, _, _) = output(bigbrotr(&data).args(nobody).arg(&other));
    assert!(!done.status.success());
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("dump"))
        .collect();
    assert_eq!(left, ["backup.dump"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_node_goes_on_where_the_backup_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let data = place.join("data");
    let (file, again) = (place.join("backup.dump"), place.join("again.dump"));
    let file = file.to_str().unwrap();
    let population = Population::generate(&PopulationConfig::new(4, EVENTS, 1_750_000_000));
    let events = population.events().to_vec();
    let relay = [sync::relay(1, events, SimRelayConfig::default()).await];
    let held = sync::held(&relay).len() as u64;
    let [relay] = relay;
    std::fs::write(place.join("relays.txt"), relay.url() + "\n").unwrap();
    let settings = [("BIGBROTR__RELAY__PUBLIC_URL", "ws://relay.example.com")];
    let services = "initializer,rollup,relay,api,dvm,monitor,synchronizer";
    let first = TestServer::shared().await.empty_database().await;

    let node = sync::node(&data, &first.url(), services, &settings);
    let stats = |api: &str| get_json(&format!("{api}/v1/events/stats"))["data"].clone();
    eventually("everything archived", || {
        stats(&node.api)["events"].as_u64() == Some(held)
    });
    let request = job();
    let filter = json!({ "kinds": [RESULT] });
    let mut answers = Subscriber::connect(&node.relay, &filter).await.unwrap();
    let mut customer = TestClient::connect(&node.relay).await.unwrap();
    assert!(customer.publish(&request).await.unwrap().0);
    answers.until(1).await;
    let expected = stats(&node.api);
    // Beside the running node.
    must(&data, Some(&first), &["backup", file]);
    assert_eq!(node.terminate(), Some(0));
    let (done, _, stderr) = run(&data, Some(&first), &["backup", file]);
    assert!(!done && stderr.contains("exists"), "{stderr}");

    let second = TestServer::shared().await.empty_database().await;
    must(&data, Some(&second), &["restore", file]);
    must(&data, Some(&second), &["verify"]);
    let exported = |database| {
        let mut lines: Vec<String> = must(&data, Some(database), &["export"])
            .lines()
            .map(ToOwned::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(exported(&first), exported(&second));
    let (done, _, stderr) = run(&data, Some(&second), &["restore", file]);
    assert!(!done && stderr.contains("not empty"), "{stderr}");

    // The relay is asked for nothing that is there, and the job is not answered again.
    let sent = relay.stats().events_sent;
    let node = sync::node(&data, &second.url(), services, &settings);
    assert_eq!(stats(&node.api), expected);
    let mut customer = TestClient::connect(&node.relay).await.unwrap();
    assert!(customer.publish(&request).await.unwrap().0);
    let another = job();
    assert!(customer.publish(&another).await.unwrap().0);
    let mut answers = Subscriber::connect(&node.relay, &filter).await.unwrap();
    answers.until(2).await;
    let restored = store(&second).await;
    let answered = results(&restored).await;
    restored.close().await;
    assert_eq!(answered.len(), 2, "{answered:?}");
    assert!(answered.values().all(|count| *count == 1), "{answered:?}");
    let sent_again = relay.stats().events_sent - sent;
    assert!(
        sent_again < held / 10,
        "{sent_again} events downloaded again"
    );
    assert_eq!(node.terminate(), Some(0));

    // Into the private Postgres of another data directory, and out of it again, with no node.
    let laptop = place.join("laptop");
    must(&laptop, None, &["restore", file, "--jobs", "2"]);
    must(&laptop, None, &["verify"]);
    must(&laptop, None, &["backup", again.to_str().unwrap()]);
    let third = TestServer::shared().await.empty_database().await;
    must(&data, Some(&third), &["restore", again.to_str().unwrap()]);
    assert_eq!(exported(&first), exported(&third));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let data = place.join("data");
    let (whole, torn) = (place.join("whole.dump"), place.join("torn.dump"));
    let first = TestServer::shared().await.empty_database().await;
    must(&data, Some(&first), &["init"]);
    must(&data, Some(&first), &["backup", whole.to_str().unwrap()]);
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() - bytes.len() / 20]).unwrap();
    let second = TestServer::shared().await.empty_database().await;
    let (done, _, stderr) = run(&data, Some(&second), &["restore", torn.to_str().unwrap()]);
    assert!(!done, "{stderr}");
    must(&data, Some(&second), &["restore", whole.to_str().unwrap()]);
    must(&data, Some(&second), &["verify"]);
}
