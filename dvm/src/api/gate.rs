//! How many connections one client may hold, so that none keeps the others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections by client. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate {
    inside: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place inside, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    gate: Gate,
    client: IpAddr,
}

impl Gate {
    /// Lets a client in that holds fewer than `most` connections.
    pub(super) fn enter(&self, client: IpAddr, most: usize) -> Option<Place> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place {
            gate: self.clone(),
            client,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self
            .gate
            .inside
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_places_and_gets_them_back() {
        let (gate, client) = (Gate::default(), "192.0.2.1".parse().unwrap());
        let first = gate.enter(client, 2);
        let second = gate.enter(client, 2);
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter(client, 2).is_none());
        assert!(gate.enter("192.0.2.2".parse().unwrap(), 2).is_some());
        drop(first);
        assert!(gate.enter(client, 2).is_some());
        drop(second);
        assert!(gate.inside.lock().unwrap().is_empty());
    }
}
