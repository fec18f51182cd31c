//! Who answers what: announcements of service providers ([NIP-89]).
//!
//! [NIP-89]: https://github.com/nostr-protocol/nips/blob/master/89.md

use nostr::{Alphabet, Event, Filter, Kind, PublicKey, SingleLetterTag, Timestamp};
use serde_json::Value;

/// The kind of announcements.
pub const ANNOUNCEMENT_KIND: u16 = 31_990;

/// A service provider as it announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its key.
    pub pubkey: PublicKey,
    /// Its name; may be empty.
    pub name: String,
    /// When it said so.
    pub announced_at: Timestamp,
    /// The questions that it names as values of `i`; empty where it names none.
    pub questions: Vec<String>,
    /// Whether it says that it reads encrypted requests.
    pub reads_encrypted: bool,
}

/// The filter for announcements of those who answer requests of this kind.
pub fn announcement_filter(kind: u16) -> Filter {
    Filter::new()
        .kind(Kind::Custom(ANNOUNCEMENT_KIND))
        .custom_tag(SingleLetterTag::lowercase(Alphabet::K), kind.to_string())
        .limit(100)
}

impl Provider {
    /// Reads an announcement; `None` when it is not for requests of this kind.
    ///
    /// # Security
    /// Anyone can announce anything: what is promised here is no proof.
    pub fn from_event(event: &Event, kind: u16) -> Option<Self> {
        let kind = kind.to_string();
        let answers = event.tags.iter().any(
            |tag| matches!(tag.as_slice(), [name, value, ..] if name == "k" && *value == kind),
        );
        if event.kind.as_u16() != ANNOUNCEMENT_KIND || !answers {
            return None;
        }
        let content: Value = serde_json::from_str(&event.content).unwrap_or_default();
        let questions = content["nip90Params"]["i"]["values"].as_array();
        Some(Self {
            pubkey: event.pubkey,
            name: content["name"].as_str().unwrap_or_default().to_owned(),
            announced_at: event.created_at,
            questions: questions
                .into_iter()
                .flatten()
                .filter_map(|name| name.as_str().map(ToOwned::to_owned))
                .collect(),
            reads_encrypted: content["encryptionSupported"] == true,
        })
    }
}

/// Chooses whom to ask: one that names the question, the one that said so last. With `sealed`, only
/// one that reads encrypted requests.
pub fn choose(providers: &[Provider], question: &str, sealed: bool) -> Option<Provider> {
    providers
        .iter()
        .filter(|provider| provider.questions.iter().any(|name| name == question))
        .filter(|provider| provider.reads_encrypted || !sealed)
        .max_by_key(|provider| provider.announced_at)
        .cloned()
}

#[cfg(test)]
mod tests {
    use nostr::{EventBuilder, Keys, Tag};

    use super::*;

    fn announcement(kind: &str, content: &str, at: u64) -> Event {
        EventBuilder::new(Kind::Custom(ANNOUNCEMENT_KIND), content)
            .tags([
                Tag::parse(["d", "x"]).unwrap(),
                Tag::parse(["k", kind]).unwrap(),
            ])
            .custom_created_at(Timestamp::from(at))
            .sign_with_keys(&Keys::generate())
            .unwrap()
    }

    #[test]
    fn the_latest_that_names_the_question_is_chosen() {
        let knows = |name: &str, questions: &str| {
            format!(
                r#"{{"name":"{name}","encryptionSupported":true,
                "nip90Params":{{"i":{{"required":true,"values":{questions}}}}}}}"#
            )
        };
        let events = [
            announcement("5450", &knows("old", r#"["kinds.list"]"#), 1),
            announcement("5450", &knows("new", r#"["kinds.list", 7]"#), 2),
            announcement("5450", &knows("other", r#"["x"]"#), 3),
            announcement("5450", "no json", 4),
            announcement("5300", &knows("kind", r#"["kinds.list"]"#), 5),
        ];
        let providers: Vec<Provider> = events
            .iter()
            .filter_map(|event| Provider::from_event(event, 5450))
            .collect();
        assert_eq!(providers.len(), 4);
        let chosen = choose(&providers, "kinds.list", true).unwrap();
        assert_eq!(chosen.name, "new");
        assert_eq!(choose(&providers, "nope", false), None);
    }
}
