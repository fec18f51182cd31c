//! The whole node through PgBouncer in transaction mode: no transaction meets the session of the
//! one before it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod postgres;

use std::path::Path;

use bigbrotr_testkit::{Population, PopulationConfig, SimEvent, SimRelayConfig};
use common::{Node, bigbrotr, eventually, get_json, output, sync};
use nostr::Keys;
use postgres::Server;
use postgres::pooler::{self, Pooler};

const EVENTS: usize = 400;

/// Writes the events as other relays' tools do.
fn file_of(population: &Population, path: &Path) {
    let lines: Vec<&str> = population.events().iter().map(SimEvent::json).collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_through_a_pooler_in_transaction_mode() {
    if !pooler::is_installed() {
        println!("skipped: there is no pgbouncer on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let server = Server::start(&place.join("primary"), &[]);
    server.sql("postgres", "create database bigbrotr");
    let pooler = Pooler::start(place, &server);
    let (pooled, direct) = (pooler.url("bigbrotr"), server.url("bigbrotr"));

    // One relay that can be measured and archived; the other half of the events is imported.
    let population = Population::generate(&PopulationConfig::new(3, EVENTS, 1_750_000_000));
    let half = population.events()[..EVENTS / 2].to_vec();
    let relay = sync::relay(1, half, SimRelayConfig::default()).await;
    std::fs::write(place.join("relays.txt"), relay.url() + "\n").unwrap();
    let file = place.join("events.jsonl");
    file_of(&population, &file);

    let data = place.join("data");
    let command = |words: &[&str]| {
        let mut command = bigbrotr(&data);
        command.args(["--database-url", &pooled]).args(words);
        command.env("BIGBROTR__DATABASE__DIRECT_URL", &direct);
        let (done, stdout, stderr) = output(&mut command);
        assert!(done.status.success(), "{words:?}: {stdout}{stderr}");
        stdout
    };
    command(&["init"]);

    let secret = Keys::generate().secret_key().to_secret_hex();
    let settings = [
        ("BIGBROTR__DATABASE__DIRECT_URL", direct.as_str()),
        ("BIGBROTR_SECRET_KEY", secret.as_str()),
    ];
    // Two processes with everything: their statements have the same names, if they have any.
    let services = "initializer,rollup,retention,relay,api,dvm,finder,validator,monitor,\
                    synchronizer,priority-synchronizer";
    let start = |n: usize| -> Node {
        sync::node(
            &place.join(format!("data-{n}")),
            &pooled,
            services,
            &settings,
        )
    };
    let (one, two) = (start(1), start(2));
    command(&["import", file.to_str().unwrap()]);
    eventually(
        "every event is archived and counted, and the relay measured",
        || {
            let stats = get_json(&format!("{}/v1/events/stats?window=all", one.api));
            let relays = get_json(&format!("{}/v1/relays?status=online", two.api));
            // Reports of the monitor are in the archive of nobody but our relay.
            stats["data"]["events"].as_u64() == Some(EVENTS as u64)
                && relays["data"].as_array().unwrap().len() == 1
        },
    );
    for node in [&one, &two] {
        let (done, answer, said) =
            output(bigbrotr(&data).args(["ask", "--relay", &node.relay, "kinds.list", "limit=3"]));
        assert!(done.status.success(), "{said}");
        assert!(answer.contains("\"next\":"), "{answer}");
    }
    let stats = command(&["query", "events.stats"]);
    assert!(stats.contains(&format!("\"events\":{EVENTS}")), "{stats}");
    assert_eq!(command(&["export"]).lines().count(), EVENTS);
    command(&["status", "--json"]);
    command(&["verify"]);
    let dump = place.join("bigbrotr.dump");
    command(&["backup", dump.to_str().unwrap()]);
    assert!(dump.metadata().unwrap().len() > 0);

    // Both relays listen where a pooler cannot be in between.
    let listening = server.sql(
        "bigbrotr",
        "select count(*) from pg_stat_activity where query ilike 'listen %'",
    );
    assert!(listening.parse::<u32>().unwrap() >= 2, "{listening}");
    assert_eq!(one.terminate(), Some(0));
    assert_eq!(two.terminate(), Some(0));
    let log = server.log();
    let wrong: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("prepared statement") || line.contains("bind message"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(
        !log.contains("there is no transaction in progress"),
        "{log}"
    );
}
