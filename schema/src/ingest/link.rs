//! Linking archived events to a relay that named their ids.

use bigbrotr_core::event::EventId;
use tokio_util::sync::CancellationToken;

use super::{Ingest, pace};
use crate::error::StoreError;
use crate::store::{Links, RelayId};

impl Ingest {
    /// Records that a relay has those of these events that are archived and dated within these
    /// bounds (Unix seconds, inclusive; `until` may be open), at no more than the pace of the
    /// statistics. Returns once that is durable. The others have to be fetched.
    ///
    /// # Errors
    /// Those of the database. To try again is safe.
    pub async fn link(
        &self,
        relay: RelayId,
        ids: &[EventId],
        since: i64,
        until: Option<i64>,
        stop: &CancellationToken,
    ) -> Result<Links, StoreError> {
        let links = self.store.link_events(relay, ids, since, until).await?;
        self.metrics.known.inc_by(links.archived.len() as u64);
        self.metrics.associations.inc_by(links.new_links);
        pace::keep_pace(&self.store, stop).await;
        Ok(links)
    }
}
