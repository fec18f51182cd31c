//! What the monitor counts. Labels come from closed sets: never a URL, a key or a peer's text.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bigbrotr_core::network::Network;
use bigbrotr_schema::store::RelayId;
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The monitor's metrics. A metric's help text is its documentation.
#[derive(Debug)]
pub(crate) struct MonitorMetrics {
    checks: IntCounterVec,
    check_seconds: Histogram,
    in_flight: IntGauge,
    relays: IntGaugeVec,
    due: IntGauge,
    overdue_seconds: IntGauge,
    reports: IntCounterVec,
    forwarded: IntCounterVec,
    forward_backlog: IntGauge,
    last_seen: Mutex<HashMap<RelayId, bool>>,
}

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Online,
    Offline,
    /// The failure was ours.
    Inconclusive,
    /// The database refused what was found.
    Unstored,
}

impl Outcome {
    const ALL: [Self; 4] = [
        Self::Online,
        Self::Offline,
        Self::Inconclusive,
        Self::Unstored,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Inconclusive => "inconclusive",
            Self::Unstored => "unstored",
        }
    }
}

impl MonitorMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let seconds = HistogramOpts::new(
            "bigbrotr_monitor_check_seconds",
            "Time of one check, the waits for connections included.",
        );
        let buckets = vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0];
        let metrics = Self {
            checks: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_monitor_checks_total",
                    "Checks, by outcome: online, offline, inconclusive (the failure was ours), \
                     unstored (the database refused what was found).",
                ),
                &["outcome"],
            )?,
            check_seconds: Histogram::with_opts(seconds.buckets(buckets))?,
            in_flight: IntGauge::new(
                "bigbrotr_monitor_checks_in_flight",
                "Checks under way, storing included.",
            )?,
            relays: IntGaugeVec::new(
                Opts::new(
                    "bigbrotr_monitor_relays",
                    "Relays that this process has checked, by network and how they were at their \
                     last check: online, offline.",
                ),
                &["network", "status"],
            )?,
            due: IntGauge::new(
                "bigbrotr_monitor_due_relays",
                "Relays in the database, of the networks that are on, whose check is due and has \
                 not begun.",
            )?,
            overdue_seconds: IntGauge::new(
                "bigbrotr_monitor_overdue_seconds",
                "For how long the longest of these has been due; 0 when none is.",
            )?,
            reports: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_monitor_reports_total",
                    "Events published, by kind: 30166, 10166, 0, 10002.",
                ),
                &["kind"],
            )?,
            forwarded: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_monitor_forwarded_total",
                    "Events taken to other relays, by outcome: taken, refused; and attempts that \
                     broke off: failed.",
                ),
                &["outcome"],
            )?,
            forward_backlog: IntGauge::new(
                "bigbrotr_monitor_forward_backlog",
                "Events that wait for other relays, counted for each of them.",
            )?,
            last_seen: Mutex::default(),
        };
        metrics.begin();
        registry.register(Box::new(metrics.checks.clone()))?;
        registry.register(Box::new(metrics.check_seconds.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.relays.clone()))?;
        registry.register(Box::new(metrics.due.clone()))?;
        registry.register(Box::new(metrics.overdue_seconds.clone()))?;
        registry.register(Box::new(metrics.reports.clone()))?;
        registry.register(Box::new(metrics.forwarded.clone()))?;
        registry.register(Box::new(metrics.forward_backlog.clone()))?;
        Ok(metrics)
    }

    /// Makes every label's values be there from the start, at zero: an alert sees the first one,
    /// too.
    fn begin(&self) {
        for outcome in Outcome::ALL {
            self.checks.with_label_values(&[outcome.as_str()]);
        }
        for network in Network::ALL {
            for status in ["online", "offline"] {
                self.relays.with_label_values(&[network.as_str(), status]);
            }
        }
        for kind in ["30166", "10166", "0", "10002"] {
            self.reports.with_label_values(&[kind]);
        }
        for outcome in ["taken", "refused", "failed"] {
            self.forwarded.with_label_values(&[outcome]);
        }
    }

    pub(super) fn set_overdue(&self, (relays, seconds): (u64, u64)) {
        self.due.set(relays as i64);
        self.overdue_seconds.set(seconds as i64);
    }

    pub(super) fn observe_check(&self, seconds: f64) {
        self.check_seconds.observe(seconds);
    }

    pub(super) fn set_in_flight(&self, checks: usize) {
        self.in_flight.set(checks as i64);
    }

    pub(super) fn count_check(&self, outcome: Outcome) {
        self.checks.with_label_values(&[outcome.as_str()]).inc();
    }

    pub(super) fn count_report(&self, kind: u16) {
        self.reports
            .with_label_values(&[kind.to_string().as_str()])
            .inc();
    }

    pub(super) fn count_forwarded(&self, outcome: &str, events: usize) {
        self.forwarded
            .with_label_values(&[outcome])
            .inc_by(events as u64);
    }

    pub(super) fn set_forward_backlog(&self, events: u64) {
        self.forward_backlog.set(events as i64);
    }

    /// Notes how a relay was at its last check.
    pub(super) fn note_relay(&self, relay: RelayId, network: Network, online: bool) {
        let gauge = |online| {
            let status = if online { "online" } else { "offline" };
            self.relays.with_label_values(&[network.as_str(), status])
        };
        let mut last_seen = self
            .last_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = last_seen.insert(relay, online) {
            gauge(before).dec();
        }
        gauge(online).inc();
    }
}
