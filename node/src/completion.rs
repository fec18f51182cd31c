//! What a shell may complete: commands and flags by the command line's own description, questions
//! and their parameters by the catalogue.
//!
//! The shell asks the program itself, so it never knows an old list: `source <(COMPLETE=bash
//! bigbrotr)` in a shell's start-up file is all there is to install.

use std::ffi::OsStr;

use bigbrotr_schema::catalog::{self, CATALOG, Entry, ParamType};
use clap::CommandFactory;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::CompleteEnv;

use crate::cli::Cli;
use crate::implementation::Implementation;

/// Answers a shell that asks, and ends the program then.
pub(crate) fn complete() {
    CompleteEnv::with_factory(Cli::command).complete();
}

/// Completes the name of a question.
pub(crate) fn question(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let mut names: Vec<(String, String)> = entries()
        .into_iter()
        .map(|entry| (entry.name, entry.help))
        .collect();
    names.push((CATALOG.to_owned(), "All questions.".to_owned()));
    names
        .into_iter()
        .filter(|(name, _)| name.starts_with(&*current))
        .map(|(name, help)| CompletionCandidate::new(name).help(Some(help.into())))
        .collect()
}

/// Completes a parameter of the question that the command line names.
pub(crate) fn param(current: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<String> = std::env::args().collect();
    let current = current.to_string_lossy();
    entries()
        .into_iter()
        .find(|entry| words.contains(&entry.name))
        .map(|entry| candidates(&entry, &current))
        .unwrap_or_default()
        .into_iter()
        .map(|(value, help)| CompletionCandidate::new(value).help(Some(help.into())))
        .collect()
}

/// `name=` for each parameter, and `name=value` for those whose values can be listed.
fn candidates(entry: &Entry, current: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for param in &entry.params {
        let named = format!("{}=", param.name);
        let values = match &param.kind {
            ParamType::Window | ParamType::Enum(_) => param.kind.to_string(),
            _ => String::new(),
        };
        if current.starts_with(&named) {
            let values = values.split(", ").filter(|value| !value.is_empty());
            found.extend(values.map(|value| (format!("{named}{value}"), String::new())));
        } else {
            found.push((named, format!("{}: {}", param.help, param.kind)));
        }
    }
    found.retain(|(value, _)| value.starts_with(current));
    found
}

/// The questions that come with the program, and those of the implementation, as far as they can
/// be read: nobody wants to hear of a mistake in a file while typing.
fn entries() -> Vec<Entry> {
    let mut entries = catalog::read_built_in().unwrap_or_default();
    let name = implementation();
    if let Ok(files) = Implementation::find(&name).and_then(|found| found.catalog()) {
        let added = files
            .iter()
            .map(|file| Entry::parse(&file.path, &file.text));
        entries.extend(added.filter_map(Result::ok));
    }
    entries
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line is not parsed while it is being written"
)]
fn implementation() -> String {
    std::env::var("BIGBROTR_IMPLEMENTATION").unwrap_or_else(|_unset| "bigbrotr".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_completed_by_name_and_then_by_value() {
        let entries = catalog::read_built_in().unwrap();
        let entry = entries.iter().find(|e| e.name == "kinds.list").unwrap();
        let values = |current: &str| -> Vec<String> {
            let found = candidates(entry, current);
            found.into_iter().map(|(value, _)| value).collect()
        };
        assert_eq!(
            values(""),
            ["window=", "relay=", "sort=", "limit=", "cursor="]
        );
        assert_eq!(values("wi"), ["window="]);
        assert_eq!(values("window=2"), ["window=24h"]);
        assert_eq!(
            values("sort="),
            ["sort=events", "sort=pubkeys", "sort=kind"]
        );
        assert!(values("limit=").is_empty() && values("nope").is_empty());
        assert!(question(OsStr::new("relays.")).len() >= 6);
    }
}
