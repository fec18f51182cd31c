//! How far the work on all relays has come.

use serde::Serialize;
use sqlx::Row;

use crate::error::StoreError;
use crate::store::Store;

/// How many relays there are, and how far the work on them has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RelayProgress {
    /// All relays.
    pub known: u64,
    /// Measured at least once.
    pub checked: u64,
    /// Online when last measured.
    pub online: u64,
    /// Archived from end to end at least once.
    pub covered: u64,
    /// With stretches that cannot be paged through.
    pub gapped: u64,
}

impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for RelayProgress {
    fn from_row(row: &sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        let count = |name: &str| row.try_get::<i64, _>(name).map(|count| count as u64);
        Ok(Self {
            known: count("known")?,
            checked: count("checked")?,
            online: count("online")?,
            covered: count("covered")?,
            gapped: count("gapped")?,
        })
    }
}

/// How far the work on one relay has come. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Serialize, sqlx::FromRow)]
pub struct SyncOverview {
    /// The relay's URL.
    pub relay: String,
    /// One word of [`SYNC_STATUSES`](super::SYNC_STATUSES).
    pub status: String,
    /// `negentropy` or `paging`; none before the first turn.
    pub method: Option<String>,
    /// Earliest covered second.
    pub covered_from: Option<i64>,
    /// Latest covered second.
    pub covered_to: Option<i64>,
    /// When the scan under way began.
    pub scan_top: Option<i64>,
    /// The scan under way has archived everything above this second.
    pub scan_at: Option<i64>,
    /// Seconds until the scan under way ends, as far as can be told.
    pub eta_seconds: Option<i64>,
    /// When all that is wanted was last archived.
    pub caught_up_at: Option<i64>,
    /// Since when a subscription is open.
    pub live_since: Option<i64>,
    /// Events that were new to the archive.
    pub new_events: i64,
    /// Events that the archive had.
    pub known_events: i64,
    /// Of them those that were not downloaded.
    pub linked_events: i64,
    /// Events refused.
    pub refused_events: i64,
    /// Bytes received.
    pub received_bytes: i64,
    /// Stretches that are not archived.
    pub gaps: i64,
    /// Promised events that are not archived.
    pub missing_events: i64,
    /// Why the relay is left alone for now.
    pub put_aside: Option<String>,
    /// Attempts in a row that failed.
    pub failures: i32,
    /// When the relay is due again.
    pub due_at: i64,
    /// What ended the last turn early.
    pub last_error: Option<String>,
}

impl Store {
    /// Counts relays by how far the work on them has come.
    pub async fn count_progress(&self) -> Result<RelayProgress, StoreError> {
        Ok(sqlx::query_as(
            "select count(*) as known, count(l.checked_at) as checked,
                count(*) filter (where l.openable) as online,
                count(*) filter (where s.covered_to is not null) as covered,
                count(*) filter (where exists (select from sync_gaps g where g.relay_id = r.id))
                    as gapped
             from relays r
             left join sync_state s on s.relay_id = r.id
             left join relay_latest l on l.relay_id = r.id",
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Returns up to `most` relays, those being worked on and those with most events first.
    pub async fn list_syncs(&self, most: i64) -> Result<Vec<SyncOverview>, StoreError> {
        Ok(sqlx::query_as(
            "with chosen as (
                select r.url from relays r join sync_state s on s.relay_id = r.id
                order by s.leased_until > $2 and s.live_since is null desc,
                    s.new_events + s.known_events desc, r.url limit $1
             )
             select c.relay, c.status, c.method, c.covered_from, c.covered_to, c.scan_top,
                c.scan_at, c.eta_seconds, c.caught_up_at, c.live_since, c.new_events, c.known_events, c.linked_events, c.refused_events, c.received_bytes,
                c.gaps, c.missing_events, c.put_aside, c.failures, c.due_at, c.last_error
             from relay_coverage c join chosen on chosen.url = c.relay
             order by c.status <> 'syncing', c.new_events + c.known_events desc, c.relay",
        )
        .bind(most)
        .bind(self.now())
        .fetch_all(&self.pool)
        .await?)
    }
}
