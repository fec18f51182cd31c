//! Durations written as people say them: `30s`, `5m`, `1h 30m`, `7d`.
//!
//! For fields of type [`Duration`] and `Option<Duration>`:
//!
//! ```
//! # use std::time::Duration;
//! # use serde::{Deserialize, Serialize};
//! #[derive(Serialize, Deserialize)]
//! struct Config {
//!     #[serde(with = "bigbrotr_core::config::duration")]
//!     interval: Duration,
//!     #[serde(with = "bigbrotr_core::config::duration::option")]
//!     deadline: Option<Duration>,
//! }
//! ```
//!
//! A number without a unit is refused: nobody can tell seconds from milliseconds later.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::ser::Serializer;

/// What a good duration looks like, for error texts.
const EXAMPLES: &str = "expected e.g. 30s, 5m, 1h 30m";

/// Units in descending order, in nanoseconds. No months or years: their length is a convention.
const UNITS: [(u128, &str); 7] = [
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1_000, "us"),
    (1, "ns"),
];

/// A duration that could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DurationError {
    /// A bare number.
    #[error("duration {value} has no unit: write e.g. {value}s, {value}m or {value}h")]
    NoUnit {
        /// The number as given.
        value: String,
    },
    /// Anything else that is no duration.
    #[error("invalid duration {text:?}: {EXAMPLES}")]
    Invalid {
        /// The text as given.
        text: String,
        /// What the parser made of it.
        #[source]
        source: humantime::DurationError,
    },
}

/// Reads a duration such as `1h 30m`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    if trimmed.starts_with(|first: char| first.is_ascii_digit()) && trimmed.parse::<f64>().is_ok() {
        return Err(DurationError::NoUnit {
            value: trimmed.to_owned(),
        });
    }
    humantime::parse_duration(trimmed).map_err(|source| DurationError::Invalid {
        text: text.to_owned(),
        source,
    })
}

/// Writes a duration so that [`parse`] reads the same one back.
pub fn format(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    for (length, unit) in UNITS {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            let separator = if text.is_empty() { "" } else { " " };
            // Writing to a String cannot fail.
            write!(text, "{separator}{count}{unit}").unwrap_or_default();
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// Serialises a duration as text.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*duration))
}

/// Deserialises a duration from text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(DurationVisitor)
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration, e.g. 30s, 5m, 1h 30m")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Duration, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Duration, E> {
        Err(E::custom(format_args!(
            "invalid duration \"{value}\": {EXAMPLES}"
        )))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Duration, E> {
        self.visit_str(&value.to_string())
    }
}

/// The same for `Option<Duration>`; `null` is `None`.
pub mod option {
    use serde::Deserialize;

    use super::{Deserializer, Duration, Serializer};

    /// Serialises a duration as text, or `None` as null.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Deserialises a duration from text, or null as `None`.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Written(#[serde(with = "super")] Duration);

        let duration = Option::<Written>::deserialize(deserializer)?;
        Ok(duration.map(|Written(duration)| duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_back_as_written() {
        for text in [
            "0s", "30s", "5m", "1h 30m", "31d", "400d 1s", "1s 500ms", "7us 3ns",
        ] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
    }

    #[test]
    fn spelled_out_units_are_understood() {
        assert_eq!(parse("5 minutes").unwrap(), Duration::from_mins(5));
        assert_eq!(parse(" 2days ").unwrap(), Duration::from_hours(48));
    }

    #[test]
    fn errors_say_what_to_write() {
        assert_eq!(
            parse("60").unwrap_err().to_string(),
            "duration 60 has no unit: write e.g. 60s, 60m or 60h"
        );
        assert_eq!(
            parse("5 minuts").unwrap_err().to_string(),
            "invalid duration \"5 minuts\": expected e.g. 30s, 5m, 1h 30m"
        );
        for text in ["", "-5s", "-5", "inf", "5 fortnights", "s"] {
            assert!(
                matches!(parse(text), Err(DurationError::Invalid { .. })),
                "{text}"
            );
        }
    }
}
