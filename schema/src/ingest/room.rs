//! How much may wait in memory until it is durable.

use std::sync::Arc;

use bigbrotr_core::event::Event;
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::StoreError;

/// Room is given out in pieces of so many bytes: a semaphore counts no further than 32 bits.
const PIECE: usize = 1024;

/// Room for so many bytes of events, given out in the order of asking. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Room {
    pieces: Arc<Semaphore>,
    size: usize,
    taken: IntGauge,
}

/// What one submission takes of it, until dropped. The default takes nothing.
#[derive(Debug, Default)]
pub(super) struct Place(Option<(OwnedSemaphorePermit, IntGauge)>);

impl Room {
    /// Makes the room for so many bytes; the gauge shows how many are taken.
    pub(super) fn new(bytes: usize, taken: IntGauge) -> Self {
        let size = bytes / PIECE;
        Self {
            pieces: Arc::new(Semaphore::new(size)),
            size,
            taken,
        }
    }

    /// Waits for room for these events. Events that are larger than all of it get all of it.
    ///
    /// # Errors
    /// [`StoreError::Stopped`], if there will be none.
    pub(super) async fn take(&self, events: &[Event]) -> Result<Place, StoreError> {
        let bytes: usize = events.iter().map(Event::size_hint).sum();
        let pieces = bytes.div_ceil(PIECE).min(self.size);
        let permit = Arc::clone(&self.pieces)
            .acquire_many_owned(pieces as u32)
            .await
            .map_err(|_closed| StoreError::Stopped)?;
        self.taken.add((pieces * PIECE) as i64);
        Ok(Place(Some((permit, self.taken.clone()))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((permit, taken)) = &self.0 {
            taken.sub((permit.num_permits() * PIECE) as i64);
        }
    }
}
