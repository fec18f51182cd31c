//! Metrics of the async runtime: a task that never ends shows here.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};
use tokio::runtime::Handle;

/// Looks at the runtime whenever the metrics are read.
struct RuntimeMetrics {
    runtime: Handle,
    alive_tasks: IntGauge,
    workers: IntGauge,
    queued_tasks: IntGauge,
}

/// Adds the metrics of this runtime.
pub(crate) fn register(registry: &Registry, runtime: Handle) -> prometheus::Result<()> {
    registry.register(Box::new(RuntimeMetrics {
        runtime,
        alive_tasks: IntGauge::new(
            "bigbrotr_tokio_alive_tasks",
            "Tasks of the async runtime that have not ended.",
        )?,
        workers: IntGauge::new(
            "bigbrotr_tokio_workers",
            "Threads of the async runtime that run tasks.",
        )?,
        queued_tasks: IntGauge::new(
            "bigbrotr_tokio_queued_tasks",
            "Tasks in the runtime's global queue, which wait for a thread.",
        )?,
    }))
}

impl RuntimeMetrics {
    fn gauges(&self) -> [&IntGauge; 3] {
        [&self.alive_tasks, &self.workers, &self.queued_tasks]
    }
}

impl Collector for RuntimeMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges()
            .into_iter()
            .flat_map(Collector::desc)
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = self.runtime.metrics();
        self.alive_tasks.set(now.num_alive_tasks() as i64);
        self.workers.set(now.num_workers() as i64);
        self.queued_tasks.set(now.global_queue_depth() as i64);
        let gauges = self.gauges().into_iter();
        gauges.flat_map(Collector::collect).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(registry: &Registry, name: &str) -> f64 {
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.unwrap().get_metric()[0].get_gauge().get_value()
    }

    #[tokio::test]
    async fn a_task_counts_until_it_has_ended() {
        let registry = Registry::new();
        register(&registry, Handle::current()).unwrap();
        let before = value(&registry, "bigbrotr_tokio_alive_tasks");
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(std::future::pending::<()>());
        let name = "bigbrotr_tokio_alive_tasks";
        assert!((value(&registry, name) - before - 1.0).abs() < 0.1);
        tasks.shutdown().await;
        assert!((value(&registry, name) - before).abs() < 0.1);
        assert!(value(&registry, "bigbrotr_tokio_workers") >= 1.0);
    }
}
