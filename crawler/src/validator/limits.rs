//! Every bound of the validator that nobody should need to change, with its unit and reason.

use std::time::Duration;

/// The most bytes that a candidate may send: one event of the largest size, with room for what was
/// not asked for.
pub(super) const MAX_SESSION_BYTES: u64 = 8 << 20;

/// The share of a network's connections that candidates may hold: the relays that are known come
/// first.
pub(super) const CONNECTION_SHARE: u32 = 4;

/// How often due candidates are looked for while there is room.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What a lease is longer than the longest try: the time to store its outcome.
pub(super) const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// How long tries under way may go on once the service has to stop.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(2);

/// The longest time for giving back the leases of tries that were cut short.
pub(super) const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// When a candidate is tried again that failed for reasons of ours. Half of it is random.
pub(super) const DEFERRED: Duration = Duration::from_mins(2);

/// How often what is given up is looked through, and counted.
pub(super) const UPKEEP_INTERVAL: Duration = Duration::from_mins(5);

/// Candidates that have failed and wait for another try: more than ten times the relays that there
/// are. Beyond that somebody invents them, and those that failed most often are given up.
pub(super) const MAX_RETRIED: u32 = 200_000;

/// Given-up candidates that are remembered, at about 300 bytes each with their indexes. Beyond
/// that the oldest are forgotten, and tried again when somebody mentions them.
pub(super) const MAX_GIVEN_UP: u32 = 500_000;
