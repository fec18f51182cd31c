//! The event of [NIP-01], kept exactly as its author signed it.
//!
//! Owns parsing, the id, the signature check and writing back to JSON. It differs from the event
//! types of client libraries in one way that an archive needs: it keeps *everything* that is
//! valid, including tags without elements, which those refuse. Storage and matching live
//! elsewhere ([`crate::filter`] matches).
//!
//! [NIP-01]: https://github.com/nostr-protocol/nips/blob/master/01.md

use std::borrow::Cow;
use std::fmt;

use nostr::secp256k1::{Message, XOnlyPublicKey, schnorr::Signature};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use crate::limits::MAX_CREATED_AT;

/// A 32-byte event id: the SHA-256 of the event's serialisation. Written as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub [u8; 32]);

/// A 32-byte x-only public key (BIP-340). Written as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pubkey(pub [u8; 32]);

macro_rules! hex_newtype {
    ($name:ident, $what:literal) => {
        impl $name {
            /// Parses 64 lower-case hex characters.
            pub fn from_hex(text: &str) -> Result<Self, HexError> {
                decode_hex::<32>(text, $what).map(Self)
            }

            /// Writes 64 lower-case hex characters.
            pub fn to_hex(self) -> String {
                hex::encode(self.0)
            }

            /// Borrows the bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0_u8; 64];
                hex::encode_to_slice(self.0, &mut buffer).map_err(|_| fmt::Error)?;
                f.write_str(std::str::from_utf8(&buffer).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = deserializer.deserialize_str(CowVisitor)?;
                Self::from_hex(&text).map_err(de::Error::custom)
            }
        }
    };
}

hex_newtype!(EventId, "event id");
hex_newtype!(Pubkey, "public key");

/// Text that is not the lower-case hex that NIP-01 asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not {expected} lower-case hex characters")]
pub struct HexError {
    what: &'static str,
    expected: usize,
}

fn decode_hex<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], HexError> {
    let error = HexError {
        what,
        expected: N * 2,
    };
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(error);
    }
    let mut bytes = [0_u8; N];
    match hex::decode_to_slice(text, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(error),
    }
}

/// Borrows a string from the input where it has no escapes, copies it where it has.
struct CowVisitor;

impl<'de> de::Visitor<'de> for CowVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hex string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Seven fields, signed by the author: the unit of everything on Nostr.
///
/// A value of this type has fields of the right form; only [`Event::verify`] says whether its id
/// and signature are true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// SHA-256 of the serialisation.
    pub id: EventId,
    /// The author.
    pub pubkey: Pubkey,
    /// When the author says it was made: Unix seconds, 0 to 2^53-1.
    #[serde(deserialize_with = "created_at")]
    pub created_at: i64,
    /// What sort of event it is.
    pub kind: u16,
    /// Lists of strings; a list may be empty.
    pub tags: Vec<Vec<String>>,
    /// Whatever the kind defines. May hold any Unicode scalar, NUL included.
    pub content: String,
    /// BIP-340 signature of the id by the author.
    #[serde(serialize_with = "serialize_sig", deserialize_with = "deserialize_sig")]
    pub sig: [u8; 64],
}

fn created_at<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let seconds = i64::deserialize(deserializer)?;
    if (0..=MAX_CREATED_AT).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(de::Error::custom("created_at is outside 0 to 2^53-1"))
    }
}

fn serialize_sig<S: Serializer>(sig: &[u8; 64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(sig))
}

fn deserialize_sig<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 64], D::Error> {
    let text = deserializer.deserialize_str(CowVisitor)?;
    decode_hex(&text, "signature").map_err(de::Error::custom)
}

/// Why an event is refused. Refused events are counted, never stored.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Not JSON, or a field is missing or has the wrong form.
    #[error("event has the wrong form")]
    Malformed(#[source] serde_json::Error),
    /// The id is not the hash of the event.
    #[error("event id {id} does not match its content")]
    WrongId {
        /// The id that the event claims.
        id: EventId,
    },
    /// The signature is not the author's over this id.
    #[error("event {id} has a wrong signature")]
    WrongSignature {
        /// The event's (true) id.
        id: EventId,
    },
}

impl EventError {
    /// Names the reason from a closed set, for metric labels.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::WrongId { .. } => "wrong_id",
            Self::WrongSignature { .. } => "wrong_signature",
        }
    }
}

/// The four classes that NIP-01 divides kinds into, by how relays keep them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KindClass {
    /// Every event is kept.
    Regular,
    /// Only the latest of each pubkey and kind counts.
    Replaceable,
    /// Not expected to be stored.
    Ephemeral,
    /// Only the latest of each pubkey, kind and `d` tag counts.
    Addressable,
}

impl KindClass {
    /// Classifies a kind by the ranges of NIP-01. Kinds outside every range are regular.
    pub fn of(kind: u16) -> Self {
        match kind {
            0 | 3 | 10_000..20_000 => Self::Replaceable,
            20_000..30_000 => Self::Ephemeral,
            30_000..40_000 => Self::Addressable,
            _ => Self::Regular,
        }
    }
}

impl Event {
    /// Parses an event from JSON. Unknown fields are ignored, as NIP-01 readers do.
    ///
    /// # Errors
    /// [`EventError::Malformed`] when a field is missing or of the wrong form: a kind above 65535,
    /// a negative or fractional `created_at`, upper-case hex.
    ///
    /// # Security
    /// The text comes from a peer: its length must be bounded before this is called.
    pub fn from_json(json: &str) -> Result<Self, EventError> {
        serde_json::from_str(json).map_err(EventError::Malformed)
    }

    /// Writes the event as compact JSON, fields in the order of NIP-01.
    pub fn to_json(&self) -> String {
        let mut buffer = Vec::with_capacity(self.size_hint());
        // Strings and integers into a Vec: serialisation has no way to fail.
        let written = serde_json::to_writer(&mut buffer, self);
        debug_assert!(written.is_ok());
        String::from_utf8(buffer).unwrap_or_default()
    }

    /// Computes the id that this event should have.
    pub fn compute_id(&self) -> EventId {
        let serialised = (
            0_u8,
            self.pubkey,
            self.created_at,
            self.kind,
            &self.tags,
            &self.content,
        );
        let mut hasher = HashWriter(Sha256::new());
        let written = serde_json::to_writer(&mut hasher, &serialised);
        debug_assert!(written.is_ok());
        EventId(hasher.0.finalize().into())
    }

    /// Checks id and signature: about 50 µs of CPU. Run it off the async threads.
    ///
    /// # Errors
    /// [`EventError::WrongId`] or [`EventError::WrongSignature`].
    pub fn verify(&self) -> Result<(), EventError> {
        self.verify_id()?;
        self.verify_signature()
    }

    /// Checks that the id is the hash of the event: a few µs of CPU.
    ///
    /// # Errors
    /// [`EventError::WrongId`].
    pub fn verify_id(&self) -> Result<(), EventError> {
        if self.compute_id() == self.id {
            Ok(())
        } else {
            Err(EventError::WrongId { id: self.id })
        }
    }

    /// Checks that the signature is the author's over the id, and nothing else.
    ///
    /// # Errors
    /// [`EventError::WrongSignature`].
    pub fn verify_signature(&self) -> Result<(), EventError> {
        let wrong = |_| EventError::WrongSignature { id: self.id };
        let author = XOnlyPublicKey::from_slice(&self.pubkey.0).map_err(wrong)?;
        let sig = Signature::from_slice(&self.sig).map_err(wrong)?;
        nostr::SECP256K1
            .verify_schnorr(&sig, &Message::from_digest(self.id.0), &author)
            .map_err(wrong)
    }

    /// Returns the class of the event's kind.
    pub fn class(&self) -> KindClass {
        KindClass::of(self.kind)
    }

    /// Returns the first value of the first tag with this name that has one.
    pub fn tag_value(&self, name: &str) -> Option<&str> {
        self.tags
            .iter()
            .find(|tag| tag.len() > 1 && tag[0] == name)
            .map(|tag| tag[1].as_str())
    }

    /// Iterates over the first values of all tags with this name.
    pub fn tag_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.tags
            .iter()
            .filter(move |tag| tag.first().is_some_and(|first| first == name))
            .filter_map(|tag| tag.get(1).map(String::as_str))
    }

    /// Returns the `d` tag's value: what addresses an addressable event, `""` when missing.
    pub fn d_tag(&self) -> &str {
        self.tag_value("d").unwrap_or_default()
    }

    /// Returns when the event expires ([NIP-40]): Unix seconds.
    ///
    /// [NIP-40]: https://github.com/nostr-protocol/nips/blob/master/40.md
    pub fn expiration(&self) -> Option<i64> {
        self.tag_value("expiration")?.parse().ok()
    }

    /// Says whether only its author may publish the event ([NIP-70]): the tag has a name only.
    ///
    /// [NIP-70]: https://github.com/nostr-protocol/nips/blob/master/70.md
    pub fn is_protected(&self) -> bool {
        self.tags.iter().any(|tag| tag.len() == 1 && tag[0] == "-")
    }

    /// Estimates the length of the event's JSON in bytes, a little above for plain text.
    pub fn size_hint(&self) -> usize {
        let tags: usize = self
            .tags
            .iter()
            .map(|tag| 3 + tag.iter().map(|v| v.len() + 3).sum::<usize>())
            .sum();
        350 + tags + self.content.len() + self.content.len() / 16
    }
}

/// Feeds a serialiser's output to a hash without holding it.
struct HashWriter(Sha256);

impl std::io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl From<&nostr::Event> for Event {
    fn from(event: &nostr::Event) -> Self {
        Self {
            id: EventId(event.id.to_bytes()),
            pubkey: Pubkey(event.pubkey.to_bytes()),
            created_at: i64::try_from(event.created_at.as_secs()).unwrap_or(i64::MAX),
            kind: event.kind.as_u16(),
            tags: event
                .tags
                .iter()
                .map(|tag| tag.as_slice().to_vec())
                .collect(),
            content: event.content.clone(),
            sig: *event.sig.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nostr::{EventBuilder, Keys, Kind, Tag};

    fn signed(content: &str) -> Event {
        let event = EventBuilder::new(Kind::TextNote, content)
            .tag(Tag::parse(["t", "nostr"]).unwrap())
            .sign_with_keys(&Keys::generate())
            .unwrap();
        Event::from(&event)
    }

    #[test]
    fn every_unicode_scalar_survives_and_verifies() {
        for content in [
            "",
            "\0",
            "a\0b\u{1f}\u{7f}\u{2028}\"\\/\n\r\t\u{8}\u{c}",
            "😀\u{10ffff}\u{feff}",
        ] {
            let event = signed(content);
            event.verify().unwrap();
            let back = Event::from_json(&event.to_json()).unwrap();
            assert_eq!(back, event);
            back.verify().unwrap();
        }
    }

    #[test]
    fn a_changed_field_or_signature_is_refused() {
        let event = signed("hello");
        let changed = Event {
            content: "hell0".into(),
            ..event.clone()
        };
        assert_eq!(changed.verify().unwrap_err().reason(), "wrong_id");
        let mut resigned = event.clone();
        resigned.sig[10] ^= 1;
        assert_eq!(resigned.verify().unwrap_err().reason(), "wrong_signature");
    }

    #[test]
    fn form_is_strict_and_tags_may_be_empty() {
        let json = signed("x").to_json();
        let with = |from: &str, to: &str| Event::from_json(&json.replacen(from, to, 1));
        assert!(with("\"kind\":1", "\"kind\":65536").is_err());
        assert!(with("\"kind\":1", "\"kind\":-1").is_err());
        assert!(with("\"created_at\":", "\"created_at\":-").is_err());
        assert!(with("\"created_at\":", "\"created_at\":1e0").is_err());
        assert!(with("\"created_at\":", "\"created_at\":9007199254740992,\"x\":").is_err());
        assert!(with("\"created_at\":", "\"created_at\":9007199254740991,\"x\":").is_ok());
        let empty = with("\"tags\":[", "\"tags\":[[],[\"\"],").unwrap();
        assert_eq!(empty.tags[0], Vec::<String>::new());
        let upper = json.replacen(&json[7..71], &json[7..71].to_uppercase(), 1);
        assert!(upper == json || Event::from_json(&upper).is_err());
    }

    #[test]
    fn classes_follow_the_ranges_of_nip_01() {
        for (kind, class) in [
            (0, KindClass::Replaceable),
            (1, KindClass::Regular),
            (3, KindClass::Replaceable),
            (9_999, KindClass::Regular),
            (10_000, KindClass::Replaceable),
            (20_000, KindClass::Ephemeral),
            (30_000, KindClass::Addressable),
            (39_999, KindClass::Addressable),
            (40_000, KindClass::Regular),
            (65_535, KindClass::Regular),
        ] {
            assert_eq!(KindClass::of(kind), class, "kind {kind}");
        }
    }
}
