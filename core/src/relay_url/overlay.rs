//! Owns the address formats of the overlay networks: Tor, I2P and Lokinet. Their names never
//! touch DNS, so a mistake in one can only be caught here.

use data_encoding::BASE32_NOPAD;
use sha3::{Digest, Sha3_256};

use super::error::RelayUrlError;
use crate::network::Network;

/// RFC 4648 base32 in lower case.
const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
/// z-base-32, in which Lokinet itself writes its keys.
const Z_BASE32: &[u8] = b"ybndrfg8ejkmcpqxot1uwisza345h769";

const ONION_V2_CHARACTERS: usize = 16;
const ONION_V3_CHARACTERS: usize = 56;
/// Length of a 256-bit key or hash in base32, in characters.
const KEY_CHARACTERS: usize = 52;

/// Finds the network of a host name split before its last label, and checks the address if the
/// network has one of its own kind.
pub(super) fn check(parent: &str, tld: &str) -> Result<Network, RelayUrlError> {
    match tld {
        "onion" => check_onion(parent).map(|()| Network::Tor),
        "i2p" => check_i2p(parent).map(|()| Network::I2p),
        "loki" => check_loki(parent).map(|()| Network::Loki),
        _ => Ok(Network::Clearnet),
    }
}

/// Checks a version 3 onion address, which carries a key, a checksum and its version
/// ([rend-spec-v3]). Subdomains are the service's own business.
///
/// [rend-spec-v3]: https://spec.torproject.org/rend-spec/encoding-onion-addresses.html
fn check_onion(parent: &str) -> Result<(), RelayUrlError> {
    let address = last_label(parent);
    if address.len() == ONION_V2_CHARACTERS && is_written_in(address, BASE32) {
        return Err(RelayUrlError::OnionV2);
    }
    if address.len() != ONION_V3_CHARACTERS {
        return Err(RelayUrlError::OnionLength {
            characters: address.len(),
        });
    }
    let Ok(bytes) = BASE32_NOPAD.decode(address.to_ascii_uppercase().as_bytes()) else {
        return Err(RelayUrlError::OnionAlphabet {
            address: address.to_owned(),
        });
    };
    let is_valid = match bytes.as_slice() {
        [key @ .., check_0, check_1, version @ 3] => {
            let hash = Sha3_256::new()
                .chain_update(b".onion checksum")
                .chain_update(key)
                .chain_update([*version])
                .finalize();
            hash.starts_with(&[*check_0, *check_1])
        }
        _ => false,
    };
    if is_valid {
        Ok(())
    } else {
        Err(RelayUrlError::OnionChecksum {
            address: address.to_owned(),
        })
    }
}

/// Checks an I2P host: any registered name, or the base32 hash of a destination, which has no
/// subdomains.
fn check_i2p(parent: &str) -> Result<(), RelayUrlError> {
    let hash = if parent == "b32" {
        Some("")
    } else {
        parent.strip_suffix(".b32")
    };
    match hash {
        Some(hash) if hash.len() != KEY_CHARACTERS || !is_written_in(hash, BASE32) => {
            Err(RelayUrlError::I2pAddress {
                host: format!("{parent}.i2p"),
            })
        }
        _ => Ok(()),
    }
}

/// Checks a Lokinet address: a base32 key, in either alphabet.
fn check_loki(parent: &str) -> Result<(), RelayUrlError> {
    let address = last_label(parent);
    if address == "exit" {
        return Err(RelayUrlError::LokiExit);
    }
    let is_base32 = is_written_in(address, BASE32) || is_written_in(address, Z_BASE32);
    if address.len() == KEY_CHARACTERS && is_base32 {
        Ok(())
    } else {
        Err(RelayUrlError::LokiAddress {
            host: format!("{parent}.loki"),
        })
    }
}

fn last_label(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, label)| label)
}

fn is_written_in(text: &str, alphabet: &[u8]) -> bool {
    text.bytes().all(|byte| alphabet.contains(&byte))
}
