//! Every bound of this crate, with its unit and the reason for it.
//!
//! What an operator may want to change is in the configuration; these are its defaults, and the
//! bounds that nobody should need to change.

use std::time::Duration;

/// The delay before the next address of a name is tried beside the last: RFC 8305 recommends it.
pub const HAPPY_EYEBALLS_STAGGER: Duration = Duration::from_millis(250);

/// The most addresses of one name that are tried: a name may list hundreds.
pub const MAX_ADDRESSES: usize = 8;

/// The longest that a dial waits for free slots, of name, address and network together. One that
/// waits longer gives up as busy, so that two callers holding what the other waits for do not
/// wait for ever.
pub const SLOT_WAIT: Duration = Duration::from_secs(30);

/// How many dials may wait for a host for each of its slots. More are turned away at once: a
/// thousand names of one slow machine must not keep the callers from everybody else.
pub const HOST_QUEUE_PER_SLOT: usize = 8;

/// The most bytes received while a connection is made, proxy and TLS handshake together. Chains
/// of certificates take up to 20 KiB; the TLS library takes no message above 64 KiB.
pub const MAX_DIAL_BYTES: u64 = 256 << 10;

/// How many idle per-host slots are kept before they are swept: a few kilobytes each hundred.
pub const IDLE_HOST_SLOTS: usize = 1024;

/// The answers kept by the resolver's cache. A crawl asks for each name several times.
pub const DNS_CACHE_ENTRIES: u64 = 8192;

/// The queries under way at once on one resolver connection; more are refused as busy.
pub const DNS_ACTIVE_QUERIES: usize = 1024;

/// The longest wait for one DNS query, before the next attempt.
pub const DNS_QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a name that does not exist is not asked for again.
pub const DNS_NEGATIVE_TTL: Duration = Duration::from_mins(1);

/// The most records kept of one type for one name, and the longest chain of aliases: a name may
/// list hundreds.
pub const MAX_DNS_RECORDS: usize = 32;

/// How far up from a name its zone is looked for, labels.
pub const MAX_ZONE_STEPS: usize = 4;

/// The largest message from a relay, bytes. The largest events seen in the wild are a few
/// megabytes; anything above is an attack or a mistake.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// The read buffer of a WebSocket, bytes. It is allocated for every open connection: the
/// library's 128 KiB would be 640 MiB for 5,000 relays.
pub const READ_BUFFER_BYTES: usize = 16 << 10;

/// How much is gathered before it is written to the socket, bytes.
pub const WRITE_BUFFER_BYTES: usize = 8 << 10;

/// The most that waits to be written to one relay, bytes: above the largest message we send.
pub const MAX_WRITE_BUFFER_BYTES: usize = MAX_MESSAGE_BYTES + (64 << 10);

/// The longest wait for the answer to a WebSocket upgrade.
pub const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may say nothing at all, pongs included, before it counts as dead.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// The longest wait for a relay to take a message from us.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest wait for a challenge, and for the answer to an authentication.
pub const AUTH_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest challenge that is signed, bytes. Relays send 8 to 64 characters.
pub const MAX_CHALLENGE_BYTES: usize = 1024;

/// How long an answer about what a relay can do may still come after the relay has answered what
/// was asked later.
pub const CAPABILITY_GRACE: Duration = Duration::from_millis(500);

/// The longest time for a polite close of a connection; the socket is dropped after it.
pub const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The most events of one page: the largest cap that relays are known to have.
pub const MAX_PAGE_EVENTS: usize = 5_000;

/// The most text of one page, bytes: what a page may hold in memory.
pub const MAX_PAGE_BYTES: u64 = 32 << 20;

/// The largest event, bytes of JSON.
pub const MAX_EVENT_BYTES: usize = 2 << 20;

/// The most messages of a page that are refused before the relay is given up.
pub const MAX_PAGE_REFUSED: u64 = 1_000;

/// The longest time for one page.
pub const PAGE_TIMEOUT: Duration = Duration::from_mins(2);

/// The longest time without an event of the page that is taken, or its end.
pub const PAGE_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The notices of a page that are kept for the log, and the characters kept of each.
pub const KEPT_NOTICES: usize = 4;

/// The characters kept of a relay's text for humans.
pub const KEPT_TEXT_CHARS: usize = 256;

/// The most text received for one reconciliation, bytes: a million ids take 64 MB.
pub const RECONCILE_MAX_BYTES: u64 = 128 << 20;

/// The most rounds of one reconciliation: a relay with the smallest frames tells 120 ids in each,
/// a million in 8,700.
pub const RECONCILE_MAX_ROUNDS: u32 = 10_000;

/// The most rounds in a row that tell no new id. Each round divides what differs by 256, so a
/// set of any size is down to ids after eight.
pub const RECONCILE_IDLE_ROUNDS: u32 = 16;

/// The most ids that a relay may promise in one reconciliation: what relays reconcile at most
/// unless told otherwise.
pub const RECONCILE_MAX_IDS: u64 = 1_000_000;

/// The largest message of a reconciliation, bytes of text. Relays keep below 1 MB, or 500 kB
/// before hex.
pub const RECONCILE_MESSAGE_BYTES: usize = 2 << 20;

/// What our own messages of a reconciliation are kept below, bytes before hex: many relays refuse
/// text above 64 KiB.
pub const RECONCILE_FRAME_BYTES: usize = 30_000;

/// The smallest such bound, bytes: the library takes none below.
pub const MIN_RECONCILE_FRAME_BYTES: usize = 4_096;

/// The longest time for one round: a relay may have to read a million events first.
pub const RECONCILE_ROUND_TIMEOUT: Duration = Duration::from_mins(1);

/// How long the answer to the opening of a reconciliation may still come after the relay has
/// answered what was asked later. Relays reconcile on a thread of its own, so that a REQ
/// overtakes it.
pub const RECONCILE_SILENCE: Duration = Duration::from_secs(15);

/// How long the opening of a reconciliation may be unanswered before the relay is asked something
/// else, to tell silence from slowness. Most answer sooner, and are spared that.
pub const RECONCILE_FENCE_DELAY: Duration = Duration::from_secs(1);

/// The ids told by a reconciliation that are remembered, so that none is told twice: 4 MiB. Honest
/// repetitions come within a few messages, none of which holds a quarter of this.
pub const RECONCILE_REMEMBERED_IDS: usize = 128 << 10;

/// The largest HTTP body, bytes. Real NIP-11 documents are below 64 KiB; relay lists are larger.
pub const MAX_HTTP_BODY_BYTES: usize = 1 << 20;

/// The longest time for an HTTP request, its redirects included.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(20);

/// The most redirects that are followed.
pub const MAX_HTTP_REDIRECTS: usize = 3;

/// The largest HTTP response head, bytes.
pub const MAX_HTTP_HEAD_BYTES: usize = 32 << 10;

/// The most HTTP response headers.
pub const MAX_HTTP_HEADERS: usize = 100;

/// What an HTTP exchange may cost beyond its body, bytes: TLS handshake, head, chunk framing.
pub const HTTP_OVERHEAD_BYTES: u64 = 128 << 10;

/// How long the time must be of which a relay says that it has nothing older, seconds, to be asked
/// once more in other words: that is a question a scan, and none for what has just come.
pub const CONFIRMED_SECONDS: i64 = 86_400;

/// The smallest cap that a relay can be believed to have, events: below it, a page that holds
/// one second only is a quiet relay.
pub const SMALLEST_CAP: usize = 10;

/// The most pages of events dated later than a scan's end that are fetched on the way up. They
/// are not part of what the scan covers.
pub const MAX_PAGES_BEYOND_TOP: usize = 64;

/// The most text of one page of the synchronizer, bytes: with many relays at once this is what
/// memory depends on. A page that is larger is asked for in smaller pieces.
pub const SYNC_PAGE_BYTES: u64 = 8 << 20;

/// How often the synchronizer looks for relays that are due.
pub const SYNC_POLL: Duration = Duration::from_millis(500);

/// How often the synchronizer counts what the database says of all relays: often enough for
/// whoever reads the metrics, seldom enough that counting a million missing events is cheap.
pub const SYNC_TOTALS_INTERVAL: Duration = Duration::from_secs(30);

/// The longest wait for the database once the synchronizer has to stop: for what was fetched to
/// become durable, and for the lease to be given back.
pub const SYNC_STOP_GRACE: Duration = Duration::from_secs(2);

/// The longest wait for one statement of the synchronizer, before it is tried again: a
/// connection may hang without an error.
pub const SYNC_STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How often the synchronizer looks after its lease while it waits for the archive.
pub const SYNC_ARCHIVE_TICK: Duration = Duration::from_secs(5);

/// First and longest pause before a statement is tried again while the database is away.
pub const SYNC_DATABASE_RETRY: (Duration, Duration) =
    (Duration::from_millis(100), Duration::from_secs(5));

/// The turns in a row that a page with invalid events may fail. A relay may get well; one that
/// keeps a forged event must not block everything older for ever.
pub const MAX_INVALID_TURNS: u32 = 2;

/// The events of an open subscription that wait while a relay is asked something else; more are
/// dropped and asked for.
pub const LIVE_WAITING_EVENTS: usize = 2_000;

/// As above, bytes of text.
pub const LIVE_WAITING_BYTES: usize = 4 << 20;

/// The most events of a subscription that are handed to the archive at once.
pub const LIVE_BATCH_EVENTS: usize = 500;

/// How often in a row a subscription may keep events back until the relay is asked in turn instead.
pub const LIVE_MISSES: u32 = 3;

/// How often the progress of an open subscription is recorded.
pub const LIVE_RECORD_INTERVAL: Duration = Duration::from_mins(1);

/// What `negentropy.window_events` may be: a window holds that many ids here, at 40 bytes, and
/// events there.
pub const NEGENTROPY_WINDOW_EVENTS: std::ops::RangeInclusive<u32> = 100..=1_000_000;

/// Ids asked for in one request. Relays bound filters at 500 values and up.
pub const SYNC_IDS_PER_PAGE: usize = 500;

/// Ids that are looked up in the archive at once, before those that are not there are fetched: what
/// another relay has brought meanwhile is not fetched again.
pub const SYNC_LINKED_AT_ONCE: usize = 4_000;

/// Events fetched by their ids that are gathered before they are archived together.
pub const SYNC_GATHERED_EVENTS: usize = 2_000;

/// Kinds named in one filter; a choice of more is asked for without naming them.
pub const SYNC_MAX_KINDS: usize = 200;

/// When ids that a relay promised in vain are asked for again.
pub const MISSING_RETRY: Duration = Duration::from_hours(24);

/// The newest events that are asked for before everything is reconciled, to see whether the relay
/// contradicts itself.
pub const RECONCILE_SAMPLE: usize = 100;

/// Events that a relay is asked for to prove that it has what was named to it.
pub const RECONCILE_PROOFS: usize = 20;

/// Promises of a relay to have events, of which it breaks half, that it may break until its word is
/// not asked for any more. Below, it is paged for once: events come and go.
pub const BROKEN_PROMISES: u64 = 20;

/// Gaps that are retried in one turn.
pub const GAPS_PER_TURN: i64 = 5;

/// First and longest pause before a gap is retried.
pub const GAP_RETRY: (Duration, Duration) =
    (Duration::from_hours(1), Duration::from_hours(30 * 24));

/// Dropped messages from which a relay that sends more of them than events is throttled.
pub const RUBBISH_FROM: u64 = 200;

/// The longest pause between two pages of a relay that sends rubbish. One that has come so far
/// is left alone for a while.
pub const RUBBISH_PAUSE: Duration = Duration::from_secs(32);

/// The first rest of a relay that sends rubbish, as a part of `put_aside`: half an hour of a day.
pub const RUBBISH_REST_PART: u32 = 48;

/// How much earlier than its turn a relay comes all of whose events were new lately.
pub const NOVELTY_BONUS: Duration = Duration::from_hours(1);

/// As above, for a relay that was never caught up with.
pub const NEWCOMER_BONUS: Duration = Duration::from_hours(24);

/// How old the events are, by their `created_at`, that may have been published since a question was
/// asked a moment ago: seconds.
pub const NEW_EVENT_SECONDS: i64 = 60;
