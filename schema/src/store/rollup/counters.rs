//! Adding to tables of counters, many rows in one statement.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};

use super::fold::Delta;
use crate::error::StoreError;
use crate::store::Link;

/// A table whose rows count something: `events`, and perhaps how many different pubkeys or kinds
/// there are among them.
#[derive(Debug)]
pub(super) struct Counters<const K: usize> {
    pub(super) table: &'static str,
    /// The columns of its primary key.
    pub(super) keys: [&'static str; K],
    /// Columns that count rows of the level below.
    pub(super) distinct: &'static [&'static str],
    /// It has `first_at` and `last_at`.
    pub(super) spans: bool,
}

/// How one row changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change<const K: usize> {
    pub(super) key: [i64; K],
    pub(super) delta: Delta,
    /// For each column of `distinct`: rows that appeared below, less those that vanished.
    pub(super) steps: [i64; 2],
}

/// A row after its change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed<const K: usize> {
    pub(super) change: Change<K>,
    /// Its `events` now.
    pub(super) events: i64,
}

impl<const K: usize> Changed<K> {
    /// 1 when the row is new, -1 when nothing is left of it, else 0.
    pub(super) fn step(&self) -> i64 {
        if self.events == 0 {
            -1
        } else {
            i64::from(self.events == self.change.delta.n)
        }
    }
}

impl<const K: usize> Counters<K> {
    /// Adds the changes, each key at most once, and removes the rows of which nothing is left.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a counter would become negative.
    pub(super) async fn add(
        &self,
        connection: &mut Link,
        mut changes: Vec<Change<K>>,
    ) -> Result<Vec<Changed<K>>, StoreError> {
        // A row can keep its events and still change: one kind less, another one more.
        changes.retain(|change| change.delta.n != 0 || change.steps != [0; 2]);
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        // In the order of the index, so that each of its pages is met once.
        changes.sort_unstable_by_key(|change| change.key);
        let sql = self.insert_sql();
        let mut query = sqlx::query(AssertSqlSafe(sql));
        let keys: Vec<_> = changes.iter().map(|change| change.key).collect();
        query = bind_keys(query, &keys);
        query = query.bind(changes.iter().map(|c| c.delta.n).collect::<Vec<_>>());
        for n in 0..self.distinct.len() {
            query = query.bind(changes.iter().map(|c| c.steps[n]).collect::<Vec<_>>());
        }
        if self.spans {
            query = query
                .bind(changes.iter().map(|c| c.delta.first_at).collect::<Vec<_>>())
                .bind(changes.iter().map(|c| c.delta.last_at).collect::<Vec<_>>());
        }
        let events = super::array(connection, query).await?;
        if events.len() != changes.len() || events.iter().any(|events| *events < 0) {
            return Err(StoreError::Corrupt {
                what: "statistic",
                reason: format!("a counter of {} would become negative", self.table),
            });
        }
        let changed: Vec<_> = changes
            .into_iter()
            .zip(events)
            .map(|(change, events)| Changed { change, events })
            .collect();
        self.delete_empty(connection, &changed).await?;
        Ok(changed)
    }

    /// Rows are inserted, and so returned, in the order of the arrays.
    fn insert_sql(&self) -> String {
        let mut columns: Vec<&str> = self.keys.to_vec();
        columns.push("events");
        columns.extend(self.distinct);
        let mut updates: Vec<String> = columns[K..]
            .iter()
            .map(|column| format!("{column} = s.{column} + excluded.{column}"))
            .collect();
        if self.spans {
            columns.extend(["first_at", "last_at"]);
            updates.push("first_at = least(s.first_at, excluded.first_at)".into());
            updates.push("last_at = greatest(s.last_at, excluded.last_at)".into());
        }
        format!(
            "with changed as (
                insert into {table} as s ({columns}) select * from unnest({arrays})
                on conflict ({keys}) do update set {updates}
                returning events
             ) select array_agg(events) from changed",
            table = self.table,
            columns = columns.join(", "),
            arrays = arrays(columns.len()),
            keys = self.keys.join(", "),
            updates = updates.join(", "),
        )
    }

    async fn delete_empty(
        &self,
        connection: &mut Link,
        changed: &[Changed<K>],
    ) -> Result<(), StoreError> {
        let empty: Vec<_> = changed
            .iter()
            .filter(|changed| changed.events == 0)
            .map(|changed| changed.change.key)
            .collect();
        if empty.is_empty() {
            return Ok(());
        }
        let conditions: Vec<String> = self
            .keys
            .iter()
            .map(|key| format!("s.{key} = d.{key}"))
            .collect();
        let sql = format!(
            "delete from {table} s using unnest({arrays}) as d ({keys}) where {conditions}",
            table = self.table,
            arrays = arrays(K),
            keys = self.keys.join(", "),
            conditions = conditions.join(" and "),
        );
        bind_keys(sqlx::query(AssertSqlSafe(sql)), &empty)
            .execute(connection)
            .await?;
        Ok(())
    }
}

fn arrays(count: usize) -> String {
    let arrays: Vec<String> = (1..=count).map(|n| format!("${n}::bigint[]")).collect();
    arrays.join(", ")
}

fn bind_keys<'q, const K: usize>(
    mut query: Query<'q, Postgres, PgArguments>,
    keys: &[[i64; K]],
) -> Query<'q, Postgres, PgArguments> {
    for n in 0..K {
        query = query.bind(keys.iter().map(|key| key[n]).collect::<Vec<_>>());
    }
    query
}
