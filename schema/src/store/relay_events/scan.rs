//! Reading events by filter, in the order in which they are served: the one place that does.
//!
//! Tags are found by hash, and hashes collide: whatever is read by tags is looked at again. What
//! has been replaced or deleted, as far as the archive knows, is asked for afterwards (`hidden`), and
//! is no condition: so the planner has nothing to choose but the index that the filter needs.

use std::collections::HashSet;

use bigbrotr_core::event::{Event, EventId, Pubkey};
use bigbrotr_core::filter::Filter;
use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use super::super::archive::read_event;
use super::super::served::Planning;
use super::super::{ServedFrom, bytes32};
use super::{EventNumber, StoredEvent};
use crate::error::StoreError;
use crate::filter_sql::{EventTable, RELAY_EVENTS, SERVED_ARCHIVE, push_conditions};
use crate::store::Link;

/// A place in the order of stored events: behind this `created_at` and id.
pub(in crate::store) type Position = (i64, EventId);

/// What is read of each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Part {
    /// All of it.
    Whole,
    /// Time and id; the text is empty.
    Id,
}

/// One statement that reads events: newest first, lowest id first on a tie.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct EventScan<'a> {
    pub(in crate::store) from: ServedFrom,
    pub(in crate::store) filter: &'a Filter,
    /// Only what comes behind it.
    pub(in crate::store) after: Option<Position>,
    /// Rows that are read at most, whether they match or not.
    pub(in crate::store) most: usize,
    pub(in crate::store) part: Part,
    /// Numbers of the archive, the first and the last; `None`: all there are.
    pub(in crate::store) range: Option<(i64, i64)>,
    pub(in crate::store) now: i64,
}

impl EventScan<'_> {
    /// Hands events to `take`, one after the other, each with whether it matches, for as long as
    /// `take` wants more. Returns where it stopped; `None` when there is no more.
    pub(in crate::store) async fn run(
        &self,
        connection: &mut Link,
        mut take: impl FnMut(StoredEvent, bool) -> bool + Send,
    ) -> Result<Option<Position>, StoreError> {
        if self.filter.is_void() || self.most == 0 {
            return Ok(None);
        }
        let mut query = self.statement("");
        let mut rows = query.build().fetch(connection);
        let mut read = 0;
        while let Some(row) = rows.try_next().await? {
            let (stored, matches) = self.read(&row)?;
            let position = (stored.created_at, stored.id);
            read += 1;
            if !take(stored, matches) || read == self.most {
                // To its end: else who asks next would have to read it.
                while rows.try_next().await?.is_some() {}
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Says how this is to be planned: what names events is best read by their names, whatever else
    /// it asks for, and the newest by the index that has them in their order.
    pub(in crate::store) fn planning(&self) -> Planning {
        if self.filter.ids.is_some() || self.newest().is_some() {
            Planning::Once
        } else {
            Planning::Each
        }
    }

    /// Whose newest events are asked for, if it is the relay's own events by nothing else.
    fn newest(&self) -> Option<Newest> {
        let filter = self.filter;
        let is_more = filter.ids.is_some() || !filter.tags.is_empty() || filter.search.is_some();
        if self.from == ServedFrom::Archive || is_more {
            return None;
        }
        match (&filter.authors, &filter.kinds) {
            (None, None) => Some(Newest::Any),
            (Some(authors), None) if authors.len() == 1 => {
                authors.first().copied().map(Newest::Author)
            }
            (None, Some(kinds)) if kinds.len() == 1 => kinds.first().copied().map(Newest::Kind),
            _ => None,
        }
    }

    /// Returns the statement's plan as text. Where it is planned once, that is a plan for any values.
    #[cfg(feature = "testing")]
    pub(in crate::store) async fn explain(
        &self,
        connection: &mut Link,
    ) -> Result<String, StoreError> {
        let lines: Vec<String> = match self.planning() {
            Planning::Each => {
                let mut explain = self.statement("explain (costs off) ");
                explain.build_query_scalar().fetch_all(connection).await?
            }
            Planning::Once => {
                let statement = self.statement("prepare explained as ");
                let statement = statement.sql().as_str().to_owned();
                let run = async |connection: &mut Link, sql: &str| {
                    let sql = sqlx::AssertSqlSafe(sql.to_owned());
                    sqlx::raw_sql(sql).fetch_all(connection.raw()).await
                };
                run(connection, &statement).await?;
                let values: String = sqlx::query_scalar(
                    "select array_to_string(array_fill('null'::text, array[cardinality(parameter_types)]), ',')
                     from pg_prepared_statements where name = 'explained'",
                )
                .fetch_one(&mut *connection)
                .await?;
                let explain = format!("explain (costs off) execute explained ({values})");
                let rows = run(connection, &explain).await?;
                run(connection, "deallocate explained").await?;
                rows.iter()
                    .map(|row| row.try_get(0))
                    .collect::<Result<_, _>>()?
            }
        };
        Ok(lines.join("\n"))
    }

    fn look_again(&self) -> bool {
        !self.filter.tags.is_empty()
    }

    fn statement(&self, prefix: &str) -> QueryBuilder<Postgres> {
        let text = self.part == Part::Whole || self.look_again();
        let newest = self.newest();
        let mut query = QueryBuilder::new(prefix);
        query.push(match (self.from, text) {
            (ServedFrom::Archive, _) => {
                "select num, id, pubkey, created_at, kind, tags::text as tags,
                    content::text as content, sig from ("
            }
            (_, true) => "select seq, id, created_at, event::text as event from ",
            (_, false) => "select seq, id, created_at, '' as event from ",
        });
        query.push(match (self.from, self.part) {
            (ServedFrom::Archive, Part::Whole) => "select * from events where ",
            // Content may be long, and is in nobody's way.
            (ServedFrom::Archive, Part::Id) => {
                "select num, id, pubkey, created_at, kind, tags, '\"\"'::json as content, sig
                 from events where "
            }
            _ if newest.is_some() => "(select * from relay_events where ",
            _ => "relay_events where ",
        });
        push_conditions(&mut query, table(self.from), self.filter, self.now);
        if let Some(newest) = newest {
            newest.push_rarity(&mut query);
        }
        if let Some((first, last)) = self.range {
            query
                .push(" and num between ")
                .push_bind(first)
                .push(" and ")
                .push_bind(last);
        }
        if let Some((created_at, id)) = self.after {
            query
                .push(" and created_at <= ")
                .push_bind(created_at)
                .push(" and (created_at < ")
                .push_bind(created_at)
                .push(" or id > ")
                .push_bind(id.0.to_vec())
                .push(")");
        }
        query.push(" order by created_at desc, id limit ");
        if newest.is_some() {
            // A plan for any limit would be one for a tenth of the table.
            let about = u32::try_from(self.most).map(|most| u64::from(most).next_power_of_two());
            query
                .push(about.unwrap_or(i64::MAX.unsigned_abs()))
                .push(") newest order by created_at desc, id limit ");
        }
        query.push_bind(i64::try_from(self.most).unwrap_or(i64::MAX));
        if self.from == ServedFrom::Archive {
            // Outermost, so that no text behind the limit is written out.
            query.push(") found order by created_at desc, id");
        }
        query
    }

    fn read(&self, row: &PgRow) -> Result<(StoredEvent, bool), StoreError> {
        if self.from == ServedFrom::Archive {
            let event = read_event(row)?;
            let matches = event
                .as_ref()
                .is_some_and(|event| self.filter.matches(event));
            return Ok((archived_event(row, event.as_ref(), self.part)?, matches));
        }
        let mut stored = stored_event(row)?;
        let matches = !self.look_again() || self.filter.matches(&stored.event()?);
        if self.part == Part::Id {
            stored.json = String::new();
        }
        Ok((stored, matches))
    }
}

/// Returns which events are not to be served, of those that were read from there: something newer, a
/// deletion or a request to vanish is there or archived.
pub(in crate::store) async fn hidden(
    connection: &mut Link,
    from: ServedFrom,
    events: &[StoredEvent],
) -> Result<HashSet<EventNumber>, StoreError> {
    let (statement, number): (_, fn(i64) -> EventNumber) = match from {
        _ if events.is_empty() => return Ok(HashSet::new()),
        ServedFrom::Relay => return Ok(HashSet::new()),
        ServedFrom::RelayBesideArchive => ("select hidden_relay_events($1)", EventNumber::Relay),
        ServedFrom::Archive => ("select hidden_archived_events($1)", EventNumber::Archive),
    };
    let numbers = events.iter().map(|event| match event.number {
        EventNumber::Relay(number) | EventNumber::Archive(number) => number,
    });
    let hidden: Vec<i64> = sqlx::query_scalar(statement)
        .bind(numbers.collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(hidden.into_iter().map(number).collect())
}

/// Whose newest events: what an index begins with, before the time.
#[derive(Clone, Copy)]
enum Newest {
    Any,
    Author(Pubkey),
    Kind(u16),
}

impl Newest {
    /// Appends, where the statement is planned without its values, what keeps the planner to the
    /// index: it would take the author, or kind, for any of those that there are, and where nearly
    /// all events are one author's, would look for all others among everybody's newest. A range of
    /// unknown ends it takes for a two-hundredth.
    fn push_rarity(self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Self::Any => {}
            Self::Author(author) => push_range(query, "pubkey", author.0.to_vec()),
            Self::Kind(kind) => push_range(query, "kind", i32::from(kind)),
        }
    }
}

fn push_range<T>(query: &mut QueryBuilder<Postgres>, column: &str, only: T)
where
    T: Clone + Send + 'static + for<'q> sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres>,
{
    query
        .push(format_args!(" and {column} between "))
        .push_bind(only.clone())
        .push(" and ")
        .push_bind(only);
}

fn table(from: ServedFrom) -> &'static EventTable {
    match from {
        ServedFrom::Relay | ServedFrom::RelayBesideArchive => &RELAY_EVENTS,
        ServedFrom::Archive => &SERVED_ARCHIVE,
    }
}

/// Reads a row of the relay's own events.
pub(super) fn stored_event(row: &PgRow) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        number: EventNumber::Relay(row.try_get("seq")?),
        id: EventId(bytes32(row.try_get("id")?, "event id")?),
        created_at: row.try_get("created_at")?,
        json: row.try_get("event")?,
    })
}

fn archived_event(
    row: &PgRow,
    event: Option<&Event>,
    part: Part,
) -> Result<StoredEvent, StoreError> {
    let json = match (event, part) {
        (Some(event), Part::Whole) => event.to_json(),
        _ => String::new(),
    };
    Ok(StoredEvent {
        number: EventNumber::Archive(row.try_get("num")?),
        id: EventId(bytes32(row.try_get("id")?, "event id")?),
        created_at: row.try_get("created_at")?,
        json,
    })
}
