//! Lists that are fetched by HTTP: when each is due, and what came of it.

use sqlx::Row;

use super::Store;
use super::finding::{Finding, Found, Mention, SiteBounds};
use crate::error::StoreError;

/// A list that is due, leased to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueList {
    /// Its URL, as configured.
    pub url: String,
    /// Fetches in a row that failed.
    pub failures: u32,
}

impl Store {
    /// Leases one of these lists that is due, for `lease_seconds`: the one that has been so for
    /// longest.
    pub async fn lease_list(
        &self,
        urls: &[&str],
        lease_seconds: i64,
    ) -> Result<Option<DueList>, StoreError> {
        sqlx::query(
            "insert into finder_lists (url) select unnest($1::text[]) on conflict do nothing",
        )
        .bind(urls)
        .execute(&self.pool)
        .await?;
        let row = sqlx::query(
            "with due as (
                select url from finder_lists
                where url = any ($1) and due_at <= $2 and leased_until <= $2
                order by due_at, url limit 1 for update skip locked
            )
            update finder_lists l set leased_until = $2 + $3 from due where l.url = due.url
            returning l.url, l.failures",
        )
        .bind(urls)
        .bind(self.now())
        .bind(lease_seconds)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(DueList {
                url: row.try_get("url")?,
                failures: row.try_get::<i32, _>("failures")?.unsigned_abs(),
            })
        })
        .transpose()
    }

    /// Begins to store what was found on a list; waits for other finders.
    pub async fn begin_list(&self) -> Result<Finding<'_>, StoreError> {
        self.wait_for_finding().await
    }

    /// Records that a list could not be read, and sets when it is due again (Unix seconds).
    pub async fn fail_list(&self, url: &str, due_at: i64, error: &str) -> Result<(), StoreError> {
        sqlx::query(
            "update finder_lists set due_at = $2, leased_until = 0, failures = failures + 1,
                last_error = $3
             where url = $1",
        )
        .bind(url)
        .bind(due_at)
        .bind(error)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives a list back unread: it is due again at once.
    pub async fn release_list(&self, url: &str) -> Result<(), StoreError> {
        sqlx::query("update finder_lists set leased_until = 0 where url = $1")
            .bind(url)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Tells when a list is due (Unix seconds) and why it could not be read the last time.
    pub async fn get_list(&self, url: &str) -> Result<Option<(i64, Option<String>)>, StoreError> {
        Ok(
            sqlx::query_as("select due_at, last_error from finder_lists where url = $1")
                .bind(url)
                .fetch_optional(&self.pool)
                .await?,
        )
    }
}

impl Finding<'_> {
    /// Stores what was new on a list and when it is due again (Unix seconds), and ends.
    pub async fn finish_for_list(
        self,
        url: &str,
        due_at: i64,
        mentions: &[Mention],
        bounds: SiteBounds,
    ) -> Result<Found, StoreError> {
        self.finish_list(url, due_at, mentions, bounds).await
    }
}
