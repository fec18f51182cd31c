//! The board on which the state of the node is written: by the supervisor for services, by the
//! node for the database. Health endpoints read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::service::Health;

/// The health of every part of the node, by name. Clones share one board.
#[derive(Debug, Clone, Default)]
pub struct HealthBoard {
    parts: Arc<Mutex<BTreeMap<&'static str, Part>>>,
}

/// A part of the node: how it is, and how often it has failed.
#[derive(Debug)]
struct Part {
    health: Health,
    failures: u64,
}

impl HealthBoard {
    /// Writes a part's state; returns the one before.
    pub fn set(&self, part: &'static str, health: Health) -> Option<Health> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = u64::from(matches!(health, Health::Failed(_)));
        if let Some(known) = parts.get_mut(part) {
            known.failures += failures;
            return Some(std::mem::replace(&mut known.health, health));
        }
        parts.insert(part, Part { health, failures });
        None
    }

    /// Reads the state of all parts.
    pub fn snapshot(&self) -> BTreeMap<&'static str, Health> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts
            .iter()
            .map(|(name, part)| (*name, part.health.clone()))
            .collect()
    }

    /// Reads how often each part has failed since the process began.
    pub fn failures(&self) -> BTreeMap<&'static str, u64> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts
            .iter()
            .map(|(name, part)| (*name, part.failures))
            .collect()
    }

    /// Says whether every part does its work. A part that has stopped because its work is done
    /// is ready; an empty board is not.
    pub fn is_ready(&self) -> bool {
        let parts = self.snapshot();
        !parts.is_empty()
            && parts
                .values()
                .all(|h| matches!(h, Health::Ready | Health::Stopped))
    }

    /// Writes the board as the health endpoints give it:
    /// `{"ready": …, "parts": {name: {"state", "reason"?}}}`.
    pub fn to_json(&self) -> Value {
        let parts: serde_json::Map<String, Value> = self
            .snapshot()
            .into_iter()
            .map(|(name, health)| {
                let mut part = json!({ "state": health.as_str() });
                if let Some(reason) = health.reason() {
                    part["reason"] = json!(reason);
                }
                (name.to_owned(), part)
            })
            .collect();
        json!({ "ready": self.is_ready(), "parts": parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_every_part_is() {
        let board = HealthBoard::default();
        assert!(!board.is_ready());
        board.set("database", Health::Ready);
        board.set("initializer", Health::Stopped);
        assert!(board.is_ready());
        board.set("relay", Health::Degraded("database is away".into()));
        assert!(!board.is_ready());
        assert_eq!(
            board.to_json()["parts"]["relay"]["reason"],
            "database is away"
        );
    }

    #[test]
    fn every_failure_is_counted_and_recovering_forgets_none() {
        let board = HealthBoard::default();
        board.set("relay", Health::Starting);
        for reason in ["first", "second"] {
            board.set("relay", Health::Failed(reason.into()));
            board.set("relay", Health::Ready);
        }
        board.set("relay", Health::Degraded("database is away".into()));
        board.set("dvm", Health::Failed("at once".into()));
        assert_eq!(board.failures(), [("dvm", 1), ("relay", 2)].into());
    }
}
