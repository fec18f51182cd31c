//! The pages that are generated from the code, and the files that have to agree with it.
//!
//! Exists in tests alone: they fail while a page is old, and write it when asked to.

mod configuration;
mod deployment;
mod metrics;
mod promql;
mod runbook;

use std::fs;
use std::path::PathBuf;

/// With this variable set, the pages are written instead of compared.
const WRITE: &str = "WRITE_DOCS";

/// A place in the repository.
fn place(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

fn read(path: &str) -> String {
    let place = place(path);
    fs::read_to_string(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()))
}

/// The files of a folder with this ending, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(place(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder} has no .{ending}");
    paths
}

/// Fails while a page is not what the code says, or writes it.
fn check_page(path: &str, page: &str) {
    #[expect(clippy::disallowed_methods, reason = "a switch for developers")]
    if std::env::var(WRITE).is_ok() {
        fs::write(place(path), page).unwrap();
    }
    let written = fs::read_to_string(place(path)).unwrap_or_default();
    assert!(
        written == page,
        "{path} is old: {WRITE}=1 cargo test -p bigbrotr --bin bigbrotr reference"
    );
}
