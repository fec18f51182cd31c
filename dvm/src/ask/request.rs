//! The request of a job.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use nostr::event::tag;
use nostr::{EventBuilder, Kind, PublicKey, Tag};

use super::REQUEST_KIND;

/// The forms in which an answer can be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Output {
    /// The answer itself, byte for byte what REST gives.
    #[default]
    Json,
    /// The answer's `data` as RFC 4180 writes tables.
    Csv,
    /// The answer's `data` as an aligned table.
    Plain,
}

impl Output {
    /// All forms.
    pub const ALL: [Self; 3] = [Self::Json, Self::Csv, Self::Plain];

    /// Names the form as the `output` tag does.
    pub fn mime(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv",
            Self::Plain => "text/plain",
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mime())
    }
}

/// A form that we do not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected application/json, text/csv or text/plain")]
pub struct UnknownOutput;

impl FromStr for Output {
    type Err = UnknownOutput;

    fn from_str(mime: &str) -> Result<Self, UnknownOutput> {
        // Parameters such as charset do not matter: it is UTF-8 anyway.
        let essence = mime.split(';').next().unwrap_or_default().trim();
        Self::ALL
            .into_iter()
            .find(|output| output.mime().eq_ignore_ascii_case(essence))
            .ok_or(UnknownOutput)
    }
}

/// A question for a data vending machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// The catalogue entry's name.
    pub query: String,
    /// Its parameters.
    pub params: BTreeMap<String, String>,
    /// The form of the answer.
    pub output: Output,
    /// Who shall answer; `None` leaves it to anyone.
    pub provider: Option<PublicKey>,
    /// Relays that shall get the answer, besides the provider's own.
    pub relays: Vec<String>,
    /// The request's kind.
    pub kind: u16,
}

impl JobRequest {
    /// Asks the question of this name, without parameters.
    pub fn new(query: impl Into<String>) -> Self {
        Self {
            query: query.into(),
            params: BTreeMap::new(),
            output: Output::default(),
            provider: None,
            relays: Vec::new(),
            kind: REQUEST_KIND,
        }
    }

    /// Sets a parameter.
    #[must_use]
    pub fn param(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Asks for another form of the answer.
    #[must_use]
    pub fn output(mut self, output: Output) -> Self {
        self.output = output;
        self
    }

    /// Asks this provider and nobody else.
    #[must_use]
    pub fn provider(mut self, provider: PublicKey) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Returns the request's tags.
    pub fn to_tags(&self) -> Vec<Vec<String>> {
        let own = |parts: &[&str]| parts.iter().map(ToString::to_string).collect();
        let mut tags: Vec<Vec<String>> = vec![own(&["i", &self.query, "text"])];
        for (name, value) in &self.params {
            tags.push(own(&["param", name, value]));
        }
        if self.output != Output::default() {
            tags.push(own(&["output", self.output.mime()]));
        }
        if !self.relays.is_empty() {
            let mut tag = own(&["relays"]);
            tag.extend(self.relays.iter().cloned());
            tags.push(tag);
        }
        if let Some(provider) = &self.provider {
            tags.push(own(&["p", &provider.to_hex()]));
        }
        tags
    }

    /// Makes the event, to be signed.
    ///
    /// # Errors
    /// When a tag cannot be written; ours always can.
    pub fn to_event_builder(&self) -> Result<EventBuilder, tag::Error> {
        let tags = self
            .to_tags()
            .into_iter()
            .map(Tag::parse)
            .collect::<Result<Vec<Tag>, _>>()?;
        // A node may ask itself.
        Ok(EventBuilder::new(Kind::Custom(self.kind), "")
            .tags(tags)
            .allow_self_tagging())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_question_parameters_output_and_provider_as_tags() {
        let keys = nostr::Keys::generate();
        let mut request = JobRequest::new("kinds.list")
            .param("window", "24h")
            .param("limit", "5")
            .output(Output::Csv)
            .provider(keys.public_key);
        request.relays.push("wss://relay.example.com".to_owned());
        let event = request
            .to_event_builder()
            .unwrap()
            .sign_with_keys(&keys)
            .unwrap();
        let tags: Vec<&[String]> = event.tags.iter().map(Tag::as_slice).collect();
        let key = keys.public_key.to_hex();
        assert_eq!(event.kind.as_u16(), 5450);
        assert_eq!(
            tags,
            [
                &["i", "kinds.list", "text"][..],
                &["param", "limit", "5"],
                &["param", "window", "24h"],
                &["output", "text/csv"],
                &["relays", "wss://relay.example.com"],
                &["p", &key],
            ]
        );
    }

    #[test]
    fn outputs_are_named_by_their_mime_type() {
        for output in Output::ALL {
            assert_eq!(output.mime().parse(), Ok(output));
        }
        assert_eq!("Text/CSV; charset=utf-8".parse(), Ok(Output::Csv));
        assert_eq!("text/html".parse::<Output>(), Err(UnknownOutput));
    }
}
