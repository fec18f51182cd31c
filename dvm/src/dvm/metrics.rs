//! What the data vending machine counts.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

/// How a request ended, for the label `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Answered with a result.
    Done,
    /// Answered with an error.
    Failed,
    /// Refused at intake: too many from this customer, or too many waiting.
    Refused,
    /// Cancelled by its customer.
    Cancelled,
    /// Put back: the database was away.
    Retried,
    /// Somebody else ended it first.
    Superseded,
}

impl Ending {
    const ALL: [Self; 6] = [
        Self::Done,
        Self::Failed,
        Self::Refused,
        Self::Cancelled,
        Self::Retried,
        Self::Superseded,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Retried => "retried",
            Self::Superseded => "superseded",
        }
    }
}

#[derive(Debug)]
pub(crate) struct DvmMetrics {
    jobs: IntCounterVec,
    pub(crate) job_seconds: Histogram,
    pub(crate) queue: IntGauge,
    pub(crate) oldest: IntGauge,
}

impl DvmMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            jobs: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_dvm_jobs_total",
                    "NIP-90 jobs by how this process ended them.",
                ),
                &["outcome"],
            )?,
            job_seconds: Histogram::with_opts(HistogramOpts::new(
                "bigbrotr_dvm_job_seconds",
                "Time from claiming a job to its published answer.",
            ))?,
            queue: IntGauge::new("bigbrotr_dvm_queue_jobs", "NIP-90 jobs that wait.")?,
            oldest: IntGauge::new(
                "bigbrotr_dvm_oldest_job_seconds",
                "For how long the NIP-90 job that waits longest has waited; 0 when none does.",
            )?,
        };
        for ending in Ending::ALL {
            metrics.jobs.with_label_values(&[ending.as_str()]);
        }
        registry.register(Box::new(metrics.jobs.clone()))?;
        registry.register(Box::new(metrics.job_seconds.clone()))?;
        registry.register(Box::new(metrics.queue.clone()))?;
        registry.register(Box::new(metrics.oldest.clone()))?;
        Ok(metrics)
    }

    pub(crate) fn count(&self, ending: Ending) {
        self.jobs.with_label_values(&[ending.as_str()]).inc();
    }
}
