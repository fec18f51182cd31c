//! The configuration section `database`.

mod retention;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, Secret, Section, duration};
use serde::{Deserialize, Serialize};

pub use self::retention::{Retention, RetentionConfig};

/// Where the database is and how it is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// Postgres 15 or newer, directly or through PgBouncer. Empty: the node owns a private one.
    pub url: Secret,
    /// A read replica for the public faces. Empty: they read from `url`.
    pub replica_url: Secret,
    /// A direct connection for migrations and LISTEN where `url` and `replica_url` are PgBouncer in
    /// transaction mode, and the sign that they are. Empty: they are Postgres itself.
    pub direct_url: Secret,
    /// The password for those of the URLs that hold none.
    pub password: Secret,
    /// The most connections for services.
    pub max_connections: u32,
    /// The most connections for the public faces.
    pub public_connections: u32,
    /// How long to wait for a connection.
    #[serde(with = "duration")]
    pub acquire_timeout: Duration,
    /// How long one question of the catalogue may run.
    #[serde(with = "duration")]
    pub query_timeout: Duration,
    /// The private server, used when `url` is empty.
    pub embedded: EmbeddedSection,
    /// What is kept of each event.
    pub archive: ArchiveConfig,
    /// For how long it is kept.
    pub retention: RetentionConfig,
}

/// The node's private Postgres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedSection {
    /// TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// Where `initdb` and `postgres` are. Empty: found by looking.
    pub bin_dir: PathBuf,
    /// Whether to download a server when none is installed.
    pub download: bool,
    /// How long the server may take to start, recovery after a crash included.
    #[serde(with = "duration")]
    pub startup_timeout: Duration,
    /// Settings of postgresql.conf to add or change.
    pub settings: BTreeMap<String, String>,
}

impl Default for EmbeddedSection {
    fn default() -> Self {
        Self {
            port: 0,
            bin_dir: PathBuf::new(),
            download: true,
            startup_timeout: Duration::from_mins(5),
            settings: BTreeMap::new(),
        }
    }
}

/// Which parts of an event are archived. Id, pubkey, kind and `created_at` always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArchiveConfig {
    /// Keep tags.
    pub tags: bool,
    /// Keep content.
    pub content: bool,
    /// Keep signatures.
    pub signatures: bool,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self {
            tags: true,
            content: true,
            signatures: true,
        }
    }
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            replica_url: Secret::default(),
            direct_url: Secret::default(),
            password: Secret::default(),
            max_connections: 16,
            public_connections: 8,
            acquire_timeout: Duration::from_secs(10),
            query_timeout: Duration::from_secs(5),
            embedded: EmbeddedSection::default(),
            archive: ArchiveConfig::default(),
            retention: RetentionConfig::default(),
        }
    }
}

impl Section for DatabaseConfig {
    const NAME: &'static str = "database";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        let (least, day) = (Duration::from_millis(1), Duration::from_hours(24));
        checks.range("max_connections", self.max_connections, 2..=1_000);
        checks.range("public_connections", self.public_connections, 1..=1_000);
        checks.duration("acquire_timeout", self.acquire_timeout, least..=day);
        checks.duration("query_timeout", self.query_timeout, least..=day);
        checks.nested("retention", self.retention.validate());
        checks.finish()
    }
}
