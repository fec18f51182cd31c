//! What is looked up in the node's database: rows, connections, events.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::event::EventId;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres, Owner};
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::look;

/// Ids that are looked for at once.
const IDS: usize = 5_000;

/// What is counted, by name: an expression that gives a number.
pub(crate) const COUNTED: [(&str, &str); 25] = [
    (
        "database connections",
        "(select count(*) from pg_stat_activity where application_name = 'bigbrotr'
          and pid <> pg_backend_pid())",
    ),
    (
        "leases",
        "(select count(*) from monitor_state where leased_until > extract(epoch from now()))
       + (select count(*) from sync_state where leased_until > extract(epoch from now()))
       + (select count(*) from candidates where leased_until > extract(epoch from now()))",
    ),
    ("rollup_queue", "(select count(*) from rollup_queue)"),
    ("relays", "(select count(*) from relays)"),
    ("monitor_state", "(select count(*) from monitor_state)"),
    ("sync_state", "(select count(*) from sync_state)"),
    ("candidates", "(select count(*) from candidates)"),
    ("finder_sources", "(select count(*) from finder_sources)"),
    ("sync_gaps", "(select count(*) from sync_gaps)"),
    ("sync_missing", "(select count(*) from sync_missing)"),
    ("sync_refusals", "(select count(*) from sync_refusals)"),
    ("refused_events", "(select count(*) from refused_events)"),
    ("report_targets", "(select count(*) from report_targets)"),
    ("report_outbox", "(select count(*) from report_outbox)"),
    ("relay_latest", "(select count(*) from relay_latest)"),
    ("relay_nip_sets", "(select count(*) from relay_nip_sets)"),
    ("dvm_listening", "(select count(*) from dvm_listening)"),
    ("dvm_deliveries", "(select count(*) from dvm_deliveries)"),
    ("dvm_origins", "(select count(*) from dvm_origins)"),
    (
        "dvm jobs waiting",
        "(select count(*) from dvm_jobs where state = 'queued')",
    ),
    ("dvm_jobs", "(select count(*) from dvm_jobs)"),
    ("relay_events", "(select count(*) from relay_events)"),
    (
        "relay_tombstones",
        "(select count(*) from relay_tombstones)",
    ),
    ("relay_metadata", "(select count(*) from relay_metadata)"),
    ("nip66", "(select count(*) from nip66)"),
];

pub(crate) struct Database {
    server: EmbeddedPostgres,
    store: Store,
}

impl Database {
    /// Joins the node's server.
    pub(crate) async fn join(folder: &Path) -> Self {
        let config = EmbeddedConfig::new(folder.join("data"));
        let server = Box::pin(EmbeddedPostgres::join_or_start(config, Owner::Command)).await;
        let server = server.expect("the node's server");
        let config = Arc::new(DatabaseConfig {
            max_connections: 1,
            acquire_timeout: Duration::from_mins(2),
            ..DatabaseConfig::default()
        });
        let store = Store::connect(&server.connection_url(), config, Arc::new(SystemClock)).await;
        Self {
            store: store.expect("a connection"),
            server,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Everything of [`COUNTED`], in its order.
    pub(crate) async fn counted(&self) -> Vec<f64> {
        let columns: Vec<String> = COUNTED
            .iter()
            .enumerate()
            .map(|(n, (_, expression))| format!("{expression} as c{n}"))
            .collect();
        let rows = look(&self.store, &format!("select {}", columns.join(", "))).await;
        let number = |n| rows[0][format!("c{n}")].as_f64().unwrap_or(f64::NAN);
        (0..COUNTED.len()).map(number).collect()
    }

    /// How many events are archived.
    pub(crate) async fn events(&self) -> u64 {
        self.store.count_events().await.expect("a number")
    }

    /// How many of these events are archived.
    pub(crate) async fn archived(&self, ids: &[EventId]) -> usize {
        let mut archived = 0;
        for ids in ids.chunks(IDS) {
            archived += self.store.archived_nums(ids).await.expect("numbers").len();
        }
        archived
    }

    /// Leaves the server to the node.
    pub(crate) async fn leave(self) {
        self.store.close().await;
        self.server.stop().await.expect("to leave the server");
    }
}
