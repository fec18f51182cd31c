//! Requests that only we can read, and answers that only their customer can ([NIP-90]).
//!
//! An encrypted request keeps `i` and `param` tags out of sight: they are a JSON array in the
//! content, encrypted by NIP-04 as NIP-90 says, or by NIP-44. The answer takes the same cipher.
//!
//! [NIP-90]: https://github.com/nostr-protocol/nips/blob/master/90.md#encrypted-params

use bigbrotr_core::event::Event;
use nostr::nips::{nip04, nip44};
use nostr::{Keys, PublicKey};

use crate::limits::NIP44_MAX_BYTES;
use crate::problem::Problem;

/// How a request was encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cipher {
    Nip04,
    Nip44,
}

/// Encrypts for the customer of an encrypted request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    cipher: Cipher,
    customer: PublicKey,
}

/// A request with all its tags in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opened {
    /// The tags that say what is asked.
    pub(crate) tags: Vec<Vec<String>>,
    /// How to answer, when the request was encrypted.
    pub(crate) seal: Option<Seal>,
}

/// Opens a request, whether it is encrypted or not.
///
/// # Errors
/// A [`Problem`] that may be told in clear: it says nothing of the content.
pub(crate) fn open(request: &Event, keys: &Keys) -> Result<Opened, Problem> {
    let encrypted = request
        .tags
        .iter()
        .any(|tag| tag.first().is_some_and(|name| name == "encrypted"));
    if !encrypted {
        return Ok(Opened {
            tags: request.tags.clone(),
            seal: None,
        });
    }
    let refuse = || {
        Problem::new(
            400,
            "undecryptable",
            "the request cannot be decrypted: encrypt a JSON array of tags for our public key, by \
             NIP-04 or NIP-44",
        )
    };
    let Ok(customer) = PublicKey::from_slice(&request.pubkey.0) else {
        return Err(refuse());
    };
    let (cipher, text) = decrypt(keys, &customer, &request.content).ok_or_else(refuse)?;
    let hidden: Vec<Vec<String>> = serde_json::from_str(&text).map_err(|_not_tags| refuse())?;
    // What is hidden counts; in clear it would be somebody's mistake.
    let mut tags: Vec<Vec<String>> = request
        .tags
        .iter()
        .filter(|tag| !matches!(tag.first().map(String::as_str), Some("i" | "param")))
        .cloned()
        .collect();
    tags.extend(hidden);
    Ok(Opened {
        tags,
        seal: Some(Seal { cipher, customer }),
    })
}

/// Decrypts by the cipher that the text looks like.
fn decrypt(keys: &Keys, other: &PublicKey, sealed: &str) -> Option<(Cipher, String)> {
    let secret = keys.secret_key();
    if sealed.contains("?iv=") {
        let text = nip04::decrypt(secret, other, sealed).ok()?;
        Some((Cipher::Nip04, text))
    } else {
        let text = nip44::decrypt(secret, other, sealed).ok()?;
        Some((Cipher::Nip44, text))
    }
}

impl Seal {
    /// Decrypts what we have encrypted for the same customer, by whichever cipher.
    pub(crate) fn decrypt(self, keys: &Keys, sealed: &str) -> Option<String> {
        decrypt(keys, &self.customer, sealed).map(|(_, text)| text)
    }

    /// Encrypts an answer.
    ///
    /// # Errors
    /// A [`Problem`] when the answer is too long for the cipher.
    pub(crate) fn encrypt(self, keys: &Keys, text: &str) -> Result<String, Problem> {
        let secret = keys.secret_key();
        let sealed = match self.cipher {
            Cipher::Nip04 => nip04::encrypt(secret, &self.customer, text).ok(),
            Cipher::Nip44 if text.len() > NIP44_MAX_BYTES => {
                return Err(Problem::new(
                    400,
                    "too_long",
                    format!(
                        "the answer is longer than the {NIP44_MAX_BYTES} bytes that NIP-44 \
                         encrypts: ask for less, with limit"
                    ),
                ));
            }
            Cipher::Nip44 => nip44::encrypt(secret, &self.customer, text, nip44::Version::V2).ok(),
        };
        sealed.ok_or_else(|| Problem::new(500, "internal", "the answer could not be encrypted"))
    }
}

#[cfg(test)]
mod tests {
    use nostr::{EventBuilder, Kind, Tag};

    use super::*;

    fn request(customer: &Keys, content: &str) -> Event {
        let tags = [
            Tag::parse(["encrypted"]).unwrap(),
            Tag::parse(["i", "decoy", "text"]).unwrap(),
            Tag::parse(["output", "text/csv"]).unwrap(),
        ];
        let event = EventBuilder::new(Kind::Custom(5450), content)
            .tags(tags)
            .sign_with_keys(customer)
            .unwrap();
        Event::from(&event)
    }

    #[test]
    fn both_ciphers_are_read_and_answered_in_kind() {
        let (ours, customer) = (Keys::generate(), Keys::generate());
        let (secret, key) = (customer.secret_key(), ours.public_key());
        let hidden = r#"[["i","kinds.list","text"],["param","limit","1"]]"#;
        let by_04 = nip04::encrypt(secret, &key, hidden).unwrap();
        let by_44 = nip44::encrypt(secret, &key, hidden, nip44::Version::V2).unwrap();
        for content in [by_04, by_44] {
            let opened = open(&request(&customer, &content), &ours).unwrap();
            let names: Vec<&str> = opened.tags.iter().map(|tag| tag[0].as_str()).collect();
            assert_eq!(names, ["encrypted", "output", "i", "param"]);
            assert_eq!(opened.tags[2][1], "kinds.list");
            let sealed = opened.seal.unwrap().encrypt(&ours, "answer").unwrap();
            let read = if content.contains("?iv=") {
                nip04::decrypt(secret, &key, sealed.as_str()).unwrap()
            } else {
                nip44::decrypt(secret, &key, &sealed).unwrap()
            };
            assert_eq!(read, "answer");
        }
    }

    #[test]
    fn what_cannot_be_read_or_written_is_a_clear_problem() {
        let (ours, customer) = (Keys::generate(), Keys::generate());
        for content in ["", "rubbish", "AAAA?iv=AAAA"] {
            let problem = open(&request(&customer, content), &ours).unwrap_err();
            assert_eq!(problem.code, "undecryptable");
        }
        let seal = Seal {
            cipher: Cipher::Nip44,
            customer: customer.public_key(),
        };
        let problem = seal.encrypt(&ours, &"x".repeat(65_536)).unwrap_err();
        assert_eq!(problem.code, "too_long");
    }
}
