//! Messages of negentropy that no set of events stands behind, written by hand.

use negentropy::PROTOCOL_VERSION;
use sha2::{Digest, Sha256};

/// Promised ids in one message: below 128, where a count takes one byte.
const PROMISED: u8 = 100;

/// The mode of a range given as a fingerprint.
const FINGERPRINT: u8 = 1;

/// The mode of a range given as a list of ids.
const ID_LIST: u8 = 2;

/// Lists ids that nobody has below the first second, and disagrees about all after it.
pub(super) fn endless(seed: u64, answer: usize) -> Vec<u8> {
    // The bound: time 1, written as its distance plus one, and no bytes of an id.
    let mut message = vec![PROTOCOL_VERSION as u8, 2, 0, ID_LIST, PROMISED];
    for n in 0..PROMISED {
        message.extend(noise(seed, answer, n));
    }
    disagree(&mut message, seed, answer);
    message
}

/// Disagrees about everything.
pub(super) fn stuck(seed: u64, answer: usize) -> Vec<u8> {
    let mut message = vec![PROTOCOL_VERSION as u8];
    disagree(&mut message, seed, answer);
    message
}

fn disagree(message: &mut Vec<u8>, seed: u64, answer: usize) {
    // The bound without end: time 0 stands for it.
    message.extend([0, 0, FINGERPRINT]);
    message.extend(&noise(seed, answer, u8::MAX)[..16]);
}

fn noise(seed: u64, answer: usize, n: u8) -> [u8; 32] {
    Sha256::new()
        .chain_update(seed.to_be_bytes())
        .chain_update((answer as u64).to_be_bytes())
        .chain_update([n])
        .finalize()
        .into()
}
