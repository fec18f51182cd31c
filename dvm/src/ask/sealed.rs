//! Requests that only their provider can read ([NIP-90], encrypted params).
//!
//! [NIP-90]: https://github.com/nostr-protocol/nips/blob/master/90.md#encrypted-params

use nostr::nips::{nip04, nip44};
use nostr::{Event, EventBuilder, Keys, Kind, Tag};

use super::JobRequest;

/// How a request is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// As NIP-90 says.
    Nip04,
    /// The better one; not every provider takes it.
    Nip44,
}

/// Why a request cannot be encrypted.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It has to be known who shall read it.
    #[error("an encrypted request needs a provider")]
    NoProvider,
    /// The cipher failed.
    #[error("cannot encrypt the request")]
    Nip04(#[from] nip04::Error),
    /// The cipher failed.
    #[error("cannot encrypt the request")]
    Nip44(#[from] nip44::Error),
    /// A tag cannot be written.
    #[error("cannot write a tag")]
    Tag(#[from] nostr::event::tag::Error),
}

impl JobRequest {
    /// Makes the event with its question encrypted, to be signed with the same keys.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn to_sealed_builder(
        &self,
        keys: &Keys,
        cipher: Cipher,
    ) -> Result<EventBuilder, SealError> {
        let provider = self.provider.ok_or(SealError::NoProvider)?;
        let (hidden, mut clear): (Vec<Vec<String>>, Vec<Vec<String>>) = self
            .to_tags()
            .into_iter()
            .partition(|tag| matches!(tag[0].as_str(), "i" | "param" | "output"));
        clear.push(vec!["encrypted".to_owned()]);
        let text = serde_json::json!(hidden).to_string();
        let secret = keys.secret_key();
        let content = match cipher {
            Cipher::Nip04 => nip04::encrypt(secret, &provider, text)?,
            Cipher::Nip44 => nip44::encrypt(secret, &provider, text, nip44::Version::V2)?,
        };
        let tags = clear.into_iter().map(Tag::parse);
        let tags = tags.collect::<Result<Vec<Tag>, _>>()?;
        Ok(EventBuilder::new(Kind::Custom(self.kind), content)
            .tags(tags)
            .allow_self_tagging())
    }
}

/// Decrypts the content of an answer for these keys; what is not encrypted stays as it is. `None`
/// when it cannot be read.
pub fn open(answer: &Event, keys: &Keys) -> Option<Event> {
    let encrypted = answer.tags.iter().any(|tag| {
        tag.as_slice()
            .first()
            .is_some_and(|name| name == "encrypted")
    });
    let mut answer = answer.clone();
    if encrypted && !answer.content.is_empty() {
        let secret = keys.secret_key();
        answer.content = if answer.content.contains("?iv=") {
            nip04::decrypt(secret, &answer.pubkey, &answer.content).ok()?
        } else {
            nip44::decrypt(secret, &answer.pubkey, &answer.content).ok()?
        };
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_provider_can_read_what_is_asked() {
        let (customer, provider) = (Keys::generate(), Keys::generate());
        let request = JobRequest::new("kinds.list")
            .param("limit", "1")
            .provider(provider.public_key());
        for cipher in [Cipher::Nip04, Cipher::Nip44] {
            let event = request
                .to_sealed_builder(&customer, cipher)
                .unwrap()
                .sign_with_keys(&customer)
                .unwrap();
            assert!(!event.tags.iter().any(|tag| tag.as_slice()[0] == "i"));
            let hidden = open(&event, &provider).unwrap().content;
            assert_eq!(
                hidden,
                r#"[["i","kinds.list","text"],["param","limit","1"]]"#
            );
            assert!(open(&event, &Keys::generate()).is_none());
        }
        let nobodys = JobRequest::new("kinds.list");
        assert!(nobodys.to_sealed_builder(&customer, Cipher::Nip44).is_err());
    }
}
