//! What the finder counts. Labels come from closed sets: never a URL or a peer's text.

use bigbrotr_schema::store::FoundBy;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::budget::Tally;
use super::extract::Collected;

/// What may become of a URL.
const OUTCOMES: [&str; 6] = ["new", "known", "crowded", "full", "refused", "excess"];

/// The finder's metrics. A metric's help text is its documentation.
#[derive(Debug)]
pub(crate) struct FinderMetrics {
    events: IntCounter,
    urls: IntCounterVec,
    behind: IntGauge,
    lists: IntCounterVec,
    cycle_seconds: Histogram,
}

impl FinderMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let seconds = HistogramOpts::new(
            "bigbrotr_finder_cycle_seconds",
            "Time of one look at the archive and at one list that is due.",
        );
        let buckets = vec![0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        let metrics = Self {
            events: IntCounter::new(
                "bigbrotr_finder_events_total",
                "Archived events read. One is read again for a source that had to stop before it.",
            )?,
            urls: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_finder_urls_total",
                    "URLs found, by source and outcome: new (a candidate now), known (a relay or a \
                     candidate already), crowded (its host or site has as many as it may), full \
                     (its network is off and has as many as it may), refused (no relay URL that we \
                     accept), excess (beyond what one event or list may name).",
                ),
                &["source", "outcome"],
            )?,
            behind: IntGauge::new(
                "bigbrotr_finder_behind_events",
                "Numbers of archived events that are not read yet, for the source that is furthest \
                 behind; at most as many events.",
            )?,
            lists: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_finder_lists_total",
                    "Lists fetched, by outcome: read, failed.",
                ),
                &["outcome"],
            )?,
            cycle_seconds: Histogram::with_opts(seconds.buckets(buckets))?,
        };
        // All are there from the start: an alert sees the first one, too.
        for source in FoundBy::ALL {
            for outcome in OUTCOMES {
                metrics.urls.with_label_values(&[source.as_str(), outcome]);
            }
        }
        for outcome in ["read", "failed"] {
            metrics.lists.with_label_values(&[outcome]);
        }
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.urls.clone()))?;
        registry.register(Box::new(metrics.behind.clone()))?;
        registry.register(Box::new(metrics.lists.clone()))?;
        registry.register(Box::new(metrics.cycle_seconds.clone()))?;
        Ok(metrics)
    }

    pub(super) fn count_events(&self, events: u64) {
        self.events.inc_by(events);
    }

    pub(super) fn count_collected(&self, source: FoundBy, found: &Collected) {
        self.count(source, "refused", found.refused);
        self.count(source, "excess", found.excess);
    }

    pub(super) fn count_tally(&self, source: FoundBy, tally: Tally) {
        self.count(source, "known", tally.known);
        self.count(source, "crowded", tally.crowded);
        self.count(source, "full", tally.full);
    }

    pub(super) fn count_new(&self, source: FoundBy, new: u64) {
        self.count(source, "new", new);
    }

    pub(super) fn set_behind(&self, events: i64) {
        self.behind.set(events);
    }

    pub(super) fn count_list(&self, is_read: bool) {
        let outcome = if is_read { "read" } else { "failed" };
        self.lists.with_label_values(&[outcome]).inc();
    }

    pub(super) fn observe_cycle(&self, seconds: f64) {
        self.cycle_seconds.observe(seconds);
    }

    fn count(&self, source: FoundBy, outcome: &str, count: u64) {
        debug_assert!(OUTCOMES.contains(&outcome), "{outcome} is not declared");
        if count > 0 {
            self.urls
                .with_label_values(&[source.as_str(), outcome])
                .inc_by(count);
        }
    }
}
