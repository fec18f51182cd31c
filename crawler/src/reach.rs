//! Whether a failure tells something of a relay, or only that we have no way to its network.
//!
//! What something out there has said or done is the relay's own. Where nothing came back, it is
//! only if something else has answered since: somebody whom we have just tried, or one of the
//! relays that were online when they were last checked, which are dialled to find out.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_schema::store::Store;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rand::seq::SliceRandom;
use tokio::time::Instant;

use crate::dial::{Dialer, NetworkConfig};
use crate::limits::SLOT_WAIT;
use crate::session::{Fault, SessionError};
use crate::store_wait::{StepError, bounded};

/// How long it is believed that we have no way to a network, before that is tried again.
const DOUBT_AGE: Duration = Duration::from_secs(10);

/// The relays that are dialled to find out, each at a host of its own.
const WITNESSES: usize = 5;

/// Fewer than this many may all have gone for reasons of their own, and prove nothing.
const LEAST_WITNESSES: usize = 3;

/// The relays among which hosts for them are looked for: many relays share a host.
const WITNESS_RELAYS: u32 = 64;

/// How long ago a witness may have been checked, seconds.
const WITNESS_AGE_SECONDS: i64 = 7 * 24 * 3_600;

/// The longest that [`Reach::counts`] takes: finding out may have to wait for somebody who does.
pub(crate) fn longest(network: &NetworkConfig) -> Duration {
    round(network) * 2
}

/// The longest time for finding out: for one slot, and for whoever is as slow as we allow.
fn round(network: &NetworkConfig) -> Duration {
    SLOT_WAIT + network.connect_timeout
}

/// What is known of our way to each network.
pub(crate) struct Reach {
    dialer: Dialer,
    store: Store,
    clock: SharedClock,
    ways: [Way; Network::ALL.len()],
}

/// What is known of our way to one network.
#[derive(Debug, Default)]
struct Way {
    last: Mutex<Last>,
    /// One finds out for all.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Last {
    /// When the latest of those who answered was tried.
    proof: Option<Instant>,
    /// When witnesses were last dialled in vain, and when that was known.
    doubt: Option<(Instant, Instant)>,
}

/// What came of dialling witnesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Testimony {
    Answered,
    Silent,
    /// None of them could be tried.
    Untried,
}

impl Reach {
    pub(crate) fn new(dialer: Dialer, store: Store, clock: SharedClock) -> Self {
        Self {
            dialer,
            store,
            clock,
            ways: Default::default(),
        }
    }

    /// Notes that something on the network answered that was tried at `began`.
    pub(crate) fn note_proof(&self, network: Network, began: Instant) {
        self.way(network).note_proof(began);
    }

    /// Says whether a failure counts against the relay. `began` is when it was tried.
    pub(crate) async fn counts(&self, relay: &RelayUrl, fault: Fault, began: Instant) -> bool {
        match fault {
            Fault::Theirs => {
                self.note_proof(relay.network(), began);
                true
            }
            Fault::Name => true,
            Fault::Ours => false,
            Fault::Unclear => self.is_there(relay, began).await,
        }
    }

    /// Says whether we have a way to the network of a relay that did not answer.
    async fn is_there(&self, relay: &RelayUrl, began: Instant) -> bool {
        let network = relay.network();
        let way = self.way(network);
        let _asking = way.asking.lock().await;
        if let Some(known) = way.remembered(began) {
            return known;
        }
        let (asked, round) = (Instant::now(), round(self.dialer.config().get(network)));
        let testimony = match tokio::time::timeout(round, self.testimony(relay)).await {
            Ok(Ok(None)) => return true,
            Ok(Ok(Some(testimony))) => testimony,
            Err(_) => Testimony::Silent,
            Ok(Err(error)) => {
                tracing::debug!(
                    error = &error as &dyn Error,
                    "cannot find out which relays were online",
                );
                Testimony::Untried
            }
        };
        if testimony == Testimony::Answered {
            way.note_proof(asked);
            return true;
        }
        way.note_doubt(asked);
        // Somebody may have answered another try meanwhile.
        if let Some(true) = way.remembered(began) {
            return true;
        }
        if testimony == Testimony::Silent {
            tracing::warn!(
                %network,
                "no relay of this network can be reached, whoever was online: failures do not count",
            );
        }
        false
    }

    /// Dials relays of other hosts than the one that failed. `None`: there are too few.
    async fn testimony(&self, failed: &RelayUrl) -> Result<Option<Testimony>, StepError> {
        let since = self.clock.now() - WITNESS_AGE_SECONDS;
        let online = self
            .store
            .list_online_relays(failed.network(), since, WITNESS_RELAYS);
        let mut online = bounded(online).await?;
        // Not always those that were checked last: relays dislike who is back within seconds.
        online.shuffle(&mut rand::rng());
        let witnesses = of_other_hosts(failed, online);
        if witnesses.len() < LEAST_WITNESSES {
            return Ok(None);
        }
        let mut dials: FuturesUnordered<_> = witnesses
            .iter()
            .map(|relay| self.dialer.connect(relay))
            .collect();
        let mut testimony = Testimony::Untried;
        while let Some(dialed) = dials.next().await {
            // Whoever refuses is there.
            match dialed.map_err(|error| SessionError::from(error).fault()) {
                Ok(_) | Err(Fault::Theirs) => return Ok(Some(Testimony::Answered)),
                Err(Fault::Ours) => {}
                Err(Fault::Name | Fault::Unclear) => testimony = Testimony::Silent,
            }
        }
        Ok(Some(testimony))
    }

    fn way(&self, network: Network) -> &Way {
        &self.ways[network as usize]
    }
}

impl Way {
    fn note_proof(&self, began: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.proof = last.proof.max(Some(began));
    }

    fn note_doubt(&self, began: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.doubt = Some((began, Instant::now()));
    }

    /// What is known already for something that was tried at `began`.
    fn remembered(&self, began: Instant) -> Option<bool> {
        let Last { proof, doubt } = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let doubted = doubt.filter(|(tried, _)| Some(*tried) > proof);
        if doubted.is_none() && proof >= Some(began) {
            return Some(true);
        }
        let in_doubt = doubted.is_some_and(|(_, known)| known.elapsed() < DOUBT_AGE);
        in_doubt.then_some(false)
    }
}

fn of_other_hosts(failed: &RelayUrl, relays: Vec<RelayUrl>) -> Vec<RelayUrl> {
    let mut hosts = BTreeSet::from([failed.host().to_owned()]);
    let mut others = relays;
    others.retain(|relay| hosts.insert(relay.host().to_owned()));
    others.truncate(WITNESSES);
    others
}

#[cfg(test)]
mod tests {
    use bigbrotr_core::relay_url::UrlPolicy;

    use super::*;

    #[test]
    fn witnesses_are_of_other_hosts() {
        let url = |text: &str| RelayUrl::parse(text, &UrlPolicy::default()).unwrap();
        let online = ["wss://a.com", "wss://a.com/x", "wss://b.com", "wss://c.com"];
        let chosen = of_other_hosts(
            &url("wss://b.com/inbox"),
            online.into_iter().map(url).collect(),
        );
        assert_eq!(chosen, [url("wss://a.com"), url("wss://c.com")]);
        let many = (0..20).map(|n| url(&format!("wss://r{n}.com"))).collect();
        assert_eq!(of_other_hosts(&url("wss://b.com"), many).len(), WITNESSES);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_tried_before_proves_nothing() {
        let way = Way::default();
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        let first = Instant::now();
        assert_eq!(way.remembered(first), None);
        pass(1).await;
        let second = Instant::now();
        way.note_proof(second);
        assert_eq!(way.remembered(first), Some(true));
        pass(1).await;
        let third = Instant::now();
        // The answer comes late, to what was tried before.
        way.note_proof(second);
        assert_eq!(way.remembered(third), None);
        pass(30).await;
        way.note_doubt(third);
        assert_eq!(way.remembered(third), Some(false));
        pass(5).await;
        assert_eq!(way.remembered(Instant::now()), Some(false));
        pass(6).await;
        assert_eq!(way.remembered(Instant::now()), None);
        way.note_proof(Instant::now());
        assert_eq!(way.remembered(third), Some(true));
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_while_witnesses_are_dialled_is_believed() {
        let way = Way::default();
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        let asked = Instant::now();
        pass(1).await;
        way.note_proof(Instant::now());
        pass(20).await;
        way.note_doubt(asked);
        assert_eq!(way.remembered(asked), Some(true));
    }
}
