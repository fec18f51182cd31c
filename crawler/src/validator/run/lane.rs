//! The tries of one network: how many at once, and for how long a candidate is leased.

use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_schema::store::Candidate;

use super::super::config::ValidatorConfig;
use super::super::limits::{CONNECTION_SHARE, LEASE_MARGIN};
use super::super::service::ValidatorService;
use crate::dial::NetworkConfig;
use crate::limits::{CLOSE_TIMEOUT, SLOT_WAIT};
use crate::reach;
use crate::store_wait::{StepError, bounded, whole_seconds};

/// The tries of one network. Networks do not wait for each other.
#[derive(Debug)]
pub(super) struct Lane {
    network: Network,
    pub(super) in_flight: usize,
    /// The last lease left nothing that was due.
    pub(super) is_drained: bool,
    lease_time: Duration,
    capacity: usize,
}

impl Lane {
    pub(super) fn new(network: Network, config: &ValidatorConfig, limits: &NetworkConfig) -> Self {
        let bound = limits.max_connections.get() / CONNECTION_SHARE;
        Self {
            network,
            in_flight: 0,
            is_drained: false,
            lease_time: longest_try(config, limits) + LEASE_MARGIN,
            capacity: config.concurrency.min(bound).max(1) as usize,
        }
    }

    /// Counts the tries that can begin.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.in_flight)
    }

    /// Says whether a lease is worth its query: there is more, and room for a good part of it.
    pub(super) fn wants_more(&self) -> bool {
        !self.is_drained && self.room() >= self.capacity.div_ceil(4)
    }

    /// Leases up to `most` candidates that are due.
    pub(super) async fn lease(
        &mut self,
        service: &ValidatorService,
        most: usize,
    ) -> Result<Vec<Candidate>, StepError> {
        let lease_seconds = whole_seconds(self.lease_time);
        let network = [self.network];
        let leased = service
            .store
            .lease_candidates(&network, most as u32, lease_seconds);
        let due = bounded(leased).await?;
        self.is_drained = due.len() < most;
        Ok(due)
    }
}

/// The longest that a try can take, with finding out whether we have a network.
fn longest_try(config: &ValidatorConfig, limits: &NetworkConfig) -> Duration {
    // Slots of the network and of the host, and the pace.
    let dial = SLOT_WAIT * 3 + limits.connect_timeout;
    // The probe may find its time used up just as it begins to send.
    dial + config.open_timeout + config.read_timeout * 2 + CLOSE_TIMEOUT + reach::longest(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_leave_connections_to_relays() {
        let config = ValidatorConfig::default();
        let room =
            |network| Lane::new(network, &config, &NetworkConfig::default_of(network)).room();
        assert_eq!(room(Network::Clearnet), 50);
        assert_eq!(room(Network::Tor), 12);
        assert_eq!(room(Network::Loki), 6);
    }

    #[test]
    fn a_lease_outlasts_the_slowest_try() {
        let (config, tor) = (
            ValidatorConfig::default(),
            NetworkConfig::default_of(Network::Tor),
        );
        let lane = Lane::new(Network::Tor, &config, &tor);
        assert!(lane.lease_time > longest_try(&config, &tor) + LEASE_MARGIN / 2);
        assert!(lane.lease_time < Duration::from_mins(10));
    }
}
