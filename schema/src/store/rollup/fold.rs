//! Adding up what changes, before any of it is written.

use std::collections::HashMap;

use super::windows::ALL;

/// Events of one pubkey and kind that enter (n > 0) or leave (n < 0) a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventChange {
    pub(super) win: i16,
    /// The pubkey's number.
    pub(super) pubkey: i32,
    pub(super) kind: i32,
    pub(super) n: i64,
    /// `created_at` of an event that is added: earliest and latest are kept for the window `all`.
    pub(super) at: Option<i64>,
}

/// The same on one relay.
#[derive(Debug, Clone, Copy)]
pub(super) struct RelayChange {
    pub(super) relay: i32,
    pub(super) event: EventChange,
}

/// How a counter changes, and which `created_at` are added to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) n: i64,
    pub(super) first_at: Option<i64>,
    pub(super) last_at: Option<i64>,
}

impl Delta {
    fn add(&mut self, change: EventChange) {
        self.n += change.n;
        if change.win == ALL && change.n > 0 {
            self.widen(change.at, change.at);
        }
    }

    /// Takes earlier and later times in.
    pub(super) fn widen(&mut self, first_at: Option<i64>, last_at: Option<i64>) {
        self.first_at = match (self.first_at, first_at) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
        self.last_at = self.last_at.max(last_at);
    }
}

/// Counters of (window, pubkey, kind).
pub(super) type EventDeltas = HashMap<(i16, i32, i32), Delta>;

/// Counters of (window, relay, pubkey, kind).
pub(super) type RelayDeltas = HashMap<(i16, i32, i32, i32), Delta>;

/// Counters of (length of the bucket in seconds, kind, the bucket's first second).
pub(super) type SeriesDeltas = HashMap<(i64, i32, i64), i64>;

/// Hours and days: the buckets of the series, seconds.
const BUCKETS: [i64; 2] = [3_600, 86_400];

/// What one step changes at the lowest level; everything above follows from it.
#[derive(Debug, Default)]
pub(super) struct Fold {
    pub(super) events: EventDeltas,
    pub(super) relays: RelayDeltas,
    pub(super) series: SeriesDeltas,
}

impl Fold {
    /// Adds events to a window or takes them out.
    pub(super) fn event(&mut self, change: EventChange) {
        self.events
            .entry((change.win, change.pubkey, change.kind))
            .or_default()
            .add(change);
    }

    /// Adds events of one relay to a window or takes them out.
    pub(super) fn sighting(&mut self, change: RelayChange) {
        let event = change.event;
        self.relays
            .entry((event.win, change.relay, event.pubkey, event.kind))
            .or_default()
            .add(event);
    }

    /// Adds an event to the series or takes it out.
    pub(super) fn series(&mut self, kind: i32, created_at: i64, n: i64) {
        for bucket in BUCKETS {
            let at = created_at - created_at.rem_euclid(bucket);
            *self.series.entry((bucket, kind, at)).or_default() += n;
        }
    }
}
