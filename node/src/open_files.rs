//! How many files this process may have open: each connection is one.

use bigbrotr_core::network::Network;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::OTHER_OPEN_FILES;
use crate::settings::Settings;

/// Makes room for the connections that the settings allow. Many systems let a process open 1,024
/// files, or 256, until it asks for more.
pub(crate) fn make_room(settings: &Settings) {
    let needed = needed(settings);
    let (allowed, most) = raise_to(needed);
    if allowed < needed {
        tracing::warn!(
            open_files.allowed = allowed,
            open_files.most = most,
            open_files.needed = needed,
            "this process may not open as many files as its connections may need: raise the limit \
             (ulimit -n, LimitNOFILE), or lower max_connections of the networks and of the relay",
        );
    }
}

/// Counts the files that are open when everything that is bounded is at its bound.
fn needed(settings: &Settings) -> u64 {
    let networks: u64 = settings
        .networks
        .enabled()
        .map(|network: Network| u64::from(settings.networks.get(network).max_connections.get()))
        .sum();
    let database = &settings.database;
    networks
        + settings.relay.limits.max_connections as u64
        + u64::from(database.max_connections)
        + u64::from(database.public_connections)
        + OTHER_OPEN_FILES
}

/// Raises the limit to `needed`, as far as that goes. Returns the limit then, and the most that
/// it can be.
fn raise_to(needed: u64) -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    // None is no limit.
    let before = limit.current.unwrap_or(u64::MAX);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let wanted = needed.min(most);
    if wanted <= before {
        return (before, most);
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => (wanted, most),
        Err(error) => {
            tracing::debug!(%error, wanted, "cannot raise the limit of open files");
            (before, most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_the_system_allows_and_never_lowered() {
        let before = getrlimit(Resource::Nofile);
        let low = Rlimit {
            current: Some(300),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, low).unwrap();
        let most = before.maximum.unwrap_or(u64::MAX);
        assert_eq!(raise_to(301), (301, most));
        assert_eq!(getrlimit(Resource::Nofile).current, Some(301));
        assert_eq!(raise_to(200), (301, most));
        if let Some(maximum) = before.maximum {
            assert_eq!(raise_to(u64::MAX), (maximum, maximum));
        }
        setrlimit(Resource::Nofile, before).unwrap();
    }
}
