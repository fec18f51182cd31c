//! Every bound of the finder that nobody should need to change, with its unit and reason.

use std::time::Duration;

/// The most relays that one event can name to one source. Relay lists have a handful, long-lived
/// contact lists some dozens; more is somebody's attempt to fill our table.
pub(super) const MAX_URLS_PER_EVENT: usize = 64;

/// The most texts of one event that are parsed as relay URLs for one source.
pub(super) const MAX_TEXTS_PER_EVENT: usize = 2_000;

/// The most tags of one event that are looked at.
pub(super) const MAX_TAGS_PER_EVENT: usize = 10_000;

/// The most texts of one list that are parsed as relay URLs: the network has some thousand relays.
pub(super) const MAX_TEXTS_PER_LIST: usize = 20_000;

/// The largest list, bytes: 20,000 URLs with room for what else is told of them. Parsed JSON takes
/// ten times as much for a moment.
pub(super) const MAX_LIST_BYTES: usize = 2 << 20;

/// The events of one step: one transaction, and what is held in memory.
pub(super) const PAGE_EVENTS: usize = 1_000;

/// The text of one step's events, bytes.
pub(super) const PAGE_BYTES: usize = 8 << 20;

/// After so much text, bytes, other tasks get their turn: about a millisecond of work.
pub(super) const YIELD_BYTES: usize = 256 << 10;

/// The pause between cycles while the archive has more to read: each cycle is bounded, and this
/// leaves the database to others in between.
pub(super) const BACKLOG_PAUSE: Duration = Duration::from_secs(1);

/// How long a cycle waits for transactions that are writing to the archive, and how often it looks.
pub(super) const BARRIER_WAIT: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_millis(50));

/// The longest wait for a list to be given back once the service has to stop.
pub(super) const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// The first pause after a list could not be read; it doubles up to the list's interval.
pub(super) const LIST_RETRY: Duration = Duration::from_mins(5);
