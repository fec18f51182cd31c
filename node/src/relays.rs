//! The relay lists: seeds and priorities.

use std::path::Path;

use bigbrotr_core::relay_list::RelayList;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};

use crate::settings::Settings;

/// Reads the seed relays. Bad lines are named in the log and left out.
pub(crate) fn seeds(settings: &Settings) -> anyhow::Result<Vec<RelayUrl>> {
    read(settings, &settings.node.seed_relays)
}

/// Reads the priority relays. Bad lines are named in the log and left out.
pub(crate) fn priorities(settings: &Settings) -> anyhow::Result<Vec<RelayUrl>> {
    read(settings, &settings.node.priority_relays)
}

fn read(settings: &Settings, file: &Path) -> anyhow::Result<Vec<RelayUrl>> {
    if file.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let text = settings.implementation.read(file).map_err(|error| {
        let is_url = file.to_string_lossy().contains("://");
        if is_url {
            error.context("Hint: relays are named in a file, one URL a line")
        } else {
            error
        }
    })?;
    let policy = UrlPolicy {
        allow_private: settings.networks.allow_private,
        ..UrlPolicy::default()
    };
    let list = RelayList::parse(&text, &policy);
    for line in &list.rejected {
        tracing::warn!(
            file = %file.display(),
            error = line as &dyn std::error::Error,
            "a line of the relay list is left out",
        );
    }
    Ok(list.urls)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use bigbrotr_core::network::Network;

    use super::*;

    fn shipped(implementation: &str, list: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../implementations");
        std::fs::read_to_string(format!("{folder}/{implementation}/{list}")).unwrap()
    }

    /// The entries of a list as they are written.
    fn entries(text: &str) -> Vec<&str> {
        text.lines()
            .map(|line| line.split(" #").next().unwrap_or_default().trim())
            .filter(|entry| !entry.is_empty() && !entry.starts_with('#'))
            .collect()
    }

    #[test]
    fn the_shipped_lists_are_canonical_and_name_each_relay_once() {
        let lists = |seeds, priorities| {
            [
                ("seed_relays.txt", seeds),
                ("priority_relays.txt", priorities),
            ]
        };
        for (implementation, lists) in [
            ("bigbrotr", lists(300, 20)),
            ("lilbrotr", lists(300, 20)),
            ("template", lists(5, 1)),
        ] {
            for (name, least) in lists {
                let text = shipped(implementation, name);
                let list = RelayList::parse(&text, &UrlPolicy::default());
                assert!(list.rejected.is_empty(), "{name}: {:?}", list.rejected);
                assert_eq!(list.duplicates, 0, "{name}");
                assert!(list.urls.len() >= least, "{name}: {}", list.urls.len());
                let canonical: Vec<&str> = list.urls.iter().map(RelayUrl::as_str).collect();
                assert_eq!(entries(&text), canonical, "{name}");
            }
        }
    }

    #[test]
    fn the_seeds_are_of_more_than_one_network_and_hold_the_priorities() {
        let list = |name| RelayList::parse(&shipped("bigbrotr", name), &UrlPolicy::default()).urls;
        let seeds = list("seed_relays.txt");
        let networks: BTreeSet<Network> = seeds.iter().map(RelayUrl::network).collect();
        assert!(networks.is_superset(&[Network::Clearnet, Network::Tor].into()));
        let seeds: HashSet<RelayUrl> = seeds.into_iter().collect();
        for priority in list("priority_relays.txt") {
            assert!(seeds.contains(&priority), "{priority} is no seed");
        }
    }
}
