//! Relays and their schedules.

use std::fmt;

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{Store, relay_url};
use crate::error::StoreError;

/// The database's number for a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(pub i32);

impl fmt::Display for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A relay in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRelay {
    /// Its number.
    pub id: RelayId,
    /// Its canonical URL.
    pub url: RelayUrl,
}

/// A relay that is due for its check, leased to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRelay {
    /// The relay.
    pub relay: KnownRelay,
    /// Checks in a row that found it offline.
    pub failures: u32,
    /// When its report was last published, Unix seconds.
    pub published_at: Option<i64>,
    /// It is on the operator's list.
    pub priority: bool,
}

impl Store {
    /// Adds relays that are not there yet and schedules them; returns how many are new.
    pub async fn insert_relays(&self, relays: &[RelayUrl]) -> Result<u64, StoreError> {
        let urls: Vec<&str> = relays.iter().map(RelayUrl::as_str).collect();
        let networks: Vec<&str> = relays.iter().map(|url| url.network().as_str()).collect();
        let new: i64 = sqlx::query_scalar("select insert_relay($1, $2, $3)")
            .bind(urls)
            .bind(networks)
            .bind(self.now())
            .fetch_one(&self.pool)
            .await?;
        Ok(new as u64)
    }

    /// Returns the relay with this URL.
    pub async fn get_relay(&self, url: &RelayUrl) -> Result<Option<KnownRelay>, StoreError> {
        let row = sqlx::query("select id, url from relays where url = $1")
            .bind(url.as_str())
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| known_relay(&row)).transpose()
    }

    /// Leases up to `most` relays of these networks whose check is due, longest overdue first,
    /// for `lease_seconds`. A relay leased to somebody else is left alone.
    pub async fn lease_due_checks(
        &self,
        networks: &[Network],
        most: u32,
        lease_seconds: i64,
    ) -> Result<Vec<DueRelay>, StoreError> {
        let networks: Vec<&str> = networks.iter().map(|network| network.as_str()).collect();
        let rows = sqlx::query(
            "with due as (
                select m.relay_id, r.url, coalesce(s.priority, false) as priority
                from monitor_state m join relays r on r.id = m.relay_id
                left join sync_state s on s.relay_id = m.relay_id
                where m.due_at <= $1 and m.leased_until <= $1 and r.network = any ($2)
                order by m.due_at limit $3 for update of m skip locked
            )
            update monitor_state m set leased_until = $1 + $4 from due
            where m.relay_id = due.relay_id
            returning due.relay_id as id, due.url, due.priority, m.failures, m.published_at",
        )
        .bind(self.now())
        .bind(networks)
        .bind(i64::from(most))
        .bind(lease_seconds)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(DueRelay {
                    relay: known_relay(row)?,
                    failures: row.try_get::<i32, _>("failures")?.unsigned_abs(),
                    published_at: row.try_get("published_at")?,
                    priority: row.try_get("priority")?,
                })
            })
            .collect()
    }

    /// Counts the relays of these networks whose check is due and that nobody has leased, and
    /// tells for how many seconds the longest has been.
    pub async fn overdue_checks(&self, networks: &[Network]) -> Result<(u64, u64), StoreError> {
        let networks: Vec<&str> = networks.iter().map(|network| network.as_str()).collect();
        let (count, first): (i64, Option<i64>) = sqlx::query_as(
            "select count(*), min(m.due_at)
             from monitor_state m join relays r on r.id = m.relay_id
             where m.due_at <= $1 and m.leased_until <= $1 and r.network = any ($2)",
        )
        .bind(self.now())
        .bind(networks)
        .fetch_one(&self.pool)
        .await?;
        let age = first.map_or(0, |due_at| self.now().saturating_sub(due_at).max(0));
        Ok((count as u64, age as u64))
    }

    /// Returns up to `most` relays of a network whose latest check found them online, and was not
    /// before `since` (Unix seconds), the latest first.
    pub async fn list_online_relays(
        &self,
        network: Network,
        since: i64,
        most: u32,
    ) -> Result<Vec<RelayUrl>, StoreError> {
        let urls: Vec<String> = sqlx::query_scalar(
            "select url from relay_latest
             where network = $1 and openable and checked_at >= $2
             order by checked_at desc limit $3",
        )
        .bind(network.as_str())
        .bind(since)
        .bind(i64::from(most))
        .fetch_all(&self.pool)
        .await?;
        urls.iter().map(|url| relay_url(url, "relay URL")).collect()
    }

    /// Gives a relay back unchecked: its check is due again at once.
    pub async fn release_check(&self, relay: RelayId) -> Result<(), StoreError> {
        sqlx::query("update monitor_state set leased_until = 0 where relay_id = $1")
            .bind(relay.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Gives a relay back unchecked, to be due again in `seconds`: the check failed on our side.
    pub async fn postpone_check(&self, relay: RelayId, seconds: i64) -> Result<(), StoreError> {
        sqlx::query("update monitor_state set leased_until = $2 where relay_id = $1")
            .bind(relay.0)
            .bind(self.now().saturating_add(seconds))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

pub(super) fn known_relay(row: &PgRow) -> Result<KnownRelay, StoreError> {
    Ok(KnownRelay {
        id: RelayId(row.try_get("id")?),
        url: relay_url(row.try_get("url")?, "relay URL")?,
    })
}
