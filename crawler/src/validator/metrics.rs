//! What the validator counts. Labels come from closed sets: never a URL or a peer's text.

use bigbrotr_schema::store::{CandidateStatus, FoundBy};
use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// What proves a relay.
const ANSWERS: [&str; 5] = ["event", "eose", "closed", "challenge", "notice"];

/// The validator's metrics. A metric's help text is its documentation.
#[derive(Debug)]
pub(crate) struct ValidatorMetrics {
    tries: IntCounterVec,
    answers: IntCounterVec,
    relays: IntCounterVec,
    try_seconds: Histogram,
    in_flight: IntGauge,
    candidates: IntGaugeVec,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Promoted,
    Failed,
    GivenUp,
    /// The failure was ours.
    Inconclusive,
    /// The lease ran out before the outcome was stored.
    Late,
    /// The database refused the outcome.
    Unstored,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Promoted,
        Self::Failed,
        Self::GivenUp,
        Self::Inconclusive,
        Self::Late,
        Self::Unstored,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Inconclusive => "inconclusive",
            Self::Late => "late",
            Self::Unstored => "unstored",
        }
    }
}

impl ValidatorMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let seconds = HistogramOpts::new(
            "bigbrotr_validator_try_seconds",
            "Time of one try, the waits for connections included.",
        );
        let buckets = vec![0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0];
        let metrics = Self {
            tries: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_validator_tries_total",
                    "Tries, by outcome: promoted (a relay now), failed, given_up, inconclusive \
                     (the failure was ours), late (the lease ran out before), unstored (the \
                     database refused the outcome).",
                ),
                &["outcome"],
            )?,
            answers: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_validator_answers_total",
                    "Answers that proved a relay: event, eose, closed, challenge, notice.",
                ),
                &["answer"],
            )?,
            relays: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_validator_relays_total",
                    "Candidates that became relays, by where they were first found.",
                ),
                &["source"],
            )?,
            try_seconds: Histogram::with_opts(seconds.buckets(buckets))?,
            in_flight: IntGauge::new(
                "bigbrotr_validator_tries_in_flight",
                "Tries under way, storing included.",
            )?,
            candidates: IntGaugeVec::new(
                Opts::new(
                    "bigbrotr_validator_candidates",
                    "Candidates in the database, by state: untried, retried (failed before, and \
                     wait for another try), given_up.",
                ),
                &["state"],
            )?,
        };
        // All are there from the start: an alert sees the first one, too.
        for outcome in Outcome::ALL {
            metrics.tries.with_label_values(&[outcome.as_str()]);
        }
        for answer in ANSWERS {
            metrics.answers.with_label_values(&[answer]);
        }
        for source in FoundBy::ALL {
            metrics.relays.with_label_values(&[source.as_str()]);
        }
        metrics.set_candidates(CandidateStatus::default());
        registry.register(Box::new(metrics.tries.clone()))?;
        registry.register(Box::new(metrics.answers.clone()))?;
        registry.register(Box::new(metrics.relays.clone()))?;
        registry.register(Box::new(metrics.try_seconds.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.candidates.clone()))?;
        Ok(metrics)
    }

    pub(super) fn observe_try(&self, seconds: f64) {
        self.try_seconds.observe(seconds);
    }

    pub(super) fn set_in_flight(&self, tries: usize) {
        self.in_flight.set(tries as i64);
    }

    pub(super) fn count_try(&self, outcome: Outcome) {
        self.tries.with_label_values(&[outcome.as_str()]).inc();
    }

    pub(super) fn count_relay(&self, found_by: FoundBy, answer: &str) {
        debug_assert!(ANSWERS.contains(&answer), "{answer} is not declared");
        self.relays.with_label_values(&[found_by.as_str()]).inc();
        self.answers.with_label_values(&[answer]).inc();
    }

    pub(super) fn set_candidates(&self, status: CandidateStatus) {
        for (state, count) in [
            ("untried", status.waiting - status.retried),
            ("retried", status.retried),
            ("given_up", status.given_up),
        ] {
            self.candidates
                .with_label_values(&[state])
                .set(count as i64);
        }
    }
}
