//! How far files have been imported.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{RelayId, Store, bytes32};
use crate::error::StoreError;
use crate::ingest::Ingested;
use crate::limits::IMPORT_CANDIDATES;

/// What a file is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMark {
    /// SHA-256 of its beginning.
    pub head: [u8; 32],
    /// SHA-256 of its end.
    pub tail: [u8; 32],
    /// Its size.
    pub size_bytes: u64,
    /// When it was last modified: Unix nanoseconds.
    pub modified_ns: i64,
}

/// How far the import of a file has come. Everything before is durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImportProgress {
    /// Bytes of uncompressed text that are done.
    pub offset_bytes: u64,
    /// Lines among them.
    pub lines: u64,
    /// Lines that hold no event.
    pub bad_lines: u64,
    /// What became of the events.
    pub ingested: Ingested,
}

/// The import of a file, under way or complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImportRecord {
    /// Its number.
    pub id: i64,
    /// The file.
    pub file: FileMark,
    /// How far it has come.
    pub progress: ImportProgress,
    /// Whether the end of the file was reached.
    pub complete: bool,
}

impl Store {
    /// Returns what is known of files with this beginning whose events were attributed to this
    /// relay (`None`: to none), the largest files first.
    pub async fn list_imports(
        &self,
        head: [u8; 32],
        relay: Option<RelayId>,
    ) -> Result<Vec<ImportRecord>, StoreError> {
        let rows = sqlx::query(
            "select id, head, tail, size_bytes, modified_ns, offset_bytes, lines, bad_lines,
                new_events, known_events, refused_events, unkept_events, complete
             from import_progress where head = $1 and relay_id is not distinct from $2
             order by size_bytes desc, id desc limit $3",
        )
        .bind(head.as_slice())
        .bind(relay.map(|relay| relay.0))
        .bind(IMPORT_CANDIDATES)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(import_record).collect()
    }

    /// Notes that the import of a file begins; returns its number.
    pub async fn insert_import(
        &self,
        file: &FileMark,
        relay: Option<RelayId>,
    ) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar(
            "insert into import_progress
                (head, tail, size_bytes, modified_ns, relay_id, updated_at)
             values ($1, $2, $3, $4, $5, $6) returning id",
        )
        .bind(file.head.as_slice())
        .bind(file.tail.as_slice())
        .bind(file.size_bytes as i64)
        .bind(file.modified_ns)
        .bind(relay.map(|relay| relay.0))
        .bind(self.now())
        .fetch_one(&self.pool)
        .await?)
    }

    /// Notes how far an import has come, and how the file looks by now.
    pub async fn update_import(&self, record: &ImportRecord) -> Result<(), StoreError> {
        let progress = &record.progress;
        sqlx::query(
            "update import_progress set head = $2, tail = $3, size_bytes = $4, modified_ns = $5,
                offset_bytes = $6, lines = $7, bad_lines = $8, new_events = $9,
                known_events = $10, refused_events = $11, unkept_events = $12, complete = $13,
                updated_at = $14
             where id = $1",
        )
        .bind(record.id)
        .bind(record.file.head.as_slice())
        .bind(record.file.tail.as_slice())
        .bind(record.file.size_bytes as i64)
        .bind(record.file.modified_ns)
        .bind(progress.offset_bytes as i64)
        .bind(progress.lines as i64)
        .bind(progress.bad_lines as i64)
        .bind(progress.ingested.new as i64)
        .bind(progress.ingested.known as i64)
        .bind(progress.ingested.refused as i64)
        .bind(progress.ingested.unkept as i64)
        .bind(record.complete)
        .bind(self.now())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn import_record(row: &PgRow) -> Result<ImportRecord, StoreError> {
    let number = |column| row.try_get::<i64, _>(column).map(|number| number as u64);
    Ok(ImportRecord {
        id: row.try_get("id")?,
        file: FileMark {
            head: bytes32(row.try_get("head")?, "hash of a file")?,
            tail: bytes32(row.try_get("tail")?, "hash of a file")?,
            size_bytes: number("size_bytes")?,
            modified_ns: row.try_get("modified_ns")?,
        },
        progress: ImportProgress {
            offset_bytes: number("offset_bytes")?,
            lines: number("lines")?,
            bad_lines: number("bad_lines")?,
            ingested: Ingested {
                new: number("new_events")?,
                known: number("known_events")?,
                refused: number("refused_events")?,
                unkept: number("unkept_events")?,
            },
        },
        complete: row.try_get("complete")?,
    })
}
