//! Every bound of this crate, with its unit and the reason for it.

use std::time::Duration;

/// Clients and customers whose rate is remembered, at most: at some 100 bytes each a few MB. The
/// one not seen for longest is forgotten first.
pub const MAX_RATED: u64 = 50_000;

/// Unqueued requests that one look at the relay's events takes in: bounds its memory.
pub const SWEEP_REQUESTS: i64 = 200;

/// Deletions that a look back for missed cancellations reads.
pub const SWEEP_DELETIONS: usize = 500;

/// Receipts of zaps that a look back for missed payments reads.
pub const SWEEP_RECEIPTS: usize = 500;

/// Ids in one kind 5 that are looked at as cancellations: each costs a statement.
pub const MAX_CANCELLED_IDS: usize = 100;

/// Parameters of one question. Entries have fewer than ten.
pub const MAX_PARAMS: usize = 50;

/// Relays that a request may name for its answer: each costs a connection.
pub const MAX_ANSWER_RELAYS: usize = 5;

/// Inputs of a request: each may cost a look-up.
pub const MAX_INPUTS: usize = 10;

/// The longest result that cannot be shortened, being no list: bytes of its event. Lists end where
/// the configuration says.
pub const MAX_ROW_BYTES: usize = 1024 * 1024;

/// How often a result is made anew to fit. Each time it gets shorter by what was too much.
pub const MAX_SHORTENINGS: usize = 8;

/// Events of one relay that are delivered over one connection.
pub const DELIVERY_BATCH: i64 = 50;

/// Relays that answers are taken to at the same time.
pub const DELIVERIES_AT_ONCE: usize = 8;

/// How long one delivery may take, connection included.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a delivery is tried, over some twenty minutes.
pub const DELIVERY_ATTEMPTS: u32 = 8;

/// Events of a relay that is listened to which wait to be taken in: while it is full, the relay
/// waits too.
pub const HEARD_QUEUE: usize = 100;

/// Requests that one other relay may bring a minute, whoever they are from; also how many at once.
/// A relay that lets anybody flood it must not flood us.
pub const HEARD_PER_MINUTE: u32 = 600;

/// How far back a relay is asked when listening begins anew, on top of what is missing: clocks
/// differ, and relays are slow.
pub const LISTEN_OVERLAP: Duration = Duration::from_mins(5);

/// How far ahead of our clock a request from another relay may be.
pub const MAX_AHEAD: Duration = Duration::from_mins(15);

/// The longest text that NIP-44 encrypts, bytes.
pub const NIP44_MAX_BYTES: usize = 65_535;

/// How long jobs at work have to finish when the service stops. Longer than any question may run
/// by default; a job that is cut off is answered after the next start.
pub const DRAIN: Duration = Duration::from_secs(10);

/// How long ended jobs are remembered. Much longer than requests are answered, so that none is
/// answered twice.
pub const KEEP_FINISHED_JOBS: Duration = Duration::from_hours(7 * 24);

/// Ended jobs forgotten in one go.
pub const FORGET_JOBS: i64 = 1_000;

/// Open connections of the REST mirror: each holds a buffer and a task.
pub const MAX_CONNECTIONS: usize = 1_024;

/// How long one connection of the REST mirror lives, so that a client that reads a byte a minute
/// does not hold it for ever. Clients open another one.
pub const CONNECTION_LIFETIME: Duration = Duration::from_mins(2);

/// How long a connection has for its last answer when it has to end.
pub const CONNECTION_GRACE: Duration = Duration::from_secs(5);

/// How long the REST mirror waits before it accepts again when the system has no more sockets.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Bodies shorter than this many bytes are not worth compressing.
pub const COMPRESS_FROM_BYTES: usize = 1_024;

/// The longest request id that is taken over from a client, characters.
pub const MAX_REQUEST_ID_CHARS: usize = 64;
