//! Commands without a node and beside one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use bigbrotr_testkit::{Population, PopulationConfig};
use common::{Node, bigbrotr, output, signal};

fn jsonl(events: usize) -> (String, Vec<String>) {
    let population = Population::generate(&PopulationConfig::new(11, events, 1_700_000_000));
    let mut lines: Vec<String> = population
        .events()
        .iter()
        .map(|event| event.json().to_owned())
        .collect();
    let text = lines.join("\n") + "\n";
    lines.sort();
    (text, lines)
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn import_then_export_gives_the_same_events_and_statistics_are_true() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("events.jsonl");
    let (mut text, lines) = jsonl(700);
    text.push_str("not json\n\n{\"id\":\"x\"}\n");
    std::fs::write(&file, &text).unwrap();

    let import = |args: &[&str]| {
        let (done, stdout, stderr) = output(bigbrotr(&data).arg("import").arg(&file).args(args));
        (done.status.code(), stdout, stderr)
    };
    let (code, stdout, stderr) = import(&["--relay", "wss://relay.example.com"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.starts_with("703 lines: 700 new events, 0 known, 0 refused, 2 bad lines; "),
        "{stdout}{stderr}"
    );
    assert!(
        stderr.contains("line 701: ") && stderr.contains("line 703: "),
        "{stderr}"
    );
    let (code, stdout, _) = import(&["--strict"]);
    assert_eq!(code, Some(1));
    assert!(stdout.contains("0 new events, 700 known"), "{stdout}");

    let (done, stdout, stderr) = output(bigbrotr(&data).arg("export"));
    assert!(done.status.success(), "{stderr}");
    assert_eq!(sorted(&stdout), lines);
    let (_, stdout, _) = output(bigbrotr(&data).args(["export", "--filter", r#"{"kinds":[1]}"#]));
    assert!(!stdout.is_empty() && stdout.lines().all(|line| line.contains("\"kind\":1,")));

    let (done, stdout, _) = output(bigbrotr(&data).arg("verify"));
    assert!(done.status.success(), "{stdout}");
    let (done, stdout, _) = output(bigbrotr(&data).arg("status"));
    assert!(done.status.success());
    assert!(stdout.contains("700 events of"), "{stdout}");
    let url = "url=wss://relay.example.com/";
    let (done, stdout, _) = output(bigbrotr(&data).args(["query", "relays.get", url]));
    assert!(
        done.status.success() && stdout.contains("\"events\":700,"),
        "{stdout}"
    );
    let (done, stdout, _) = output(bigbrotr(&data).args(["query", "events.stats", "window=x"]));
    assert_eq!(done.status.code(), Some(1));
    assert!(
        stdout.starts_with(r#"{"error":{"code":"invalid_param","#),
        "{stdout}"
    );
}

#[test]
fn commands_join_the_database_of_a_running_node() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let services = ["--services", "initializer,rollup,api,relay"];
    let seeds = folder.path().join("none.txt");
    std::fs::write(&seeds, "# none\n").unwrap();
    let seeds = seeds.display().to_string();
    let lists = ["--seed-relays", &seeds, "--priority-relays", &seeds];
    let node = Node::start(&data, &[&services[..], &lists[..]].concat());

    let mut import = bigbrotr(&data)
        .args(["import", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    import
        .stdin
        .take()
        .unwrap()
        .write_all(jsonl(50).0.as_bytes())
        .unwrap();
    let imported = import.wait_with_output().unwrap();
    let imported = String::from_utf8(imported.stdout).unwrap();
    assert!(imported.contains("50 new events"), "{imported}");

    common::eventually("the import in the statistics", || {
        let stats = common::get_json(&format!("{}/v1/events/stats", node.api));
        stats["data"]["events"] == 50
    });
    // Another node on the same data is refused, and the first goes on.
    let (second, _, stderr) = output(bigbrotr(&data).args(lists));
    assert!(!second.status.success());
    assert!(stderr.contains(&node.pid().to_string()), "{stderr}");
    assert_eq!(common::get(&format!("{}/health/live", node.api)).0, 200);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_reader_that_is_gone_ends_neither_a_command_nor_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    let keys = bigbrotr(folder.path())
        .arg("keys")
        .stdout(nobody())
        .status();
    assert!(keys.unwrap().success());
    let init = bigbrotr(folder.path())
        .arg("init")
        .stdout(nobody())
        .status();
    assert!(init.unwrap().success());

    let mut node = bigbrotr(folder.path())
        .args(["run", "--services", "initializer"])
        .args(["--metrics-listen", "127.0.0.1:0"])
        .stdout(nobody())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(node.stderr.take().unwrap());
    let mut lines = log.lines().map_while(Result::ok);
    let up = lines.any(|line| line.contains("the node is running"));
    assert!(up, "the node ended before it was up");
    signal("TERM", node.id());
    // Read to its end, so that it can be written.
    assert!(lines.any(|line| line.contains("the node has stopped")));
    assert!(node.wait().unwrap().success());
}

#[test]
fn a_database_where_nobody_listens_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (done, _, stderr) = output(
        bigbrotr(folder.path())
            .env("BIGBROTR__DATABASE__ACQUIRE_TIMEOUT", "1s")
            .args(["--database-url", "postgres://admin:x@127.0.0.1:1/bigbrotr"])
            .args(["query", "events.stats"]),
    );
    assert!(!done.status.success(), "{stderr}");
    assert!(stderr.contains("refused"), "{stderr}");
}
