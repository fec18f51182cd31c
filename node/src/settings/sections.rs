//! The sections that belong to the node itself.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, Section, duration};
use bigbrotr_core::service::ServiceName;
use bigbrotr_crawler::synchronizer::{LiveConfig, SynchronizerConfig};
use serde::{Deserialize, Serialize};

/// The section `node`: what runs here, on which data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NodeConfig {
    /// Where the key and the private Postgres are.
    pub(crate) data_dir: PathBuf,
    /// Which services this process runs.
    pub(crate) services: Vec<ServiceName>,
    /// Relays to begin with: a file, looked up in the implementation's folder first.
    pub(crate) seed_relays: PathBuf,
    /// Relays that the priority synchronizer follows: likewise.
    pub(crate) priority_relays: PathBuf,
    /// How long services may take to finish what they are doing when the node stops.
    #[serde(with = "duration")]
    pub(crate) drain_timeout: Duration,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            services: ServiceName::ALL.to_vec(),
            seed_relays: PathBuf::from("seed_relays.txt"),
            priority_relays: PathBuf::from("priority_relays.txt"),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

impl Section for NodeConfig {
    const NAME: &'static str = "node";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        checks.require(
            !self.services.is_empty(),
            "services",
            "at least one service has to run",
        );
        checks.finish()
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogStyle {
    /// Human on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// How often the log file is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Rotation {
    /// Never.
    Never,
    /// Every hour.
    Hourly,
    /// Every day.
    Daily,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What went wrong and was dealt with.
    Warn,
    /// What happened.
    Info,
    /// Every relay and every request.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// Names the level as filters do.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The section `log`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// How much is logged.
    pub(crate) level: Level,
    /// Levels of single services, by their names.
    pub(crate) services: BTreeMap<ServiceName, Level>,
    /// How lines look on standard error.
    pub(crate) format: LogStyle,
    /// A folder for log files as JSON lines, beside standard error. Empty: none.
    pub(crate) dir: PathBuf,
    /// How often a new file is begun.
    pub(crate) rotation: Rotation,
    /// How many files are kept.
    pub(crate) keep_files: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: Level::Info,
            services: BTreeMap::new(),
            format: LogStyle::Auto,
            dir: PathBuf::new(),
            rotation: Rotation::Daily,
            keep_files: 14,
        }
    }
}

impl Section for LogConfig {
    const NAME: &'static str = "log";
}

/// The section `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MetricsConfig {
    /// Whether metrics and health are served.
    pub(crate) enabled: bool,
    /// Where: address and port.
    pub(crate) listen: SocketAddr,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
        }
    }
}

impl Section for MetricsConfig {
    const NAME: &'static str = "metrics";
}

/// The section `priority_synchronizer`: the same engine over the priority relays, with resources
/// of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PrioritySynchronizerConfig(pub(crate) SynchronizerConfig);

impl Default for PrioritySynchronizerConfig {
    fn default() -> Self {
        Self(SynchronizerConfig {
            interval: Duration::from_mins(1),
            concurrency: 10,
            live: LiveConfig {
                max_relays: 100,
                verify_interval: Duration::from_mins(10),
                ..LiveConfig::default()
            },
            ..SynchronizerConfig::default()
        })
    }
}

impl Section for PrioritySynchronizerConfig {
    const NAME: &'static str = "priority_synchronizer";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        self.0.validate()
    }
}
