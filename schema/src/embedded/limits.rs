//! Every bound of the embedded Postgres, with its unit and its reason.

use std::time::Duration;

/// The oldest major version the schema is written for.
pub(super) const MINIMUM_MAJOR: u32 = 15;

/// How long a server may take until it answers, when the configuration does not say: a cold
/// start on a slow disk takes seconds, and recovery after a crash extends it.
pub(super) const STARTUP_TIMEOUT: Duration = Duration::from_mins(1);

/// How long recovery after a crash may take while the server says that it is recovering:
/// replaying the configured `max_wal_size` from a slow disk stays far below it.
pub(super) const RECOVERY_TIMEOUT: Duration = Duration::from_hours(1);

/// How long a fast shutdown may take, when the configuration does not say: it writes every
/// dirty page of `shared_buffers`.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// How long an immediate shutdown may take: Postgres itself kills what is left after 5 seconds.
pub(super) const IMMEDIATE_STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the last processes of a server that died may live on: they notice within a second.
pub(super) const SERVER_GONE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long another process may hold the start lock beyond the time a start or a stop takes.
pub(super) const START_LOCK_GRACE: Duration = Duration::from_secs(30);

/// Pause between two looks at a lock, a process or a file.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// How often a server that has not said that it is ready is asked all the same.
pub(super) const QUESTION_INTERVAL: Duration = Duration::from_secs(1);

/// How often a start that takes long says so in the log.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// How long one connection attempt may take: it is the loopback interface.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one administrative statement may take; creating a database writes a few megabytes.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_mins(1);

/// How long `initdb` may take: about a second on a laptop, minutes on a worn SD card.
pub(super) const INITDB_TIMEOUT: Duration = Duration::from_mins(5);

/// How long a program that only prints something (`postgres --version`) may take.
pub(super) const QUICK_COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the download of a Postgres may take: about 30 MB.
pub(super) const DOWNLOAD_TIMEOUT: Duration = Duration::from_mins(15);

/// How many free ports are tried when the port is ours to choose: another process can take
/// the port between the choice and the start.
pub(super) const PORT_ATTEMPTS: usize = 5;

/// How many lines of the server's log an error quotes.
pub(super) const LOG_TAIL_LINES: usize = 12;

/// How many bytes are read from the end of a log to find those lines.
pub(super) const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// Bytes of randomness in the superuser's password.
pub(super) const SECRET_BYTES: usize = 32;
