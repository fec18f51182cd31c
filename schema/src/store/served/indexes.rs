//! The indexes by which the archive is served. They are built when that is switched on, beside
//! everything else that goes on, and stay until an operator drops them: `docs/relay.md` says how.

use sqlx::{AssertSqlSafe, PgConnection};

use super::super::Store;
use crate::error::StoreError;

/// What is to be served of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedArchive {
    /// The archive, and not the relay's own events alone.
    pub enabled: bool,
    /// Full-text search (NIP-50), of whatever is served.
    pub search: bool,
}

const REPLACES: &str =
    "kind in (0, 3) or kind between 10000 and 19999 or kind between 30000 and 39999";

impl ServedArchive {
    /// Names and definitions.
    fn indexes(self) -> Vec<(&'static str, String)> {
        let mut indexes = Vec::new();
        if self.enabled {
            indexes.extend([
                ("events_served_kind", "events (kind, created_at)".to_owned()),
                (
                    "events_served_address",
                    format!(
                        "events (event_address(kind, pubkey, tags), created_at) where {REPLACES}"
                    ),
                ),
                (
                    "events_served_deletions",
                    "events using gin (event_tag_hashes(tags)) where kind = 5".to_owned(),
                ),
                (
                    "events_served_tags",
                    "events using gin (event_tag_hashes(tags))".to_owned(),
                ),
            ]);
        }
        if self.search {
            indexes.push((
                "relay_events_words",
                "relay_events using gin (event_words(event))".to_owned(),
            ));
        }
        if self.search && self.enabled {
            indexes.push((
                "events_served_words",
                "events using gin (content_words(content))".to_owned(),
            ));
        }
        indexes
    }
}

impl Store {
    /// Builds the indexes that are missing, without holding up writers. May take as long as
    /// reading the archive takes. Several processes may ask for it at once: one builds.
    ///
    /// # Errors
    /// Those of the database. What was half built is built anew the next time.
    pub async fn build_served_archive(&self, wanted: ServedArchive) -> Result<(), StoreError> {
        if self.has_served_archive(wanted).await? {
            return Ok(());
        }
        // A connection of its own, past any pooler: the lock belongs to it, and ends with it.
        let mut connection = self.direct_connection().await?;
        // Waiting in one statement would be an old snapshot, for which the building waits in turn.
        while !lock(&mut connection).await? {
            tokio::time::sleep(crate::limits::INDEX_BUILD_PAUSE).await;
        }
        for (name, definition) in wanted.indexes() {
            match is_valid(&mut connection, name).await? {
                Some(true) => continue,
                // A crash left it half built.
                Some(false) => {
                    let drop = format!("drop index concurrently if exists {name}");
                    sqlx::raw_sql(AssertSqlSafe(drop))
                        .execute(&mut connection)
                        .await?;
                }
                None => {}
            }
            tracing::info!(index = name, "building an index to serve events by");
            let create = format!("create index concurrently {name} on {definition}");
            sqlx::raw_sql(AssertSqlSafe(create))
                .execute(&mut connection)
                .await?;
        }
        for table in ["events", "relay_events"] {
            // What the planner knows of an expression it knows from its index.
            let analyze = format!("analyze {table}");
            sqlx::raw_sql(AssertSqlSafe(analyze))
                .execute(&mut connection)
                .await?;
        }
        Ok(())
    }

    /// Says whether all of them are there.
    pub async fn has_served_archive(&self, wanted: ServedArchive) -> Result<bool, StoreError> {
        let names: Vec<&str> = wanted.indexes().iter().map(|(name, _)| *name).collect();
        let valid: i64 = sqlx::query_scalar(
            "select count(*) from pg_index where indisvalid
                and indexrelid = any (select to_regclass(n) from unnest($1) as n)",
        )
        .bind(&names)
        .fetch_one(&self.pool)
        .await?;
        Ok(valid as usize == names.len())
    }
}

async fn lock(connection: &mut PgConnection) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(
        "select pg_try_advisory_lock(hashtextextended('bigbrotr served archive', 0))",
    )
    .fetch_one(connection)
    .await?)
}

async fn is_valid(connection: &mut PgConnection, name: &str) -> Result<Option<bool>, StoreError> {
    Ok(
        sqlx::query_scalar("select indisvalid from pg_index where indexrelid = to_regclass($1)")
            .bind(name)
            .fetch_optional(connection)
            .await?,
    )
}
