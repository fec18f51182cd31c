//! Events that a careful client refuses, as the raw JSON in which a relay would send them.

use bigbrotr_core::event::Event;
use nostr::Keys;

use super::maker::{EventMaker, sign};

/// Makes invalid events by one author at one time. Each method breaks one thing only.
#[derive(Debug, Clone)]
pub struct InvalidEvents {
    keys: Keys,
    created_at: i64,
}

impl InvalidEvents {
    /// Makes them with these keys and this `created_at` (Unix seconds).
    pub fn new(keys: Keys, created_at: i64) -> Self {
        Self { keys, created_at }
    }

    fn valid(&self, content: &str) -> Event {
        EventMaker::new(self.created_at)
            .tag(["t", "invalid"])
            .content(content)
            .sign(&self.keys)
    }

    /// Returns an event whose signature is not the author's.
    pub fn wrong_signature(&self) -> Event {
        let mut event = self.valid("wrong signature");
        event.sig[63] ^= 1;
        event
    }

    /// Returns an event whose id is not its hash. The signature fits that id.
    pub fn wrong_id(&self) -> Event {
        let other = self.valid("what was signed");
        Event {
            content: "what is sent".to_owned(),
            ..other
        }
    }

    /// Returns an event whose public key is no point on the curve.
    pub fn impossible_pubkey(&self) -> Event {
        let mut event = self.valid("impossible pubkey");
        event.pubkey.0 = [0xff; 32];
        event.id = event.compute_id();
        event
    }

    /// Returns JSON with a kind above 65535 that is a valid kind when cut to 16 bits.
    pub fn kind_too_large(&self) -> String {
        self.replace("kind too large", "\"kind\":1", "\"kind\":65537")
    }

    /// Returns JSON with a negative `created_at`.
    pub fn negative_created_at(&self) -> String {
        self.replace("negative", "\"created_at\":", "\"created_at\":-")
    }

    /// Returns JSON with `created_at` in scientific notation.
    pub fn scientific_created_at(&self) -> String {
        let (from, to) = (
            format!("{},", self.created_at),
            format!("{}e0,", self.created_at),
        );
        self.replace("scientific", &from, &to)
    }

    /// Returns JSON with `created_at` as a string.
    pub fn text_created_at(&self) -> String {
        let (from, to) = (
            format!("{},", self.created_at),
            format!("\"{}\",", self.created_at),
        );
        self.replace("text", &from, &to)
    }

    /// Returns JSON whose id is in upper case.
    pub fn upper_case_id(&self) -> String {
        // An id without a letter is one in 10^13; the content is fixed, so tests would show it.
        let id = self.valid("upper case").id.to_hex();
        self.replace("upper case", &id, &id.to_uppercase())
    }

    /// Returns JSON without a signature.
    pub fn missing_signature(&self) -> String {
        self.replace("no signature", "\"sig\":", "\"signature\":")
    }

    /// Returns JSON with a tag that is not a list.
    pub fn tag_not_a_list(&self) -> String {
        self.replace("tag", "[\"t\",\"invalid\"]", "\"t\"")
    }

    /// Returns JSON that ends in the middle.
    pub fn truncated(&self) -> String {
        let mut json = self.valid("truncated").to_json();
        json.truncate(json.len() / 2);
        json
    }

    /// Returns JSON whose tags nest deeper than any parser should follow.
    pub fn deeply_nested(&self) -> String {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        self.replace("deep", "[\"t\",\"invalid\"]", &deep)
    }

    /// Returns a valid event that is `bytes` of content long.
    pub fn huge(&self, bytes: usize) -> Event {
        sign(
            &self.keys,
            self.created_at,
            1,
            Vec::new(),
            "x".repeat(bytes),
        )
    }

    /// Returns one of each that is well-formed JSON, named.
    pub fn all(&self) -> Vec<(&'static str, String)> {
        vec![
            ("wrong signature", self.wrong_signature().to_json()),
            ("wrong id", self.wrong_id().to_json()),
            ("impossible pubkey", self.impossible_pubkey().to_json()),
            ("kind too large", self.kind_too_large()),
            ("negative created_at", self.negative_created_at()),
            ("scientific created_at", self.scientific_created_at()),
            ("text created_at", self.text_created_at()),
            ("upper case id", self.upper_case_id()),
            ("missing signature", self.missing_signature()),
            ("tag not a list", self.tag_not_a_list()),
        ]
    }

    fn replace(&self, content: &str, from: &str, to: &str) -> String {
        self.valid(content).to_json().replacen(from, to, 1)
    }
}
