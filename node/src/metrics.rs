//! What the process tells about itself: how its parts are, what it uses, how much disk is left.
//!
//! Looked at when somebody asks, so that there is no number older than the question.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bigbrotr_core::health::HealthBoard;
use bigbrotr_core::service::Health;
use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The node's own metrics. A metric's help text is its documentation.
pub(crate) struct NodeMetrics {
    board: HealthBoard,
    data_dir: PathBuf,
    /// Held while somebody looks: two at once would count a failure twice.
    looking: Mutex<()>,
    health: IntGaugeVec,
    failures: IntCounterVec,
    disk_free: IntGauge,
    disk_size: IntGauge,
}

impl NodeMetrics {
    /// Registers what the process tells about itself.
    pub(crate) fn register(
        registry: &Registry,
        board: HealthBoard,
        data_dir: &Path,
        implementation: &str,
    ) -> prometheus::Result<()> {
        let build = IntGauge::with_opts(
            Opts::new(
                "bigbrotr_build_info",
                "Always 1: the version that runs, and the implementation.",
            )
            .const_label("version", env!("CARGO_PKG_VERSION"))
            .const_label("implementation", implementation),
        )?;
        build.set(1);
        registry.register(Box::new(build))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        registry.register(Box::new(Self::new(board, data_dir)?))
    }

    fn new(board: HealthBoard, data_dir: &Path) -> prometheus::Result<Self> {
        Ok(Self {
            board,
            data_dir: data_dir.to_owned(),
            looking: Mutex::default(),
            health: IntGaugeVec::new(
                Opts::new(
                    "bigbrotr_node_health",
                    "1 for the state that a part of this process is in, 0 for the others: starting, \
                     ready, degraded (it runs and cannot do its work), failed (it is started \
                     again), stopped (asked to, or done). Parts are the services that run here, and \
                     the database.",
                ),
                &["part", "state"],
            )?,
            failures: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_node_failures_total",
                    "Times that a service of this process ended with an error and was started again.",
                ),
                &["part"],
            )?,
            disk_free: IntGauge::new(
                "bigbrotr_node_disk_free_bytes",
                "Space that is left on the disk of node.data_dir, where a private Postgres is. A \
                 database of its own has a disk of its own.",
            )?,
            disk_size: IntGauge::new(
                "bigbrotr_node_disk_size_bytes",
                "Size of the disk of node.data_dir.",
            )?,
        })
    }

    fn look(&self) {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        for (part, health) in self.board.snapshot() {
            for state in Health::STATES {
                let is_so = i64::from(state == health.as_str());
                self.health.with_label_values(&[part, state]).set(is_so);
            }
        }
        for (part, failures) in self.board.failures() {
            let counter = self.failures.with_label_values(&[part]);
            counter.inc_by(failures.saturating_sub(counter.get()));
        }
        // The folder may not be there yet, or any more.
        if let Ok(disk) = rustix::fs::statvfs(&self.data_dir) {
            let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize) as i64;
            self.disk_free.set(bytes(disk.f_bavail));
            self.disk_size.set(bytes(disk.f_blocks));
        }
    }
}

impl Collector for NodeMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.health.desc();
        all.extend(self.failures.desc());
        all.extend(self.disk_free.desc());
        all.extend(self.disk_size.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.look();
        let mut all = self.health.collect();
        all.extend(self.failures.collect());
        all.extend(self.disk_free.collect());
        all.extend(self.disk_size.collect());
        all
    }
}

/// Registers every metric that there is, as a node that runs everything does.
#[cfg(test)]
pub(crate) fn register_all(registry: &Registry) -> prometheus::Result<()> {
    let board = HealthBoard::default();
    board.set(crate::database::PART, Health::Ready);
    for service in bigbrotr_core::service::ServiceName::ALL {
        board.set(service.as_str(), Health::Ready);
    }
    NodeMetrics::register(registry, board, Path::new("."), "bigbrotr")?;
    bigbrotr_schema::metrics::register_all(registry)?;
    bigbrotr_crawler::metrics::register_all(registry)?;
    bigbrotr_relay::register_metrics(registry)?;
    bigbrotr_dvm::metrics::register_all(registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(registry: &Registry, name: &str, labels: &[&str]) -> f64 {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metric = family.unwrap().get_metric().iter().find(|metric| {
            let values: Vec<&str> = metric
                .get_label()
                .iter()
                .map(prometheus::proto::LabelPair::value)
                .collect();
            values == labels
        });
        let metric = metric.unwrap();
        metric.get_gauge().get_value() + metric.get_counter().get_value()
    }

    #[test]
    fn the_board_is_read_when_somebody_asks() {
        let (registry, board) = (Registry::new(), HealthBoard::default());
        NodeMetrics::register(&registry, board.clone(), Path::new("."), "mine").unwrap();
        board.set("relay", Health::Ready);
        let health = |state| value(&registry, "bigbrotr_node_health", &["relay", state]);
        let failures = || value(&registry, "bigbrotr_node_failures_total", &["relay"]);
        assert_eq!(
            (health("ready"), health("failed"), failures()),
            (1.0, 0.0, 0.0)
        );
        board.set("relay", Health::Failed("x".into()));
        assert_eq!(
            (health("ready"), health("failed"), failures()),
            (0.0, 1.0, 1.0)
        );
        board.set("relay", Health::Ready);
        assert_eq!(
            (health("ready"), health("failed"), failures()),
            (1.0, 0.0, 1.0)
        );
        let (free, size) = (
            value(&registry, "bigbrotr_node_disk_free_bytes", &[]),
            value(&registry, "bigbrotr_node_disk_size_bytes", &[]),
        );
        assert!(0.0 < free && free <= size, "{free} of {size}");
    }
}
