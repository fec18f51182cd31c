//! Reading the archive for mentions of relays, and storing what is new.
//!
//! # Correctness
//! Numbers of events become visible out of order: a transaction that took lower ones may commit
//! later. So the archive is read up to a horizon only, below which no transaction is at work. All
//! writers hold a shared advisory lock from before they take numbers until their rows are visible
//! (`lock_archive_for_writing`). Whoever does not hold it any more, of those that held it after
//! the highest number was looked up, is done with all numbers up to that one.

use std::collections::{BTreeMap, HashMap};

use bigbrotr_core::relay_url::RelayUrl;
use futures_util::TryStreamExt;
use sqlx::Row;

use super::{FoundBy, Store};
use crate::error::StoreError;
use crate::store::Tx;

/// A number of the archive, and the writers that may still add events below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveBarrier {
    top: i64,
    writers: Vec<String>,
    server_start: String,
}

impl ArchiveBarrier {
    /// Returns the number: once the writers are done, everything up to it can be read.
    pub fn top(&self) -> i64 {
        self.top
    }
}

/// A part of the archive is being read for mentions: by one finder at a time, in whatever process.
/// Nothing has happened unless [`Finding::finish`] says so.
#[derive(Debug)]
pub struct Finding<'a> {
    store: &'a Store,
    tx: Tx,
    cursors: BTreeMap<FoundBy, i64>,
}

/// An archived event that may mention relays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentioningEvent {
    /// Its number.
    pub num: i64,
    /// Its kind.
    pub kind: u16,
    /// Its tags, where there is a URL in them.
    pub tags: Vec<Vec<String>>,
    /// Its content, where that may name relays.
    pub content: Option<String>,
}

/// A stretch of the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindingPage {
    /// Events that have a URL somewhere, in the order of their numbers.
    pub events: Vec<MentioningEvent>,
    /// How many events were looked at.
    pub read: u64,
    /// The number of the last one; `None`: there was none.
    pub last: Option<i64>,
}

/// What the database knows of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Neither a relay nor a candidate, and there is a place for it.
    New,
    /// New, but its host or site has as many as it may.
    Crowded,
    /// A relay or a candidate, also one that was given up.
    Known,
}

/// How many relays and candidates one party may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteBounds {
    /// On one host name or address, all paths and ports together.
    pub per_host: u32,
    /// Under one registrable name.
    pub per_site: u32,
    /// Seconds between the first tries of candidates of one site.
    pub pause_seconds: i64,
}

/// A URL that is to become a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// The URL.
    pub url: RelayUrl,
    /// Where it was found.
    pub found_by: FoundBy,
}

/// How many candidates are new, by where they were found.
pub type Found = HashMap<FoundBy, u64>;

impl Store {
    /// Looks up the highest number of an archived event, and who is writing at this moment.
    pub async fn archive_barrier(&self) -> Result<ArchiveBarrier, StoreError> {
        // Two statements: the second has to see what happens after the first.
        let mut connection = self.pool.acquire().await?;
        let top = sqlx::query_scalar("select coalesce(max(num), 0) from events")
            .fetch_one(&mut connection)
            .await?;
        let (writers, server_start) = sqlx::query_as(WRITERS).fetch_one(&mut connection).await?;
        Ok(ArchiveBarrier {
            top,
            writers,
            server_start,
        })
    }

    /// Says whether all writers of a barrier are done. `None`: the server has been started anew
    /// since, and the barrier means nothing.
    pub async fn is_barrier_passed(
        &self,
        barrier: &ArchiveBarrier,
    ) -> Result<Option<bool>, StoreError> {
        let (writers, server_start): (Vec<String>, String) =
            sqlx::query_as(WRITERS).fetch_one(&self.pool).await?;
        if server_start != barrier.server_start {
            return Ok(None);
        }
        let waits = barrier
            .writers
            .iter()
            .any(|writer| writers.contains(writer));
        Ok(Some(!waits))
    }

    /// Begins to read the archive for mentions; `None` while another finder does.
    pub async fn begin_finding(&self) -> Result<Option<Finding<'_>>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let locked: bool = sqlx::query_scalar(
            "select pg_try_advisory_xact_lock(hashtextextended('bigbrotr finder', 0))",
        )
        .fetch_one(&mut *tx)
        .await?;
        if !locked {
            return Ok(None);
        }
        let rows: Vec<(String, i64)> =
            sqlx::query_as("select source, event_num from finder_sources")
                .fetch_all(&mut *tx)
                .await?;
        let cursors = rows
            .iter()
            .map(|(source, num)| Ok((FoundBy::read(source)?, *num)))
            .collect::<Result<_, StoreError>>()?;
        Ok(Some(Finding {
            store: self,
            tx,
            cursors,
        }))
    }

    /// As [`Store::begin_finding`], but waits for the other finder: for what is not in the archive.
    pub(super) async fn wait_for_finding(&self) -> Result<Finding<'_>, StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("select pg_advisory_xact_lock(hashtextextended('bigbrotr finder', 0))")
            .execute(&mut *tx)
            .await?;
        Ok(Finding {
            store: self,
            tx,
            cursors: BTreeMap::new(),
        })
    }
}

impl Finding<'_> {
    /// Returns the number up to which the archive has been read for a source.
    pub fn cursor(&self, source: FoundBy) -> i64 {
        self.cursors.get(&source).copied().unwrap_or_default()
    }

    /// Reads the page of events with numbers above `after` and up to `horizon`. It ends after
    /// `most` events, or with the one that makes `max_bytes` full.
    pub async fn page(
        &mut self,
        after: i64,
        horizon: i64,
        most: usize,
        max_bytes: usize,
    ) -> Result<FindingPage, StoreError> {
        let mut page = FindingPage::default();
        // Reading simply ends at the horizon: as a condition it would mislead the planner.
        let mut rows = sqlx::query(
            "select num, kind,
                case when position('://' in tags::text) > 0 then tags::text end as tags,
                case when kind in (2, 3) then content::text end as content
             from events where num > $1 order by num limit $2",
        )
        .bind(after)
        .bind(most as i64)
        .fetch(&mut *self.tx);
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await? {
            let num: i64 = row.try_get("num")?;
            if num > horizon {
                break;
            }
            page.read += 1;
            page.last = Some(num);
            let tags: Option<&str> = row.try_get("tags")?;
            let content: Option<&str> = row.try_get("content")?;
            bytes += tags.map_or(0, str::len) + content.map_or(0, str::len);
            if let Some(event) = mentioning_event(num, row.try_get("kind")?, tags, content)? {
                page.events.push(event);
            }
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(page)
    }

    /// Says of each URL, given once each, what the database knows of it.
    pub async fn judge(
        &mut self,
        urls: &[RelayUrl],
        bounds: SiteBounds,
    ) -> Result<Vec<Verdict>, StoreError> {
        let texts: Vec<&str> = urls.iter().map(RelayUrl::as_str).collect();
        let rows: Vec<(i64, bool)> =
            sqlx::query_as("select n, crowded from judge_candidates($1, $2, $3)")
                .bind(texts)
                .bind(i64::from(bounds.per_host))
                .bind(i64::from(bounds.per_site))
                .fetch_all(&mut *self.tx)
                .await?;
        let mut verdicts = vec![Verdict::Known; urls.len()];
        for (n, crowded) in rows {
            if let Some(verdict) = verdicts.get_mut((n - 1) as usize) {
                *verdict = if crowded {
                    Verdict::Crowded
                } else {
                    Verdict::New
                };
            }
        }
        Ok(verdicts)
    }

    /// Stores new candidates, and how far the archive has been read for which source, and ends.
    pub async fn finish(
        mut self,
        cursors: &[(FoundBy, i64)],
        mentions: &[Mention],
        bounds: SiteBounds,
    ) -> Result<Found, StoreError> {
        let found = self.insert(mentions, bounds).await?;
        let sources: Vec<&str> = cursors.iter().map(|(source, _)| source.as_str()).collect();
        let nums: Vec<i64> = cursors.iter().map(|(_, num)| *num).collect();
        sqlx::query(
            "update finder_sources f set event_num = c.num
             from unnest($1, $2) as c (source, num) where f.source = c.source",
        )
        .bind(sources)
        .bind(nums)
        .execute(&mut *self.tx)
        .await?;
        self.tx.commit().await?;
        Ok(found)
    }

    pub(super) async fn finish_list(
        mut self,
        url: &str,
        due_at: i64,
        mentions: &[Mention],
        bounds: SiteBounds,
    ) -> Result<Found, StoreError> {
        let found = self.insert(mentions, bounds).await?;
        sqlx::query(
            "update finder_lists set due_at = $2, leased_until = 0, failures = 0,
                fetched_at = $3, last_error = null
             where url = $1",
        )
        .bind(url)
        .bind(due_at)
        .bind(self.store.now())
        .execute(&mut *self.tx)
        .await?;
        self.tx.commit().await?;
        Ok(found)
    }

    async fn insert(
        &mut self,
        mentions: &[Mention],
        bounds: SiteBounds,
    ) -> Result<Found, StoreError> {
        if mentions.is_empty() {
            return Ok(Found::new());
        }
        let urls: Vec<&str> = mentions.iter().map(|m| m.url.as_str()).collect();
        let networks: Vec<&str> = mentions.iter().map(|m| m.url.network().as_str()).collect();
        let sources: Vec<&str> = mentions.iter().map(|m| m.found_by.as_str()).collect();
        let rows: Vec<(String, i64)> =
            sqlx::query_as("select found_by, added from insert_candidates($1, $2, $3, $4, $5)")
                .bind(urls)
                .bind(networks)
                .bind(sources)
                .bind(self.store.now())
                .bind(bounds.pause_seconds)
                .fetch_all(&mut *self.tx)
                .await?;
        rows.iter()
            .map(|(source, added)| Ok((FoundBy::read(source)?, *added as u64)))
            .collect()
    }
}

/// The transactions that are writing to the archive, or removing from it, and when the server was
/// started: the names of transactions begin anew then. An advisory lock of 64 bits is listed in
/// two halves.
const WRITERS: &str = "
    select coalesce(array_agg(l.virtualtransaction), '{}'), pg_postmaster_start_time()::text
    from pg_locks l, (select hashtextextended('bigbrotr archive', 0) as key) k
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
        and l.database = (select oid from pg_database where datname = current_database())
        and l.classid::bigint = (k.key >> 32) & 4294967295
        and l.objid::bigint = k.key & 4294967295";

/// Reads what is there of an event; `None` where no relay can be mentioned.
fn mentioning_event(
    num: i64,
    kind: i32,
    tags: Option<&str>,
    content: Option<&str>,
) -> Result<Option<MentioningEvent>, StoreError> {
    if tags.is_none() && content.is_none() {
        return Ok(None);
    }
    let corrupt = |what, reason: String| StoreError::Corrupt { what, reason };
    Ok(Some(MentioningEvent {
        num,
        kind: u16::try_from(kind).map_err(|error| corrupt("kind", error.to_string()))?,
        tags: tags
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| corrupt("tags", error.to_string()))?
            .unwrap_or_default(),
        content: content
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| corrupt("content", error.to_string()))?,
    }))
}
