//! A primary with TLS and a standby made by `pg_basebackup`: the public faces read from the one
//! and outlive the other.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod postgres;

use std::path::Path;
use std::time::Duration;

use bigbrotr_testkit::{Population, PopulationConfig, SimEvent};
use common::{Node, bigbrotr, eventually, get, get_json, output, sync};
use postgres::tls::{self, Certificates};
use postgres::{Server, run_sql};
use serde_json::Value;

const EVENTS: usize = 300;

/// A URL that insists on the server's name and on the authority's word for it.
fn verified(server: &Server, host: &str, authority: &Path) -> String {
    format!(
        "postgres://postgres@{host}:{}/bigbrotr?sslmode=verify-full&sslrootcert={}",
        server.port,
        authority.display()
    )
}

fn init(data: &Path, url: &str) -> (bool, String) {
    let (done, _, stderr) = output(bigbrotr(data).args(["--database-url", url, "init"]));
    (done.status.success(), stderr)
}

fn import(place: &Path, url: &str) {
    let population = Population::generate(&PopulationConfig::new(9, EVENTS, 1_750_000_000));
    let lines: Vec<&str> = population.events().iter().map(SimEvent::json).collect();
    let file = place.join("events.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let (done, _, stderr) = output(
        bigbrotr(&place.join("data"))
            .args(["--database-url", url, "import"])
            .arg(&file),
    );
    assert!(done.status.success(), "{stderr}");
}

fn as_of(answer: &Value) -> i64 {
    answer["meta"]["as_of"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn faces_read_from_a_standby_and_outlive_the_primary() {
    if !postgres::is_installed() || !tls::is_installed() {
        println!("skipped: there are no programs of Postgres, or no openssl, on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let certificates = Certificates::make(place);
    let mut primary = Server::start(&place.join("primary"), &certificates.settings());
    primary.sql("postgres", "create database bigbrotr");
    let url = verified(&primary, "localhost", &certificates.authority);

    // Whoever cannot be believed is not spoken to: another authority, and another name.
    for wrong in [
        verified(&primary, "localhost", &certificates.stranger),
        verified(&primary, "127.0.0.1", &certificates.authority),
    ] {
        let (done, stderr) = init(&place.join("data"), &wrong);
        assert!(!done && stderr.contains("ertificate"), "{stderr}");
    }
    assert_eq!(
        primary.sql("bigbrotr", "select to_regclass('_sqlx_migrations') is null"),
        "t"
    );
    let (done, stderr) = init(&place.join("data"), &url);
    assert!(done, "{stderr}");
    import(place, &url);

    // The faces' login can do what the public role can, and nothing else.
    primary.sql(
        "bigbrotr",
        "create role faces login in role readonly_public",
    );
    let standby = primary.standby(&place.join("standby"));
    let replica =
        verified(&standby, "localhost", &certificates.authority).replace("postgres@", "faces@");
    let crawler = sync::node(&place.join("crawler"), &url, "initializer,rollup", &[]);
    let settings = [("BIGBROTR__DATABASE__REPLICA_URL", replica.as_str())];
    let faces = sync::node(&place.join("faces"), &url, "api", &settings);
    let stats = || get_json(&format!("{}/v1/events/stats", faces.api));
    let catalog = || get_json(&format!("{}/v1/catalog", faces.api));
    eventually("the standby has everything", || {
        stats()["data"]["events"].as_u64() == Some(EVENTS as u64)
    });
    let encrypted = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid)
        where usename = 'faces' and ssl";
    assert_ne!(standby.sql("bigbrotr", encrypted), "0");
    the_login_is_bound(&primary, &standby);

    primary.crash();
    // What the standby has heard by now is all there is.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = stats();
    let listed = catalog();
    assert_eq!(before["data"]["events"].as_u64(), Some(EVENTS as u64));
    assert_eq!(as_of(&listed), as_of(&before), "both say how old they are");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        as_of(&stats()),
        as_of(&before),
        "and nothing newer is pretended"
    );
    assert_eq!(as_of(&catalog()), as_of(&before));
    let (status, health) = get(&format!("{}/health/ready", faces.api));
    assert_eq!(
        status, 200,
        "a face that can answer stays in service: {health}"
    );
    eventually("who writes says that it cannot go on", || {
        get(&format!("{}/health/ready", crawler.metrics)).0 != 200
    });

    primary.run();
    eventually("the statistics move on", || {
        as_of(&catalog()) > as_of(&before)
    });
    stop(faces);
    stop(crawler);
}

fn the_login_is_bound(primary: &Server, standby: &Server) {
    for server in [primary, standby] {
        let url = server.url_as("faces", "bigbrotr");
        let events = run_sql(&url, "select events from events_statistics where win = 0");
        assert_eq!(events.unwrap(), EVENTS.to_string());
        for forbidden in [
            "select count(*) from events",
            "select count(*) from dvm_jobs",
            "insert into relays (url, network, discovered_at) values ('x', 'tor', 1)",
            "delete from rollup_queue",
            "create table mine (x int)",
            "set role admin",
        ] {
            let error = run_sql(&url, forbidden).unwrap_err();
            assert!(
                error.contains("permission denied") || error.contains("read-only"),
                "{forbidden}: {error}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_face_starts_without_its_replica_and_answers_once_it_is_there() {
    if !postgres::is_installed() {
        println!("skipped: there are no programs of Postgres on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let primary = Server::start(&place.join("primary"), &[]);
    primary.sql("postgres", "create database bigbrotr");
    let url = primary.url("bigbrotr");
    let (done, stderr) = init(&place.join("data"), &url);
    assert!(done, "{stderr}");
    let mut standby = primary.standby(&place.join("standby"));
    standby.crash();
    let replica = standby.url("bigbrotr");
    let settings = [
        ("BIGBROTR__DATABASE__REPLICA_URL", replica.as_str()),
        ("BIGBROTR__DATABASE__ACQUIRE_TIMEOUT", "5s"),
    ];
    let faces = sync::node(
        &place.join("faces"),
        &url,
        "initializer,rollup,relay,api,dvm",
        &settings,
    );
    let ask = || get(&format!("{}/v1/events/stats", faces.api));
    let (status, body) = ask();
    assert_eq!(status, 503, "{body}");
    // A job is taken, and waits.
    let mut job = bigbrotr(&place.join("data"));
    job.args(["ask", "--relay", &faces.relay, "events.stats"]);
    let asking = std::thread::spawn(move || output(&mut job));
    let unanswered = "select count(*) from dvm_jobs where state = 'queued'";
    eventually("the job waits", || {
        primary.sql("bigbrotr", unanswered) == "1"
    });
    standby.run();
    eventually("an answer", || ask().0 == 200);
    let (done, answer, said) = asking.join().unwrap();
    assert!(done.status.success(), "{answer}{said}");
    stop(faces);
}

fn stop(node: Node) {
    assert_eq!(node.terminate(), Some(0));
}
