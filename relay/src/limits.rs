//! Every bound of this crate that is not configuration, with its unit and the reason for it.

use std::time::Duration;

/// Time for a connection to send its request and take the answer, until it is a WebSocket.
/// Generous for slow networks, short enough that idle sockets do not pile up.
pub(crate) const HTTP_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of an HTTP request's head: no header we read is long (and hyper wants 8 KiB at least).
pub(crate) const HTTP_HEAD_BYTES: usize = 16 * 1024;

/// Headers of an HTTP request: browsers and proxies send about twenty.
pub(crate) const HTTP_HEADERS: usize = 64;

/// TCP connections beyond the WebSocket connections allowed: room for NIP-11 and for refusals.
pub(crate) const EXTRA_TCP_CONNECTIONS: usize = 64;

/// The same for one address.
pub(crate) const EXTRA_TCP_CONNECTIONS_PER_IP: usize = 8;

/// Pause after a failed accept, so that running out of file descriptors is not a busy loop.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Messages of one client that wait while one is handled: enough to read pings meanwhile, and
/// at most so many times the largest message in memory.
pub(crate) const INBOX_MESSAGES: usize = 4;

/// Bytes that the WebSocket layer gathers before it writes. Small, as there are many clients.
pub(crate) const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Bytes of the WebSocket layer's read buffer.
pub(crate) const READ_BUFFER_BYTES: usize = 8 * 1024;

/// Time for a client to take the last messages once its session ends.
pub(crate) const GOODBYE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time to throw away what a refused client still sends, so that it can read why.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes to throw away in that time.
pub(crate) const LINGER_BYTES: u64 = 8 * 1024 * 1024;

/// Stored events that one question to the database returns at most; a REQ asks as often as its
/// limits need.
pub(crate) const PAGE_EVENTS: usize = 250;

/// Bytes of stored events that a REQ holds at a time, over all of its filters.
pub(crate) const PAGE_BYTES: usize = 512 * 1024;

/// Rows that one question to the database looks at, at most. It begins with as many as are wanted,
/// and doubles while most of them may not be served.
pub(crate) const SCAN_ROWS: usize = 4_000;

/// Questions that clients ask the database at the same time. Below the size of the connection
/// pool, which services share.
pub(crate) const CONCURRENT_QUERIES: usize = 8;

/// Counts of one address at the same time: each may take its whole time, and others want to ask, too.
pub(crate) const COUNTS_PER_SITE: usize = 3;

/// Bytes of an event's texts up to which it is verified at once, on the thread that has it: that takes
/// some 0.1 ms.
pub(crate) const SMALL_EVENT_BYTES: usize = 32 * 1024;

/// Time to store one event.
pub(crate) const PUBLISH_TIMEOUT: Duration = Duration::from_secs(15);

/// Live events kept for a subscription whose stored events are still being sent: count.
pub(crate) const HELD_BACK_EVENTS: usize = 1_000;

/// The same in bytes. The texts are shared by all subscriptions.
pub(crate) const HELD_BACK_BYTES: usize = 1024 * 1024;

/// Numbers of fanned-out events that are remembered, to tell stored events that are still on
/// their way to subscribers from those that have been there. As many as the feed re-reads.
pub(crate) const RECENT_EVENTS: usize = 10_000;

/// Numbers below the last one fanned out that may still be on their way: they are handed out
/// before they become visible.
pub(crate) const OUT_OF_ORDER_EVENTS: i64 = 100;

/// Time after which the task that fans events out lets others have its thread.
pub(crate) const FANOUT_SLICE: Duration = Duration::from_millis(1);

/// Silence after which the database is asked whether there is really nothing new: a connection
/// can die without a sign.
pub(crate) const FEED_SILENCE: Duration = Duration::from_secs(30);

/// Time to ask that.
pub(crate) const FEED_CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// Expired events deleted in one statement: keeps its locks short.
pub(crate) const EXPIRY_BATCH: i64 = 1_000;

/// Public keys that one connection may authenticate as: a client with several accounts.
pub(crate) const AUTHENTICATED_PUBKEYS: usize = 16;

/// How far an authentication event's `created_at` may be from our clock: seconds (NIP-42 suggests
/// about ten minutes).
pub(crate) const AUTH_WINDOW_SECS: i64 = 600;

/// Random bytes of an authentication challenge.
pub(crate) const CHALLENGE_BYTES: usize = 16;

/// Characters of a peer's text that are repeated in an answer.
pub(crate) const ECHO_CHARS: usize = 200;

/// Items of a reconciliation that one question to the database returns.
pub(crate) const RECONCILE_PAGE: usize = 10_000;

/// Reconciliations open at the same time, all clients together.
pub(crate) const RECONCILIATIONS: usize = 64;

/// Reconciliations open at the same time on one connection.
pub(crate) const RECONCILIATIONS_PER_CLIENT: usize = 2;

/// Bytes of one reconciliation message that we send, before it is written as hex.
pub(crate) const RECONCILE_FRAME_BYTES: u64 = 60_000;

/// Time after which a reconciliation that its client does not go on with is forgotten.
pub(crate) const RECONCILE_IDLE: Duration = Duration::from_mins(1);

/// Addresses, and authors, of which the relay remembers how much they have sent: a few megabytes.
pub(crate) const RATE_KEYS: usize = 50_000;

/// Numbers of archived events that are remembered as fanned out, and below the last one that may
/// still be on their way.
pub(crate) const ARCHIVE_RECENT_EVENTS: usize = 50_000;

/// Newly archived events that subscribers wait for at most. A relay that is further behind ends
/// their subscriptions, and says so.
pub(crate) const ARCHIVE_BACKLOG: i64 = 200_000;

/// Time to read one page of them.
pub(crate) const ARCHIVE_PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the archive is looked through for reports of other monitors when nothing is
/// announced.
pub(crate) const MIRROR_INTERVAL: Duration = Duration::from_secs(30);

/// Pause between two looks, and while archivers are still at work on what is to be read.
pub(crate) const MIRROR_PAUSE: Duration = Duration::from_millis(500);
