//! Whether a failure tells something of a relay, or only that we have no way to its network.
//!
//! What something out there has said or done is the relay's own. Where nothing came back, it is
//! only if something else has answered since: somebody whom we have just tried, or one of the
//! relays that were online when they were last checked, which are dialled to find out.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_schema::store::Store;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::dial::Dialer;
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

/// The longest time for dialling them. Finding out may have to wait for somebody who finds out.
const REACH_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest that [`Reach::counts`] takes.
pub(crate) const REACH_WAIT: Duration = REACH_TIMEOUT.saturating_mul(2);

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
    proof: Option<Instant>,
    doubt: Option<Instant>,
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

    /// Notes that something on the network answered.
    pub(crate) fn note_proof(&self, network: Network) {
        self.way(network).note(true);
    }

    /// Says whether a failure counts against the relay. `began` is when it was tried.
    pub(crate) async fn counts(&self, relay: &RelayUrl, fault: Fault, began: Instant) -> bool {
        match fault {
            Fault::Theirs => {
                self.note_proof(relay.network());
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
        let is_there = match self.witnesses(relay).await {
            Ok(witnesses) if witnesses.len() < LEAST_WITNESSES => return true,
            Ok(witnesses) => self.any_answers(&witnesses).await,
            Err(error) => {
                tracing::debug!(%error, "cannot find out which relays were online");
                return false;
            }
        };
        if !is_there {
            tracing::warn!(
                %network,
                "no relay of this network can be reached, whoever was online: failures do not count",
            );
        }
        way.note(is_there);
        is_there
    }

    /// Chooses relays to dial: of other hosts than the one that failed.
    async fn witnesses(&self, failed: &RelayUrl) -> Result<Vec<RelayUrl>, StepError> {
        let since = self.clock.now() - WITNESS_AGE_SECONDS;
        let online = self
            .store
            .list_online_relays(failed.network(), since, WITNESS_RELAYS);
        Ok(of_other_hosts(failed, bounded(online).await?))
    }

    async fn any_answers(&self, relays: &[RelayUrl]) -> bool {
        let mut dials: FuturesUnordered<_> = relays
            .iter()
            .map(|relay| self.dialer.connect(relay))
            .collect();
        let any = async {
            while let Some(dialed) = dials.next().await {
                // Whoever refuses is there.
                match dialed.map_err(|error| SessionError::from(error).fault()) {
                    Ok(_) | Err(Fault::Theirs) => return true,
                    Err(_) => {}
                }
            }
            false
        };
        tokio::time::timeout(REACH_TIMEOUT, any)
            .await
            .unwrap_or(false)
    }

    fn way(&self, network: Network) -> &Way {
        &self.ways[network as usize]
    }
}

impl Way {
    fn note(&self, is_there: bool) {
        let now = Some(Instant::now());
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if is_there {
            last.proof = now;
        } else {
            last.doubt = now;
        }
    }

    fn remembered(&self, began: Instant) -> Option<bool> {
        let Last { proof, doubt } = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if proof > doubt && proof >= Some(began) {
            return Some(true);
        }
        let in_doubt = doubt > proof && doubt.is_some_and(|at| at.elapsed() < DOUBT_AGE);
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
    async fn what_answered_before_a_try_proves_nothing_of_it() {
        let way = Way::default();
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        let first = Instant::now();
        assert_eq!(way.remembered(first), None);
        pass(1).await;
        way.note(true);
        assert_eq!(way.remembered(first), Some(true));
        pass(1).await;
        let second = Instant::now();
        assert_eq!(way.remembered(second), None);
        way.note(false);
        assert_eq!(way.remembered(second), Some(false));
        pass(5).await;
        assert_eq!(way.remembered(Instant::now()), Some(false));
        pass(6).await;
        assert_eq!(way.remembered(Instant::now()), None);
        way.note(true);
        assert_eq!(way.remembered(second), Some(true));
    }
}
