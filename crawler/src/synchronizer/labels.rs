//! The values of the metrics' labels, all there are. Whoever reads the metrics sees each of them
//! from the start, at zero: an alert sees the first one, too.

/// How turns end.
pub(super) const TURN_ENDS: [&str; 20] = [
    "caught_up",
    "yielded",
    "stopped",
    "our_side",
    "unreachable",
    "disconnected",
    "closed",
    "auth_required",
    "timed_out",
    "limit_exceeded",
    "inconsistent",
    "only_foreign_events",
    "only_unusable_events",
    "late_events",
    "nothing_for_broad_filters",
    "invalid_events",
    "reconciliation",
    "rubbish",
    "lease_lost",
    "database",
];

/// How pages end.
pub(super) const PAGE_ENDS: [&str; 6] = [
    "eose",
    "closed",
    "auth_required",
    "timed_out",
    "disconnected",
    "limit_exceeded",
];

/// Why messages are dropped.
pub(super) const REFUSED: [&str; 7] = [
    "unreadable",
    "wrong_subscription",
    "too_large",
    "malformed",
    "no_match",
    "duplicate",
    "unwanted",
];

/// What events were.
pub(super) const EVENTS: [&str; 3] = ["new", "known", "linked"];

/// Why relays do not reconcile.
pub(super) const REFUSALS: [&str; 12] = [
    "too_many",
    "blocked",
    "busy",
    "closed",
    "notice",
    "silent",
    "auth_required",
    "unsupported",
    "protocol",
    "timed_out",
    "disconnected",
    "limit_exceeded",
];
