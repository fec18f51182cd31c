//! Recomputing every statistic from the base tables.

use std::fmt;

use super::Store;
use crate::error::StoreError;

/// A statistic that is not what the base tables say.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Difference {
    /// The view, or the counter behind views.
    pub statistic: String,
    /// Window, relay, pubkey, kind and column, as far as they apply.
    pub key: String,
    /// What the base tables say.
    pub expected: Option<i64>,
    /// What the statistic says.
    pub actual: Option<i64>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: Option<i64>| value.map_or_else(|| "none".to_owned(), |v| v.to_string());
        write!(
            f,
            "{} {}: expected {}, found {}",
            self.statistic,
            self.key,
            show(self.expected),
            show(self.actual)
        )
    }
}

impl Store {
    /// Recomputes every statistic and returns up to `most` differences: none when all is well.
    ///
    /// Reads the whole archive. Right beside a running node too: it looks at one snapshot, and
    /// leaves out what waits to be folded.
    pub async fn verify_statistics(&self, most: i64) -> Result<Vec<Difference>, StoreError> {
        let mut tx = self
            .pool
            .begin_with("begin isolation level repeatable read")
            .await?;
        sqlx::raw_sql(include_str!("../sql/verify/prepare.sql"))
            .execute(&mut *tx)
            .await?;
        let differences = sqlx::query_as(include_str!("../sql/verify/compare.sql"))
            .bind(most)
            .fetch_all(&mut *tx)
            .await?;
        tx.rollback().await?;
        Ok(differences)
    }
}
