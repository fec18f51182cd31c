//! `bigbrotr status`: how far the work on relays is, for people, for programs, and as metrics.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::{execute, test_store};
use common::{Node, PATIENCE, bigbrotr, eventually, get, output, signal};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::{Value, json};

const NOW: &str = "extract(epoch from clock_timestamp())::bigint";

/// Three relays: one being archived, one caught up with, one that says terrible things.
async fn world() -> (Store, TestDatabase) {
    let (store, database) = test_store().await;
    let urls: Vec<RelayUrl> = ["a", "b", "c"]
        .iter()
        .map(|name| RelayUrl::parse(&format!("wss://{name}.example.com"), &UrlPolicy::default()))
        .map(Result::unwrap)
        .collect();
    store.insert_relays(&urls).await.unwrap();
    for (name, change) in [
        (
            "a",
            "leased_until = NOW + 100000, method = 'negentropy', covered_from = 0,
             covered_to = 1700000000, scan_top = NOW - 100, scan_at = NOW - 1100,
             scan_floor = NOW - 2100, scan_began_at = NOW - 500, new_events = 12,
             known_events = 34, linked_events = 5, received_bytes = 25000",
        ),
        (
            "b",
            "due_at = NOW + 100000, method = 'paging', covered_from = 1600000000,
             covered_to = 1650000000, caught_up_at = NOW - 700, new_events = 99999",
        ),
        (
            "c",
            "due_at = NOW + 100000, failures = 2, last_error =
             E'\\x1b[2J\\x1b]0;owned\\x07cannot\\r\\nconnect \\u009b31m\\u202eback'",
        ),
    ] {
        let change = change.replace("NOW", NOW);
        let sql = format!(
            "update sync_state set {change}
             where relay_id = (select id from relays where url = 'wss://{name}.example.com')"
        );
        execute(&store, &sql).await;
    }
    execute(
        &store,
        "insert into sync_gaps (relay_id, since, until, reason, found_at)
         select id, 1, 2, 'x', 1 from relays where url = 'wss://a.example.com'",
    )
    .await;
    (store, database)
}

fn status(data: &Path, database: &str, more: &[&str]) -> Command {
    let mut command = bigbrotr(data);
    command
        .args(["--database-url", database, "status"])
        .args(more);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_shows_relays_and_says_nothing_hostile() {
    let (_store, database) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let (done, stdout, stderr) = output(&mut status(folder.path(), &database.url(), more));
        assert!(done.status.success(), "{stdout}{stderr}");
        stdout
    };
    let text = run(&[]);
    assert!(
        text.contains("\n  archiving   1 syncing, 1 caught up, 1 failing\n"),
        "{text}"
    );
    assert!(text.contains("1 gaps, 0 promised events missing"), "{text}");
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("  RELAY "))
        .collect();
    let words = |row: usize| {
        rows[row]
            .split_whitespace()
            .collect::<Vec<&str>>()
            .join(" ")
    };
    assert_eq!(rows.len(), 4, "{text}");
    assert_eq!(
        words(0),
        "RELAY STATUS METHOD COVERED (UTC) NEW KNOWN LINKED BYTES GAPS/MISSING LEFT LAST ERROR"
    );
    assert!(
        words(1).starts_with(
            "wss://a.example.com syncing negentropy start–2023-11-14 12 34 5 25 kB 1/0 8 min"
        ),
        "{text}"
    );
    assert_eq!(
        words(2),
        "wss://b.example.com caught up paging start–2022-04-15 99 999 0 0 0 B 0/0 –"
    );
    assert_eq!(
        words(3),
        "wss://c.example.com failing – – 0 0 0 0 B 0/0 – [2J ]0;owned cannot connect 31mback"
    );
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
    assert!(!text.contains('\u{202e}'), "{text:?}");

    let one = run(&["--relays", "1"]);
    assert!(
        one.contains("wss://a.example.com") && !one.contains("wss://b.example.com"),
        "{one}"
    );
    let none = run(&["--relays", "0"]);
    assert!(
        !none.contains("RELAY") && none.contains("1 syncing"),
        "{none}"
    );
    for bad in [["--relays", "-1"], ["--relays", "10001"], ["--watch", "0"]] {
        let (done, ..) = output(&mut status(folder.path(), &database.url(), &bad));
        assert_eq!(done.status.code(), Some(2), "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_all_of_it_as_json() {
    let (_store, database) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let (done, stdout, stderr) = output(&mut status(folder.path(), &database.url(), &["--json"]));
    assert!(done.status.success(), "{stderr}");
    // One line, and nothing in it that a terminal would obey.
    assert_eq!(stdout.lines().count(), 1);
    assert!(
        !stdout.contains(|c: char| c.is_control() && c != '\n'),
        "{stdout:?}"
    );
    let all: Value = serde_json::from_str(&stdout).unwrap();
    let names: Vec<&str> = all
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let mut expected = [
        "as_of",
        "database",
        "relays",
        "candidates",
        "archive",
        "statistics",
        "jobs",
        "sync",
    ];
    expected.sort_unstable();
    let mut sorted = names;
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
    assert_eq!(
        all["sync"]["statuses"],
        json!({"syncing": 1, "live": 0, "caught_up": 1, "waiting": 0, "failing": 1, "put_aside": 0})
    );
    assert_eq!(all["relays"]["known"], 3);
    assert_eq!(
        all["archive"],
        json!({"events": 0, "pubkeys": 0, "kinds": 0})
    );
    let relays = all["sync"]["relays"].as_array().unwrap();
    assert_eq!(relays.len(), 3);
    assert_eq!(relays[0]["relay"], "wss://a.example.com");
    assert_eq!(relays[0]["linked_events"], 5);
    assert_eq!(relays[0]["gaps"], 1);
    assert!(relays[0]["eta_seconds"].as_i64() >= Some(500));
    // What a relay said comes whole.
    let said = "\u{1b}[2J\u{1b}]0;owned\u{7}cannot\r\nconnect \u{9b}31m\u{202e}back";
    assert_eq!(relays[2]["last_error"], said);
}

/// Waits for the process; `None` when it does not end.
fn exit_code(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_one_table_follows_the_other_until_ctrl_c() {
    let (store, database) = world().await;
    let folder = tempfile::tempdir().unwrap();
    for json in [false, true] {
        let mut command = status(folder.path(), &database.url(), &["--watch", "1"]);
        command.args(json.then_some("--json"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = String::new();
        let mut wait_for = |what: &str| {
            for line in lines.by_ref().map_while(Result::ok) {
                seen.push_str(&line);
                seen.push('\n');
                if line.contains(what) {
                    return;
                }
            }
            panic!("no {what}: {seen}");
        };
        wait_for(if json {
            "\"new_events\":12,"
        } else {
            "wss://c.example.com"
        });
        // The next one is of the next moment.
        execute(
            &store,
            "update sync_state set new_events = 777 where new_events = 12",
        )
        .await;
        wait_for("777");
        execute(
            &store,
            "update sync_state set new_events = 12 where new_events = 777",
        )
        .await;
        signal("INT", child.id());
        assert_eq!(exit_code(&mut child), Some(0));
        assert!(!seen.contains('\u{1b}'), "{seen:?}");
        if json {
            assert!(
                seen.lines()
                    .all(|line| serde_json::from_str::<Value>(line).is_ok())
            );
        } else {
            assert!(seen.contains("UTC, every 1 s\n"), "{seen}");
        }
    }
    // Whoever has seen enough is no error.
    let mut child = status(folder.path(), &database.url(), &["--watch", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(exit_code(&mut child), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_the_table_fits_and_is_drawn_in_place() {
    let (_store, database) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let other = rustix::fs::open(
        name.as_c_str(),
        OFlags::RDWR | OFlags::NOCTTY,
        Mode::empty(),
    )
    .unwrap();
    let size = Winsize {
        ws_row: 40,
        ws_col: 64,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size).unwrap();
    let mut command = status(folder.path(), &database.url(), &["--watch=1"]);
    let mut child = command.stdout(Stdio::from(other)).spawn().unwrap();
    // The last of this process's handles: reading ends with the command.
    drop(command);
    let (sender, received) = mpsc::sync_channel(1_000);
    let mut master = File::from(terminal);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(count @ 1..) = master.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut bytes = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    // Two whole frames end by emptying what is below them.
    while String::from_utf8_lossy(&bytes).matches("\x1b[J").count() < 2 {
        let left = deadline.saturating_duration_since(Instant::now());
        bytes.extend(received.recv_timeout(left).unwrap());
    }
    signal("INT", child.id());
    assert_eq!(exit_code(&mut child), Some(0));
    drop(received);
    reader.join().unwrap();

    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.starts_with("\x1b[2J\x1b[HBigBrotr at "), "{text:?}");
    // The second is written over the first: the screen is emptied only once.
    assert_eq!(text.matches("\x1b[2J").count(), 1, "{text:?}");
    assert!(text.matches("\x1b[HBigBrotr at ").count() >= 2, "{text:?}");
    let plain = text
        .replace("\x1b[2J", "")
        .replace("\x1b[H", "")
        .replace("\x1b[J", "")
        .replace("\x1b[K", "");
    assert!(
        !plain.contains(|c: char| c.is_control() && !"\r\n".contains(c)),
        "{text:?}"
    );
    for line in plain.lines() {
        assert!(line.chars().count() <= 64, "{line:?}");
    }
    assert!(
        plain.contains("wss://a.example.com") && plain.contains("STATUS"),
        "{plain}"
    );
    assert!(!plain.contains("LINKED"), "{plain}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_on_relays_is_in_the_metrics() {
    let (store, database) = world().await;
    let folder = tempfile::tempdir().unwrap();
    let (none, list) = (
        folder.path().join("none.txt"),
        folder.path().join("list.txt"),
    );
    std::fs::write(&none, "# none\n").unwrap();
    std::fs::write(&list, "wss://b.example.com\nwss://c.example.com\n").unwrap();
    let flags = [
        ["--database-url", &database.url()],
        [
            "--services",
            "initializer,synchronizer,priority-synchronizer",
        ],
        ["--seed-relays", none.to_str().unwrap()],
        ["--priority-relays", list.to_str().unwrap()],
    ];
    let node = Node::start(&folder.path().join("data"), flags.as_flattened());
    let url = format!("{}/metrics", node.metrics);
    let value = |series: &str| -> Option<u64> {
        let (_, body) = get(&url);
        let line = body.lines().find_map(|line| line.strip_prefix(series))?;
        line.trim().parse().ok()
    };
    let relays = |scope: &str, status: &str| {
        value(&format!(
            "bigbrotr_synchronizer_relays{{scope=\"{scope}\",status=\"{status}\"}}"
        ))
    };
    // Counted as soon as the services run.
    eventually("relays are counted", || {
        relays("all", "syncing") == Some(1) && relays("priority", "failing") == Some(1)
    });
    assert_eq!(relays("all", "syncing"), Some(1));
    assert_eq!(relays("all", "caught_up"), Some(1));
    assert_eq!(relays("all", "failing"), Some(1));
    assert_eq!(relays("all", "live"), Some(0));
    assert_eq!(relays("priority", "syncing"), Some(0));
    assert_eq!(relays("priority", "caught_up"), Some(1));
    assert_eq!(relays("priority", "failing"), Some(1));
    let gaps = "bigbrotr_synchronizer_open_gaps{scope=\"all\"}";
    assert_eq!(value(gaps), Some(1));
    let missing = "bigbrotr_synchronizer_open_missing_events{scope=\"all\"}";
    assert_eq!(value(missing), Some(0));
    let lag = value("bigbrotr_synchronizer_priority_lag_seconds").unwrap();
    assert!((700..7_000).contains(&lag), "{lag}");
    assert_eq!(node.terminate(), Some(0));
    store.close().await;
}
