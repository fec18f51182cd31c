//! An implementation of one's own: a folder with SQL and a question, and no code.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::path::{Path, PathBuf};

use bigbrotr_testkit::{Population, PopulationConfig};
use common::{Node, bigbrotr, get_json, output};
use serde_json::{Value, json};

/// Copies the sample into a folder that a test may change.
fn sample(folder: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/implementations/sample");
    let to = folder.join("mine");
    for part in ["sql", "catalog", "config"] {
        std::fs::create_dir_all(to.join(part)).unwrap();
    }
    for part in ["sql", "catalog"] {
        for file in std::fs::read_dir(from.join(part)).unwrap() {
            let path = file.unwrap().path();
            std::fs::copy(&path, to.join(part).join(path.file_name().unwrap())).unwrap();
        }
    }
    for list in ["seed_relays.txt", "priority_relays.txt"] {
        std::fs::write(to.join(list), "# none\n").unwrap();
    }
    to
}

#[test]
fn a_folder_with_sql_and_a_question_answers_on_every_face() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mine = sample(folder.path());
    let mine = mine.display().to_string();
    let implementation = ["--implementation", &mine];
    let notes = json!([{ "relay": "wss://relay.example.com", "note": "an example" }]);
    let query = || {
        let (done, stdout, stderr) = output(
            bigbrotr(&data)
                .args(implementation)
                .args(["query", "notes.list"]),
        );
        assert!(done.status.success(), "{stdout}{stderr}");
        serde_json::from_str::<Value>(&stdout).unwrap()["data"].clone()
    };

    let (done, stdout, stderr) = output(bigbrotr(&data).args(implementation).arg("init"));
    assert!(done.status.success(), "{stderr}");
    assert!(
        stdout.contains("0001_notes.sql (new), 0002_public_notes.sql (new)"),
        "{stdout}"
    );
    assert!(stdout.contains("reads views, and nothing else"), "{stdout}");
    assert_eq!(query(), notes);

    let services = ["--services", "initializer,rollup,api"];
    let node = Node::start(&data, &[&services[..], &implementation[..]].concat());
    assert!(node.summary.contains("mine"), "{}", node.summary);
    assert_eq!(get_json(&format!("{}/v1/notes", node.api))["data"], notes);
    assert_eq!(query(), notes);
    let asked = get_json(&format!("{}/v1/catalog", node.api));
    let names = asked["data"].as_array().unwrap();
    assert!(names.iter().any(|entry| entry["name"] == "notes.list"));
    assert_eq!(node.terminate(), Some(0));

    // Run again, there is nothing to do; by another name, the same.
    let other = folder.path().join("other");
    std::fs::rename(&mine, &other).unwrap();
    let other = other.display().to_string();
    let (done, stdout, stderr) = output(bigbrotr(&data).args(["--implementation", &other, "init"]));
    assert!(done.status.success(), "{stderr}");
    assert!(
        stdout.contains("0001_notes.sql, 0002_public_notes.sql\n"),
        "{stdout}"
    );
}

#[test]
fn what_is_wrong_with_an_implementation_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mine = sample(folder.path());
    let implementation = mine.display().to_string();
    let init = |expected: &str| {
        let (done, _, stderr) =
            output(bigbrotr(&data).args(["--implementation", &implementation, "init"]));
        assert!(!done.status.success());
        assert!(
            stderr.contains(expected),
            "{expected} is missing in:\n{stderr}"
        );
    };
    let broken = mine.join("sql/0003_broken.sql");
    std::fs::write(&broken, "create table half (x int);\nselect nothing;\n").unwrap();
    init("sql/0003_broken.sql:2:8: the database refuses it");
    init("column \"nothing\" does not exist");
    std::fs::rename(&broken, mine.join("sql/broken.sql")).unwrap();
    init("sql/broken.sql: expected a name such as 0001_my_tables.sql");
    std::fs::remove_file(mine.join("sql/broken.sql")).unwrap();
    std::fs::write(
        mine.join("sql/0001_notes.sql"),
        "create table notes (x int);",
    )
    .unwrap();
    init("sql/0001_notes.sql: not the file 0001_notes.sql that the implementation mine");

    let replacing = "-- name: kinds.list\n-- help: h\n-- path: /my/kinds\nselect 1 as kind";
    std::fs::remove_dir_all(mine.join("sql")).unwrap();
    std::fs::write(mine.join("catalog/kinds.sql"), replacing).unwrap();
    let (done, _, stderr) = output(bigbrotr(&data).args([
        "--implementation",
        &implementation,
        "query",
        "events.stats",
    ]));
    assert!(!done.status.success());
    assert!(
        stderr
            .contains("catalog/kinds.sql: the name kinds.list is taken by built-in kinds.list.sql"),
        "{stderr}"
    );
}

#[test]
fn lilbrotr_counts_everything_and_keeps_the_heads_of_events() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let population = Population::generate(&PopulationConfig::new(5, 200, 1_700_000_000));
    let lines: Vec<&str> = population
        .events()
        .iter()
        .map(bigbrotr_testkit::SimEvent::json)
        .collect();
    let file = folder.path().join("events.jsonl");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let run = |args: &[&str]| {
        let (done, stdout, stderr) = output(
            bigbrotr(&data)
                .args(["--implementation", "lilbrotr"])
                .args(args),
        );
        assert!(done.status.success(), "{stdout}{stderr}");
        (stdout, stderr)
    };
    let file = file.display().to_string();
    let (stdout, _) = run(&["import", &file, "--relay", "wss://relay.example.com"]);
    assert!(stdout.contains("200 new events"), "{stdout}");
    run(&["verify"]);
    let (stdout, _) = run(&["query", "relays.get", "url=wss://relay.example.com"]);
    assert!(stdout.contains("\"events\":200,"), "{stdout}");

    let event: Value = serde_json::from_str(lines[0]).unwrap();
    let id = format!("id={}", event["id"].as_str().unwrap());
    let (stdout, _) = run(&["query", "events.get", &id]);
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    for key in ["id", "pubkey", "created_at", "kind"] {
        assert_eq!(answer["data"][key], event[key], "{key}");
    }
    for key in ["tags", "content", "sig"] {
        assert_eq!(answer["data"][key], Value::Null, "{key}");
    }
    let (stdout, stderr) = run(&["export"]);
    assert_eq!(stdout, "");
    assert!(stderr.contains("200 events left out"), "{stderr}");
}

/// Copies a folder, and takes `.example` off the names of examples.
fn copy_and_activate(from: &Path, to: &Path) -> usize {
    std::fs::create_dir_all(to).unwrap();
    let mut activated = 0;
    for entry in std::fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap().to_str().unwrap();
        if from.is_dir() {
            activated += copy_and_activate(&from, &to.join(name));
            continue;
        }
        let active = match (name, name.strip_suffix(".example")) {
            (".env.example", _) | (_, None) => name,
            (_, Some(active)) => active,
        };
        activated += usize::from(active != name);
        std::fs::copy(&from, to.join(active)).unwrap();
    }
    activated
}

#[test]
fn a_copy_of_the_template_with_its_examples_is_a_third_implementation() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../implementations/template");
    let mine = folder.path().join("third");
    // One table and one question.
    assert_eq!(copy_and_activate(&template, &mine), 2);
    let mine = mine.display().to_string();
    let implementation = ["--implementation", &mine];
    let run = |args: &[&str]| {
        let (done, stdout, stderr) = output(bigbrotr(&data).args(implementation).args(args));
        assert!(done.status.success(), "{stdout}{stderr}");
        stdout
    };
    run(&["config", "check"]);
    let done = run(&["init"]);
    assert!(done.contains("0001_watchlist.sql (new)"), "{done}");
    assert!(done.contains("6 given, 5 new"), "{done}");

    let known = |relay: &str, note: &str| json!({ "relay": relay, "note": note, "status": "unknown", "checked_at": null, "events": 0 });
    let all = json!([
        known("wss://nos.lol", "large and open"),
        known("wss://relay.damus.io", "where it all began"),
    ]);
    let asked: Value = serde_json::from_str(&run(&["query", "watchlist.list"])).unwrap();
    assert_eq!(asked["data"], all);

    let services = ["--services", "initializer,rollup,relay,api,dvm"];
    let node = Node::start(&data, &[&services[..], &implementation[..]].concat());
    assert!(node.summary.contains("third"), "{}", node.summary);
    let rest = get_json(&format!("{}/v1/watchlist", node.api));
    assert_eq!(rest["data"], all);
    let page = get_json(&format!("{}/v1/watchlist?limit=1", node.api));
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    let next = page["meta"]["next"].as_str().unwrap();
    let page = get_json(&format!("{}/v1/watchlist?limit=1&cursor={next}", node.api));
    assert_eq!(page["data"][0], all[1]);
    let online = get_json(&format!("{}/v1/watchlist?status=online", node.api));
    assert_eq!(online["data"], json!([]));
    let ask = run(&["ask", "--relay", &node.relay, "watchlist.list"]);
    let asked: Value = serde_json::from_str(&ask).unwrap();
    assert_eq!(asked["data"], all);
    assert_eq!(node.terminate(), Some(0));
}
