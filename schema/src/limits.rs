//! Every bound of this crate, with its unit and the reason for it.

use std::time::Duration;

/// The most events that one ingest transaction writes. Large enough to pay for the commit, small
/// enough to keep the memory of a batch around ten megabytes.
pub const INGEST_BATCH_EVENTS: usize = 5_000;

/// The most bytes of event JSON in one ingest transaction, so that megabyte events cannot make a
/// batch of gigabytes.
pub const INGEST_BATCH_BYTES: usize = 16 * 1024 * 1024;

/// From this lag of the statistics on, the intake folds before it writes on: half of the two
/// seconds that are promised at most.
pub const INGEST_HELP_FROM_LAG: Duration = Duration::from_secs(1);

/// Pause while another process folds.
pub const INGEST_HELP_PAUSE: Duration = Duration::from_millis(10);

/// The most steps (or pauses) after one batch: a rollup that hangs must not stop the archive.
pub const INGEST_HELP_STEPS: u32 = 200;

/// How often a batch may meet events that another process archives at the same moment before it
/// fails.
pub const INSERT_COLLISIONS: usize = 5;

/// Batches that may have been checked before one ahead of them was written: one in the writer's
/// queue, one on its way there, and one in the checker's hands.
pub const CHECKED_AHEAD: u32 = 3;

/// How long one try of the intake may take: a server that vanished without a word, as behind a
/// broken network, is never heard of again on that connection. Far above the time of a batch and
/// of most locks, whose waiting is begun anew then.
pub const INGEST_TRY_TIMEOUT: Duration = Duration::from_mins(5);

/// How long a statement of the intake may go on once the node stops.
pub const INGEST_STOP_GRACE: Duration = Duration::from_secs(5);

/// How many submissions may wait for the writer: beyond that, sockets wait.
pub const INGEST_QUEUE: usize = 64;

/// The most bytes of event JSON that wait for the writer or are in its hands: a queue of full pages
/// of large events would be gigabytes. Room for the batches that are checked, waiting and written
/// at [`INGEST_BATCH_BYTES`] each, and one more.
pub const INGEST_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// As much for the priority synchronizer alone, bytes.
pub const INGEST_PRIORITY_BYTES: usize = 8 << 20;

/// Events that one verification task checks: about 10 ms of CPU.
pub const VERIFY_CHUNK: usize = 256;

/// Events that the memory in front of the database holds: two generations that each fill a hash
/// table of 2^18 places to seven eighths, so 41 bytes a place, 22 MB in all.
pub const RECENT_EVENTS: usize = 2 * (1 << 18) / 8 * 7;

/// Records of events that the database did not take, the latest ones: enough to see what is wrong.
pub const REFUSED_EVENTS: i64 = 1_000;

/// The longest event of which such a record keeps the JSON: bytes. With [`REFUSED_EVENTS`] that is
/// 64 MB at the very worst.
pub const REFUSED_EVENT_BYTES: usize = 64 * 1024;

/// How much of the database's reason such a record keeps: characters.
pub const REFUSED_MESSAGE_CHARS: usize = 1_000;

/// First delay before a failed transaction is tried again.
pub const RETRY_BASE: Duration = Duration::from_millis(100);

/// Longest delay before a failed transaction is tried again.
pub const RETRY_MAX: Duration = Duration::from_secs(10);

/// Batches that one rollup transaction folds.
pub const ROLLUP_BATCHES: usize = 256;

/// From so many events and sightings on, a rollup transaction takes no further batch: bounds its
/// memory and its time. Larger folds meet each counter more often and write it once.
pub const ROLLUP_EVENTS: i64 = 40_000;

/// How far ahead of all clocks the statistics may be, seconds: clocks differ, and going back for each
/// would be work for nothing.
pub const ROLLUP_CLOCK_PLAY_SECONDS: i64 = 60;

/// How far one rollup transaction moves the windows, seconds: after a pause of weeks a step reads
/// six hours of events, not all of them.
pub const ROLLUP_MOST_ADVANCE_SECONDS: i64 = 6 * 3_600;

/// Pubkeys whose numbers the rollup remembers: two generations that each fill a hash table of 2^17
/// places to seven eighths, so 37 bytes a place, 10 MB in all.
pub const PUBKEY_NUMBERS: usize = 2 * (1 << 17) / 8 * 7;

/// Files with the same beginning that an import looks at to find its own: a file that grows leaves
/// one row, so more means that many files begin alike.
pub const IMPORT_CANDIDATES: i64 = 100;

/// The most stored events that one query of the relay's events returns, whatever it asks for.
pub const QUERY_MAX_EVENTS: usize = 5_000;

/// Events that a listener re-reads after its connection was lost, at most in one go.
pub const LISTEN_REREAD_EVENTS: i64 = 10_000;

/// Events that a listener reads in one go: bounds the memory of a burst.
pub const LISTEN_READ_EVENTS: usize = 200;

/// Connections for the questions of the relay's clients that are kept while nobody asks.
pub const IDLE_READERS: usize = 8;

/// Events that are published in one transaction.
pub const PUBLISH_BATCH: usize = 100;

/// Events that are published at the same time in transactions of their own, each with a connection
/// of the pool that services share: a flood of deletions leaves them some.
pub const PUBLISHED_ALONE: usize = 4;

/// Events that one removal takes out: the archive's writers wait for it.
pub const RETENTION_BATCH: usize = 2_000;

/// Old events that are looked at for one removal.
pub const RETENTION_SCAN: usize = 20_000;

/// Relays whose checks are looked at for one removal.
pub const RETENTION_RELAYS: i64 = 500;

/// Checks of each relay that stay however old they are: averages are over the last ten.
pub const CHECKS_KEPT: i64 = 10;

/// How long a removal waits for those who write to the archive. Whoever wants to write waits behind it
/// meanwhile, and one of them may have been frozen.
pub const REMOVAL_LOCK_WAIT: Duration = Duration::from_secs(10);

/// Pause between two removals.
pub const RETENTION_PAUSE: Duration = Duration::from_millis(100);

/// JSON of the events that one query of the `NostrDatabase` contract returns: bytes. The contract
/// wants all of them at once; beyond this it is an error, and never a part that looks like all.
pub const CONTRACT_QUERY_BYTES: usize = 256 * 1024 * 1024;

/// Events of one page of such a query.
pub const CONTRACT_PAGE_EVENTS: usize = 1_000;

/// Items that the contract returns for a reconciliation: 40 bytes each, so 40 MB.
pub const CONTRACT_NEGENTROPY_ITEMS: usize = 1_000_000;

/// Events that the contract deletes in one statement: keeps its locks short.
pub const CONTRACT_DELETE_EVENTS: usize = 1_000;

/// How long a statement may run for somebody who logs in as `readonly_public`: a little more than
/// a question of the catalogue, which has its own limit.
pub const PUBLIC_STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a transaction of the read-only roles may sit idle: it holds back vacuum.
pub const PUBLIC_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a question waits for a lock, which only a migration holds against readers.
pub const PUBLIC_LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a statement of a monitoring tool may run.
pub const SYSTEM_STATEMENT_TIMEOUT: Duration = Duration::from_mins(1);

/// How often a change to a role is tried while others change it too: several processes that
/// start at once need a few.
pub const ROLE_ATTEMPTS: u32 = 100;

/// Longest delay between those attempts.
pub const ROLE_RETRY_MAX: Duration = Duration::from_millis(200);

/// Candidates that one step of their housekeeping changes in each way: tens of milliseconds.
pub const CANDIDATE_UPKEEP_BATCH: i64 = 10_000;

/// Ids noted of one relay that it promised in vain: about 2 MB of table and index. A relay that
/// promises more gets no more of our attention for it.
pub const MISSING_PER_RELAY: i64 = 20_000;

/// Ids that are linked to a relay in one transaction: tens of milliseconds.
pub const LINK_EVENTS: usize = 5_000;

/// How long it may take to find what a relay is known to have in a stretch of time, milliseconds:
/// it walks the archive of that time, which for a small relay may be a thousand times larger.
pub const KNOWN_EVENTS_TIMEOUT_MS: u32 = 20_000;

/// The longest filter that a question may have, with all its values: bytes. As much as a URL
/// or a job's tag carries without trouble.
pub const MAX_FILTER_BYTES: usize = 32 * 1024;

/// Filters of a question: each costs a look at every event.
pub const MAX_FILTERS: usize = 10;

/// Values in all lists of a question's filters.
pub const MAX_FILTER_VALUES: usize = 1_000;

/// Relays that a question may name at once.
pub const MAX_RELAYS: usize = 10;

/// Levels of groups in an answer.
pub const MAX_GROUPS: usize = 3;

/// The longest text parameter of a question, characters: as much as is kept of what relays say of
/// their software.
pub const MAX_TEXT_CHARS: usize = 256;

/// The longest cursor, characters: the keys of a row in base64, a relay's URL of 2,048 bytes among
/// them.
pub const MAX_CURSOR_CHARS: usize = 8_192;

/// The longest name of a tag to group by: characters.
pub const MAX_GROUP_CHARS: usize = 50;

/// Answers that wait to be taken to other relays: as many as strangers may pile up, at a few KiB
/// each tens of MB. Further ones are on our own relay only.
pub const MAX_DELIVERIES: i64 = 10_000;

/// Those of them for relays that customers name: the rest is for those that requests come from.
pub const MAX_NAMED_DELIVERIES: i64 = 5_000;

/// How long a relay on the operator's list is overdue before the synchronizer of all relays takes
/// it: there may be no priority synchronizer.
pub const PRIORITY_GRACE_SECONDS: i64 = 60;

/// Pause while another process builds the indexes by which the archive is served.
pub const INDEX_BUILD_PAUSE: Duration = Duration::from_secs(1);

/// How long a node that starts waits for a replica that has not got this version's schema yet: it
/// has to replay what the primary has just been through.
pub const REPLICA_PATIENCE: Duration = Duration::from_secs(30);

/// Pause before it looks again.
pub const REPLICA_PAUSE: Duration = Duration::from_millis(500);

/// Stretches of newly archived events that wait to be read, each one batch or more: beyond that
/// they are joined.
pub const ANNOUNCED_RANGES: usize = 1_000;

/// Numbers below the highest one announced that may still become visible: batches of several
/// writers, each of which takes 5,000 at a time.
pub const ARCHIVE_OUT_OF_ORDER: i64 = 50_000;

/// Archived events that one step of the copying to the relay's own events reads.
pub const MIRROR_EVENTS: i64 = 1_000;

/// JSON of the events of one such step: bytes.
pub const MIRROR_BYTES: usize = 8 * 1024 * 1024;

/// How often the rollup looks how large the database is: that stats every file of it.
pub const ARCHIVE_SIZE_INTERVAL: Duration = Duration::from_mins(1);
