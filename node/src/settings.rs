//! The effective configuration: defaults, then the implementation's YAML, then the environment,
//! then flags.

mod sections;

use std::path::Path;

use anyhow::Context;
use bigbrotr_core::config::{ConfigErrors, ConfigSource, Section, process_env, read_value_file};
use bigbrotr_crawler::dial::NetworksConfig;
use bigbrotr_crawler::finder::FinderConfig;
use bigbrotr_crawler::monitor::MonitorConfig;
use bigbrotr_crawler::synchronizer::SynchronizerConfig;
use bigbrotr_crawler::validator::ValidatorConfig;
use bigbrotr_dvm::{ApiConfig, DvmConfig};
use bigbrotr_relay::RelayConfig;
use bigbrotr_schema::config::DatabaseConfig;

pub(crate) use self::sections::{
    Level, LogConfig, LogStyle, MetricsConfig, NodeConfig, PrioritySynchronizerConfig, Rotation,
};
use crate::cli::{LogFormat, Options};
use crate::implementation::Implementation;

/// Names a file with the URL of the database, as containers are handed secrets.
const DATABASE_URL_FILE: &str = "DATABASE_URL_FILE";

/// All sections, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) implementation: Implementation,
    pub(crate) node: NodeConfig,
    pub(crate) log: LogConfig,
    pub(crate) metrics: MetricsConfig,
    pub(crate) database: DatabaseConfig,
    pub(crate) networks: NetworksConfig,
    pub(crate) finder: FinderConfig,
    pub(crate) validator: ValidatorConfig,
    pub(crate) monitor: MonitorConfig,
    pub(crate) synchronizer: SynchronizerConfig,
    pub(crate) priority_synchronizer: PrioritySynchronizerConfig,
    pub(crate) relay: RelayConfig,
    pub(crate) dvm: DvmConfig,
    pub(crate) api: ApiConfig,
    source: ConfigSource,
}

impl Settings {
    /// Reads the configuration that is in effect with these flags.
    ///
    /// # Errors
    /// Every mistake found, with file, line, key and what is allowed.
    pub(crate) fn load(options: &Options) -> anyhow::Result<Self> {
        let name = options.implementation.as_deref().unwrap_or("bigbrotr");
        let implementation = Implementation::find(name)?;
        let environment = process_env()?;
        let url_file = environment.get(DATABASE_URL_FILE).cloned();
        let mut source = implementation
            .configure(ConfigSource::new())?
            .with_env(environment);
        if let Some(path) = url_file.filter(|path| !path.is_empty()) {
            anyhow::ensure!(
                options.database_url.is_none(),
                "the database is given twice, by a URL and by {DATABASE_URL_FILE}. Hint: give one"
            );
            let url = read_value_file(Path::new(&path))
                .with_context(|| format!("cannot read the file {path} of {DATABASE_URL_FILE}"))?;
            source = source.with_variable("database.url", url.expose(), DATABASE_URL_FILE);
        }
        Self::read(implementation, with_flags(source, options))
    }

    fn read(implementation: Implementation, source: ConfigSource) -> anyhow::Result<Self> {
        let mut errors = ConfigErrors::new();
        errors.take(source.finish(&Self::NAMES));
        let node = errors.take(source.section());
        let log = errors.take(source.section());
        let metrics = errors.take(source.section());
        let database = errors.take(source.section());
        let networks = errors.take(source.section());
        let finder = errors.take(source.section());
        let validator = errors.take(source.section());
        let monitor = errors.take(source.section());
        let synchronizer = errors.take(source.section());
        let priority_synchronizer = errors.take(source.section());
        let relay = errors.take(source.section());
        let dvm = errors.take(source.section());
        let api = errors.take(source.section());
        errors.into_result()?;
        Ok(Self {
            implementation,
            node: node.unwrap_or_default(),
            log: log.unwrap_or_default(),
            metrics: metrics.unwrap_or_default(),
            database: database.unwrap_or_default(),
            networks: networks.unwrap_or_default(),
            finder: finder.unwrap_or_default(),
            validator: validator.unwrap_or_default(),
            monitor: monitor.unwrap_or_default(),
            synchronizer: synchronizer.unwrap_or_default(),
            priority_synchronizer: priority_synchronizer.unwrap_or_default(),
            relay: relay.unwrap_or_default(),
            dvm: dvm.unwrap_or_default(),
            api: api.unwrap_or_default(),
            source,
        })
    }

    /// The names of all sections.
    pub(crate) const NAMES: [&'static str; 13] = [
        NodeConfig::NAME,
        LogConfig::NAME,
        MetricsConfig::NAME,
        DatabaseConfig::NAME,
        NetworksConfig::NAME,
        FinderConfig::NAME,
        ValidatorConfig::NAME,
        MonitorConfig::NAME,
        SynchronizerConfig::NAME,
        PrioritySynchronizerConfig::NAME,
        RelayConfig::NAME,
        DvmConfig::NAME,
        ApiConfig::NAME,
    ];

    /// Writes the values in effect as YAML, each that is not a default with its origin; secrets
    /// are masked.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        let mut add = |name: &str, yaml: String| {
            out.push_str(name);
            out.push_str(":\n");
            for line in yaml.lines() {
                out.push_str("  ");
                out.push_str(line);
                out.push('\n');
            }
        };
        add(NodeConfig::NAME, self.source.render_yaml(&self.node));
        add(LogConfig::NAME, self.source.render_yaml(&self.log));
        add(MetricsConfig::NAME, self.source.render_yaml(&self.metrics));
        add(
            DatabaseConfig::NAME,
            self.source.render_yaml(&self.database),
        );
        add(
            NetworksConfig::NAME,
            self.source.render_yaml(&self.networks),
        );
        add(FinderConfig::NAME, self.source.render_yaml(&self.finder));
        add(
            ValidatorConfig::NAME,
            self.source.render_yaml(&self.validator),
        );
        add(MonitorConfig::NAME, self.source.render_yaml(&self.monitor));
        add(
            PrioritySynchronizerConfig::NAME,
            self.source.render_yaml(&self.priority_synchronizer),
        );
        add(
            SynchronizerConfig::NAME,
            self.source.render_yaml(&self.synchronizer),
        );
        add(RelayConfig::NAME, self.source.render_yaml(&self.relay));
        add(DvmConfig::NAME, self.source.render_yaml(&self.dvm));
        add(ApiConfig::NAME, self.source.render_yaml(&self.api));
        out
    }
}

/// Lays the flags over the rest.
fn with_flags(mut source: ConfigSource, options: &Options) -> ConfigSource {
    let mut set = |key: &str, value: Option<String>, flag: &str| {
        if let Some(value) = value {
            source = std::mem::take(&mut source).with_flag(key, value, flag);
        }
    };
    let path =
        |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    set("node.data_dir", path(&options.data_dir), "--data-dir");
    set(
        "database.url",
        options.database_url.clone(),
        "--database-url",
    );
    let services = options.services.as_ref().map(|services| {
        services
            .iter()
            .map(|service| service.as_str())
            .collect::<Vec<_>>()
            .join(",")
    });
    set("node.services", services, "--services");
    set(
        "node.seed_relays",
        path(&options.seed_relays),
        "--seed-relays",
    );
    set(
        "node.priority_relays",
        path(&options.priority_relays),
        "--priority-relays",
    );
    let allow = options.allow_private_networks.then(|| "true".to_owned());
    set("networks.allow_private", allow, "--allow-private-networks");
    set(
        "relay.listen",
        options.relay_listen.map(|a| a.to_string()),
        "--relay-listen",
    );
    set(
        "api.listen",
        options.api_listen.map(|a| a.to_string()),
        "--api-listen",
    );
    set(
        "metrics.listen",
        options.metrics_listen.map(|a| a.to_string()),
        "--metrics-listen",
    );
    let format = options.log_format.map(|format| match format {
        LogFormat::Auto => "auto".to_owned(),
        LogFormat::Human => "human".to_owned(),
        LogFormat::Json => "json".to_owned(),
    });
    set("log.format", format, "--log-format");
    source
}
#[cfg(test)]
mod tests {
    use bigbrotr_core::config::{differing_defaults, undocumented_keys};

    use super::*;

    fn shipped(section: &str) -> String {
        let folder = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../implementations/bigbrotr/config"
        );
        std::fs::read_to_string(format!("{folder}/{section}.yaml")).unwrap()
    }

    /// Every key is in the shipped file with a comment, and shows the default, but for examples.
    fn documented<T: Section>(examples: &[&str]) {
        let text = shipped(T::NAME);
        assert_eq!(undocumented_keys::<T>(&text), Vec::<String>::new());
        let differing: Vec<String> = differing_defaults::<T>(&text)
            .unwrap()
            .into_iter()
            .map(|d| d.to_string())
            .collect();
        let unexpected: Vec<&String> = differing
            .iter()
            .filter(|d| {
                !examples
                    .iter()
                    .any(|example| d.starts_with(&format!("{example}:")))
            })
            .collect();
        assert!(unexpected.is_empty(), "{unexpected:#?}");
    }

    #[test]
    fn every_key_is_documented_in_the_shipped_files() {
        documented::<NodeConfig>(&[]);
        documented::<LogConfig>(&[]);
        documented::<MetricsConfig>(&[]);
        documented::<DatabaseConfig>(&[]);
        documented::<NetworksConfig>(&["networks.clearnet.proxy"]);
        documented::<FinderConfig>(&["finder.lists"]);
        documented::<ValidatorConfig>(&[]);
        documented::<MonitorConfig>(&[]);
        documented::<SynchronizerConfig>(&[
            "synchronizer.since",
            "synchronizer.until",
            "synchronizer.kinds",
        ]);
        documented::<PrioritySynchronizerConfig>(&[
            "priority_synchronizer.since",
            "priority_synchronizer.until",
            "priority_synchronizer.kinds",
        ]);
        documented::<RelayConfig>(&["relay.operator", "relay.policy.created_at_lower_limit"]);
        documented::<DvmConfig>(&[]);
        documented::<ApiConfig>(&[]);
    }
}
