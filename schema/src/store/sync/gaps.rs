//! Stretches of time that a relay cannot be paged through.

use sqlx::Row;

use crate::error::StoreError;
use crate::store::{RelayId, Store};

/// Why a stretch is a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapCause {
    /// More events in one second than the relay gives at once.
    Crowded,
    /// Events with wrong ids or signatures.
    Invalid,
    /// Events larger than allowed.
    TooLarge,
}

impl GapCause {
    /// Names the cause from a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crowded => "crowded",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
        }
    }

    /// Explains the cause to a reader.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Crowded => "more events in one second than the relay returns",
            Self::Invalid => "the relay returns events with wrong ids or signatures",
            Self::TooLarge => "the relay returns events that are larger than allowed",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "invalid" => Self::Invalid,
            "too_large" => Self::TooLarge,
            _ => Self::Crowded,
        }
    }
}

/// A stretch of time of which not everything is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// First second, inclusive.
    pub since: i64,
    /// Last second, inclusive.
    pub until: i64,
    /// Why.
    pub cause: GapCause,
    /// The largest event that was taken when it was found, bytes.
    pub limit_bytes: i64,
    /// How often it was retried by other means.
    pub tries: u32,
}

impl Store {
    /// Records a gap, to be retried from then on (Unix seconds). One that is recorded already
    /// stays as it is, unless the relay has more of that stretch than it gives: that is closed by
    /// other means, and everything else with it.
    pub async fn insert_gap(
        &self,
        relay: RelayId,
        gap: &Gap,
        retry_at: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into sync_gaps (relay_id, since, until, reason, cause, found_at, limit_bytes,
                retry_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (relay_id, since, until) do update set reason = excluded.reason,
                cause = excluded.cause, retry_at = excluded.retry_at, tries = 0
             where excluded.cause = 'crowded' and sync_gaps.cause <> 'crowded'",
        )
        .bind(relay.0)
        .bind(gap.since)
        .bind(gap.until)
        .bind(gap.cause.reason())
        .bind(gap.cause.as_str())
        .bind(self.now())
        .bind(gap.limit_bytes)
        .bind(retry_at)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Returns up to `most` gaps of a relay that may be closed now: those whose time has come,
    /// and those of events that are no longer too large.
    pub async fn list_due_gaps(
        &self,
        relay: RelayId,
        max_event_bytes: i64,
        most: i64,
    ) -> Result<Vec<Gap>, StoreError> {
        let rows = sqlx::query(
            "select since, until, cause, coalesce(limit_bytes, 0) as limit_bytes, tries
             from sync_gaps where relay_id = $1
                and case cause when 'too_large' then limit_bytes < $3 else retry_at <= $2 end
             order by retry_at, since limit $4",
        )
        .bind(relay.0)
        .bind(self.now())
        .bind(max_event_bytes)
        .bind(most)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Gap {
                    since: row.try_get("since")?,
                    until: row.try_get("until")?,
                    cause: GapCause::of(row.try_get("cause")?),
                    limit_bytes: row.try_get("limit_bytes")?,
                    tries: row.try_get::<i32, _>("tries")?.unsigned_abs(),
                })
            })
            .collect()
    }

    /// Puts off the next try to close a gap (Unix seconds), with what is allowed now.
    pub async fn postpone_gap(
        &self,
        relay: RelayId,
        gap: &Gap,
        retry_at: i64,
        max_event_bytes: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update sync_gaps set tries = tries + 1, retry_at = $4, limit_bytes = $5
             where relay_id = $1 and since = $2 and until = $3",
        )
        .bind(relay.0)
        .bind(gap.since)
        .bind(gap.until)
        .bind(retry_at)
        .bind(max_event_bytes)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Removes a gap that is none any more.
    pub async fn delete_gap(&self, relay: RelayId, gap: &Gap) -> Result<(), StoreError> {
        sqlx::query("delete from sync_gaps where relay_id = $1 and since = $2 and until = $3")
            .bind(relay.0)
            .bind(gap.since)
            .bind(gap.until)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Says whether a gap of this cause is recorded that touches this stretch (Unix seconds,
    /// inclusive), or one of any cause that is this very stretch: there is no room for another.
    pub async fn has_gap(
        &self,
        relay: RelayId,
        cause: GapCause,
        since: i64,
        until: i64,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar(
            "select exists (select from sync_gaps
                where relay_id = $1 and since <= $3 and until >= $2
                    and (cause = $4 or (since = $2 and until = $3)))",
        )
        .bind(relay.0)
        .bind(since)
        .bind(until)
        .bind(cause.as_str())
        .fetch_one(&self.pool)
        .await?)
    }
}
