//! `relay.policy` and `relay.auth`: who may write what, and who has to say who they are.

use std::collections::BTreeSet;
use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, duration};
use bigbrotr_core::event::Pubkey;
use serde::{Deserialize, Serialize};

/// Who may write what. The node's own events are always taken, and so is a request to vanish that
/// names this relay (NIP-62), whoever's it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    /// Kinds that everybody may write: deletions and DVM requests.
    pub accepted_kinds: BTreeSet<u16>,
    /// Public keys, hex, that may write every kind.
    pub allowed_pubkeys: BTreeSet<Pubkey>,
    /// Public keys, hex, that may write nothing.
    pub denied_pubkeys: BTreeSet<Pubkey>,
    /// Events in a minute of one author, in the long run; 0 does not limit them. Requests to vanish
    /// count too.
    pub events_per_minute_per_pubkey: u32,
    /// Events that one author may send at once after a silence.
    pub event_burst_per_pubkey: u32,
    /// Leading zero bits that a stranger's event id needs (NIP-13); 0 asks for none.
    pub min_pow_difficulty: u8,
    /// How far in the past `created_at` may be. None: any time.
    #[serde(with = "duration::option")]
    pub created_at_lower_limit: Option<Duration>,
    /// How far in the future `created_at` may be.
    #[serde(with = "duration")]
    pub created_at_upper_limit: Duration,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            accepted_kinds: BTreeSet::from([5, 5400, 5450]),
            allowed_pubkeys: BTreeSet::new(),
            denied_pubkeys: BTreeSet::new(),
            events_per_minute_per_pubkey: 120,
            event_burst_per_pubkey: 240,
            min_pow_difficulty: 0,
            created_at_lower_limit: None,
            created_at_upper_limit: Duration::from_mins(15),
        }
    }
}

impl PolicyConfig {
    pub(super) fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        checks.range(
            "events_per_minute_per_pubkey",
            self.events_per_minute_per_pubkey,
            0..=1_000_000,
        );
        checks.range(
            "event_burst_per_pubkey",
            self.event_burst_per_pubkey,
            1..=10_000_000,
        );
        checks.finish()
    }
}

/// Who has to authenticate (NIP-42). Every client may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Whoever subscribes, counts or reconciles.
    pub to_read: bool,
    /// Whoever publishes.
    pub to_write: bool,
    /// Public keys, hex, that may subscribe, count and reconcile once authenticated, nobody else.
    /// Empty: everybody.
    pub readers: BTreeSet<Pubkey>,
}

impl AuthConfig {
    /// Says whether reading takes authentication.
    pub(crate) fn is_needed_to_read(&self) -> bool {
        self.to_read || !self.readers.is_empty()
    }
}
