//! What the fuzz targets hold to, over the inputs that they have found: on stable Rust, in every run
//! of the tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/properties.rs"]
mod properties;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The inputs of a target, with their names.
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
    seeds
}

fn replay(target: &str, property: fn(&str)) {
    for (name, bytes) in seeds(target) {
        // Seen only where the property does not hold.
        println!("{name}");
        property(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn messages_of_clients_hold_to_it() {
    replay("client_message", properties::client_message);
}

#[test]
fn messages_of_relays_hold_to_it() {
    replay("relay_message", properties::relay_message);
}

#[test]
fn events_hold_to_it() {
    replay("event", properties::event);
}

#[test]
fn relay_urls_hold_to_it() {
    replay("relay_url", properties::relay_url);
}

#[test]
fn parameters_of_jobs_hold_to_it() {
    replay("job_parameter", properties::job_parameter);
}

#[test]
fn files_of_the_configuration_hold_to_it() {
    replay("config", properties::config);
}

#[test]
fn information_documents_hold_to_it() {
    for (name, bytes) in seeds("nip11") {
        println!("{name}");
        properties::nip11(&bytes);
    }
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
        assert!(here.contains(&format!("properties::{target}")), "{target}");
    }
}
