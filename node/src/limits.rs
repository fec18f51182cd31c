//! Every bound of this crate, with its unit and the reason for it.

use std::time::Duration;

/// The longest line of a file that is imported: bytes. Relays bound messages far below; a longer
/// line is no event but a broken file or a trap.
pub(crate) const IMPORT_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Lines that are parsed and submitted together: large enough to pay for the hand-over, small
/// enough that an interrupted import repeats little.
pub(crate) const IMPORT_CHUNK_LINES: usize = 1_000;

/// Bytes after which a chunk ends before it has that many lines.
pub(crate) const IMPORT_CHUNK_BYTES: usize = 512 * 1024;

/// Bytes of text whose events are not durable yet: about four ingest batches of usual events,
/// which is what keeps checking and writing busy.
pub(crate) const IMPORT_IN_FLIGHT_BYTES: usize = 24 * 1024 * 1024;

/// Chunks whose events are not durable yet, however small they are: those of a stream are as large
/// as what a pipe holds.
pub(crate) const IMPORT_IN_FLIGHT_CHUNKS: usize = 400;

/// Bytes that are read from a file at once.
pub(crate) const IMPORT_READ_BYTES: usize = 256 * 1024;

/// The beginning and the end of a file by which it is known again: bytes of each.
pub(crate) const IMPORT_MARK_BYTES: u64 = 64 * 1024;

/// How often the progress of an import is stored: what a crash repeats at most, beside what is in
/// flight.
pub(crate) const IMPORT_SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// How long the database may take to note how far an import is: longer, and it is noted later.
pub(crate) const IMPORT_STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an interrupted import waits for what is in flight to be durable.
pub(crate) const IMPORT_STOP_GRACE: Duration = Duration::from_secs(15);

/// The longest reason that is printed for a bad line: characters. A parser's message may quote
/// the whole value.
pub(crate) const REASON_CHARS: usize = 200;

/// How long the statistics may wait for imported events while the import goes on: folding many
/// batches at once is cheaper.
pub(crate) const IMPORT_FOLD_INTERVAL: Duration = Duration::from_secs(2);

/// Events of one page of an export.
pub(crate) const EXPORT_PAGE_EVENTS: usize = 2_000;

/// Events of an export's first page: the next may have twice as many as fitted.
pub(crate) const EXPORT_FIRST_PAGE_EVENTS: usize = 250;

/// Bytes after which a page of an export ends before it has that many events. Two pages are held:
/// one is written while the next is read.
pub(crate) const EXPORT_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// How often a command that works long says how far it is where there is no terminal.
pub(crate) const METER_LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How often it looks at how far it is.
pub(crate) const METER_TICK: Duration = Duration::from_millis(250);

/// The files that a node has open beside the connections of its networks, its relay and its
/// database: log, clients of the REST mirror and of the metrics, answers on their way.
pub(crate) const OTHER_OPEN_FILES: u64 = 512;

/// Pages that `ask --all` follows: a provider that always has another one must come to an end.
pub(crate) const MAX_PAGES: usize = 1_000;

/// Relays that `status` lists at most: each costs some look-ups.
pub(crate) const STATUS_RELAYS: i64 = 10_000;

/// Seconds between two looks of `status --watch`: the shortest is no burden, the longest a mistake.
pub(crate) const STATUS_EVERY: std::ops::RangeInclusive<u64> = 1..=86_400;

/// How long the database may take to say what `status` shows.
pub(crate) const STATUS_TIMEOUT: Duration = Duration::from_mins(1);

/// As much of a relay's last error as `status` shows: columns of text.
pub(crate) const STATUS_ERROR_CHARS: usize = 120;

/// How long a node may take to say how it is: less than a container's health check has.
pub(crate) const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer to that: bytes. It names eleven services at most, with a reason each.
pub(crate) const MAX_HEALTH_BYTES: usize = 64 * 1024;
