//! The relays that are followed live: how many there may be, and whose leases are to be kept.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bigbrotr_schema::store::{Lease, RelayId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::Shared;

/// All that are followed by this process.
#[derive(Debug)]
pub(super) struct Followed {
    room: Arc<Semaphore>,
    size: u32,
    relays: Mutex<HashMap<RelayId, (Lease, CancellationToken)>>,
}

impl Followed {
    /// Room for so many.
    pub(super) fn new(size: u32) -> Self {
        Self {
            room: Arc::new(Semaphore::new(size as usize)),
            size,
            relays: Mutex::default(),
        }
    }

    /// Lists the leases to be kept.
    pub(super) fn leases(&self) -> Vec<(RelayId, Lease)> {
        let relays = self.relays();
        relays
            .iter()
            .map(|(id, (lease, _))| (*id, *lease))
            .collect()
    }

    /// Tells those of the asked that are not among ours that their lease is lost.
    pub(super) fn keep_only(&self, asked: &[(RelayId, Lease)], ours: &[RelayId]) {
        let ours: HashSet<RelayId> = ours.iter().copied().collect();
        let relays = self.relays();
        for (relay, lease) in asked.iter().filter(|(relay, _)| !ours.contains(relay)) {
            if let Some((held, lost)) = relays.get(relay)
                && held == lease
            {
                lost.cancel();
            }
        }
    }

    /// Waits until none is followed any more.
    pub(super) async fn left(&self) {
        drop(self.room.acquire_many(self.size).await);
    }

    fn relays(&self) -> MutexGuard<'_, HashMap<RelayId, (Lease, CancellationToken)>> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks a relay as followed for as long as it lives.
pub(super) struct Following<'a> {
    shared: &'a Shared,
    relay: RelayId,
    lost: CancellationToken,
    is_open: bool,
    _room: OwnedSemaphorePermit,
}

impl<'a> Following<'a> {
    /// Marks a relay, if there is room for one more.
    pub(super) fn begin(shared: &'a Shared, relay: RelayId, lease: Lease) -> Option<Self> {
        let room = shared.followed.room.clone().try_acquire_owned().ok()?;
        let lost = CancellationToken::new();
        let mut relays = shared.followed.relays();
        relays.insert(relay, (lease, lost.clone()));
        // Following is no work that anybody waits for.
        shared.metrics.active.dec();
        Some(Self {
            shared,
            relay,
            lost,
            is_open: false,
            _room: room,
        })
    }

    /// Counts the relay, once its subscription is open.
    pub(super) fn opened(&mut self) {
        if !std::mem::replace(&mut self.is_open, true) {
            self.shared.metrics.live.inc();
        }
    }

    /// Tells when the lease is lost.
    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.shared.metrics.live.dec();
        }
        self.shared.metrics.active.inc();
        self.shared.followed.relays().remove(&self.relay);
    }
}
