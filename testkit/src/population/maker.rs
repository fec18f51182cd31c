//! Single events, signed deterministically.

use bigbrotr_core::event::{Event, EventId, Pubkey};
use nostr::secp256k1::{Keypair, Message};
use nostr::{Keys, SECP256K1, SecretKey};
use sha2::{Digest, Sha256};

/// Derives the keys of author number `n` of the population with this seed.
pub fn author_keys(seed: u64, n: u64) -> Keys {
    let mut attempt = 0_u64;
    loop {
        let digest = Sha256::new()
            .chain_update(b"bigbrotr-testkit author")
            .chain_update(seed.to_be_bytes())
            .chain_update(n.to_be_bytes())
            .chain_update(attempt.to_be_bytes())
            .finalize();
        if let Ok(secret) = SecretKey::from_slice(&digest) {
            return Keys::new(secret);
        }
        // About one digest in 2^128 is no secret key.
        attempt += 1;
    }
}

/// Signs an event. The signature has no randomness: the same fields give the same bytes.
pub fn sign(
    keys: &Keys,
    created_at: i64,
    kind: u16,
    tags: Vec<Vec<String>>,
    content: impl Into<String>,
) -> Event {
    let mut event = draft(keys, created_at, kind, tags, content.into());
    sign_draft(&key_pair(keys), &mut event);
    event
}

/// Makes an event with its true id and no signature yet.
pub(super) fn draft(
    keys: &Keys,
    created_at: i64,
    kind: u16,
    tags: Vec<Vec<String>>,
    content: String,
) -> Event {
    let mut event = Event {
        id: EventId([0; 32]),
        pubkey: Pubkey(keys.public_key().to_bytes()),
        created_at,
        kind,
        tags,
        content,
        sig: [0; 64],
    };
    event.id = event.compute_id();
    event
}

/// Prepares keys for signing. It costs as much as a signature: keep it for many events.
pub(super) fn key_pair(keys: &Keys) -> Keypair {
    Keypair::from_secret_key(SECP256K1, keys.secret_key())
}

/// Signs the id of a draft.
pub(super) fn sign_draft(key_pair: &Keypair, event: &mut Event) {
    let message = Message::from_digest(event.id.0);
    event.sig = *SECP256K1
        .sign_schnorr_no_aux_rand(&message, key_pair)
        .as_ref();
}

/// Builds one signed event, field by field.
///
/// ```
/// # use bigbrotr_testkit::population::{EventMaker, author_keys};
/// let event = EventMaker::new(1_700_000_000).tag(["t", "nostr"]).content("hello").sign(&author_keys(1, 0));
/// assert!(event.verify().is_ok());
/// ```
#[derive(Debug, Clone, Default)]
pub struct EventMaker {
    created_at: i64,
    kind: u16,
    tags: Vec<Vec<String>>,
    content: String,
}

impl EventMaker {
    /// Starts a kind 1 event without tags or content, made at `created_at` (Unix seconds).
    pub fn new(created_at: i64) -> Self {
        Self {
            created_at,
            kind: 1,
            ..Self::default()
        }
    }

    /// Sets the kind.
    #[must_use]
    pub fn kind(mut self, kind: u16) -> Self {
        self.kind = kind;
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag<S: Into<String>>(mut self, tag: impl IntoIterator<Item = S>) -> Self {
        self.tags.push(tag.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the content.
    #[must_use]
    pub fn content(mut self, content: impl Into<String>) -> Self {
        self.content = content.into();
        self
    }

    /// Signs the event.
    pub fn sign(self, keys: &Keys) -> Event {
        sign(keys, self.created_at, self.kind, self.tags, self.content)
    }
}
