//! What the synchronizer counts.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bigbrotr_schema::store::{RelayId, SyncProgress, SyncScope, SyncTotals};
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// The counters of one service.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) turns: IntCounterVec,
    pub(super) pages: IntCounterVec,
    pub(super) refused: IntCounterVec,
    pub(super) received_bytes: IntCounter,
    pub(super) gaps: IntCounter,
    pub(super) gaps_closed: IntCounter,
    pub(super) events: IntCounterVec,
    pub(super) rounds: IntCounter,
    pub(super) refusals: IntCounterVec,
    pub(super) missing: IntCounter,
    pub(super) live: IntGauge,
    pub(super) live_lost: IntCounter,
    pub(super) active: IntGauge,
    caught_up: IntGauge,
    caught_up_relays: Mutex<HashSet<RelayId>>,
    relays: IntGaugeVec,
    open_gaps: IntGauge,
    open_missing: IntGauge,
    /// Only that of the priority relays is promised to stay small.
    priority_lag: Option<IntGauge>,
}

impl Metrics {
    /// Registers the counters; the two synchronizers of a process differ in the label `scope`.
    pub(super) fn register(scope: SyncScope, registry: &Registry) -> prometheus::Result<Self> {
        let word = match scope {
            SyncScope::All => "all",
            SyncScope::Priority => "priority",
        };
        let opts = |name: &str, help: &str| Opts::new(name, help).const_label("scope", word);
        let counter =
            |name: &str, help: &str, label: &str| IntCounterVec::new(opts(name, help), &[label]);
        let metrics = Self {
            turns: counter(
                "bigbrotr_synchronizer_turns_total",
                "Turns on a relay, by outcome: caught_up, yielded, stopped, or why they failed.",
                "outcome",
            )?,
            pages: counter(
                "bigbrotr_synchronizer_pages_total",
                "Pages of events asked for, by how they ended.",
                "end",
            )?,
            refused: counter(
                "bigbrotr_synchronizer_refused_messages_total",
                "Messages dropped before the archive, by reason.",
                "reason",
            )?,
            received_bytes: IntCounter::with_opts(opts(
                "bigbrotr_synchronizer_received_bytes_total",
                "Text of pages and reconciliations received.",
            ))?,
            gaps: IntCounter::with_opts(opts(
                "bigbrotr_synchronizer_gaps_total",
                "Stretches recorded that a relay cannot be paged through.",
            ))?,
            gaps_closed: IntCounter::with_opts(opts(
                "bigbrotr_synchronizer_gaps_closed_total",
                "Gaps that were archived by other means.",
            ))?,
            events: counter(
                "bigbrotr_synchronizer_events_total",
                "Events of relays, by what they were: new, known, linked (known and not downloaded).",
                "outcome",
            )?,
            rounds: IntCounter::with_opts(opts(
                "bigbrotr_synchronizer_reconcile_rounds_total",
                "Answers of relays in reconciliations (NIP-77).",
            ))?,
            refusals: counter(
                "bigbrotr_synchronizer_reconcile_refusals_total",
                "Reconciliations that relays refused or broke off, by reason.",
                "reason",
            )?,
            missing: IntCounter::with_opts(opts(
                "bigbrotr_synchronizer_missing_events_total",
                "Events that relays promised and that were not archived.",
            ))?,
            live: IntGauge::with_opts(opts(
                "bigbrotr_synchronizer_live_relays",
                "Relays followed by an open subscription.",
            ))?,
            live_lost: IntCounter::with_opts(opts(
                "bigbrotr_synchronizer_live_overflows_total",
                "Times that an open subscription brought more than could wait; the rest was asked for.",
            ))?,
            active: IntGauge::with_opts(opts(
                "bigbrotr_synchronizer_active_turns",
                "Relays being worked on by this process.",
            ))?,
            caught_up: IntGauge::with_opts(opts(
                "bigbrotr_synchronizer_caught_up_relays",
                "Relays whose last turn in this process ended caught up.",
            ))?,
            caught_up_relays: Mutex::default(),
            relays: IntGaugeVec::new(
                opts(
                    "bigbrotr_synchronizer_relays",
                    "Relays in the database, those of the list alone in scope priority, by status: \
                     syncing, live (followed), caught_up, waiting (never caught up with), failing, \
                     put_aside.",
                ),
                &["status"],
            )?,
            open_gaps: IntGauge::with_opts(opts(
                "bigbrotr_synchronizer_open_gaps",
                "Stretches of time in the database that are not archived and are tried again.",
            ))?,
            open_missing: IntGauge::with_opts(opts(
                "bigbrotr_synchronizer_open_missing_events",
                "Events in the database that relays promised and that are not archived.",
            ))?,
            priority_lag: match scope {
                SyncScope::All => None,
                SyncScope::Priority => Some(IntGauge::new(
                    "bigbrotr_synchronizer_priority_lag_seconds",
                    "Time since the priority relay that waits longest was caught up with; those \
                     followed live are, those that fail or are put aside do not count.",
                )?),
            },
        };
        registry.register(Box::new(metrics.turns.clone()))?;
        registry.register(Box::new(metrics.pages.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.received_bytes.clone()))?;
        registry.register(Box::new(metrics.gaps.clone()))?;
        registry.register(Box::new(metrics.gaps_closed.clone()))?;
        registry.register(Box::new(metrics.events.clone()))?;
        registry.register(Box::new(metrics.rounds.clone()))?;
        registry.register(Box::new(metrics.refusals.clone()))?;
        registry.register(Box::new(metrics.missing.clone()))?;
        registry.register(Box::new(metrics.live.clone()))?;
        registry.register(Box::new(metrics.live_lost.clone()))?;
        registry.register(Box::new(metrics.active.clone()))?;
        registry.register(Box::new(metrics.caught_up.clone()))?;
        registry.register(Box::new(metrics.relays.clone()))?;
        registry.register(Box::new(metrics.open_gaps.clone()))?;
        registry.register(Box::new(metrics.open_missing.clone()))?;
        if let Some(lag) = &metrics.priority_lag {
            registry.register(Box::new(lag.clone()))?;
        }
        Ok(metrics)
    }

    /// Shows what the database says of all relays of the scope.
    pub(super) fn totals(&self, totals: &SyncTotals) {
        for (status, count) in &totals.statuses {
            self.relays.with_label_values(&[status]).set(*count as i64);
        }
        self.open_gaps.set(totals.gaps as i64);
        self.open_missing.set(totals.missing_events as i64);
        if let Some(lag) = &self.priority_lag {
            lag.set(totals.lag_seconds as i64);
        }
    }

    /// Counts a turn that ended.
    pub(super) fn turn(&self, relay: RelayId, outcome: &str, is_caught_up: bool) {
        self.turns.with_label_values(&[outcome]).inc();
        self.caught_up(relay, is_caught_up);
    }

    /// Notes whether a relay is caught up with.
    pub(super) fn caught_up(&self, relay: RelayId, is_caught_up: bool) {
        let mut relays = self
            .caught_up_relays
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if is_caught_up {
            relays.insert(relay);
        } else {
            relays.remove(&relay);
        }
        self.caught_up.set(relays.len() as i64);
    }

    /// Counts what a piece of work brought.
    pub(super) fn progress(&self, progress: &SyncProgress) {
        let downloaded = progress.known_events.saturating_sub(progress.linked_events);
        for (outcome, count) in [
            ("new", progress.new_events),
            ("known", downloaded),
            ("linked", progress.linked_events),
        ] {
            self.events.with_label_values(&[outcome]).inc_by(count);
        }
        self.received_bytes.inc_by(progress.received_bytes);
    }
}
