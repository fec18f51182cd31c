//! Whether we have a network at all: where nothing comes back, that is not the candidate's fault.

use std::sync::{Mutex, PoisonError};

use bigbrotr_core::network::Network;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::limits::{DOUBT_AGE, PROOF_AGE, REACH_RELAYS, REACH_SINCE_SECONDS, REACH_TIMEOUT};
use super::service::ValidatorService;
use crate::store_wait::bounded;

/// What is known of our way to one network.
#[derive(Debug, Default)]
pub(super) struct Reach {
    last: Mutex<Last>,
    /// One finds out for all.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Last {
    proof: Option<Instant>,
    doubt: Option<Instant>,
}

impl Reach {
    /// Notes that something answered.
    pub(super) fn note_proof(&self) {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .proof = Some(Instant::now());
    }

    /// Says whether we have a way to the network: something answered a moment ago, or one of the
    /// relays that were online lately takes a connection now. Where no such relay is known, we are
    /// taken to have one.
    pub(super) async fn is_there(&self, service: &ValidatorService, network: Network) -> bool {
        let _asking = self.asking.lock().await;
        if let Some(known) = self.remembered() {
            return known;
        }
        let is_there = tokio::time::timeout(REACH_TIMEOUT, ask(service, network)).await;
        let is_there = is_there.unwrap_or(false);
        if is_there {
            self.note_proof();
        } else {
            tracing::warn!(
                %network,
                "no relay of this network can be reached: failures of candidates do not count",
            );
            self.last
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .doubt = Some(Instant::now());
        }
        is_there
    }

    fn remembered(&self) -> Option<bool> {
        let Last { proof, doubt } = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: Option<Instant>, age| at.is_some_and(|at| at.elapsed() < age);
        if proof > doubt && is_recent(proof, PROOF_AGE) {
            return Some(true);
        }
        is_recent(doubt, DOUBT_AGE).then_some(false)
    }
}

async fn ask(service: &ValidatorService, network: Network) -> bool {
    let since = service.clock.now() - REACH_SINCE_SECONDS;
    let reached = service
        .store
        .list_reached_relays(network, since, REACH_RELAYS);
    let relays = match bounded(reached).await {
        Ok(relays) => relays,
        Err(error) => {
            tracing::debug!(%error, "cannot find out which relays were online");
            return false;
        }
    };
    if relays.is_empty() {
        return true;
    }
    let mut dials: FuturesUnordered<_> = relays
        .iter()
        .map(|relay| service.dialer.connect(relay))
        .collect();
    while let Some(dialed) = dials.next().await {
        if dialed.is_ok() {
            return true;
        }
    }
    false
}
