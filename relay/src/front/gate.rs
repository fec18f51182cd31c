//! How many may be inside at once: in all, and of one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts who is inside. Clones share the counts.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    inside: Arc<Mutex<Inside>>,
    max: usize,
    max_per_ip: usize,
}

#[derive(Debug, Default)]
struct Inside {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// The limit that keeps somebody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Everybody together.
    Total,
    /// One address.
    Address,
    /// The operator keeps the address out.
    Denied,
}

impl Limit {
    /// Names the limit, for metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
            Self::Denied => "denied",
        }
    }
}

/// A place inside, given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    gate: Gate,
    ip: Option<IpAddr>,
}

impl Gate {
    pub(crate) fn new(max: usize, max_per_ip: usize) -> Self {
        Self {
            inside: Arc::default(),
            max,
            max_per_ip,
        }
    }

    /// Lets somebody in, if there is a place; `by_ip` is whether the address counts.
    pub(crate) fn enter(&self, ip: IpAddr, by_ip: bool) -> Result<Ticket, Limit> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.total >= self.max {
            return Err(Limit::Total);
        }
        let ip = by_ip.then(|| site(ip));
        if let Some(ip) = ip {
            let count = inside.by_ip.entry(ip).or_default();
            if *count >= self.max_per_ip {
                return Err(Limit::Address);
            }
            *count += 1;
        }
        inside.total += 1;
        Ok(Ticket {
            gate: self.clone(),
            ip,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inside = self
            .gate
            .inside
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        inside.total = inside.total.saturating_sub(1);
        if let Some(ip) = self.ip
            && let Some(count) = inside.by_ip.get_mut(&ip)
        {
            *count -= 1;
            if *count == 0 {
                inside.by_ip.remove(&ip);
            }
        }
    }
}

/// What one client has: an IPv4 address, or an IPv6 /64.
pub(crate) fn site(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let prefix = ip.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn places_are_limited_and_given_back() {
        let gate = Gate::new(3, 2);
        let first = gate.enter(ip("192.0.2.1"), true).unwrap();
        let _second = gate.enter(ip("::ffff:192.0.2.1"), true).unwrap();
        assert_eq!(
            gate.enter(ip("192.0.2.1"), true).unwrap_err(),
            Limit::Address
        );
        let _other = gate.enter(ip("192.0.2.1"), false).unwrap();
        assert_eq!(gate.enter(ip("192.0.2.2"), true).unwrap_err(), Limit::Total);
        drop(first);
        gate.enter(ip("192.0.2.1"), true).unwrap();
        assert_eq!(gate.inside.lock().unwrap().by_ip.len(), 1);
    }

    #[test]
    fn one_ipv6_site_is_one_client() {
        assert_eq!(site(ip("2001:db8:1:2:3::4")), site(ip("2001:db8:1:2::9")));
        assert_ne!(site(ip("2001:db8:1:2::1")), site(ip("2001:db8:1:3::1")));
    }
}
