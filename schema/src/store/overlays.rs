//! Running an implementation's own SQL: once, in order, each file in a transaction.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgExecutor};

use super::Store;
use crate::error::StoreError;
use crate::overlay::{AppliedOverlay, Overlay, OverlayError, Overlays};

/// Lets one process at a time apply overlays; the key of an advisory lock, arbitrary.
const OVERLAY_LOCK: i64 = 0x6269_676f_7665_726c;

/// The setting that tells whether a file is still in the transaction in which it began.
const MARK: &str = "bigbrotr.overlay";

/// What the database knows of an overlay.
#[derive(sqlx::FromRow)]
struct Record {
    version: i64,
    file: String,
    implementation: String,
    checksum: Vec<u8>,
}

impl Store {
    /// Runs the overlays that this database does not have, after the migrations. Returns those
    /// that were run now. Safe when several processes do it at once.
    ///
    /// Overlays in the database that are not among these are left alone: another implementation's
    /// command may look at the same database.
    ///
    /// # Errors
    /// [`StoreError::Overlay`], which names the file; those before it stay applied.
    pub async fn apply_overlays(
        &self,
        overlays: &Overlays,
    ) -> Result<Vec<AppliedOverlay>, StoreError> {
        let mut done = Vec::new();
        for overlay in self.pending(overlays).await? {
            // A connection of its own: nothing that a file sets reaches the next one.
            let mut connection = self.direct.connect().await.map_err(StoreError::Connect)?;
            let outcome = apply(&mut connection, overlay, overlays).await;
            let closed = connection.close().await;
            if outcome? {
                tracing::info!(overlay.file = overlay.file, "applied");
                done.push(AppliedOverlay {
                    version: overlay.version,
                    file: overlay.name().to_owned(),
                });
            }
            closed?;
        }
        Ok(done)
    }

    /// Says whether all of the overlays have been run.
    pub async fn overlays_are_current(&self, overlays: &Overlays) -> Result<bool, StoreError> {
        Ok(self.pending(overlays).await?.is_empty())
    }

    /// Lists the overlays that have been run, oldest first.
    pub async fn list_overlays(&self) -> Result<Vec<AppliedOverlay>, StoreError> {
        Ok(
            sqlx::query_as("select version, file from implementation_overlays order by version")
                .fetch_all(&self.pool)
                .await?,
        )
    }

    async fn pending<'a>(&self, overlays: &'a Overlays) -> Result<Vec<&'a Overlay>, StoreError> {
        if overlays.is_empty() {
            return Ok(Vec::new());
        }
        Ok(compare(&records(&self.pool).await?, overlays)?)
    }
}

async fn records(executor: impl PgExecutor<'_>) -> Result<Vec<Record>, StoreError> {
    Ok(sqlx::query_as(
        "select version, file, implementation, checksum from implementation_overlays
         order by version",
    )
    .fetch_all(executor)
    .await?)
}

/// Returns the overlays that are to be run, once the others are what they were.
fn compare<'a>(
    applied: &[Record],
    overlays: &'a Overlays,
) -> Result<Vec<&'a Overlay>, OverlayError> {
    let mut pending = Vec::new();
    for overlay in &overlays.files {
        let known = applied.iter().find(|r| r.version == overlay.version);
        match (known, applied.last()) {
            (Some(record), _) if record.checksum == overlay.checksum() => {}
            (Some(record), _) => {
                return Err(OverlayError::Changed {
                    file: overlay.file.clone(),
                    applied: record.file.clone(),
                    implementation: record.implementation.clone(),
                });
            }
            (None, Some(last)) if last.version > overlay.version => {
                return Err(OverlayError::Late {
                    file: overlay.file.clone(),
                    applied: last.file.clone(),
                });
            }
            (None, _) => pending.push(overlay),
        }
    }
    Ok(pending)
}

/// Runs one file, unless somebody else has by now; says whether it did.
async fn apply(
    connection: &mut PgConnection,
    overlay: &Overlay,
    overlays: &Overlays,
) -> Result<bool, StoreError> {
    let mut tx = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(OVERLAY_LOCK)
        .execute(&mut *tx)
        .await?;
    let pending = compare(&records(&mut *tx).await?, overlays)?;
    if !pending.contains(&overlay) {
        return Ok(false);
    }
    sqlx::query("select set_config($1, $2, true)")
        .bind(MARK)
        .bind(&overlay.file)
        .execute(&mut *tx)
        .await?;
    sqlx::raw_sql(AssertSqlSafe(overlay.sql.as_str()))
        .execute(&mut *tx)
        .await
        .map_err(|error| overlay.refused(error))?;
    let mark: Option<String> = sqlx::query_scalar("select current_setting($1, true)")
        .bind(MARK)
        .fetch_one(&mut *tx)
        .await
        .map_err(|error| overlay.refused(error))?;
    if mark.as_ref() != Some(&overlay.file) {
        return Err(OverlayError::Transaction {
            file: overlay.file.clone(),
        }
        .into());
    }
    // As the login again, and by full name, whatever the file has set.
    for statement in ["reset session authorization", "reset role"] {
        sqlx::raw_sql(statement).execute(&mut *tx).await?;
    }
    sqlx::query(
        "insert into public.implementation_overlays (version, file, implementation, checksum)
         values ($1, $2, $3, $4)",
    )
    .bind(overlay.version)
    .bind(overlay.name())
    .bind(&overlays.implementation)
    .bind(overlay.checksum())
    .execute(&mut *tx)
    .await?;
    tx.commit().await.map_err(|error| overlay.refused(error))?;
    Ok(true)
}
