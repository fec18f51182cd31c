//! Who may dial when: slots per network and per host, and a pace for new connections.
//!
//! Slots are politeness and self-defence: thousands of relay names can lead to one machine.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bigbrotr_core::network::Network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::config::{NetworkConfig, NetworksConfig};
use crate::limits::{IDLE_HOST_SLOTS, SLOT_WAIT};

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
    /// Behind a proxy the name is all that is known.
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
    connections: Arc<Semaphore>,
    hosts: KeyedSlots<HostKey>,
    pace: Option<Pace>,
}

impl NetworkSlots {
    fn new(config: &NetworkConfig) -> Self {
        Self {
            connections: Arc::new(Semaphore::new(config.max_connections.get() as usize)),
            hosts: KeyedSlots::new(config.max_connections_per_ip.get() as usize),
            pace: config.max_dials_per_second.map(Pace::new),
        }
    }

    /// Waits for a connection slot of the network, then for the pace.
    pub(super) async fn enter(&self) -> Result<Slot, NoSlot> {
        let slot = acquire(self.connections.clone()).await?;
        if let Some(pace) = &self.pace {
            tokio::time::sleep_until(pace.reserve(Instant::now())?).await;
        }
        Ok(slot)
    }

    /// Waits for a connection slot of the host.
    pub(super) async fn host(&self, key: HostKey) -> Result<Slot, NoSlot> {
        acquire(self.hosts.get(key)).await
    }
}

async fn acquire(semaphore: Arc<Semaphore>) -> Result<Slot, NoSlot> {
    match tokio::time::timeout(SLOT_WAIT, semaphore.acquire_owned()).await {
        Ok(Ok(slot)) => Ok(slot),
        // Our semaphores are never closed.
        Ok(Err(_)) | Err(_) => Err(NoSlot),
    }
}

/// One semaphore per key; those that nobody uses are swept when they are many.
#[derive(Debug)]
struct KeyedSlots<K> {
    per_key: usize,
    keys: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Eq + Hash> KeyedSlots<K> {
    fn new(per_key: usize) -> Self {
        Self {
            per_key,
            keys: Mutex::new(HashMap::new()),
        }
    }

    fn get(&self, key: K) -> Arc<Semaphore> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= IDLE_HOST_SLOTS && !keys.contains_key(&key) {
            // A slot or a wait for one holds the semaphore as well.
            keys.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        keys.entry(key)
            .or_insert_with(|| Arc::new(Semaphore::new(self.per_key)))
            .clone()
    }
}

/// Spreads dials evenly over time.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    fn new(per_second: NonZeroU32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.get(),
            next: Mutex::new(None),
        }
    }

    /// Takes the next moment that is free, unless it is too far away.
    fn reserve(&self, now: Instant) -> Result<Instant, NoSlot> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = next.map_or(now, |next| next.max(now));
        if at - now > SLOT_WAIT {
            return Err(NoSlot);
        }
        *next = Some(at + self.interval);
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v6_site_is_one_host() {
        let key = |ip: &str| HostKey::from(ip.parse::<IpAddr>().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_has_its_slots_and_no_more() {
        let slots = KeyedSlots::new(1);
        let held = acquire(slots.get("a")).await.unwrap();
        assert!(acquire(slots.get("b")).await.is_ok());
        assert_eq!(acquire(slots.get("a")).await.unwrap_err(), NoSlot);
        drop(held);
        assert!(acquire(slots.get("a")).await.is_ok());
    }

    #[test]
    fn idle_hosts_are_forgotten_and_busy_ones_are_not() {
        let slots = KeyedSlots::new(1);
        let busy = slots.get(0);
        for key in 1..=IDLE_HOST_SLOTS {
            slots.get(key);
        }
        assert!(slots.keys.lock().unwrap().len() <= 2);
        assert!(Arc::ptr_eq(&busy, &slots.get(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_spreads_dials_and_gives_up_on_a_long_queue() {
        let pace = Pace::new(NonZeroU32::new(10).unwrap());
        let now = Instant::now();
        assert_eq!(pace.reserve(now).unwrap(), now);
        assert_eq!(pace.reserve(now).unwrap(), now + Duration::from_millis(100));
        let later = now + Duration::from_secs(5);
        assert_eq!(pace.reserve(later).unwrap(), later);
        while pace.reserve(later).is_ok() {}
        assert_eq!(pace.reserve(later), Err(NoSlot));
    }
}
