//! Snapshots of relays in time, and the content-addressed documents that they share.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::outbox::publish_and_queue;
use super::{RelayId, Store};
use crate::error::StoreError;
use bigbrotr_core::event::Event;

/// A JSON document in canonical form (keys sorted, no white space), addressed by its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    text: String,
    hash: [u8; 32],
}

impl Document {
    /// Brings a JSON value into canonical form.
    pub fn new(value: &Value) -> Self {
        // serde_json's map is sorted by key, so writing it out is canonical.
        let text = value.to_string();
        let hash = Sha256::digest(text.as_bytes()).into();
        Self { text, hash }
    }

    /// Returns the canonical text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the SHA-256 of the canonical text.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

/// One check of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When, Unix seconds.
    pub checked_at: i64,
    /// The relay's information document, where it gave one.
    pub nip11: Option<Document>,
    /// Everything else that was found, but for what is below.
    pub nip66: Document,
    /// A WebSocket could be opened.
    pub openable: bool,
    /// A REQ was answered as the protocol says; `None` when not tried.
    pub readable: Option<bool>,
    /// An EVENT was taken; `None` when not tried.
    pub writable: Option<bool>,
    /// Time to an open WebSocket, milliseconds.
    pub rtt_open_ms: Option<i32>,
    /// Time from REQ to its first answer, milliseconds.
    pub rtt_read_ms: Option<i32>,
    /// Time from EVENT to OK, milliseconds.
    pub rtt_write_ms: Option<i32>,
}

impl Store {
    /// Stores a check, publishes its reports, queues them for other relays and sets the next check,
    /// all in one transaction.
    ///
    /// `next_at` is when the relay is due again (Unix seconds); `failures` counts checks in a row
    /// that found it offline.
    pub async fn insert_snapshot(
        &self,
        relay: RelayId,
        snapshot: &Snapshot,
        reports: &[Event],
        next_at: i64,
        failures: u32,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query("select insert_relay_metadata($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)")
            .bind(relay.0)
            .bind(snapshot.checked_at)
            .bind(
                snapshot
                    .nip11
                    .as_ref()
                    .map(|document| document.hash.as_slice()),
            )
            .bind(
                snapshot
                    .nip11
                    .as_ref()
                    .map(|document| document.text.as_str()),
            )
            .bind(snapshot.nip66.hash.as_slice())
            .bind(&snapshot.nip66.text)
            .bind(snapshot.openable)
            .bind(snapshot.readable)
            .bind(snapshot.writable)
            .bind(snapshot.rtt_open_ms)
            .bind(snapshot.rtt_read_ms)
            .bind(snapshot.rtt_write_ms)
            .execute(&mut *tx)
            .await?;
        let published_at = (!reports.is_empty()).then_some(snapshot.checked_at);
        for report in reports {
            publish_and_queue(&mut tx, report, self.now()).await?;
        }
        sqlx::query(
            "update monitor_state set due_at = $2, leased_until = 0, failures = $3,
                published_at = coalesce($4, published_at)
             where relay_id = $1",
        )
        .bind(relay.0)
        .bind(next_at)
        .bind(i32::try_from(failures).unwrap_or(i32::MAX))
        .bind(published_at)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_documents_have_one_hash_whatever_their_order() {
        let one: Value =
            serde_json::from_str(r#"{"b": 1, "a": {"y": "\u0000", "x": []}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"a":{"x":[],"y":"\u0000"},"b":1}"#).unwrap();
        assert_eq!(Document::new(&one), Document::new(&two));
        assert_eq!(
            Document::new(&one).as_str(),
            r#"{"a":{"x":[],"y":"\u0000"},"b":1}"#
        );
    }
}
