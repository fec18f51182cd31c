//! What is exported is what was imported, byte for byte, whatever it is.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use bigbrotr_core::event::Event;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::population::{author_keys, sign};
use common::{bigbrotr, output};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Text of any Unicode scalars, those that make trouble more often than others.
fn text(most: usize) -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        3 => any::<char>(),
        2 => proptest::char::range(' ', '~'),
        1 => proptest::sample::select(vec![
            '\0', '\u{1}', '\u{8}', '\t', '\n', '\r', '\u{c}', '\u{1f}', '"', '\\', '/', '\u{7f}',
            '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}', '\u{fffd}', '\u{ffff}', '\u{10ffff}',
        ]),
    ];
    proptest::collection::vec(scalar, 0..most).prop_map(|chars| chars.into_iter().collect())
}

fn event() -> impl Strategy<Value = Event> {
    let created_at = prop_oneof![
        Just(0_i64),
        Just((1 << 53) - 1),
        0..2_000_000_000_i64,
        0..(1_i64 << 53)
    ];
    let kind = prop_oneof![Just(0_u16), Just(1), Just(5), Just(u16::MAX), any::<u16>()];
    let tags = proptest::collection::vec(proptest::collection::vec(text(12), 0..4), 0..5);
    let content = prop_oneof![
        8 => text(80),
        1 => (text(40), 1..20_000_usize).prop_map(|(text, times)| text.repeat(times)),
    ];
    (0..5_u64, created_at, kind, tags, content).prop_map(
        |(author, created_at, kind, tags, content)| {
            sign(&author_keys(1, author), created_at, kind, tags, content)
        },
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
    Zstd,
}

fn pack(packing: Packing, text: &[u8]) -> Vec<u8> {
    match packing {
        Packing::Plain => text.to_vec(),
        Packing::Zstd => zstd::encode_all(text, 3).unwrap(),
        Packing::Gzip => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// Imports the events, exports the archive to a file, imports that into another archive, and
/// exports this one: both have to be what went in.
fn goes_round(events: &[Event], packing: Packing) -> Result<(), TestCaseError> {
    let expected: BTreeSet<String> = events.iter().map(Event::to_json).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    // As tools write them: bare, or as messages.
    let dressed = events.iter().map(Event::to_json).enumerate();
    let text: String = dressed
        .map(|(n, json)| match n % 3 {
            0 => json + "\n",
            1 => "[\"EVENT\",".to_owned() + &json + "]\r\n",
            _ => "[\"EVENT\",\"s\",".to_owned() + &json + "]\n\n",
        })
        .collect();
    fs::write(&input, pack(packing, text.as_bytes())).unwrap();
    let packed = folder.path().join(match packing {
        Packing::Plain => "export.jsonl",
        Packing::Gzip => "export.jsonl.gz",
        Packing::Zstd => "export.jsonl.zst",
    });
    let data = folder.path().join("data");
    for (from, to) in [(&input, Some(&packed)), (&packed, None)] {
        let (store, database) = runtime.block_on(test_store());
        let run = || {
            let mut command = bigbrotr(&data);
            command.args(["--database-url", &database.url()]);
            command
        };
        let (done, stdout, stderr) = output(run().arg("import").arg(from));
        prop_assert!(done.status.success(), "{stdout}{stderr}");
        prop_assert!(
            stdout.contains(" 0 refused, 0 bad lines"),
            "{stdout}{stderr}"
        );
        let mut export = run();
        export.arg("export");
        if let Some(to) = to {
            export.arg("--output").arg(to);
        }
        let (done, stdout, stderr) = output(&mut export);
        prop_assert!(done.status.success(), "{stderr}");
        if to.is_none() {
            let lines: Vec<&str> = stdout.split_terminator('\n').collect();
            prop_assert_eq!(lines.len(), expected.len());
            let found: BTreeSet<String> = lines.into_iter().map(ToOwned::to_owned).collect();
            prop_assert_eq!(&found, &expected);
        }
        runtime.block_on(store.close());
    }
    Ok(())
}

#[test]
fn import_and_export_are_each_others_inverse() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 4,
        // A case takes seconds: a failure is shown as it is found.
        max_shrink_iters: 20,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let packing = proptest::sample::select(vec![Packing::Plain, Packing::Gzip, Packing::Zstd]);
    let case = (proptest::collection::vec(event(), 1..80), packing);
    runner
        .run(&case, |(events, packing)| goes_round(&events, packing))
        .unwrap();
    let big = sign(
        &author_keys(1, 1),
        7,
        1,
        vec![vec![], vec![String::new(); 1_000]],
        "\0😀".repeat(500_000),
    );
    for packing in [Packing::Plain, Packing::Gzip, Packing::Zstd] {
        goes_round(std::slice::from_ref(&big), packing).unwrap();
    }
}
