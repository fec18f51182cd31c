//! Every bound of this crate, with its unit and the reason for it.

use std::time::Duration;

/// The most events that one ingest transaction writes. Large enough to pay for the commit, small
/// enough to keep the memory of a batch around ten megabytes.
pub const INGEST_BATCH_EVENTS: usize = 5_000;

/// The most bytes of event JSON in one ingest transaction, so that megabyte events cannot make a
/// batch of gigabytes.
pub const INGEST_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// From so many new events on they are copied: fewer are inserted by one call, which takes fewer
/// round trips.
pub const COPY_FROM_EVENTS: usize = 32;

/// Batches that may have been checked before one ahead of them was written: one in the writer's
/// queue, one on its way there, and one in the checker's hands.
pub const CHECKED_AHEAD: u32 = 3;

/// How long a statement of the intake may go on once the node stops.
pub const INGEST_STOP_GRACE: Duration = Duration::from_secs(5);

/// How many submissions may wait for the writer: beyond that, sockets wait.
pub const INGEST_QUEUE: usize = 64;

/// Events that one verification task checks: about 10 ms of CPU.
pub const VERIFY_CHUNK: usize = 256;

/// Events that the memory in front of the database holds: at 70 bytes each about 35 MB when full.
pub const RECENT_EVENTS: usize = 500_000;

/// First delay before a failed transaction is tried again.
pub const RETRY_BASE: Duration = Duration::from_millis(100);

/// Longest delay before a failed transaction is tried again.
pub const RETRY_MAX: Duration = Duration::from_secs(10);

/// Batches that one rollup transaction folds: bounds its memory and its time.
pub const ROLLUP_BATCHES: i64 = 64;

/// The most stored events that one query of the relay's events returns, whatever it asks for.
pub const QUERY_MAX_EVENTS: usize = 5_000;

/// Events that a listener re-reads after its connection was lost, at most in one go.
pub const LISTEN_REREAD_EVENTS: i64 = 10_000;

/// Events that a listener reads in one go: bounds the memory of a burst.
pub const LISTEN_READ_EVENTS: usize = 200;

/// JSON of the events that one query of the `NostrDatabase` contract returns: bytes. The contract
/// wants all of them at once; beyond this it is an error, and never a part that looks like all.
pub const CONTRACT_QUERY_BYTES: usize = 256 * 1024 * 1024;

/// Events of one page of such a query.
pub const CONTRACT_PAGE_EVENTS: usize = 1_000;

/// Items that the contract returns for a reconciliation: 40 bytes each, so 40 MB.
pub const CONTRACT_NEGENTROPY_ITEMS: usize = 1_000_000;

/// Events that the contract deletes in one statement: keeps its locks short.
pub const CONTRACT_DELETE_EVENTS: usize = 1_000;
