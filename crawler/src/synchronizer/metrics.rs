//! What the synchronizer counts.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use bigbrotr_schema::store::{RelayId, SyncProgress, SyncScope};
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::labels::{EVENTS, PAGE_ENDS, REFUSALS, REFUSED, TURN_ENDS};
use super::totals::TotalsMetrics;

/// The counters of one service.
#[derive(Debug)]
pub(crate) struct Metrics {
    turns: IntCounterVec,
    pages: IntCounterVec,
    refused: IntCounterVec,
    pub(super) received_bytes: IntCounter,
    pub(super) gaps: IntCounter,
    pub(super) gaps_closed: IntCounter,
    events: IntCounterVec,
    pub(super) rounds: IntCounter,
    refusals: IntCounterVec,
    pub(super) missing: IntCounter,
    pub(super) live: IntGauge,
    pub(super) live_lost: IntCounter,
    pub(super) active: IntGauge,
    caught_up: IntGauge,
    caught_up_relays: Mutex<HashSet<RelayId>>,
    pub(super) totals: TotalsMetrics,
}

/// A metric of one of the two synchronizers of a process, which differ in the label `scope`.
pub(super) fn opts(scope: SyncScope, name: &str, help: &str) -> Opts {
    let scope = match scope {
        SyncScope::All => "all",
        SyncScope::Priority => "priority",
    };
    Opts::new(name, help).const_label("scope", scope)
}

impl Metrics {
    /// Registers the counters.
    pub(crate) fn register(scope: SyncScope, registry: &Registry) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| opts(scope, name, help);
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
            totals: TotalsMetrics::register(scope, registry)?,
        };
        for (counters, values) in [
            (&metrics.turns, TURN_ENDS.as_slice()),
            (&metrics.pages, &PAGE_ENDS),
            (&metrics.refused, &REFUSED),
            (&metrics.events, &EVENTS),
            (&metrics.refusals, &REFUSALS),
        ] {
            for value in values {
                counters.with_label_values(&[value]);
            }
        }
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
        Ok(metrics)
    }

    /// Counts a turn that ended.
    pub(super) fn turn(&self, relay: RelayId, outcome: &str, is_caught_up: bool) {
        debug_assert!(TURN_ENDS.contains(&outcome), "{outcome} is not declared");
        self.turns.with_label_values(&[outcome]).inc();
        self.caught_up(relay, is_caught_up);
    }

    /// Counts a page that ended.
    pub(super) fn page(&self, end: &str) {
        debug_assert!(PAGE_ENDS.contains(&end), "{end} is not declared");
        self.pages.with_label_values(&[end]).inc();
    }

    /// Counts messages that were dropped.
    pub(super) fn refuse(&self, reason: &str, count: u64) {
        debug_assert!(REFUSED.contains(&reason), "{reason} is not declared");
        self.refused.with_label_values(&[reason]).inc_by(count);
    }

    /// Counts a reconciliation that was refused or broken off.
    pub(super) fn refuse_reconciliation(&self, reason: &str) {
        debug_assert!(REFUSALS.contains(&reason), "{reason} is not declared");
        self.refusals.with_label_values(&[reason]).inc();
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
