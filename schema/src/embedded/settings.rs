//! The server's settings: sensible for ingest on a small machine, rendered into
//! `bigbrotr.conf`. Pure, except for asking how much memory there is.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use super::error::EmbeddedError;

/// The file in the cluster that holds the settings, rewritten at each start.
pub(super) const FILE_NAME: &str = "bigbrotr.conf";

/// The line in `postgresql.conf` that includes it.
pub(super) const INCLUDE: &str = "include 'bigbrotr.conf'";

/// What a machine is taken to have when it does not say.
const ASSUMED_MEMORY_MB: u64 = 2048;

/// Settings that the configuration cannot change, with what to do instead.
const RESERVED: [(&str, &str); 6] = [
    ("port", "the port has its own field in the configuration"),
    (
        "data_directory",
        "the data directory has its own field in the configuration",
    ),
    ("hba_file", "the node writes its own pg_hba.conf"),
    ("config_file", "the node writes its own configuration file"),
    (
        "external_pid_file",
        "the node finds its server by postmaster.pid",
    ),
    (
        "logging_collector",
        "errors quote the log that this setting makes",
    ),
];

/// Renders the settings file.
pub(super) fn render(
    memory_mb: u64,
    log_directory: &str,
    overrides: &BTreeMap<String, String>,
) -> Result<String, EmbeddedError> {
    let mut settings = defaults(memory_mb, log_directory);
    for (name, value) in overrides {
        let name = name.to_ascii_lowercase();
        check(&name, value)?;
        settings.insert(name, value.clone());
    }
    let mut text = String::from("# Written by the node at each start: changes here are lost.\n");
    for (name, value) in settings {
        // Writing to a string cannot fail.
        writeln!(
            text,
            "{name} = '{}'",
            value.replace('\\', "\\\\").replace('\'', "''")
        )
        .ok();
    }
    Ok(text)
}

/// The memory this process may use, in MiB: the machine's, or its container's when less.
pub(super) fn memory_mb() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map(|kilobytes| kilobytes / 1024);
    let container = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .iter()
    .filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok())
    .map(|bytes| bytes / 1024 / 1024);
    container.chain(machine).min().unwrap_or(ASSUMED_MEMORY_MB)
}

fn defaults(memory_mb: u64, log_directory: &str) -> BTreeMap<String, String> {
    let mb = |amount: u64| format!("{amount}MB");
    let mut settings: BTreeMap<String, String> = [
        ("listen_addresses", "127.0.0.1"),
        // Paths of sockets end at 107 bytes, those of data directories do not.
        ("unix_socket_directories", ""),
        ("max_connections", "100"),
        ("password_encryption", "scram-sha-256"),
        ("huge_pages", "try"),
        ("jit", "off"),
        ("random_page_cost", "1.1"),
        ("synchronous_commit", "on"),
        ("wal_compression", "on"),
        ("max_wal_size", "4GB"),
        ("min_wal_size", "256MB"),
        ("checkpoint_timeout", "15min"),
        ("checkpoint_completion_target", "0.9"),
        ("max_locks_per_transaction", "256"),
        // Lists are read in the order of an index only once the planner knows that they are long:
        // a node that has just been filled must not wait a minute for that.
        ("autovacuum_naptime", "15s"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("datestyle", "iso, ymd"),
        ("logging_collector", "on"),
        ("log_destination", "stderr"),
        ("log_directory", log_directory),
        // One file per weekday, overwritten a week later: rotation with an end.
        ("log_filename", "postgresql-%a.log"),
        ("log_truncate_on_rotation", "on"),
        ("log_rotation_age", "1d"),
        ("log_rotation_size", "0"),
        ("log_checkpoints", "off"),
        ("log_line_prefix", "%m [%p] %q%u@%d "),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    // An eighth, not the usual quarter: the crawler, the relay and the page cache share the
    // machine. The index on event ids is met at random, so what does not fit is read again and
    // again.
    settings.insert(
        "shared_buffers".into(),
        mb((memory_mb / 8).clamp(128, 8192)),
    );
    settings.insert("effective_cache_size".into(), mb((memory_mb / 2).max(256)));
    settings.insert(
        "maintenance_work_mem".into(),
        mb((memory_mb / 32).clamp(64, 512)),
    );
    settings.insert("work_mem".into(), mb((memory_mb / 256).clamp(4, 32)));
    settings
}

fn check(name: &str, value: &str) -> Result<(), EmbeddedError> {
    let invalid = |reason| EmbeddedError::InvalidSetting {
        name: name.to_owned(),
        reason,
    };
    let named = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c));
    if !named {
        return Err(invalid("a name has letters, digits, underscores and dots"));
    }
    if value.contains(['\n', '\r', '\0']) {
        return Err(invalid("a value has one line"));
    }
    if name == "listen_addresses"
        && !["127.0.0.1", "*", "0.0.0.0"]
            .iter()
            .any(|address| value.split(',').any(|part| part.trim() == *address))
    {
        return Err(invalid("the node itself connects to 127.0.0.1"));
    }
    RESERVED
        .iter()
        .find(|(reserved, _)| *reserved == name)
        .map_or(Ok(()), |(_, reason)| Err(invalid(reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(memory_mb: u64, overrides: &[(&str, &str)]) -> Result<String, EmbeddedError> {
        let overrides = overrides
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        render(memory_mb, "/data/log", &overrides)
    }

    #[test]
    fn memory_scales_within_bounds() {
        assert!(
            rendered(512, &[])
                .unwrap()
                .contains("shared_buffers = '128MB'")
        );
        assert!(
            rendered(4096, &[])
                .unwrap()
                .contains("shared_buffers = '512MB'")
        );
        assert!(
            rendered(262_144, &[])
                .unwrap()
                .contains("shared_buffers = '8192MB'")
        );
    }

    #[test]
    fn the_callers_settings_win_once() {
        let text = rendered(
            2048,
            &[("Max_Connections", "20"), ("app.name", "o'clock\\")],
        )
        .unwrap();
        assert!(text.contains("max_connections = '20'\n"));
        assert_eq!(text.matches("max_connections").count(), 1);
        assert!(text.contains("app.name = 'o''clock\\\\'\n"));
    }

    #[test]
    fn settings_cannot_smuggle_others_or_lock_the_node_out() {
        for (name, value) in [
            ("work_mem", "4MB'\nport = '1"),
            ("work_mem = '1MB'\nport", "1"),
            ("", "x"),
            ("port", "5432"),
            ("PORT", "5432"),
            ("listen_addresses", "10.0.0.1"),
        ] {
            let refused = rendered(2048, &[(name, value)]);
            assert!(
                matches!(refused, Err(EmbeddedError::InvalidSetting { .. })),
                "{name}={value}"
            );
        }
        assert!(rendered(2048, &[("listen_addresses", "10.0.0.1, 127.0.0.1")]).is_ok());
    }
}
