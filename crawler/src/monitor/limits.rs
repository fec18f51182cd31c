//! Every bound of the monitor that nobody should need to change, with its unit and reason.

use std::time::Duration;

/// The largest NIP-11 document, bytes: real ones are below 64 KiB, and every one is stored.
pub(super) const MAX_INFORMATION_BYTES: usize = 128 << 10;

/// The longest NIP-11 document that a report repeats, bytes: reports are fetched by thousands.
pub(super) const MAX_REPORT_CONTENT_BYTES: usize = 32 << 10;

/// The characters kept of a name, software or version in NIP-11.
pub(super) const MAX_TEXT_CHARS: usize = 256;

/// The most NIPs taken from a NIP-11 document: a few times as many as there are.
pub(super) const MAX_NIPS: usize = 256;

/// The most topics taken from a NIP-11 document.
pub(super) const MAX_TOPICS: usize = 16;

/// The most languages taken from a NIP-11 document.
pub(super) const MAX_LANGUAGES: usize = 16;

/// The most kinds taken from a NIP-11 document: each becomes a tag of the report.
pub(super) const MAX_KINDS: usize = 64;

/// The largest certificate that is read, bytes: real ones are below 8 KiB.
pub(super) const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// The host names kept of a certificate: the largest real ones have a hundred, of no interest.
pub(super) const MAX_CERTIFICATE_NAMES: usize = 32;

/// The characters kept of a host name: what DNS allows.
pub(super) const MAX_NAME_CHARS: usize = 253;

/// The longest serial number of a certificate, bytes: RFC 5280 allows 20.
pub(super) const MAX_SERIAL_BYTES: usize = 32;

/// The characters kept of an HTTP header.
pub(super) const MAX_HEADER_CHARS: usize = 128;

/// The largest geo database, bytes: they are kept in memory, and the largest real ones have a
/// few hundred megabytes.
pub(super) const MAX_DATABASE_BYTES: u64 = 1 << 30;

/// How often the file of a geo database is looked at for a change.
pub(super) const GEO_RELOAD_INTERVAL: Duration = Duration::from_mins(5);

/// The characters of a relay's geohash: about 5 km, which is more exact than the databases are.
pub(super) const GEOHASH_CHARS: usize = 5;

/// The pause before a connection or a request is tried again: relays ban who comes back within
/// a second.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// The most bytes that a relay may send during a check: one event of the largest size, with room
/// for what was not asked for.
pub(super) const MAX_SESSION_BYTES: u64 = 8 << 20;

/// The kind of the write probe: ephemeral, so that nobody has to keep it.
pub(super) const WRITE_PROBE_KIND: u16 = 22_456;

/// How often due relays are looked for while there is room for more checks.
pub(super) const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How often the relays that wait for their check are counted, for whoever reads the metrics.
pub(super) const OVERDUE_INTERVAL: Duration = Duration::from_secs(15);

/// What a lease is longer than the longest check: the time to store its outcome.
pub(super) const LEASE_MARGIN: Duration = Duration::from_mins(1);

/// How long checks under way may go on once the service has to stop.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);

/// The longest time for giving back the leases of checks that were cut short.
pub(super) const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// How often the announcements on our relay are compared with what they should be.
pub(super) const ANNOUNCE_INTERVAL: Duration = Duration::from_hours(1);

/// The age, in seconds, at which an unchanged announcement is published again: readers take an
/// old one for a monitor that has gone.
pub(super) const ANNOUNCE_REFRESH_SECONDS: i64 = 24 * 60 * 60;

/// The share of the pauses between checks of an offline relay that is random, at least: a thousand
/// dead relays that came together would be asked together for ever.
pub(super) const RETRY_SPREAD: f64 = 0.5;

/// The shortest pause between two checks of an online relay, as a share of its interval: relays
/// ban clients that come back within seconds.
pub(super) const SHORTEST_PAUSE: f64 = 0.125;

/// The most relays beside our own that reports go to: each holds a connection, and gets a copy of
/// every report.
pub(super) const MAX_TARGETS: usize = 16;

/// Events sent to a target before its answers are waited for: relays an ocean away would take
/// fewer reports an hour than there are relays.
pub(super) const FORWARD_WINDOW: usize = 16;

/// How often it is looked for events that wait for a target.
pub(super) const FORWARD_POLL: Duration = Duration::from_secs(1);

/// How long a target is leased, and kept, for one window of events and its authentication.
pub(super) const FORWARD_LEASE: Duration = Duration::from_mins(2);

/// The longest wait for a target's answers to one window of events.
pub(super) const FORWARD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection to a target is kept while nothing waits for it.
pub(super) const FORWARD_IDLE: Duration = Duration::from_mins(1);

/// How often the events that wait for targets are counted.
pub(super) const BACKLOG_INTERVAL: Duration = Duration::from_mins(1);

/// How long the first connection of a check stays open for the second, which has to wait for its
/// turn. No longer: the checks of a crowded host each hold one of its slots and wait for another.
pub(super) const SECOND_CONNECTION_WAIT: Duration = Duration::from_secs(1);

/// After how long a relay is tried again whose check failed on our side.
pub(super) const OURS_PAUSE: Duration = Duration::from_secs(30);
