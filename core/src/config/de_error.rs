//! Serde's complaints in the operator's words.

use std::fmt::Display;

use serde::de::{self, Expected, Unexpected};

use super::locate::Side;
use super::path::{KeyPath, Segment};
use super::suggest::nearest;

/// A value that does not fit its type.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct DeError {
    /// From the error upwards: the path is complete when it reaches the root, in reverse.
    reversed: Vec<Segment>,
    /// Whether the key itself is wrong, or its value.
    pub(super) side: Side,
    pub(super) message: String,
    pub(super) hint: String,
    /// Whether the error is about a key that is not there.
    pub(super) missing: bool,
}

impl DeError {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            reversed: Vec::new(),
            side: Side::Value,
            message: message.into(),
            hint: hint.into(),
            missing: false,
        }
    }

    /// The error as seen from the parent of `segment`.
    pub(super) fn under(mut self, segment: Segment) -> Self {
        self.reversed.push(segment);
        self
    }

    /// The error as seen from the parent of `segment`, when it is about the key itself.
    pub(super) fn at_key(mut self, segment: Segment) -> Self {
        self.side = Side::Key;
        self.under(segment)
    }

    pub(super) fn path(&self) -> KeyPath {
        KeyPath(self.reversed.iter().rev().cloned().collect())
    }
}

impl de::Error for DeError {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string(), "")
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let scalar = !matches!(
            unexpected,
            Unexpected::Seq | Unexpected::Map | Unexpected::Unit
        );
        let expected = expected.to_string();
        let hint = match expected_in_words(&expected) {
            "text" if scalar => "expected text: put the value in quotes".to_owned(),
            words => format!("expected {words}"),
        };
        Self::new(unexpected_in_words(unexpected), hint)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        let hint = format!("expected {}", expected_in_words(&expected));
        Self::new(unexpected_in_words(unexpected), hint)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(format!("{length} items"), format!("expected {expected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = format!("expected one of: {}", expected.join(", "));
        Self::new(
            format!(
                "unknown value {variant:?}{}",
                did_you_mean(variant, expected)
            ),
            hint,
        )
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let hint = format!("known keys: {}", expected.join(", "));
        Self::new(
            format!("unknown key{}", did_you_mean(field, expected)),
            hint,
        )
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            missing: true,
            ..Self::new(format!("missing key {field:?}"), "it has no default")
        }
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("key {field:?} is given twice"), "")
    }
}

fn did_you_mean(word: &str, expected: &[&'static str]) -> String {
    nearest(word, expected.iter().copied())
        .map(|near| format!(", did you mean {near:?}?"))
        .unwrap_or_default()
}

fn unexpected_in_words(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Bool(value) => format!("invalid value {value}"),
        Unexpected::Unsigned(value) => format!("invalid value {value}"),
        Unexpected::Signed(value) => format!("invalid value {value}"),
        Unexpected::Float(value) => format!("invalid value {value}"),
        Unexpected::Char(value) => format!("invalid value \"{value}\""),
        Unexpected::Str(value) => format!("invalid value {value:?}"),
        Unexpected::Unit | Unexpected::Option => "the value is missing".to_owned(),
        Unexpected::Seq => "invalid value, a list".to_owned(),
        Unexpected::Map => "invalid value, a mapping".to_owned(),
        other => format!("invalid value, {other}"),
    }
}

/// Serde names Rust types; configuration is written by people who may not know them.
fn expected_in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" | "isize" => "a whole number",
        "a nonzero u8" => "a whole number from 1 to 255",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        "a nonzero u64" | "a nonzero usize" => "a whole number, 1 or more",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "text",
        "a sequence" => "a list",
        "a map" => "a mapping of keys",
        other if other.starts_with("struct ") => "a mapping of keys",
        other if other.starts_with("enum ") || other == "variant identifier" => "one of its names",
        other => other,
    }
}
