//! Reading the archive from one end to the other, in pages of bounded size.

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use futures_util::TryStreamExt;
use sqlx::{Postgres, QueryBuilder, Row};

use super::archive::read_event;
use super::{RelayId, Store, bytes32};
use crate::error::StoreError;
use crate::filter_sql::{ARCHIVE, push_conditions};

/// In which order the archive is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveOrder {
    /// As events were archived.
    Archived,
    /// Newest first, lowest id first on a tie.
    Newest,
}

/// Which archived events are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchiveQuery {
    /// An event has to meet the conditions of any of them, except for tags, `limit` and `search`:
    /// those are the caller's.
    pub filters: Vec<Filter>,
    /// The relay that had them; `None`: any, or none.
    pub relay: Option<RelayId>,
    /// The highest number of an event: what is archived later is left out.
    pub up_to: i64,
    /// The order.
    pub order: ArchiveOrder,
}

/// Where an event stands in the archive, in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchivePosition {
    /// Its number.
    pub num: i64,
    /// When it was made: Unix seconds.
    pub created_at: i64,
    /// Its id.
    pub id: EventId,
}

/// An event of the archive.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchivedEvent {
    /// Where it stands.
    pub position: ArchivePosition,
    /// The event; `None` when not all of it is kept.
    pub event: Option<Event>,
}

/// A stretch of the archive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ArchivePage {
    /// Its events, in order.
    pub events: Vec<ArchivedEvent>,
    /// Where it ends, when there may be more behind it.
    pub next: Option<ArchivePosition>,
}

impl Store {
    /// Returns the number of the event archived last, 0 when there is none.
    pub async fn last_event_num(&self) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar("select coalesce(max(num), 0) from events")
                .fetch_one(&self.pool)
                .await?,
        )
    }

    /// Returns the page of archived events behind `after`. It ends after `most` events, or with
    /// the event that makes `max_bytes` full: that is what it holds in memory, however large the
    /// events are.
    pub async fn archive_page(
        &self,
        wanted: &ArchiveQuery,
        after: Option<ArchivePosition>,
        most: usize,
        max_bytes: usize,
    ) -> Result<ArchivePage, StoreError> {
        let mut page = ArchivePage::default();
        if wanted.filters.iter().all(Filter::is_void) || most == 0 {
            return Ok(page);
        }
        let mut query = QueryBuilder::new(
            "select num, id, pubkey, created_at, kind, tags::text as tags,
                content::text as content, sig
             from events where ",
        );
        self.push_wanted(&mut query, wanted);
        if let Some(after) = after {
            push_after(&mut query, wanted.order, after);
        }
        query
            .push(match wanted.order {
                ArchiveOrder::Archived => " order by num limit ",
                ArchiveOrder::Newest => " order by created_at desc, id limit ",
            })
            .push_bind(most as i64);
        // Row by row: one page of megabyte events must not be held whole.
        let mut rows = query.build().fetch(&self.pool);
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await? {
            let position = ArchivePosition {
                num: row.try_get("num")?,
                created_at: row.try_get("created_at")?,
                id: EventId(bytes32(row.try_get("id")?, "event id")?),
            };
            if position.num > wanted.up_to {
                break;
            }
            let event = read_event(&row)?;
            bytes += event.as_ref().map_or(0, Event::size_hint);
            page.events.push(ArchivedEvent { position, event });
            if page.events.len() == most || bytes >= max_bytes {
                page.next = Some(position);
                break;
            }
        }
        Ok(page)
    }

    fn push_wanted(&self, query: &mut QueryBuilder<Postgres>, wanted: &ArchiveQuery) {
        // Not in the order of numbers, where reading simply ends: without fresh statistics the
        // planner takes a range with two ends for a hundredth of what it is, and may sort it for
        // each page instead of walking the index.
        if wanted.order == ArchiveOrder::Newest {
            query.push("num <= ").push_bind(wanted.up_to).push(" and ");
        }
        query.push("(");
        let filters = wanted.filters.iter().filter(|filter| !filter.is_void());
        for (n, filter) in filters.enumerate() {
            query.push(if n == 0 { "(" } else { " or (" });
            push_conditions(query, &ARCHIVE, filter, self.now());
            query.push(")");
        }
        query.push(")");
        if let Some(relay) = wanted.relay {
            query
                .push(
                    " and exists (select from events_relays er
                     where er.event_num = events.num and er.relay_id = ",
                )
                .push_bind(relay.0)
                .push(")");
        }
    }
}

fn push_after(query: &mut QueryBuilder<Postgres>, order: ArchiveOrder, after: ArchivePosition) {
    match order {
        ArchiveOrder::Archived => {
            query.push(" and num > ").push_bind(after.num);
        }
        ArchiveOrder::Newest => {
            query
                .push(" and created_at <= ")
                .push_bind(after.created_at)
                .push(" and (created_at < ")
                .push_bind(after.created_at)
                .push(" or id > ")
                .push_bind(after.id.0.to_vec())
                .push(")");
        }
    }
}
