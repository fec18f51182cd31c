//! A section with one key of every sort.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use bigbrotr_core::config::{ByteSize, Checks, ConfigSource, Invalid, Secret, Section, duration};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MonitorConfig {
    pub(crate) enabled: bool,
    #[serde(with = "duration")]
    pub(crate) interval: Duration,
    #[serde(with = "duration::option")]
    pub(crate) deadline: Option<Duration>,
    pub(crate) concurrency: u16,
    pub(crate) retries: NonZeroU32,
    pub(crate) level: Level,
    pub(crate) name: String,
    pub(crate) token: Secret,
    pub(crate) max_size: ByteSize,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) kinds: Vec<u16>,
    pub(crate) relays: Vec<String>,
    pub(crate) weights: BTreeMap<u16, f64>,
    pub(crate) tor: TorConfig,
    pub(crate) sources: Vec<SourceConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Basic,
    Full,
    Custom(u8),
}

#[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TorConfig {
    pub(crate) enabled: bool,
    pub(crate) proxy: Option<String>,
    pub(crate) max_open: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceConfig {
    pub(crate) url: String,
    #[serde(with = "duration")]
    pub(crate) every: Duration,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_hours(1),
            deadline: None,
            concurrency: 50,
            retries: NonZeroU32::MIN,
            level: Level::Basic,
            name: "monitor".to_owned(),
            token: Secret::default(),
            max_size: ByteSize::kib(64),
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            kinds: vec![1, 30_166],
            relays: Vec::new(),
            weights: BTreeMap::new(),
            tor: TorConfig::default(),
            sources: Vec::new(),
        }
    }
}

impl Section for MonitorConfig {
    const NAME: &'static str = "monitor";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        checks.range("concurrency", self.concurrency, 1..=10_000);
        let bounds = Duration::from_secs(10)..=Duration::from_hours(24);
        checks.duration("interval", self.interval, bounds);
        checks.nested("tor", self.tor.validate());
        for (index, source) in self.sources.iter().enumerate() {
            let key = format!("sources[{index}].url");
            checks.require(
                source.url.starts_with("https://"),
                &key,
                "is not an https URL",
            );
        }
        checks.finish()
    }
}

impl TorConfig {
    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        if self.enabled && self.proxy.is_none() {
            checks.push(
                Invalid::new("proxy", "a proxy is needed while tor is enabled")
                    .with_hint("expected e.g. 127.0.0.1:9050"),
            );
        }
        checks.finish()
    }
}

/// A source whose monitor section is the text.
pub(crate) fn file(text: &str) -> ConfigSource {
    ConfigSource::new().with_file("config/monitor.yaml", text)
}

/// A source with one variable.
pub(crate) fn env(name: &str, value: &str) -> ConfigSource {
    ConfigSource::new().with_env([(name, value)])
}

#[track_caller]
pub(crate) fn read(source: &ConfigSource) -> MonitorConfig {
    source.section().expect("the section is right")
}
