//! Owns the list of networks a relay can live on and their names. Which network a URL belongs to
//! is decided in [`crate::relay_url`]; how each is reached is the crawler's business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A network on which relays are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The public Internet, by host name or IP address.
    Clearnet,
    /// Tor onion services (`.onion`).
    Tor,
    /// I2P destinations (`.i2p`).
    I2p,
    /// Lokinet service nodes (`.loki`).
    Loki,
}

impl Network {
    /// Every network, in the order used for reports.
    pub const ALL: [Self; 4] = [Self::Clearnet, Self::Tor, Self::I2p, Self::Loki];

    /// Returns the name used in the database, in JSON, in configuration and in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clearnet => "clearnet",
            Self::Tor => "tor",
            Self::I2p => "i2p",
            Self::Loki => "loki",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|network| network.as_str() == name)
            .ok_or_else(|| ParseNetworkError {
                name: name.to_owned(),
            })
    }
}

/// Says that a name is not one of the [`Network`]s.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown network {name:?}: expected one of clearnet, tor, i2p, loki")]
pub struct ParseNetworkError {
    /// The name as given.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_face_of_a_network_uses_the_same_name() {
        for network in Network::ALL {
            let name = network.as_str();
            assert_eq!(name.parse(), Ok(network));
            assert_eq!(network.to_string(), name);
            assert_eq!(serde_json::to_value(network).unwrap(), name);
            assert_eq!(
                serde_json::from_value::<Network>(name.into()).unwrap(),
                network
            );
        }
    }

    #[test]
    fn an_unknown_network_is_answered_with_the_allowed_ones() {
        let message = "Tor".parse::<Network>().unwrap_err().to_string();
        assert!(message.contains("\"Tor\""), "{message}");
        for network in Network::ALL {
            assert!(
                message.contains(network.as_str()),
                "{message} lacks {network}"
            );
        }
    }
}
