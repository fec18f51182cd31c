//! `bigbrotr import` as operators meet it: packed, cut, broken, interrupted and repeated files.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bigbrotr_core::event::Event;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::{ImportRecord, Store};
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::population::{EventMaker, InvalidEvents, author_keys};
use bigbrotr_testkit::{Population, PopulationConfig};
use common::{bigbrotr, output, signal};
use sha2::{Digest, Sha256};

/// A database and a folder for files.
struct Place {
    store: Store,
    database: TestDatabase,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let (store, database) = test_store().await;
        let folder = tempfile::tempdir().unwrap();
        Self {
            store,
            database,
            folder,
        }
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn command(&self) -> Command {
        let mut command = bigbrotr(&self.folder.path().join("data"));
        command.args(["--database-url", &self.database.url(), "import"]);
        command
    }

    /// Imports: the exit code, standard output and standard error.
    fn import(&self, args: &[&str], files: &[&Path]) -> (Option<i32>, String, String) {
        let (done, stdout, stderr) = output(self.command().args(args).args(files));
        (done.status.code(), stdout, stderr)
    }

    /// Imports what comes through a pipe.
    fn import_stream(&self, bytes: &[u8]) -> (Option<i32>, String, String) {
        let mut child = self
            .command()
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let done = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    }

    async fn ids(&self) -> BTreeSet<String> {
        let events = self.store.list_events(0, 1_000_000).await.unwrap();
        events
            .into_iter()
            .map(|(_, event)| event.unwrap().id.to_hex())
            .collect()
    }

    async fn records(&self, file: &Path) -> Vec<ImportRecord> {
        let bytes = fs::read(file).unwrap();
        let head = Sha256::digest(&bytes[..bytes.len().min(65_536)]);
        self.store.list_imports(head.into(), None).await.unwrap()
    }

    /// Waits until the import of a file has stored that something is done.
    async fn first_progress(&self, file: &Path, import: &mut Child) -> ImportRecord {
        let deadline = std::time::Instant::now() + common::PATIENCE;
        loop {
            let records = self.records(file).await;
            if let Some(record) = records.iter().find(|record| record.progress.lines > 0) {
                return *record;
            }
            assert!(import.try_wait().unwrap().is_none(), "it ended too early");
            assert!(std::time::Instant::now() < deadline, "no progress");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn statistics_are_true(&self, events: u64) {
        assert_eq!(self.store.count_events().await.unwrap(), events);
        let differences = self.store.verify_statistics(10).await.unwrap();
        assert!(differences.is_empty(), "{differences:#?}");
    }
}

fn population(seed: u64, events: usize) -> Vec<String> {
    let population = Population::generate(&PopulationConfig::new(seed, events, 1_700_000_000));
    let events = population.events().iter();
    events.map(|event| event.json().to_owned()).collect()
}

fn text(lines: &[String]) -> String {
    lines.join("\n") + "\n"
}

fn ids(lines: &[String]) -> BTreeSet<String> {
    let id = |line: &String| Event::from_json(line).unwrap().id.to_hex();
    lines.iter().map(id).collect()
}

fn grouped(number: usize) -> String {
    let (thousands, rest) = (number / 1_000, number % 1_000);
    match thousands {
        0 => rest.to_string(),
        _ => format!("{thousands} {rest:03}"),
    }
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    zstd::encode_all(bytes.as_ref(), 1).unwrap()
}

#[tokio::test]
async fn bad_lines_and_refused_events_are_named_counted_and_never_fatal() {
    let place = Place::new().await;
    let events = population(1, 20);
    let invalid = InvalidEvents::new(author_keys(1, 1), 5);
    let mut lines = vec![
        format!("\u{feff}{}", events[0]),
        "this is no event".to_owned(),
        String::new(),
        format!("[\"EVENT\",\"sub\",{}]\r", events[1]),
        "\r".to_owned(),
        invalid.wrong_id().to_json(),
        format!("[\"EVENT\", {}]", events[2]),
        invalid.wrong_signature().to_json(),
        format!("{{\"content\":\"{}\"}}", "x".repeat(17 << 20)),
        invalid.kind_too_large(),
    ];
    lines.extend_from_slice(&events[3..]);
    let file = place.file("events.jsonl", lines.join("\n"));
    let (code, stdout, stderr) = place.import(&[], &[&file]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stdout.starts_with("27 lines: 20 new events, 0 known, 2 refused, 3 bad lines; "),
        "{stdout}{stderr}"
    );
    assert_eq!(place.ids().await, ids(&events));
    let reported: Vec<&str> = stderr.lines().collect();
    for (n, start) in [
        "line 2: neither an event",
        "line 6: refused: the id does not match",
        "line 8: refused: the signature is wrong",
        "line 9: longer than 16777216 bytes",
        "line 10: invalid value: integer `65537`",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(reported[n].starts_with(start), "{stderr}");
    }
    assert_eq!(reported.len(), 5, "{stderr}");
    place.statistics_are_true(20).await;

    let (code, stdout, stderr) =
        place.import(&["--restart", "--max-reported", "2"], &[&file, &file]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("54 lines: 0 new events, 40 known, 4 refused, 6 bad lines; "));
    let reported: Vec<&str> = stderr.lines().collect();
    assert!(reported[0].contains("events.jsonl line 2: "), "{stderr}");
    assert!(reported[2].contains("only counted"), "{stderr}");
    assert_eq!(reported.len(), 3, "{stderr}");
}

#[tokio::test]
async fn strict_stops_at_the_first_bad_line_with_everything_before_it_durable() {
    let place = Place::new().await;
    let events = population(2, 2_500);
    for (number, bad) in [
        (2_301, "not json".to_owned()),
        (
            1_702,
            InvalidEvents::new(author_keys(1, 1), 5)
                .wrong_signature()
                .to_json(),
        ),
    ] {
        let mut lines = events.clone();
        lines.insert(number - 1, bad);
        lines[number + 5] = "worse".to_owned();
        let file = place.file("strict.jsonl", text(&lines));
        let (code, _, stderr) = place.import(&["--strict"], &[&file]);
        assert_eq!(code, Some(1), "{stderr}");
        let start = format!("strict.jsonl line {number}: stopped");
        assert!(stderr.contains(&start), "{stderr}");
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
        let before = ids(&events[..number - 1]);
        assert!(place.ids().await.is_superset(&before));
        // It does not get further without being allowed to; then it goes on from there.
        let (code, _, stderr) = place.import(&["--strict"], &[&file]);
        assert_eq!(code, Some(1));
        assert!(stderr.contains("were imported before") && stderr.contains(&start));
        let (code, stdout, _) = place.import(&[], &[&file]);
        assert_eq!(code, Some(0));
        assert!(stdout.starts_with("2 501 lines: "), "{stdout}");
        // Only the line that took an event's place is missing.
        assert!(place.ids().await.len() >= 2_499);
    }
}

#[tokio::test]
async fn a_cut_file_gives_every_whole_line_and_is_continued_once_it_is_whole() {
    for (name, pack) in [("cut.gz", gzip as fn(String) -> Vec<u8>), ("cut.zst", zstd)] {
        let place = Place::new().await;
        let lines = population(3, 3_000);
        // Packed in several parts, as tools that append write them.
        let mut whole = pack(text(&lines[..1_000]));
        whole.extend(pack(text(&lines[1_000..])));
        let file = place.file(name, &whole[..whole.len() * 3 / 4]);
        let (code, stdout, stderr) = place.import(&[], &[&file]);
        assert_eq!(code, Some(1));
        let done: usize = {
            let (_, rest) = stderr.split_once("is cut off after line ").unwrap();
            rest.split_once(',').unwrap().0.parse().unwrap()
        };
        assert!(done > 1_000 && done < 3_000, "{stderr}");
        assert!(stdout.contains(" 0 bad lines"), "{stdout}");
        let offset = format!("byte {} of the text", text(&lines[..done]).len());
        assert!(stderr.contains(&offset), "{stderr}");
        assert_eq!(place.ids().await, ids(&lines[..done]));

        fs::write(&file, &whole).unwrap();
        let (code, stdout, stderr) = place.import(&[], &[&file]);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stderr.contains("were imported before"), "{stderr}");
        assert!(
            stdout.starts_with("3 000 lines: 3 000 new events, 0 known"),
            "{stdout}"
        );
        assert_eq!(place.ids().await, ids(&lines));
        place.statistics_are_true(3_000).await;
    }
}

#[tokio::test]
async fn streams_are_unpacked_like_files() {
    let place = Place::new().await;
    let lines = population(4, 90);
    for (n, bytes) in [
        text(&lines[..30]).into_bytes(),
        gzip(text(&lines[30..60])),
        zstd(text(&lines[60..])),
    ]
    .iter()
    .enumerate()
    {
        let (code, stdout, stderr) = place.import_stream(bytes);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(stdout.starts_with("30 lines: 30 new events"), "{stdout}");
        assert_eq!(place.ids().await, ids(&lines[..(n + 1) * 30]));
    }
    let (code, stdout, _) = place.import_stream(b"");
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("0 lines: 0 new"), "{stdout}");
}

#[tokio::test]
async fn a_killed_import_goes_on_where_its_durable_work_ended() {
    let place = Place::new().await;
    let lines = population(5, 30_000);
    let file = place.file("big.jsonl.zst", zstd(text(&lines)));
    let mut child = place.command().arg(&file).spawn().unwrap();
    let record = place.first_progress(&file, &mut child).await;
    child.kill().unwrap();
    child.wait().unwrap();
    // What is said to be done is.
    let record = place
        .records(&file)
        .await
        .into_iter()
        .next()
        .unwrap_or(record);
    let done = record.progress.lines as usize;
    assert!(!record.complete && done < lines.len());
    let offset = text(&lines[..done]).len();
    assert_eq!(record.progress.offset_bytes, offset as u64);
    assert!(place.ids().await.is_superset(&ids(&lines[..done])));

    let (code, stdout, stderr) = place.import(&[], &[&file]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("30 000 lines: "), "{stdout}");
    assert!(
        stdout.contains(" of the lines were imported before"),
        "{stdout}"
    );
    assert_eq!(place.ids().await, ids(&lines));
    place.statistics_are_true(30_000).await;
    assert!(place.records(&file).await[0].complete);
}

#[tokio::test]
async fn ctrl_c_ends_in_order_and_says_how_to_go_on() {
    let place = Place::new().await;
    let lines = population(6, 40_000);
    let file = place.file("big.jsonl", text(&lines));
    let mut child = place
        .command()
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    place.first_progress(&file, &mut child).await;
    signal("INT", child.id());
    let done = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("the same command goes on behind them"),
        "{stderr}"
    );
    let record = place.records(&file).await[0];
    let durable = record.progress.lines as usize;
    assert!(!record.complete && durable < lines.len());
    assert!(place.ids().await.is_superset(&ids(&lines[..durable])));
    assert_eq!(record.progress.ingested.new as usize, durable);
    let said = format!("interrupted: {} lines of ", grouped(durable));
    assert!(stderr.contains(&said), "{stderr}");

    let (code, stdout, _) = place.import(&[], &[&file]);
    assert_eq!(code, Some(0));
    assert!(stdout.starts_with("40 000 lines: "), "{stdout}");
    assert!(stdout.contains(" 0 refused, 0 bad lines"), "{stdout}");
    assert_eq!(place.ids().await, ids(&lines));
    place.statistics_are_true(40_000).await;
}

#[tokio::test]
async fn a_stream_that_is_interrupted_says_how_much_is_done() {
    let place = Place::new().await;
    let mut child = place
        .command()
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = population(7, 1_500);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text(&lines).as_bytes()).unwrap();
    // Nothing that is there is held back, although the stream has not ended.
    let deadline = std::time::Instant::now() + common::PATIENCE;
    while place.ids().await.len() < 1_500 {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    signal("INT", child.id());
    let done = child.wait_with_output().unwrap();
    drop(stdin);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.contains("interrupted: 1 500 lines of - are imported; a stream cannot be resumed"),
        "{stderr}"
    );
}

#[tokio::test]
async fn files_are_known_again_and_continued_when_they_have_grown() {
    let place = Place::new().await;
    let lines = population(8, 400);
    let first = place.file("first.jsonl", text(&lines[..150]));
    // The last line is being written.
    let half = lines[299].len() / 2;
    let log = text(&lines[150..299]) + &lines[299][..half];
    let second = place.file("second.jsonl", &log);
    assert!(log.len() > 65_536);
    let (code, stdout, stderr) = place.import(&[], &[&first, &second]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("300 lines: 299 new events"), "{stdout}");
    assert!(stdout.contains(" 1 bad lines"), "{stdout}");
    assert!(stderr.contains("second.jsonl line 150: "), "{stderr}");

    // Nothing changed: nothing is done.
    let (code, stdout, stderr) = place.import(&[], &[&first, &second]);
    assert_eq!(
        (code, stderr.matches("to its end before").count()),
        (Some(0), 2)
    );
    assert!(stdout.starts_with("0 lines: "), "{stdout}");

    // The log grew, and the half line is whole now.
    let log = log + &lines[299][half..] + "\n" + &text(&lines[300..]);
    fs::write(&second, &log).unwrap();
    let (code, stdout, stderr) = place.import(&[], &[&first, &second]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("149 lines were imported before"),
        "{stderr}"
    );
    assert!(
        stdout.starts_with("250 lines: 250 new events, 0 known, 0 refused, 0 bad lines"),
        "{stdout}"
    );
    assert_eq!(place.ids().await, ids(&lines));

    // Another relay is another import, and --restart another one too.
    let (_, stdout, _) = place.import(&["--relay", "wss://relay.example.com"], &[&second]);
    assert!(
        stdout.starts_with("250 lines: 0 new events, 250 known"),
        "{stdout}"
    );
    let (_, stdout, _) = place.import(&["--restart"], &[&second]);
    assert!(
        stdout.starts_with("250 lines: 0 new events, 250 known"),
        "{stdout}"
    );
    // Renamed it is the same file.
    let renamed = place.folder.path().join("renamed");
    fs::rename(&second, &renamed).unwrap();
    let (_, _, stderr) = place.import(&[], &[&renamed]);
    assert!(stderr.contains("to its end before"), "{stderr}");
    place.statistics_are_true(400).await;
}

#[tokio::test]
async fn a_wrong_name_is_heard_of_before_anything_is_done() {
    let place = Place::new().await;
    let good = place.file("good.jsonl", text(&population(9, 5)));
    let missing = place.folder.path().join("missing.jsonl");
    let (code, _, stderr) = place.import(&[], &[&good, &missing]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("missing.jsonl"), "{stderr}");
    assert!(place.ids().await.is_empty());
    let (code, _, stderr) = place.import(&[], &[place.folder.path()]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("is a directory"), "{stderr}");
}

/// Explodes to `lines` lines of `bytes` bytes each.
fn bomb(lines: usize, bytes: usize) -> Vec<u8> {
    let line = vec![b'['; bytes];
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..lines {
        encoder.write_all(&line).unwrap();
        encoder.write_all(b"\n").unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_decompression_bomb_takes_no_memory() {
    let place = Place::new().await;
    // One line of 512 MiB, and many of the longest that are held.
    let mut packed = bomb(1, 512 << 20);
    packed.extend(bomb(40, 16 << 20));
    packed.extend(zstd(EventMaker::new(5).sign(&author_keys(1, 1)).to_json()));
    let file = place.file("bomb.zst", &packed);
    let mut child = place
        .command()
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let done = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(done.stdout).unwrap();
    assert!(
        stdout.starts_with("42 lines: 1 new events, 0 known, 0 refused, 41 bad lines"),
        "{stdout}"
    );
    assert!(peak_kib > 0 && peak_kib < 300_000, "{peak_kib} KiB");
}
