//! Who may dial when: slots per network and per host, and a pace for new connections of each.
//!
//! Slots are politeness and self-defence: thousands of relay names can lead to one machine, and
//! one name to thousands of machines.
//!
//! # Correctness
//! Slots are taken in one order: the name's, the address's, the network's. Nobody holds a slot of
//! the network while waiting for one of a host, so those who queue for a slow host keep nobody
//! from other hosts; and since the order is one, no two dials wait for each other for ever.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use bigbrotr_core::network::Network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::config::{NetworkConfig, NetworksConfig};
use super::pace::Pace;
use crate::limits::{HOST_QUEUE_PER_SLOT, IDLE_HOST_SLOTS, SLOT_WAIT};

/// A place held by an open connection.
pub(super) type Slot = OwnedSemaphorePermit;

/// No slot came free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoSlot;

/// What shares the connections of one host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum HostKey {
    V4(Ipv4Addr),
    /// A /64 is one site: its owner has 2^64 addresses.
    V6([u16; 4]),
    /// A name may lead to other addresses each time; behind a proxy it is all that is known.
    Name(String),
}

impl From<IpAddr> for HostKey {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Slots {
    networks: [NetworkSlots; Network::ALL.len()],
}

impl Slots {
    pub(super) fn new(config: &NetworksConfig) -> Self {
        Self {
            networks: Network::ALL.map(|network| NetworkSlots::new(config.get(network))),
        }
    }

    pub(super) fn of(&self, network: Network) -> &NetworkSlots {
        &self.networks[network as usize]
    }
}

#[derive(Debug)]
pub(super) struct NetworkSlots {
    lookups: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    pace: Option<Pace>,
    hosts: Hosts<HostKey>,
}

impl NetworkSlots {
    fn new(config: &NetworkConfig) -> Self {
        let connections = config.max_connections.get() as usize;
        Self {
            lookups: Arc::new(Semaphore::new(connections)),
            connections: Arc::new(Semaphore::new(connections)),
            pace: config.max_dials_per_second.map(Pace::even),
            hosts: Hosts::new(
                config.max_connections_per_ip.get() as usize,
                config.max_dials_per_second_per_ip,
            ),
        }
    }

    /// Waits for a place among those who ask DNS: as many as there may be connections.
    pub(super) async fn look_up(&self) -> Result<Slot, NoSlot> {
        acquire(self.lookups.clone()).await
    }

    /// Waits for a connection slot of the host, then for its pace. Gives up at once where many
    /// wait already: who waits keeps the caller from asking for other hosts.
    pub(super) async fn host(&self, key: HostKey) -> Result<Slot, NoSlot> {
        let host = self.hosts.get(key);
        let in_queue = host.queue.clone().try_acquire_owned();
        let _in_queue = in_queue.map_err(|_full| NoSlot)?;
        let slot = acquire(host.slots.clone()).await?;
        if let Some(pace) = &host.pace {
            pace.wait().await?;
        }
        Ok(slot)
    }

    /// Waits for a connection slot of the network, then for its pace.
    pub(super) async fn enter(&self) -> Result<Slot, NoSlot> {
        let slot = acquire(self.connections.clone()).await?;
        if let Some(pace) = &self.pace {
            pace.wait().await?;
        }
        Ok(slot)
    }
}

async fn acquire(semaphore: Arc<Semaphore>) -> Result<Slot, NoSlot> {
    match tokio::time::timeout(SLOT_WAIT, semaphore.acquire_owned()).await {
        Ok(Ok(slot)) => Ok(slot),
        // Our semaphores are never closed.
        Ok(Err(_)) | Err(_) => Err(NoSlot),
    }
}

/// What is shared by the dials to one host.
#[derive(Debug, Clone)]
struct Host {
    slots: Arc<Semaphore>,
    /// Places for those who wait.
    queue: Arc<Semaphore>,
    pace: Option<Arc<Pace>>,
}

impl Host {
    /// Says whether forgetting the host would let somebody dial who now has to wait.
    fn matters(&self, now: Instant) -> bool {
        // A slot or a wait for one holds the semaphore as well.
        Arc::strong_count(&self.slots) > 1
            || self.pace.as_ref().is_some_and(|pace| pace.matters(now))
    }
}

/// The hosts that are dialled; those that nobody uses are swept when they are many.
#[derive(Debug)]
struct Hosts<K> {
    slots: usize,
    per_second: Option<NonZeroU32>,
    known: Mutex<HashMap<K, Host>>,
}

impl<K: Eq + Hash> Hosts<K> {
    fn new(slots: usize, per_second: Option<NonZeroU32>) -> Self {
        Self {
            slots,
            per_second,
            known: Mutex::new(HashMap::new()),
        }
    }

    fn get(&self, key: K) -> Host {
        let mut hosts = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Swept at powers of two only: hosts that all matter must not be looked through each time.
        let len = hosts.len();
        if len >= IDLE_HOST_SLOTS && len.is_power_of_two() && !hosts.contains_key(&key) {
            let now = Instant::now();
            hosts.retain(|_, host| host.matters(now));
        }
        let host = hosts.entry(key).or_insert_with(|| Host {
            slots: Arc::new(Semaphore::new(self.slots)),
            queue: Arc::new(Semaphore::new(
                self.slots
                    .saturating_mul(HOST_QUEUE_PER_SLOT)
                    .min(Semaphore::MAX_PERMITS),
            )),
            pace: self.per_second.map(|rate| Arc::new(Pace::bursting(rate))),
        });
        host.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn slots(per_host: u32, connections: u32) -> NetworkSlots {
        NetworkSlots::new(&NetworkConfig {
            max_connections: NonZeroU32::new(connections).unwrap(),
            max_connections_per_ip: NonZeroU32::new(per_host).unwrap(),
            max_dials_per_second: None,
            max_dials_per_second_per_ip: None,
            ..NetworkConfig::default_of(Network::Clearnet)
        })
    }

    fn name(name: &str) -> HostKey {
        HostKey::Name(name.to_owned())
    }

    #[test]
    fn a_v6_site_is_one_host() {
        let key = |ip: &str| HostKey::from(ip.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_has_its_slots_and_no_more() {
        let slots = slots(1, 10);
        let held = slots.host(name("a")).await.unwrap();
        assert!(slots.host(name("b")).await.is_ok());
        assert_eq!(slots.host(name("a")).await.unwrap_err(), NoSlot);
        drop(held);
        assert!(slots.host(name("a")).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_queue_for_a_host_turns_away_at_once() {
        let slots = slots(1, 10);
        let _held = slots.host(name("a")).await.unwrap();
        let mut waiting: Vec<_> = (0..HOST_QUEUE_PER_SLOT)
            .map(|_| Box::pin(slots.host(name("a"))))
            .collect();
        for wait in &mut waiting {
            assert!(futures_util::poll!(wait).is_pending());
        }
        let before = Instant::now();
        assert_eq!(slots.host(name("a")).await.unwrap_err(), NoSlot);
        assert_eq!(before.elapsed(), Duration::ZERO);
        drop(waiting);
        let mut wait = Box::pin(slots.host(name("a")));
        assert!(futures_util::poll!(&mut wait).is_pending());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_has_a_pace_of_its_own() {
        let slots = NetworkSlots::new(&NetworkConfig {
            max_dials_per_second_per_ip: NonZeroU32::new(2),
            ..NetworkConfig::default_of(Network::Clearnet)
        });
        let before = Instant::now();
        for _ in 0..2 {
            assert!(slots.host(name("a")).await.is_ok());
        }
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert!(slots.host(name("a")).await.is_ok());
        assert!(before.elapsed() >= Duration::from_millis(500));
        let before = Instant::now();
        assert!(slots.host(name("b")).await.is_ok());
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_hosts_are_forgotten_and_those_that_matter_are_not() {
        let hosts = Hosts::new(1, NonZeroU32::new(1));
        let busy = hosts.get(0);
        let paced = hosts.get(1).pace.unwrap();
        paced.reserve(Instant::now()).unwrap();
        for key in 2..=IDLE_HOST_SLOTS {
            hosts.get(key);
        }
        assert!(hosts.known.lock().unwrap().len() <= 3);
        assert!(Arc::ptr_eq(&busy.slots, &hosts.get(0).slots));
        assert!(Arc::ptr_eq(&paced, &hosts.get(1).pace.unwrap()));
    }
}
