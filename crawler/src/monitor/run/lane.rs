//! The checks of one network: how many at once, and for how long a relay is leased.

use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_schema::store::DueRelay;

use super::super::config::MonitorConfig;
use super::super::error::StepError;
use super::super::limits::{LEASE_MARGIN, RETRY_PAUSE, SECOND_CONNECTION_WAIT};
use super::super::service::MonitorService;
use crate::dial::NetworkConfig;
use crate::limits::{CLOSE_TIMEOUT, SLOT_WAIT};
use crate::reach;
use crate::store_wait::{bounded, whole_seconds};

/// The checks of one network. Networks do not wait for each other: Tor takes a minute for what
/// takes the others a second.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) network: Network,
    /// How long a relay is leased: longer than any check.
    pub(super) lease_time: Duration,
    pub(super) in_flight: usize,
    /// The last lease left nothing that was due.
    pub(super) is_drained: bool,
    capacity: usize,
}

impl Lane {
    pub(super) fn new(network: Network, config: &MonitorConfig, limits: &NetworkConfig) -> Self {
        let bound = limits.max_connections.get() / config.connections_per_check();
        Self {
            network,
            lease_time: longest_check(config, limits) + LEASE_MARGIN,
            in_flight: 0,
            is_drained: false,
            capacity: config.concurrency.min(bound).max(1) as usize,
        }
    }

    /// Counts the checks that can begin.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.in_flight)
    }

    /// Says whether a lease is worth its query: there is more, and room for a good part of it.
    pub(super) fn wants_more(&self) -> bool {
        !self.is_drained && self.room() >= self.capacity.div_ceil(4)
    }

    /// Leases up to `most` relays that are due.
    pub(super) async fn lease(
        &mut self,
        service: &MonitorService,
        most: usize,
    ) -> Result<Vec<DueRelay>, StepError> {
        let lease_seconds = whole_seconds(self.lease_time);
        let due = bounded(service.store.lease_due_checks(
            &[self.network],
            most as u32,
            lease_seconds,
        ))
        .await?;
        self.is_drained = due.len() < most;
        Ok(due)
    }
}

/// The longest that a check can take, with finding out whether we have a network.
fn longest_check(config: &MonitorConfig, limits: &NetworkConfig) -> Duration {
    let tries = |retries: u32, each: Duration| {
        let pauses = RETRY_PAUSE * retries;
        each * (retries + 1) + pauses
    };
    // Slots of the network and of the host, and the pace.
    let dial = SLOT_WAIT * 3 + limits.connect_timeout;
    let open = tries(config.open_retries, dial + config.open_timeout);
    // Each probe may find its time used up just as it begins to send.
    let read = config.read_timeout * 2 * (config.read_retries + 1);
    let publish = config.write_timeout * 2 * (config.write_retries + 1);
    let write = if config.pow {
        publish * 2 + config.pow_timeout
    } else {
        publish
    };
    let mut conversation = read + write;
    if config.auth {
        let send = config.read_timeout.min(config.write_timeout);
        conversation += config.auth_timeout + send + read + write;
    }
    if config.tries_capabilities() {
        conversation += config.capabilities_timeout;
    }
    let information = tries(config.nip11_retries, config.nip11_timeout);
    let dns = tries(config.dns_retries, config.dns_timeout);
    let asked = conversation.max(information) + SECOND_CONNECTION_WAIT;
    (open + asked + CLOSE_TIMEOUT).max(dns) + reach::longest(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_fit_into_the_connections_of_their_network() {
        let config = MonitorConfig::default();
        let lane = |network| Lane::new(network, &config, &NetworkConfig::default_of(network));
        assert_eq!(lane(Network::Clearnet).room(), 500);
        assert_eq!(lane(Network::Tor).room(), 25);
        let without = MonitorConfig {
            nip11: false,
            ..MonitorConfig::default()
        };
        let tor = NetworkConfig::default_of(Network::Tor);
        assert_eq!(Lane::new(Network::Tor, &without, &tor).room(), 50);
    }

    #[test]
    fn a_lease_outlasts_the_slowest_check() {
        let config = MonitorConfig::default();
        let tor = NetworkConfig::default_of(Network::Tor);
        let lane = Lane::new(Network::Tor, &config, &tor);
        assert!(lane.lease_time > longest_check(&config, &tor) + LEASE_MARGIN / 2);
        assert!(lane.lease_time < Duration::from_mins(15));
    }

    #[test]
    fn a_full_lane_waits_for_a_good_part_of_its_room() {
        let network = Network::Clearnet;
        let mut lane = Lane::new(
            network,
            &MonitorConfig::default(),
            &NetworkConfig::default_of(network),
        );
        lane.in_flight = 376;
        assert!(!lane.wants_more());
        lane.in_flight = 375;
        assert!(lane.wants_more());
        lane.is_drained = true;
        assert!(!lane.wants_more());
    }
}
