//! Copying archived reports and announcements of other monitors (NIP-66) to the relay's own
//! events, where there is one version of each; and deletions and requests to vanish that concern
//! what is served.
//!
//! # Correctness
//! Numbers of archived events become visible out of order, so a step goes no further than where
//! no writer is at work any more (`ArchiveBarrier`). A step that
//! fails half-way is done again: publishing twice changes nothing.

use std::collections::{HashMap, HashSet};

use bigbrotr_core::event::{Event, Pubkey};
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_core::vanish::{KIND_VANISH, is_vanish_request};
use futures_util::TryStreamExt;
use sqlx::Row;

use super::super::archive::read_event;
use super::super::relay_events::{PublishOutcome, address};
use super::super::{ArchiveBarrier, Store};
use crate::error::StoreError;
use crate::limits::{MIRROR_BYTES, MIRROR_EVENTS};

const KIND_DELETION: u16 = 5;

/// What one step did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MirrorStep {
    /// Archived events looked at.
    pub read: u64,
    /// Those that are among the relay's own events now.
    pub copied: u64,
    /// More is to be done at once.
    pub more: bool,
}

impl Store {
    /// Copies the next archived events, up to a barrier that has been passed. `is_us` says of a
    /// URL whether it is our relay's, for requests to vanish.
    ///
    /// Only one step is under way at a time, in whatever process; `None` while another's is.
    pub async fn mirror_step(
        &self,
        barrier: &ArchiveBarrier,
        is_us: impl Fn(&RelayUrl) -> bool,
    ) -> Result<Option<MirrorStep>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let locked: bool = sqlx::query_scalar(
            "select pg_try_advisory_xact_lock(hashtextextended('bigbrotr mirror', 0))",
        )
        .fetch_one(&mut *tx)
        .await?;
        if !locked {
            return Ok(None);
        }
        let after: i64 = sqlx::query_scalar("select event_num from relay_mirror")
            .fetch_one(&mut *tx)
            .await?;
        if after >= barrier.top() {
            return Ok(Some(MirrorStep::default()));
        }
        let mut step = MirrorStep::default();
        let (events, last) = self.mirrored(after, barrier.top(), &mut step).await?;
        for event in &events {
            let outcome = match event.kind {
                KIND_VANISH if is_vanish_request(event, &is_us) => {
                    Some(self.publish_vanish(event).await?)
                }
                KIND_VANISH => None,
                _ => Some(self.publish(event).await?),
            };
            step.copied += u64::from(outcome == Some(PublishOutcome::Stored));
        }
        let reached = last.unwrap_or(barrier.top());
        sqlx::query("update relay_mirror set event_num = $1")
            .bind(reached)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        step.more = last.is_some();
        Ok(Some(step))
    }

    /// Reads the next events, of each report or announcement the latest version; and the number
    /// of the last one, when there may be more behind it.
    async fn mirrored(
        &self,
        after: i64,
        up_to: i64,
        step: &mut MirrorStep,
    ) -> Result<(Vec<Event>, Option<i64>), StoreError> {
        let mut rows = sqlx::query(
            "select num, id, pubkey, created_at, kind, tags::text as tags,
                content::text as content, sig
             from events
             where kind in (5, 62, 10166, 30166) and num > $1 and num <= $2
             order by num limit $3",
        )
        .bind(after)
        .bind(up_to)
        .bind(MIRROR_EVENTS)
        .fetch(&self.pool);
        let mut latest: HashMap<[u8; 32], Event> = HashMap::new();
        let mut others = Vec::new();
        let (mut bytes, mut last) = (0, None);
        while let Some(row) = rows.try_next().await? {
            step.read += 1;
            // Not kept whole, or for its author alone to publish: there is nothing to serve.
            if let Some(event) = read_event(&row)?.filter(|event| !event.is_protected()) {
                bytes += event.size_hint();
                match address(&event) {
                    Some(address) => match latest.get(&address) {
                        Some(other) if !is_newer(&event, other) => {}
                        _ => drop(latest.insert(address, event)),
                    },
                    None => others.push(event),
                }
            }
            if step.read >= MIRROR_EVENTS.unsigned_abs() || bytes >= MIRROR_BYTES {
                last = Some(row.try_get("num")?);
                break;
            }
        }
        drop(rows);
        let authors: HashSet<Pubkey> = latest.values().map(|event| event.pubkey).collect();
        let mut events = self.earlier_deletions(&authors).await?;
        for event in others {
            if event.kind != KIND_DELETION
                || authors.contains(&event.pubkey)
                || self.is_monitor(&event).await?
            {
                events.push(event);
            }
        }
        events.extend(latest.into_values());
        Ok((events, last))
    }

    /// Returns the archived deletions by authors of whom this is the first report: while they had
    /// none, their deletions were of no concern.
    async fn earlier_deletions(&self, authors: &HashSet<Pubkey>) -> Result<Vec<Event>, StoreError> {
        let authors: Vec<&[u8]> = authors.iter().map(|key| key.0.as_slice()).collect();
        let rows = sqlx::query(
            "select e.num, e.id, e.pubkey, e.created_at, e.kind, e.tags::text as tags,
                e.content::text as content, e.sig
             from unnest($1) as a (pubkey) cross join lateral (
                select * from events where pubkey = a.pubkey and kind = 5
                order by created_at desc limit $2
             ) e
             where not exists (select from relay_events r
                where r.pubkey = a.pubkey and r.kind in (10166, 30166))",
        )
        .bind(authors)
        .bind(MIRROR_EVENTS)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .filter_map(|row| read_event(row).transpose())
            .collect()
    }

    /// Says whether a deletion is by somebody of whom a report or an announcement is, or was, among
    /// the relay's own events: that of anybody else deletes nothing there.
    async fn is_monitor(&self, deletion: &Event) -> Result<bool, StoreError> {
        let named = deletion.tag_values("a").any(|address| {
            ["30166:", "10166:"]
                .iter()
                .any(|kind| address.starts_with(kind))
        });
        if named {
            return Ok(true);
        }
        Ok(sqlx::query_scalar(
            "select exists (select from relay_events where pubkey = $1 and kind in (10166, 30166))",
        )
        .bind(deletion.pubkey.0.as_slice())
        .fetch_one(&self.pool)
        .await?)
    }
}

fn is_newer(event: &Event, other: &Event) -> bool {
    (event.created_at, other.id) > (other.created_at, event.id)
}
