//! `bigbrotr demo --once`: the whole node against simulated relays.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{bigbrotr, output};

#[test]
fn the_demo_finds_what_the_relays_hold_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let free = [
        "--relay-listen",
        "127.0.0.1:0",
        "--api-listen",
        "127.0.0.1:0",
    ];
    let (done, stdout, stderr) = output(
        bigbrotr(&data)
            .args(["demo", "--once", "--metrics-listen", "127.0.0.1:0"])
            .args(free),
    );
    assert!(done.status.success(), "{stdout}\n{stderr}");
    assert!(
        stdout.contains("relays      6 measured, 5 online"),
        "{stdout}"
    );
    assert!(
        stdout.contains("distinct events") && stdout.contains(": complete"),
        "{stdout}"
    );
    assert!(stdout.contains("equal to their recomputation"), "{stdout}");
    assert!(
        stdout.contains(r#"{"data":{"window":"all","events":"#),
        "{stdout}"
    );
    // The data directory was given, so it stays, and commands work on it with no node running.
    let (done, stdout, stderr) = output(bigbrotr(&data).arg("verify"));
    assert!(done.status.success(), "{stdout}\n{stderr}");
    let (done, stdout, _) = output(bigbrotr(&data).args(["query", "networks.list"]));
    assert!(done.status.success());
    assert!(stdout.starts_with(r#"{"data":[{"network":"clearnet","relays":6,"online":5}],"#));
}
