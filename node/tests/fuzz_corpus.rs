//! What the fuzz targets hold to, over the committed inputs: on stable Rust, in every run of the
//! tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

#[path = "../../fuzz/properties.rs"]
mod properties;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The inputs of a target, with their names: those written by hand, and those that the fuzzer found.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = fuzz().join("seeds").join(target);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            (path.display().to_string(), std::fs::read(&path).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 10, "{target}: {} inputs", seeds.len());
    let found = fuzz().join("corpora").join(format!("{target}.jsonl"));
    let found = std::fs::read_to_string(found).unwrap();
    seeds.extend(found.lines().enumerate().map(|(n, line)| {
        let input: String = serde_json::from_str(line).unwrap();
        (
            format!("{target}.jsonl, line {}", n + 1),
            input.into_bytes(),
        )
    }));
    seeds
}

/// How often a target's inputs are changed at random: `FUZZ_ROUNDS`, or as often as takes a moment.
#[expect(
    clippy::disallowed_methods,
    reason = "how long to try is no configuration of a node"
)]
fn rounds() -> u64 {
    let given = std::env::var("FUZZ_ROUNDS").ok();
    given.map_or(500, |rounds| rounds.parse().unwrap())
}

/// Changes an input as a fuzzer does that does not see what is covered: bytes, pieces of other
/// inputs, repetitions, and what parsers stumble over.
fn mutate(bytes: &mut Vec<u8>, others: &[(String, Vec<u8>)], random: &mut StdRng) {
    const PIECES: [&str; 20] = [
        "\0",
        "\u{feff}",
        "\\u0000",
        "\\ud800",
        "\"",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "-",
        "%2f",
        "//",
        "65536",
        "9007199254740992",
        "18446744073709551616",
        "1e400",
        "\u{130}",
        "\n",
    ];
    for _ in 0..random.random_range(1..5) {
        let at = random.random_range(0..=bytes.len());
        let end = random.random_range(at..=bytes.len());
        match random.random_range(0..6) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.insert(at, random.random()),
            2 => {
                let piece = PIECES.choose(random).unwrap();
                bytes.splice(at..at, piece.bytes());
            }
            3 => {
                let (_, other) = others.choose(random).unwrap();
                let from = random.random_range(0..=other.len());
                let to = random.random_range(from..=other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            _ => {
                let piece = bytes[at..end.min(at + 64)].to_vec();
                let times = random.random_range(1..20);
                bytes.splice(at..at, piece.repeat(times));
            }
        }
        // Longer ones find nothing that these do not.
        bytes.truncate(8 * 1024);
    }
}

/// Holds a property to the inputs as they are, and changed. An input for which it does not hold is
/// printed, to be put beside the others.
fn replay_bytes(target: &str, property: fn(&[u8])) {
    let seeds = seeds(target);
    for (name, bytes) in &seeds {
        // Seen only where the property does not hold.
        println!("{name}");
        property(bytes);
    }
    for round in 0..rounds() {
        let mut random = StdRng::seed_from_u64(round);
        let mut bytes = seeds.choose(&mut random).unwrap().1.clone();
        mutate(&mut bytes, &seeds, &mut random);
        let held = std::panic::catch_unwind(|| property(&bytes));
        assert!(
            held.is_ok(),
            "{target}, round {round}: {:?}",
            bytes.escape_ascii().to_string()
        );
    }
}

macro_rules! replay {
    ($target:ident) => {
        replay_bytes(stringify!($target), |bytes| {
            properties::$target(&String::from_utf8_lossy(bytes));
        })
    };
}

#[test]
fn messages_of_clients_hold_to_it() {
    replay!(client_message);
}

#[test]
fn messages_of_relays_hold_to_it() {
    replay!(relay_message);
}

#[test]
fn events_hold_to_it() {
    replay!(event);
}

#[test]
fn relay_urls_hold_to_it() {
    replay!(relay_url);
}

#[test]
fn parameters_of_jobs_hold_to_it() {
    replay!(job_parameter);
}

#[test]
fn files_of_the_configuration_hold_to_it() {
    replay!(config);
}

#[test]
fn information_documents_hold_to_it() {
    replay_bytes("nip11", properties::nip11);
}

#[test]
fn every_target_has_inputs_and_is_run_here() {
    let names = |folder: &str| -> BTreeSet<String> {
        std::fs::read_dir(fuzz().join(folder))
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                path.file_stem().unwrap().to_str().unwrap().to_owned()
            })
            .collect()
    };
    let targets = names("fuzz_targets");
    assert_eq!(names("seeds"), targets);
    let here = include_str!("fuzz_corpus.rs");
    for target in targets {
        let ways = [
            format!("replay!({target})"),
            format!("properties::{target})"),
        ];
        assert!(ways.iter().any(|way| here.contains(way)), "{target}");
    }
}
