//! Proof of work for the write probe ([NIP-13]): what a relay asks for, and how it is found.
//!
//! Bounded three times: in bits and in time by the configuration, and to one search at a time,
//! so that a crawl of relays that want work leaves the machine its other processor.
//!
//! [NIP-13]: https://github.com/nostr-protocol/nips/blob/master/13.md

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nostr::PublicKey;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::draft::{Draft, tag};

/// How many hashes are tried between two looks at the clock.
const BATCH: u64 = 4_096;

/// The digits of a nonce: as many as never run out.
const NONCE_DIGITS: usize = 16;

/// What came of a relay's wish for proof of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// The difficulty, leading zero bits, as far as the relay said one.
    pub bits: Option<u32>,
    /// Whether the work was done and what it was good for.
    pub outcome: WorkOutcome,
}

/// How far proof of work went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkOutcome {
    /// Done, and the event was taken.
    Accepted,
    /// Done, and the event was not taken.
    Refused,
    /// Not tried: the relay did not say how much.
    NotSaid,
    /// Not tried: more than we are ready for.
    TooHard,
    /// Not found in time.
    TimedOut,
}

impl WorkOutcome {
    /// Names the outcome from a closed set.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::NotSaid => "not_said",
            Self::TooHard => "too_hard",
            Self::TimedOut => "timed_out",
        }
    }
}

/// Reads the difficulty from a refusal, such as `pow: 28 bits needed` or `pow: difficulty 3<20`:
/// the largest number in it that can be one.
pub(super) fn asked_bits(message: &str) -> Option<u32> {
    let (_, words) = message.split_once(':')?;
    words
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .filter(|bits| (1..=256).contains(bits))
        .max()
}

/// Finds proof of work, one search at a time.
#[derive(Debug, Clone)]
pub(super) struct Miner(Arc<Semaphore>);

impl Default for Miner {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Miner {
    /// Adds a nonce to a draft without tags, so that the event's id begins with so many zero
    /// bits; `None` when none was found in time.
    pub(super) async fn mine(
        &self,
        draft: Draft,
        author: PublicKey,
        created_at: i64,
        bits: u32,
        deadline: Instant,
    ) -> Option<Draft> {
        let turn = self.0.clone().acquire_owned();
        let turn = tokio::time::timeout_at(deadline, turn).await.ok()?.ok()?;
        let stop = Stop::default();
        let stopped = stop.0.clone();
        let search = tokio::task::spawn_blocking(move || {
            let found = search(&draft, &author.to_hex(), created_at, bits, || {
                stopped.load(Ordering::Relaxed) || Instant::now() >= deadline
            });
            drop(turn);
            found.map(|nonce| Draft {
                tags: vec![tag(["nonce", &nonce, &bits.to_string()])],
                ..draft
            })
        });
        search.await.ok().flatten()
    }
}

/// Ends the search when nobody waits for it any more.
#[derive(Default)]
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Tries nonces until one fits.
fn search(
    draft: &Draft,
    author: &str,
    created_at: i64,
    bits: u32,
    is_over: impl Fn() -> bool,
) -> Option<String> {
    let head = format!("[0,\"{author}\",{created_at},{},[[\"nonce\",\"", draft.kind);
    let content = serde_json::to_string(&draft.content).ok()?;
    let tail = format!("\",\"{bits}\"]],{content}]");
    let head = Sha256::new_with_prefix(head);
    let mut nonce = 0_u64;
    while !is_over() {
        for _ in 0..BATCH {
            let text = format!("{nonce:0NONCE_DIGITS$}");
            let id = head
                .clone()
                .chain_update(&text)
                .chain_update(&tail)
                .finalize();
            if leading_zeros(&id) >= bits {
                return Some(text);
            }
            nonce += 1;
        }
    }
    None
}

fn leading_zeros(id: &[u8]) -> u32 {
    let mut bits = 0;
    for byte in id {
        bits += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    bits
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nostr::Keys;

    use super::*;

    fn draft() -> Draft {
        Draft {
            kind: 22_456,
            tags: Vec::new(),
            content: "a \"quoted\" word".to_owned(),
        }
    }

    #[test]
    fn the_difficulty_is_read_from_the_wordings_of_relays() {
        for (message, bits) in [
            ("pow: 28 bits needed. (2)", Some(28)),
            ("pow: difficulty 3<20", Some(20)),
            ("pow: difficulty 26 is less than 30", Some(30)),
            ("pow: 256", Some(256)),
            ("pow: 100000000000000000000 or 4294967295", None),
            ("pow: more of it", None),
            ("pow: 0", None),
            ("28", None),
        ] {
            assert_eq!(asked_bits(message), bits, "{message}");
        }
    }

    #[tokio::test]
    async fn the_signed_event_has_the_work_and_commits_to_it() {
        let keys = Keys::generate();
        let deadline = Instant::now() + Duration::from_mins(1);
        let mined = Miner::default()
            .mine(draft(), keys.public_key(), 1_700_000_000, 10, deadline)
            .await
            .unwrap();
        let event = mined.sign(&keys, 1_700_000_000).unwrap();
        event.verify().unwrap();
        assert!(leading_zeros(event.id.as_bytes()) >= 10, "{}", event.id);
        assert_eq!(event.tags[0][2], "10");
    }

    #[tokio::test]
    async fn what_cannot_be_found_ends_in_time_and_makes_room_for_the_next() {
        let (miner, keys) = (Miner::default(), Keys::generate());
        let soon = Instant::now() + Duration::from_millis(50);
        let hopeless = miner.mine(draft(), keys.public_key(), 0, 256, soon);
        assert_eq!(hopeless.await, None);
        let later = Instant::now() + Duration::from_mins(1);
        let easy = miner.mine(draft(), keys.public_key(), 0, 1, later).await;
        assert!(easy.is_some());
    }

    #[tokio::test]
    async fn a_search_that_nobody_waits_for_ends() {
        let (miner, keys) = (Miner::default(), Keys::generate());
        let later = Instant::now() + Duration::from_hours(1);
        let hopeless = miner.mine(draft(), keys.public_key(), 0, 256, later);
        let given_up = tokio::time::timeout(Duration::from_millis(20), hopeless).await;
        assert!(given_up.is_err());
        assert!(
            miner
                .mine(draft(), keys.public_key(), 0, 1, later)
                .await
                .is_some()
        );
    }
}
