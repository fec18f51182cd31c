//! Every bound of this crate, with its unit and the reason for it.

use std::time::Duration;

/// The longest HTTP request or response head: bytes. Browsers send about 1 kB.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The longest HTTP body that the test client reads: bytes.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// The time a client has to send its request head. A test that is slower has gone wrong.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The time the test client waits for an answer unless told otherwise.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The time one write to a peer may take before the connection is given up.
pub const WRITE_TIMEOUT: Duration = Duration::from_mins(1);

/// The time a client has to answer a close frame.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The largest message a simulated relay reads, and the test client too: bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// Read buffer of a simulated connection: bytes. Small, since thousands of relays share a process.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Live events that wait for one connection: a client that is further behind is cut off.
pub const MAX_LIVE_BACKLOG: usize = 65_536;

/// Subscriptions of one connection.
pub const MAX_SUBSCRIPTIONS: usize = 1_000;

/// Requests and published ids that [`crate::relay::RelayStats`] remembers: a benchmark must not
/// grow without end.
pub const MAX_RECORDED: usize = 1_000;

/// The most that an "endless" body or stream sends: bytes. Endless enough for any bound that is
/// under test, and it ends a forgotten test.
pub const ENDLESS_BYTES: usize = 1 << 30;

/// The events a client collects for one subscription before it gives up.
pub const MAX_COLLECTED_EVENTS: usize = 2_000_000;
