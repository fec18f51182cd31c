//! The work on all relays in a few numbers, for those who watch the node.

use super::SyncScope;
use crate::error::StoreError;
use crate::store::Store;

/// What the work on a relay may stand at: the view `relay_coverage` knows no other words.
pub const SYNC_STATUSES: [&str; 6] = [
    "syncing",
    "live",
    "caught_up",
    "waiting",
    "failing",
    "put_aside",
];

/// The work on some relays, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncTotals {
    /// Relays by status, each of [`SYNC_STATUSES`] once.
    pub statuses: Vec<(&'static str, u64)>,
    /// Stretches of time that are not archived.
    pub gaps: u64,
    /// Events that relays promised and that are not archived.
    pub missing_events: u64,
    /// Seconds since the relay that waits longest was caught up with, or became known if it never
    /// was. One that is followed live is caught up now; those that fail or are put aside do not
    /// count: it is they who make us wait.
    pub lag_seconds: u64,
}

const BY_STATUS: &str = "
    select c.status, count(*), max(
        case when c.status <> 'live' then
            extract(epoch from clock_timestamp())::bigint - coalesce(c.caught_up_at, r.discovered_at)
        end) filter (where c.failures = 0 and c.put_aside is null)
    from relay_coverage c
    join relays r on r.url = c.relay
    join sync_state s on s.relay_id = r.id
    where s.priority or not $1
    group by c.status";

const LOST: &str = "
    with chosen as (select relay_id from sync_state where priority or not $1)
    select (select count(*) from sync_gaps join chosen using (relay_id)),
        (select count(*) from sync_missing join chosen using (relay_id))";

impl Store {
    /// Counts the work on all relays, or on those of the operator's list.
    pub async fn count_syncs(&self, scope: SyncScope) -> Result<SyncTotals, StoreError> {
        let is_priority = scope == SyncScope::Priority;
        let found: Vec<(String, i64, Option<i64>)> = sqlx::query_as(BY_STATUS)
            .bind(is_priority)
            .fetch_all(&self.pool)
            .await?;
        let (gaps, missing_events): (i64, i64) = sqlx::query_as(LOST)
            .bind(is_priority)
            .fetch_one(&self.pool)
            .await?;
        let count = |status: &str| {
            let row = found.iter().find(|(name, ..)| name == status);
            row.map_or(0, |(_, count, _)| *count as u64)
        };
        let lag = found.iter().filter_map(|(.., lag)| *lag).max();
        Ok(SyncTotals {
            statuses: SYNC_STATUSES.map(|name| (name, count(name))).to_vec(),
            gaps: gaps as u64,
            missing_events: missing_events as u64,
            lag_seconds: lag.unwrap_or_default().max(0).unsigned_abs(),
        })
    }
}
