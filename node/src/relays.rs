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
    let text = settings.implementation.read(file)?;
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
