//! How far each relay has been archived, and who works on it.

mod gaps;
mod missing;
mod progress;
mod reconcile;
mod totals;

use std::collections::BTreeMap;

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_core::selection::Selection;
use serde::{Deserialize, Serialize};
use sqlx::Row;

pub use self::gaps::{Gap, GapCause};
pub use self::missing::MissingCause;
pub use self::progress::{RelayProgress, SyncOverview};
pub use self::reconcile::{KnownEvents, Links};
pub use self::totals::{SYNC_STATUSES, SyncTotals};
use super::relays::{KnownRelay, known_relay};
use super::{RelayId, Store, storable};
use crate::error::StoreError;
use crate::limits::PRIORITY_GRACE_SECONDS;

/// Which relays a synchronizer works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncScope {
    /// All of them; those on the operator's list only when nobody else has taken them for a while.
    All,
    /// Those on the operator's list.
    Priority,
}

/// What is known to be archived of a relay, and how far a scan under way has come. All times are
/// Unix seconds; everything between `covered_from` and `covered_to`, both included, was there
/// when it was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coverage {
    /// Earliest covered second.
    pub covered_from: Option<i64>,
    /// Latest covered second.
    pub covered_to: Option<i64>,
    /// When the scan under way began: it covers everything up to then once it ends.
    pub scan_top: Option<i64>,
    /// The scan has archived everything above this second.
    pub scan_at: Option<i64>,
    /// Where the scan ends.
    pub scan_floor: Option<i64>,
}

/// A choice of events, and what is archived of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Which events.
    pub selection: Selection,
    /// Which times.
    pub coverage: Coverage,
    /// When a scan of all times last ended, Unix seconds.
    #[serde(default)]
    pub full_at: Option<i64>,
}

/// Proof that a relay was given to somebody: nobody else's has the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease(i64);

/// How events are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMethod {
    /// By reconciling ids (NIP-77).
    Negentropy,
    /// Page by page.
    Paging,
}

impl SyncMethod {
    /// Names the method from a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Negentropy => "negentropy",
            Self::Paging => "paging",
        }
    }
}

/// What outlives a turn on a relay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncState {
    /// Choices of events with what is archived of each; none before the first turn.
    pub slices: Vec<Slice>,
    /// What is covered of all that is wanted, and the scan under way.
    pub summary: Coverage,
    /// How events were fetched last.
    pub method: Option<SyncMethod>,
    /// The most events that the relay gives at once, as far as known.
    pub page_cap: Option<u32>,
    /// Until then the relay is not asked to reconcile, Unix seconds.
    pub negentropy_retry_at: i64,
    /// Why it refused to.
    pub negentropy_refusal: Option<String>,
    /// When the scan under way began by the clock, Unix seconds.
    pub scan_began_at: Option<i64>,
    /// When all that is wanted was last archived, Unix seconds.
    pub caught_up_at: Option<i64>,
    /// Since when a subscription is open, Unix seconds.
    pub live_since: Option<i64>,
}

/// A relay to archive, leased to the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncTask {
    /// The relay.
    pub relay: KnownRelay,
    /// Ours for a while.
    pub lease: Lease,
    /// Where to go on.
    pub state: SyncState,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Turns in a row that ended because of rubbish.
    pub rests: u32,
    /// The share of events that were new to the archive, lately; none before the first turn.
    pub novelty: Option<f32>,
    /// Whether the relay is on the operator's list.
    pub is_priority: bool,
    /// Whether events came of it before.
    pub has_events: bool,
}

/// What a piece of work on a relay brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncProgress {
    /// Events that were new to the archive.
    pub new_events: u64,
    /// Events that the archive had, those linked included.
    pub known_events: u64,
    /// Events that the archive had and that were not downloaded again.
    pub linked_events: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// What was dropped, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}

impl SyncProgress {
    /// Counts what was dropped.
    pub fn refused_events(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Adds what another piece of work brought.
    pub fn add(&mut self, more: Self) {
        self.new_events += more.new_events;
        self.known_events += more.known_events;
        self.linked_events += more.linked_events;
        self.received_bytes += more.received_bytes;
        for (reason, count) in more.refused {
            *self.refused.entry(reason).or_default() += count;
        }
    }
}

/// How a turn ended, for the schedule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SyncVerdict {
    /// When the relay is due again, Unix seconds.
    pub due_at: i64,
    /// Its place among those that are due: the lowest comes first.
    pub rank: i64,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Turns in a row that ended because of rubbish.
    pub rests: u32,
    /// What ended the turn early.
    pub error: Option<String>,
    /// Why the relay is left alone until then, from a closed set.
    pub put_aside: Option<&'static str>,
    /// The share of events that were new to the archive, lately.
    pub novelty: Option<f32>,
}

const LEASE: &str = "
    with due as (
        select s.relay_id, r.url from sync_state s join relays r on r.id = s.relay_id
        where s.due_at <= $1 and s.leased_until <= $1 and r.network = any ($2)
            and case when $5 then s.priority else not s.priority or s.due_at <= $1 - $7 end
            and s.relay_id <> all ($6)
        order by s.rank limit $3 for update of s skip locked
    )
    update sync_state s set leased_until = $1 + $4, live_since = null,
        lease = (random() * 9e18)::bigint
    from due where s.relay_id = due.relay_id
    returning due.relay_id as id, due.url, s.lease, s.slices::text as slices, s.covered_from, s.covered_to,
        s.scan_top, s.scan_at, s.scan_floor, s.method, s.page_cap, s.negentropy_retry_at,
        s.negentropy_refusal, s.scan_began_at, s.caught_up_at, s.failures, s.rests, s.novelty,
        s.priority, s.rank, s.new_events + s.known_events > 0 as has_events";

/// The counters of refusals belong to the statement: what was dropped is counted once.
const UPDATE: &str = "
    with ours as (
        update sync_state set slices = $3::json, covered_from = $4, covered_to = $5, scan_top = $6,
            scan_at = $7, scan_floor = $8, method = coalesce($9, method), page_cap = $10,
            negentropy_retry_at = $11, negentropy_refusal = $12, scan_began_at = $13,
            caught_up_at = $14, live_since = $15, new_events = new_events + $16,
            known_events = known_events + $17, linked_events = linked_events + $18,
            refused_events = refused_events + $19, received_bytes = received_bytes + $20,
            leased_until = $21, last_turn_at = $22
        where relay_id = $1 and lease = $2
        returning relay_id
    ), refused as (
        insert into sync_refusals (relay_id, reason, count)
        select relay_id, r.reason, r.count from ours, unnest($23::text[], $24::bigint[]) as r (reason, count)
        on conflict (relay_id, reason) do update set count = sync_refusals.count + excluded.count
    )
    select exists (select from ours)";

impl Store {
    /// Leases up to `most` relays of these networks that are due for archiving, those that
    /// promise most first, for `lease_seconds`. The caller works on those of `except` still, even
    /// if their leases have run out.
    pub async fn lease_due_syncs(
        &self,
        networks: &[Network],
        most: u32,
        lease_seconds: i64,
        scope: SyncScope,
        except: &[RelayId],
    ) -> Result<Vec<SyncTask>, StoreError> {
        let networks: Vec<&str> = networks.iter().map(|network| network.as_str()).collect();
        let rows = sqlx::query(LEASE)
            .bind(self.now())
            .bind(networks)
            .bind(i64::from(most))
            .bind(lease_seconds)
            .bind(scope == SyncScope::Priority)
            .bind(except.iter().map(|relay| relay.0).collect::<Vec<_>>())
            .bind(PRIORITY_GRACE_SECONDS)
            .fetch_all(&self.pool)
            .await?;
        let mut tasks = rows
            .iter()
            .map(|row| Ok((row.try_get("rank")?, task(row)?)))
            .collect::<Result<Vec<(i64, SyncTask)>, StoreError>>()?;
        tasks.sort_by_key(|(rank, _)| *rank);
        Ok(tasks.into_iter().map(|(_, task)| task).collect())
    }

    /// Makes these relays, and no others, the ones that the priority synchronizer follows.
    pub async fn set_priority_relays(&self, relays: &[RelayUrl]) -> Result<(), StoreError> {
        let urls: Vec<&str> = relays.iter().map(RelayUrl::as_str).collect();
        sqlx::query(
            "update sync_state s set priority = not s.priority from relays r
             where r.id = s.relay_id and s.priority <> (r.url = any ($1))",
        )
        .bind(urls)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Records how far the work on a relay has come, and extends its lease. Call it only after
    /// everything that `state` claims is durable.
    ///
    /// Returns whether the lease is still ours; if not, nothing was recorded.
    pub async fn update_sync(
        &self,
        relay: RelayId,
        lease: Lease,
        state: &SyncState,
        progress: &SyncProgress,
        lease_seconds: i64,
    ) -> Result<bool, StoreError> {
        let slices = serde_json::to_string(&state.slices).unwrap_or_default();
        let (reasons, counts): (Vec<&str>, Vec<i64>) = progress
            .refused
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(reason, count)| (*reason, *count as i64))
            .unzip();
        let is_ours = sqlx::query_scalar(UPDATE)
            .bind(relay.0)
            .bind(lease.0)
            .bind(slices)
            .bind(state.summary.covered_from)
            .bind(state.summary.covered_to)
            .bind(state.summary.scan_top)
            .bind(state.summary.scan_at)
            .bind(state.summary.scan_floor)
            .bind(state.method.map(SyncMethod::as_str))
            .bind(
                state
                    .page_cap
                    .map(|cap| i32::try_from(cap).unwrap_or(i32::MAX)),
            )
            .bind(state.negentropy_retry_at)
            .bind(state.negentropy_refusal.as_deref().map(storable))
            .bind(state.scan_began_at)
            .bind(state.caught_up_at)
            .bind(state.live_since)
            .bind(progress.new_events as i64)
            .bind(progress.known_events as i64)
            .bind(progress.linked_events as i64)
            .bind(progress.refused_events() as i64)
            .bind(progress.received_bytes as i64)
            .bind(self.now() + lease_seconds)
            .bind(self.now())
            .bind(reasons)
            .bind(counts)
            .fetch_one(&self.pool)
            .await?;
        Ok(is_ours)
    }

    /// Extends leases that are still ours, all at once; returns those that are.
    pub async fn extend_syncs(
        &self,
        leases: &[(RelayId, Lease)],
        lease_seconds: i64,
    ) -> Result<Vec<RelayId>, StoreError> {
        let extended: Vec<i32> = sqlx::query_scalar(
            "update sync_state s set leased_until = $3
             from unnest($1::integer[], $2::bigint[]) as l (relay_id, lease)
             where s.relay_id = l.relay_id and s.lease = l.lease returning s.relay_id",
        )
        .bind(leases.iter().map(|(relay, _)| relay.0).collect::<Vec<_>>())
        .bind(leases.iter().map(|(_, lease)| lease.0).collect::<Vec<_>>())
        .bind(self.now() + lease_seconds)
        .fetch_all(&self.pool)
        .await?;
        Ok(extended.into_iter().map(RelayId).collect())
    }

    /// Ends a turn on a relay: gives the lease back, if it is still ours, and says when the relay
    /// is due again.
    pub async fn finish_sync(
        &self,
        relay: RelayId,
        lease: Lease,
        verdict: &SyncVerdict,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update sync_state set due_at = $3, rank = $4, leased_until = 0, lease = 0,
                live_since = null, failures = $5, rests = $6, last_error = $7, put_aside = $8,
                novelty = $9
             where relay_id = $1 and lease = $2",
        )
        .bind(relay.0)
        .bind(lease.0)
        .bind(verdict.due_at)
        .bind(verdict.rank)
        .bind(i32::try_from(verdict.failures).unwrap_or(i32::MAX))
        .bind(i32::try_from(verdict.rests).unwrap_or(i32::MAX))
        .bind(verdict.error.as_deref().map(storable))
        .bind(verdict.put_aside)
        .bind(verdict.novelty)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Makes relays due at once that were put aside for this reason: the reason may be gone.
    pub async fn recall_syncs(&self, put_aside: &str) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "update sync_state set due_at = least(due_at, $2), rank = least(rank, $2)
             where put_aside = $1",
        )
        .bind(put_aside)
        .bind(self.now())
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// Returns how far a relay has been archived.
    pub async fn get_coverage(&self, relay: RelayId) -> Result<Option<Coverage>, StoreError> {
        let row = sqlx::query(
            "select covered_from, covered_to, scan_top, scan_at, scan_floor
             from sync_state where relay_id = $1",
        )
        .bind(relay.0)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(coverage(&row)?)).transpose()
    }
}

fn coverage(row: &sqlx::postgres::PgRow) -> Result<Coverage, sqlx::Error> {
    Ok(Coverage {
        covered_from: row.try_get("covered_from")?,
        covered_to: row.try_get("covered_to")?,
        scan_top: row.try_get("scan_top")?,
        scan_at: row.try_get("scan_at")?,
        scan_floor: row.try_get("scan_floor")?,
    })
}

fn task(row: &sqlx::postgres::PgRow) -> Result<SyncTask, StoreError> {
    let slices: Option<&str> = row.try_get("slices")?;
    let slices = slices.map_or(Ok(Vec::new()), serde_json::from_str);
    let method: Option<&str> = row.try_get("method")?;
    Ok(SyncTask {
        relay: known_relay(row)?,
        lease: Lease(row.try_get("lease")?),
        state: SyncState {
            slices: slices.map_err(|error| StoreError::Corrupt {
                what: "slice of a relay",
                reason: error.to_string(),
            })?,
            summary: coverage(row)?,
            method: method.and_then(|method| {
                [SyncMethod::Negentropy, SyncMethod::Paging]
                    .into_iter()
                    .find(|known| known.as_str() == method)
            }),
            page_cap: row
                .try_get::<Option<i32>, _>("page_cap")?
                .map(i32::unsigned_abs),
            negentropy_retry_at: row.try_get("negentropy_retry_at")?,
            negentropy_refusal: row.try_get("negentropy_refusal")?,
            scan_began_at: row.try_get("scan_began_at")?,
            caught_up_at: row.try_get("caught_up_at")?,
            live_since: None,
        },
        failures: row.try_get::<i32, _>("failures")?.unsigned_abs(),
        rests: row.try_get::<i32, _>("rests")?.unsigned_abs(),
        novelty: row.try_get("novelty")?,
        is_priority: row.try_get("priority")?,
        has_events: row.try_get("has_events")?,
    })
}
