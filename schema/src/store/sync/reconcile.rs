//! What reconciliation (NIP-77) needs of the archive: which events a relay is known to have, and
//! linking events to a relay without having been sent them.

use std::collections::HashSet;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use sqlx::{Postgres, QueryBuilder, Row};

use crate::error::StoreError;
use crate::filter_sql::{ARCHIVE, push_conditions};
use crate::limits::{KNOWN_EVENTS_TIMEOUT_MS, LINK_EVENTS};
use crate::store::{RelayId, Store, bytes32};

/// The events that a relay is known to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownEvents {
    /// `created_at` and id of each.
    All(Vec<(i64, EventId)>),
    /// More than were asked for, or too many to look through.
    TooMany,
}

/// What became of ids that a relay named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// The events that are archived, and of which it is recorded now that the relay has them.
    pub archived: HashSet<EventId>,
    /// Of them, those of which it was not recorded before.
    pub new_links: u64,
}

impl Store {
    /// Returns the archived events that meet the filter's conditions on kinds, authors and time, if
    /// they are at most `most`. Conditions on tags are not looked at.
    pub async fn archived_events(
        &self,
        filter: &Filter,
        most: usize,
    ) -> Result<KnownEvents, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new("select created_at, id from events e where ");
        push_conditions(&mut query, &ARCHIVE, filter, self.now());
        self.list_known(query, most).await
    }

    /// As [`Store::archived_events`], those alone that a relay is known to have. Where `is_sure`
    /// does not say that there are some, the statistics are asked first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn known_events(
        &self,
        relay: RelayId,
        filter: &Filter,
        most: usize,
        is_sure: bool,
    ) -> Result<KnownEvents, StoreError> {
        let mut query = QueryBuilder::<Postgres>::new("select created_at, id from events e where ");
        push_conditions(&mut query, &ARCHIVE, filter, self.now());
        query
            .push(
                " and exists (select from events_relays er where er.event_num = e.num
                    and er.relay_id = ",
            )
            .push_bind(relay.0)
            .push(")");
        if !is_sure {
            query
                .push(" and exists (select from stats_relays where win = 0 and relay_id = ")
                .push_bind(relay.0)
                .push(")");
        }
        self.list_known(query, most).await
    }

    async fn list_known(
        &self,
        mut query: QueryBuilder<Postgres>,
        most: usize,
    ) -> Result<KnownEvents, StoreError> {
        query.push(" limit ").push_bind(most as i64 + 1);
        let mut tx = self.pool.begin().await?;
        sqlx::query("select set_config('statement_timeout', $1, true)")
            .bind(KNOWN_EVENTS_TIMEOUT_MS.to_string())
            .execute(&mut *tx)
            .await?;
        let rows = match query
            .build()
            .fetch_all(&mut *tx)
            .await
            .map_err(StoreError::from)
        {
            Ok(rows) => rows,
            Err(error) if error.is_timeout() => return Ok(KnownEvents::TooMany),
            Err(error) => return Err(error),
        };
        tx.commit().await?;
        if rows.len() > most {
            return Ok(KnownEvents::TooMany);
        }
        rows.iter()
            .map(|row| {
                let id = EventId(bytes32(row.try_get("id")?, "event id")?);
                Ok((row.try_get("created_at")?, id))
            })
            .collect::<Result<_, StoreError>>()
            .map(KnownEvents::All)
    }

    /// Records that a relay has those of these events that are archived and dated within these
    /// bounds (Unix seconds, inclusive; `until` may be open).
    pub async fn link_events(
        &self,
        relay: RelayId,
        ids: &[EventId],
        since: i64,
        until: Option<i64>,
    ) -> Result<Links, StoreError> {
        let mut links = Links::default();
        let mut ids: Vec<&[u8]> = ids.iter().map(|id| id.0.as_slice()).collect();
        ids.sort_unstable();
        for ids in ids.chunks(LINK_EVENTS) {
            let row =
                sqlx::query("select archived, new_links from link_events($1, $2, $3, $4, $5)")
                    .bind(relay.0)
                    .bind(ids)
                    .bind(since)
                    .bind(until)
                    .bind(self.now())
                    .fetch_one(&self.pool)
                    .await?;
            let archived: Vec<Vec<u8>> = row.try_get("archived")?;
            for id in archived {
                links.archived.insert(EventId(bytes32(&id, "event id")?));
            }
            links.new_links += row.try_get::<i64, _>("new_links")? as u64;
        }
        Ok(links)
    }

    /// Returns the kinds that a relay is known to have most events of.
    pub async fn list_relay_kinds(
        &self,
        relay: RelayId,
        most: i64,
    ) -> Result<Vec<u16>, StoreError> {
        let kinds: Vec<i32> = sqlx::query_scalar(
            "select kind from stats_relay_kinds where win = 0 and relay_id = $1
             order by events desc, kind limit $2",
        )
        .bind(relay.0)
        .bind(most)
        .fetch_all(&self.pool)
        .await?;
        Ok(kinds
            .into_iter()
            .filter_map(|kind| u16::try_from(kind).ok())
            .collect())
    }
}
