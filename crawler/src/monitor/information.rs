//! A relay's information document ([NIP-11]), read with tolerance.
//!
//! Real documents have wrong types in every field. A field that cannot be understood is a field
//! that is not there; it never makes the document invalid. The document itself is kept as sent.
//!
//! [NIP-11]: https://github.com/nostr-protocol/nips/blob/master/11.md

use std::collections::{BTreeMap, BTreeSet};

use bigbrotr_core::event::Pubkey;
use serde_json::{Map, Value};

use super::limits::{MAX_KINDS, MAX_LANGUAGES, MAX_NIPS, MAX_TEXT_CHARS, MAX_TOPICS};

/// What a relay says about itself, as far as it can be understood.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RelayInformation {
    /// The document as sent.
    pub text: String,
    /// The document as JSON: an object.
    pub value: Value,
    /// Its name, shortened.
    pub name: Option<String>,
    /// Whose relay it is.
    pub pubkey: Option<Pubkey>,
    /// The software, usually a URL, shortened.
    pub software: Option<String>,
    /// The software's version, shortened.
    pub version: Option<String>,
    /// The NIPs that it claims to support; `None` without a list.
    pub supported_nips: Option<BTreeSet<u16>>,
    /// What it is about, shortened.
    pub topics: Vec<String>,
    /// Which languages are spoken there: ISO 639-1, two letters.
    pub languages: Vec<String>,
    /// The kinds that it says it keeps, and (`false`) those that it says it does not.
    pub kinds: BTreeMap<u16, bool>,
    /// What it asks of clients.
    pub limitation: Limitation,
}

/// The parts of a document's `limitation` that reports repeat; `None` where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limitation {
    /// Clients must authenticate (NIP-42) before anything else.
    pub auth_required: Option<bool>,
    /// Clients must pay.
    pub payment_required: Option<bool>,
    /// Not everybody may write.
    pub restricted_writes: Option<bool>,
    /// Leading zero bits that an event's id must have (NIP-13).
    pub min_pow_difficulty: Option<u32>,
}

/// Why an answer is no information document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InformationError {
    /// Not text.
    #[error("information document is not UTF-8")]
    NotUtf8,
    /// Not JSON, often a web page.
    #[error("information document is not JSON")]
    NotJson,
    /// JSON, but no object.
    #[error("information document is not a JSON object")]
    NotAnObject,
}

impl InformationError {
    /// Names the reason from a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
        }
    }
}

impl RelayInformation {
    /// Reads a document.
    ///
    /// # Security
    /// The bytes come from a peer: their number must be bounded before this is called.
    pub fn parse(body: Vec<u8>) -> Result<Self, InformationError> {
        let Ok(text) = String::from_utf8(body) else {
            return Err(InformationError::NotUtf8);
        };
        let json = text.trim_start_matches('\u{feff}');
        let Ok(value) = serde_json::from_str::<Value>(json) else {
            return Err(InformationError::NotJson);
        };
        let Value::Object(fields) = &value else {
            return Err(InformationError::NotAnObject);
        };
        Ok(Self {
            name: short_text(fields, "name"),
            pubkey: fields
                .get("pubkey")
                .and_then(Value::as_str)
                .and_then(|hex| Pubkey::from_hex(hex).ok()),
            software: short_text(fields, "software"),
            version: short_text(fields, "version"),
            supported_nips: fields.get("supported_nips").and_then(nips),
            topics: topics(fields),
            languages: languages(fields),
            kinds: kinds(fields),
            limitation: Limitation::read(fields),
            text,
            value,
        })
    }
}

impl Limitation {
    fn read(fields: &Map<String, Value>) -> Self {
        let Some(Value::Object(limitation)) = fields.get("limitation") else {
            return Self::default();
        };
        let flag = |key| limitation.get(key).and_then(flag);
        Self {
            auth_required: flag("auth_required"),
            payment_required: flag("payment_required"),
            restricted_writes: flag("restricted_writes"),
            min_pow_difficulty: limitation
                .get("min_pow_difficulty")
                .and_then(whole_number)
                .and_then(|bits| u32::try_from(bits).ok()),
        }
    }
}

/// Reads a text that says something.
fn short_text(fields: &Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key).and_then(Value::as_str).and_then(shorten)
}

fn shorten(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(MAX_TEXT_CHARS).collect())
}

/// Reads `true`, `"true"`, `1` and their opposites.
fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(_) => match whole_number(value)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Reads `11`, `11.0` and `"11"`.
fn whole_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64()?;
            let whole = float.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&float);
            whole.then_some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Reads the numbers of NIPs, whatever else is in the list.
fn nips(list: &Value) -> Option<BTreeSet<u16>> {
    let list = list.as_array()?;
    let numbers = list.iter().filter_map(|item| match item {
        Value::String(text) => {
            let text = text.trim();
            let digits = ["NIP-", "nip-", "NIP", "nip"]
                .iter()
                .find_map(|prefix| text.strip_prefix(prefix))
                .unwrap_or(text);
            digits.parse().ok()
        }
        number => whole_number(number).and_then(|nip| u16::try_from(nip).ok()),
    });
    Some(numbers.take(MAX_NIPS).collect())
}

/// Reads `tags`, which left the NIP and is still seen.
fn topics(fields: &Map<String, Value>) -> Vec<String> {
    let list = fields.get("tags").and_then(Value::as_array);
    let mut topics: Vec<String> = Vec::new();
    for topic in list.into_iter().flatten().filter_map(Value::as_str) {
        if topics.len() == MAX_TOPICS {
            break;
        }
        if let Some(topic) = shorten(&topic.to_lowercase())
            && !topics.contains(&topic)
        {
            topics.push(topic);
        }
    }
    topics
}

/// Reads `language_tags`, which left the NIP and is still seen: `en`, `en-419`, and `*` for all,
/// which says nothing.
fn languages(fields: &Map<String, Value>) -> Vec<String> {
    let list = fields.get("language_tags").and_then(Value::as_array);
    let mut languages: Vec<String> = Vec::new();
    for tag in list.into_iter().flatten().filter_map(Value::as_str) {
        let language = tag.trim().split(['-', '_']).next().unwrap_or_default();
        let language = language.to_ascii_lowercase();
        let is_code = language.len() == 2 && language.bytes().all(|b| b.is_ascii_lowercase());
        if is_code && !languages.contains(&language) && languages.len() < MAX_LANGUAGES {
            languages.push(language);
        }
    }
    languages
}

/// Reads `retention`, which left the NIP and is still seen: kinds, or ranges of them, with a time
/// or a count; a time of 0 means that they are not kept. The first mention of a kind counts.
fn kinds(fields: &Map<String, Value>) -> BTreeMap<u16, bool> {
    let mut kinds = BTreeMap::new();
    let rules = fields.get("retention").and_then(Value::as_array);
    for rule in rules.into_iter().flatten() {
        let kept = rule.get("time").and_then(whole_number) != Some(0);
        let list = rule.get("kinds").and_then(Value::as_array);
        for item in list.into_iter().flatten() {
            let kind = |value: &Value| whole_number(value).and_then(|n| u16::try_from(n).ok());
            let range = match item {
                Value::Array(ends) => match ends.as_slice() {
                    [first, last] => kind(first).zip(kind(last)),
                    _ => None,
                },
                single => kind(single).map(|kind| (kind, kind)),
            };
            let Some((first, last)) = range else { continue };
            for kind in first..=last {
                if kinds.len() == MAX_KINDS {
                    return kinds;
                }
                kinds.entry(kind).or_insert(kept);
            }
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> RelayInformation {
        RelayInformation::parse(value.to_string().into_bytes()).unwrap()
    }

    #[test]
    fn a_correct_document_is_read_and_kept_as_sent() {
        let text = "{ \"name\": \"A relay\", \"software\":\"https://example.com/x\",\n\
            \"supported_nips\":[11,1],\"limitation\":{\"auth_required\":false,\
            \"min_pow_difficulty\":20}}";
        let information = RelayInformation::parse(text.into()).unwrap();
        assert_eq!(information.text, text);
        assert_eq!(information.name.as_deref(), Some("A relay"));
        assert_eq!(information.supported_nips, Some([1, 11].into()));
        assert_eq!(
            information.limitation,
            Limitation {
                auth_required: Some(false),
                min_pow_difficulty: Some(20),
                ..Limitation::default()
            }
        );
    }

    #[test]
    fn wrong_types_in_every_field_are_missing_fields() {
        let information = read(&json!({
            "name": 7, "pubkey": "ABC", "software": null, "version": 2.5, "tags": {"a": 1},
            "supported_nips": "1,11",
            "limitation": {"auth_required": "maybe", "payment_required": 2,
                "restricted_writes": [], "min_pow_difficulty": -4},
        }));
        let empty = RelayInformation {
            text: information.text.clone(),
            value: information.value.clone(),
            ..RelayInformation::default()
        };
        assert_eq!(information, empty);
        assert_eq!(
            read(&json!({"limitation": [true]})).limitation,
            Limitation::default()
        );
    }

    #[test]
    fn near_misses_are_understood() {
        let information = read(&json!({
            "supported_nips": ["01", 11.0, "NIP-42", 45, 45, -1, 1.5, 70_000, "7D", null, [9]],
            "limitation": {"auth_required": "True", "payment_required": 0,
                "restricted_writes": 1.0, "min_pow_difficulty": "8"},
            "tags": [" Bitcoin ", "bitcoin", "", 5],
        }));
        assert_eq!(information.supported_nips, Some([1, 11, 42, 45].into()));
        assert_eq!(
            information.limitation,
            Limitation {
                auth_required: Some(true),
                payment_required: Some(false),
                restricted_writes: Some(true),
                min_pow_difficulty: Some(8),
            }
        );
        assert_eq!(information.topics, ["bitcoin"]);
    }

    #[test]
    fn languages_and_kinds_are_read_from_older_documents() {
        let information = read(&json!({
            "language_tags": ["EN-419", "en", "*", "deu", 7, "pt_BR"],
            "retention": [
                {"kinds": [0, 1, [5, 7]], "time": 3600}, {"kinds": [4, 1], "time": 0},
                {"time": 100}, {"kinds": ["x", [9], [9, 8]]}, 3,
            ],
        }));
        assert_eq!(information.languages, ["en", "pt"]);
        let kept = [
            (0, true),
            (1, true),
            (4, false),
            (5, true),
            (6, true),
            (7, true),
        ];
        assert_eq!(information.kinds, BTreeMap::from(kept));
        let endless = read(&json!({"retention": [{"kinds": [[0, 65_535]], "time": 0}]}));
        assert_eq!(endless.kinds.len(), MAX_KINDS);
    }

    #[test]
    fn what_is_no_document_is_told_apart() {
        let reason = |body: &[u8]| RelayInformation::parse(body.into()).unwrap_err().reason();
        assert_eq!(reason(b"<!doctype html>"), "not_json");
        assert_eq!(reason(b""), "not_json");
        assert_eq!(reason(b"[]"), "not_an_object");
        assert_eq!(reason(b"{\"name\":\"\xff\"}"), "not_utf8");
        assert_eq!(reason("[".repeat(10_000).as_bytes()), "not_json");
        assert!(RelayInformation::parse(b"\xef\xbb\xbf{}".into()).is_ok());
    }

    #[test]
    fn a_flood_of_values_is_bounded() {
        let information = read(&json!({
            "name": "x".repeat(10_000),
            "supported_nips": (0..5_000).collect::<Vec<u32>>(),
            "tags": (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>(),
        }));
        assert_eq!(information.name.unwrap().len(), MAX_TEXT_CHARS);
        assert_eq!(information.supported_nips.unwrap().len(), MAX_NIPS);
        assert_eq!(information.topics.len(), MAX_TOPICS);
    }
}
