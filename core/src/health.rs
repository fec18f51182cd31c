//! The board on which the state of the node is written: by the supervisor for services, by the
//! node for the database. Health endpoints read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::service::Health;

/// The health of every part of the node, by name. Clones share one board.
#[derive(Debug, Clone, Default)]
pub struct HealthBoard {
    parts: Arc<Mutex<BTreeMap<&'static str, Health>>>,
}

impl HealthBoard {
    /// Writes a part's state; returns the one before.
    pub fn set(&self, part: &'static str, health: Health) -> Option<Health> {
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(part, health)
    }

    /// Reads the state of all parts.
    pub fn snapshot(&self) -> BTreeMap<&'static str, Health> {
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
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
}
