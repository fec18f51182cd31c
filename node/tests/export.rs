//! `bigbrotr export` as operators meet it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::cmp::Reverse;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use bigbrotr_core::event::Event;
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use bigbrotr_testkit::{Population, PopulationConfig, SimEvent};
use common::{bigbrotr, output, signal};

const NOW: i64 = 1_700_000_000;

/// An archive that holds events, in this order.
struct Archive {
    store: Store,
    database: TestDatabase,
    folder: tempfile::TempDir,
    events: Vec<Event>,
}

impl Archive {
    /// Imports events, the first of them as those of a relay.
    async fn new(more: &[&str], events: &[Event], of_relay: usize) -> Self {
        let (store, database) = test_store().await;
        let mut archive = Self {
            store,
            database,
            folder: tempfile::tempdir().unwrap(),
            events: Vec::new(),
        };
        let (with, without) = events.split_at(of_relay);
        archive.import(
            &[more, &["--relay", "wss://relay.example.com"]].concat(),
            with,
        );
        archive.import(more, without);
        let archived = archive.store.list_events(0, 1_000_000).await.unwrap();
        archive.events = archived
            .into_iter()
            .filter_map(|(_, event)| event)
            .collect();
        archive
    }

    fn command(&self) -> Command {
        let mut command = bigbrotr(&self.folder.path().join("data"));
        command.args(["--database-url", &self.database.url()]);
        command
    }

    fn import(&self, args: &[&str], events: &[Event]) {
        let lines: Vec<String> = events.iter().map(Event::to_json).collect();
        let file = self.folder.path().join("import.jsonl");
        fs::write(&file, lines.join("\n")).unwrap();
        let (done, _, stderr) = output(self.command().arg("import").arg(&file).args(args));
        assert!(done.status.success(), "{stderr}");
    }

    fn export(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let (done, stdout, stderr) = output(self.command().arg("export").args(args));
        (done.status.code(), stdout, stderr)
    }

    fn export_filters(&self, filters: &[&str]) -> Vec<String> {
        let args: Vec<&str> = filters.iter().flat_map(|json| ["--filter", json]).collect();
        let (code, stdout, stderr) = self.export(&args);
        assert_eq!(code, Some(0), "{stderr}");
        let lines: Vec<String> = stdout.lines().map(ToOwned::to_owned).collect();
        let said = stderr.split(' ').next().unwrap();
        assert_eq!(said, lines.len().to_string(), "{stderr}");
        lines
    }

    /// What the in-memory matcher finds: limited filters first, each event once.
    fn expected(&self, filters: &[&str]) -> Vec<String> {
        let filters: Vec<Filter> = filters
            .iter()
            .map(|json| Filter::from_json(json).unwrap())
            .collect();
        let mut found: Vec<&Event> = Vec::new();
        for filter in filters.iter().filter(|filter| filter.limit.is_some()) {
            let matching = self.events.iter().filter(|event| filter.matches(event));
            let mut newest: Vec<&Event> = matching.collect();
            newest.sort_by_key(|event| (Reverse(event.created_at), event.id));
            newest.truncate(filter.limit.unwrap());
            for event in newest {
                if !found.contains(&event) {
                    found.push(event);
                }
            }
        }
        for event in &self.events {
            let unlimited = filters.iter().filter(|filter| filter.limit.is_none());
            if unlimited.into_iter().any(|filter| filter.matches(event)) && !found.contains(&event)
            {
                found.push(event);
            }
        }
        found.into_iter().map(Event::to_json).collect()
    }
}

fn population(seed: u64, events: usize) -> Vec<Event> {
    let population = Population::generate(&PopulationConfig::new(seed, events, NOW));
    population.events().iter().map(SimEvent::event).collect()
}

fn unpacked(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    let mut text = String::new();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => flate2::read::GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .map(drop)
            .unwrap(),
        "zst" => text = String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap(),
        _ => text = String::from_utf8(bytes).unwrap(),
    }
    text
}

#[tokio::test]
async fn filters_find_what_the_matcher_finds() {
    let mut events = population(1, 500);
    // Many at the same second, so that a limit has to choose by id; expired ones stay in.
    for n in 0..40 {
        let maker = EventMaker::new(NOW + 5).tag(["expiration", "1"]);
        events.push(maker.content(n.to_string()).sign(&author_keys(1, n % 3)));
    }
    let archive = Archive::new(&[], &events, 300).await;
    assert_eq!(archive.events.len(), 540);
    let (author, id) = (events[7].pubkey, events[9].id);
    let tag = |name: &str| {
        let with = events.iter().find_map(|event| event.tag_value(name));
        serde_json::to_string(with.unwrap()).unwrap()
    };
    let author = format!(r#"{{"authors":["{author}"]}}"#);
    let id = format!(r#"{{"ids":["{id}"]}}"#);
    let p_tag = format!(r##"{{"#p":[{}]}}"##, tag("p"));
    let p_tag_limit = format!(r##"{{"#p":[{}],"limit":2}}"##, tag("p"));
    let time = format!(r#"{{"since":{},"until":{}}}"#, NOW - 900_000, NOW + 5);
    let cases: &[&[&str]] = &[
        &["{}"],
        &[&author],
        &[&id],
        &[&p_tag],
        &[&p_tag_limit],
        &[&time],
        &[r#"{"kinds":[1,7]}"#, &author, &id],
        &[r#"{"limit":17}"#],
        &[r#"{"limit":0}"#],
        &[r#"{"limit":100000}"#],
        &[
            r#"{"kinds":[1],"limit":10}"#,
            r#"{"kinds":[1,7],"limit":10}"#,
        ],
        &[r#"{"kinds":[1]}"#, r#"{"limit":50}"#],
        &[r#"{"limit":0}"#, r#"{"kinds":[7]}"#],
        &[r#"{"kinds":[]}"#],
        &[r#"{"kinds":[]}"#, &id],
        &[r#"{"since":9,"until":8}"#],
    ];
    for filters in cases {
        assert_eq!(
            archive.export_filters(filters),
            archive.expected(filters),
            "{filters:?}"
        );
    }
    let all: Vec<String> = archive.events.iter().map(Event::to_json).collect();
    assert_eq!(archive.export_filters(&[]), all);

    for (args, words) in [
        (["--filter", "{\"kind\":1}"], "\"kind\" is unknown"),
        (["--filter", r#"{"search":"x"}"#], "full-text"),
        (
            ["--relay", "wss://unknown.example.com"],
            "not in the database",
        ),
        (["--relay", "x y"], "--relay"),
    ] {
        let (code, stdout, stderr) = archive.export(&args);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
}

#[tokio::test]
async fn only_what_a_relay_had_is_exported_when_asked() {
    let events = population(2, 200);
    let archive = Archive::new(&[], &events, 120).await;
    let (code, stdout, stderr) = archive.export(&["--relay", "wss://relay.example.com/"]);
    assert_eq!(code, Some(0), "{stderr}");
    let mut found: Vec<&str> = stdout.lines().collect();
    let mut expected: Vec<String> = events[..120].iter().map(Event::to_json).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    let filter = r#"{"kinds":[1],"limit":5}"#;
    let (_, stdout, _) =
        archive.export(&["--relay", "wss://relay.example.com", "--filter", filter]);
    assert_eq!(stdout.lines().count(), 5);
    assert!(
        stdout
            .lines()
            .all(|line| expected.contains(&line.to_owned()))
    );
}

#[tokio::test]
async fn a_file_is_packed_by_its_name_and_appears_when_it_is_whole() {
    let events = population(3, 300);
    let archive = Archive::new(&[], &events, 0).await;
    let all: Vec<String> = archive.events.iter().map(Event::to_json).collect();
    let folder = archive.folder.path().join("exports");
    fs::create_dir(&folder).unwrap();
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        let path = folder.join(name);
        let (code, stdout, stderr) = archive.export(&["-o", path.to_str().unwrap()]);
        assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
        assert!(stderr.contains("300 events exported"), "{stderr}");
        let text = unpacked(&path);
        assert_eq!(text.lines().collect::<Vec<_>>(), all, "{name}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);

    // A disk that is full is no whole export.
    let (code, _, stderr) = archive.export(&["-o", "/dev/full"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("cannot write on"), "{stderr}");
}

#[tokio::test]
async fn whoever_reads_it_may_stop_reading_and_ctrl_c_ends_it() {
    let events: Vec<Event> = (0..600)
        .map(|n| {
            let maker = EventMaker::new(NOW + n).content("x".repeat(10_000));
            maker.sign(&author_keys(1, 1))
        })
        .collect();
    let archive = Archive::new(&[], &events, 0).await;
    let export = || {
        let mut child = archive
            .command()
            .arg("export")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(Event::from_json(&line).is_ok());
        (child, stdout)
    };
    let (child, stdout) = export();
    drop(stdout);
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8(done.stderr).unwrap(), "");

    // Here the reader neither reads nor goes: in the middle of the archive, and when all of it was
    // read and waits to be written.
    for patience in [0, 1_000] {
        let (child, stdout) = export();
        std::thread::sleep(std::time::Duration::from_millis(patience));
        signal("INT", child.id());
        let done = child.wait_with_output().unwrap();
        drop(stdout);
        assert_eq!(done.status.code(), Some(130));
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert!(stderr.contains("not whole"), "{stderr}");
    }
}

#[tokio::test]
async fn an_archive_of_parts_says_what_it_leaves_out() {
    let lilbrotr = ["--implementation", "lilbrotr"];
    let archive = Archive::new(&lilbrotr, &population(4, 60), 30).await;
    let (code, stdout, stderr) = archive.export(&lilbrotr);
    assert_eq!((code, stdout.as_str()), (Some(0), ""), "{stderr}");
    assert!(stderr.contains("0 events exported"), "{stderr}");
    assert!(stderr.contains("60 events left out"), "{stderr}");
    let (_, _, stderr) = archive.export(&["--filter", r#"{"limit":7}"#]);
    assert!(stderr.contains("7 events left out"), "{stderr}");
}
