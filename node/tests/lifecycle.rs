//! Crashes, outages and stops of the whole node.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::{Node, bigbrotr, eventually, get, get_json, output, signal};

const SERVICES: [&str; 2] = ["--services", "initializer,rollup,relay,api,dvm"];

fn start(data: &Path) -> Node {
    let seeds = data.parent().unwrap().join("none.txt");
    std::fs::write(&seeds, "# none\n").unwrap();
    let seeds = seeds.display().to_string();
    let lists = ["--seed-relays", &seeds, "--priority-relays", &seeds];
    Node::start(data, &[&SERVICES[..], &lists[..]].concat())
}

/// The process of the private Postgres, from where the summary says it is.
fn postmaster(node: &Node) -> u32 {
    let line = node
        .summary
        .lines()
        .find(|line| line.trim().starts_with("database"))
        .unwrap();
    let place = line
        .split(" in ")
        .nth(1)
        .unwrap()
        .rsplit_once(", port")
        .unwrap()
        .0;
    let pid = std::fs::read_to_string(Path::new(place).join("postmaster.pid")).unwrap();
    pid.lines().next().unwrap().parse().unwrap()
}

fn alive(pid: u32) -> bool {
    Command::new("kill")
        .args(["-0", &pid.to_string()])
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap()
        .success()
}

#[test]
fn a_killed_node_is_followed_by_one_that_finds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = start(&data);
    let server = postmaster(&first);
    let key = first
        .summary
        .lines()
        .find(|l| l.contains("npub1"))
        .unwrap()
        .to_owned();
    first.kill();
    assert!(alive(server), "the server goes on without its node");
    let second = start(&data);
    assert!(
        second.summary.contains(&key),
        "the key stays: {}",
        second.summary
    );
    assert_eq!(postmaster(&second), server, "the server is taken over");
    assert_eq!(second.terminate(), Some(0));
    eventually("the end of the server", || !alive(server));
    // Both killed: the next start recovers.
    let third = start(&data);
    let server = postmaster(&third);
    third.kill();
    signal("KILL", server);
    let fourth = start(&data);
    assert_eq!(get(&format!("{}/health/ready", fourth.api)).0, 200);
    assert_eq!(fourth.terminate(), Some(0));
}

#[test]
fn a_stopped_postgres_degrades_the_node_and_heals() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder.path().join("data"));
    let ready = format!("{}/health/ready", node.metrics);
    eventually("readiness", || get(&ready).0 == 200);
    let server = postmaster(&node);
    // Frozen first: the node must notice a server that is there but does not answer.
    signal("STOP", server);
    let children = Command::new("pkill")
        .args(["-STOP", "-P", &server.to_string()])
        .status();
    drop(children);
    eventually("the outage to be noticed", || get(&ready).0 == 503);
    assert_eq!(get(&format!("{}/health/live", node.metrics)).0, 200);
    drop(
        Command::new("pkill")
            .args(["-CONT", "-P", &server.to_string()])
            .status(),
    );
    signal("CONT", server);
    eventually("healing", || get(&ready).0 == 200);
    // Then stopped in order, by somebody else: the node brings its own server back.
    signal("INT", server);
    eventually("the end of the server", || !alive(server));
    eventually("healing", || get(&ready).0 == 200);
    let stats = get_json(&format!("{}/v1/events/stats", node.api));
    assert_eq!(stats["data"]["events"], 0);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--relay-listen", "--api-listen", "--metrics-listen"] {
        let mut command = common::bigbrotr(&folder.path().join("data"));
        for other in ["--relay-listen", "--api-listen", "--metrics-listen"] {
            command.args([
                other,
                if other == flag {
                    &address
                } else {
                    "127.0.0.1:0"
                },
            ]);
        }
        let (done, _, stderr) = common::output(&mut command);
        assert_eq!(done.status.code(), Some(1), "{flag}");
        assert!(
            stderr.contains(&address) && stderr.contains("hint: "),
            "{flag}: {stderr}"
        );
    }
}

#[test]
fn once_waits_for_nothing_that_others_have_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let seeds = folder.path().join("seeds.txt");
    std::fs::write(&seeds, "wss://relay.example.com\n").unwrap();
    let mut once = bigbrotr(&data);
    once.args(["--once", "--metrics-listen", "127.0.0.1:0"]);
    once.args(["--services", "initializer", "--seed-relays"]);
    let none = folder.path().join("none.txt");
    std::fs::write(&none, "# none\n").unwrap();
    once.arg(&seeds).arg("--priority-relays").arg(&none);
    let (done, _, said) = output(&mut once);
    assert!(done.status.success(), "{said}");
    let (done, status, said) = output(bigbrotr(&data).args(["status", "--json"]));
    assert!(done.status.success(), "{said}");
    assert!(status.contains("wss://relay.example.com"), "{status}");

    let url = ["init", "--seed-relays", "wss://relay.example.com"];
    let (done, _, said) = output(bigbrotr(&data).args(url));
    assert!(!done.status.success());
    assert!(said.contains("one URL a line"), "{said}");
}

#[test]
fn a_second_signal_ends_the_node_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let node = start(&folder.path().join("data"));
    let server = postmaster(&node);
    signal("STOP", server);
    signal("TERM", node.pid());
    std::thread::sleep(Duration::from_millis(500));
    let code = node.terminate();
    signal("CONT", server);
    signal("INT", server);
    assert_eq!(code, Some(130));
    eventually("the end of the server", || !alive(server));
}
