//! The source of a population: draws authors, kinds, tags and contents, event after event.

use std::collections::VecDeque;
use std::thread;

use bigbrotr_core::event::{Event, EventId, Pubkey};
use nostr::Keys;
use nostr::secp256k1::Keypair;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kinds::{self, Mix};
use super::maker::{author_keys, draft, key_pair, sign_draft};
use super::{PopulationConfig, SimEvent};

/// How many of the latest events others refer to.
const RECENT: usize = 512;

/// An endless, deterministic stream of signed events.
///
/// A [`super::Population`] is its beginning; the demo goes on with live events.
#[derive(Debug, Clone)]
pub struct Generator {
    pub(super) rng: ChaCha8Rng,
    authors: Vec<Keys>,
    key_pairs: Vec<Keypair>,
    pub(super) relay_urls: Vec<String>,
    /// Upper end of each author's share, rising to 1.
    shares: Vec<f64>,
    recent: VecDeque<Recent>,
    last_by_author: Vec<Option<Recent>>,
    mix: Mix,
}

/// What others need to refer to an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recent {
    pub(super) id: EventId,
    pub(super) pubkey: Pubkey,
    pub(super) kind: u16,
}

/// An event without its signature.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    author: usize,
    event: Event,
}

impl Generator {
    /// Starts the stream of this seed, with its authors and relay URLs.
    pub fn new(config: &PopulationConfig) -> Self {
        let count = config.authors.max(1);
        let weights: Vec<f64> = (1..=count).map(|rank| 1.0 / rank as f64).collect();
        let total: f64 = weights.iter().sum();
        let shares = weights
            .iter()
            .scan(0.0, |sum, weight| {
                *sum += weight / total;
                Some(*sum)
            })
            .collect();
        let authors: Vec<_> = (0..count as u64)
            .map(|n| author_keys(config.seed, n))
            .collect();
        Self {
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            key_pairs: authors.iter().map(key_pair).collect(),
            authors,
            relay_urls: config.relay_urls.clone(),
            shares,
            recent: VecDeque::with_capacity(RECENT),
            last_by_author: vec![None; count],
            mix: Mix::default(),
        }
    }

    /// Makes and signs the next event, as of `created_at` (Unix seconds).
    pub fn next_at(&mut self, created_at: i64) -> Event {
        let mut draft = self.draft(created_at);
        sign_draft(&self.key_pairs[draft.author], &mut draft.event);
        draft.event
    }

    pub(super) fn into_authors(self) -> Vec<Keys> {
        self.authors
    }

    /// Makes the next event; its id is final, its signature missing.
    pub(super) fn draft(&mut self, created_at: i64) -> Draft {
        let author = self.draw_author();
        let kind = self.mix.draw(&mut self.rng);
        let (tags, content) = kinds::compose(self, author, kind, created_at);
        let event = draft(&self.authors[author], created_at, kind, tags, content);
        let recent = Recent {
            id: event.id,
            pubkey: event.pubkey,
            kind,
        };
        self.last_by_author[author] = Some(recent);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(recent);
        Draft { author, event }
    }

    /// Signs drafts on all cores. Signatures are deterministic, so the split changes nothing.
    pub(super) fn sign_all(&self, mut drafts: Vec<Draft>) -> Vec<SimEvent> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = drafts.len().div_ceil(cores).max(1);
        let mut signed = Vec::with_capacity(drafts.len());
        thread::scope(|scope| {
            let workers: Vec<_> = drafts
                .chunks_mut(share)
                .map(|chunk| scope.spawn(|| self.sign_chunk(chunk)))
                .collect();
            for worker in workers {
                match worker.join() {
                    Ok(events) => signed.extend(events),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        signed
    }

    fn sign_chunk(&self, drafts: &mut [Draft]) -> Vec<SimEvent> {
        drafts
            .iter_mut()
            .map(|draft| {
                sign_draft(&self.key_pairs[draft.author], &mut draft.event);
                SimEvent::from(&draft.event)
            })
            .collect()
    }

    /// Draws an author: the first writes most.
    pub(super) fn draw_author(&mut self) -> usize {
        let point: f64 = self.rng.random();
        self.shares
            .partition_point(|end| *end < point)
            .min(self.authors.len() - 1)
    }

    /// Draws one of the latest events, newer ones more often.
    pub(super) fn draw_recent(&mut self) -> Option<Recent> {
        let len = self.recent.len();
        if len == 0 {
            return None;
        }
        let back = self
            .rng
            .random_range(0..len)
            .min(self.rng.random_range(0..len));
        self.recent.get(len - 1 - back).copied()
    }

    /// Returns the author's own latest event.
    pub(super) fn last_of(&self, author: usize) -> Option<Recent> {
        self.last_by_author[author]
    }

    /// Draws an author's public key as hex.
    pub(super) fn draw_pubkey(&mut self) -> String {
        let author = self.draw_author();
        self.authors[author].public_key().to_hex()
    }

    /// Draws a relay URL; empty when there are none.
    pub(super) fn draw_relay(&mut self) -> String {
        if self.relay_urls.is_empty() {
            return String::new();
        }
        let index = self.rng.random_range(0..self.relay_urls.len());
        self.relay_urls[index].clone()
    }
}
