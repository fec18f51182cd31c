//! The reference of a section: every key with its default, what it takes, and what it is for.
//!
//! Nothing of it is written a second time. Keys and defaults are the code's; the help is the
//! comment in the shipped file; and what a key takes is found out by giving it what it does not
//! take, and reading what the operator would be told.

use serde_yaml::Value;

use super::documented::{comment_of, default_of, known_paths};
use super::environment::name_of;
use super::error::ConfigError;
use super::path::{KeyPath, Segment};
use super::{ConfigSource, Section};

/// One key of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyReference {
    /// The full key, `monitor.interval`.
    pub key: String,
    /// The environment variable that sets it.
    pub variable: String,
    /// The default as YAML, `None` for a key that is not given by default.
    pub default: Option<String>,
    /// What it takes, in words. Empty for a key that only holds others.
    pub takes: String,
    /// What it is for: the comment in the shipped file.
    pub help: String,
}

/// What no number, duration, size, switch, address or name is.
const NONSENSE: &str = "?!";

/// What is outside most ranges, at both ends: numbers, shares, durations, sizes.
const EXTREMES: [&str; 12] = [
    "0",
    "1",
    "-1",
    "65535",
    "4294967295",
    "18446744073709551615",
    "0s",
    "1ms",
    "36500d",
    "0B",
    "1023TiB",
    "",
];

/// Describes every key of a section, those that hold others before what they hold. `yaml` is the
/// shipped file, which explains them.
pub fn reference<T: Section>(yaml: &str) -> Vec<KeyReference> {
    let default = default_of::<T>();
    let paths = known_paths(&default);
    paths
        .iter()
        .map(|path| {
            let key = path.within(T::NAME);
            let value = value_at(&default, path);
            let holds =
                value.is_some_and(|value| value.as_mapping().is_some_and(|keys| !keys.is_empty()));
            KeyReference {
                variable: name_of(&key),
                default: value.filter(|_| !holds).and_then(written),
                takes: if holds {
                    String::new()
                } else {
                    takes::<T>(path, value)
                },
                help: comment_of::<T>(yaml, path),
                key,
            }
        })
        .collect()
}

fn value_at<'a>(value: &'a Value, path: &KeyPath) -> Option<&'a Value> {
    path.0
        .iter()
        .try_fold(value, |value, segment| match segment {
            Segment::Key(key) => value.get(key.as_str()),
            Segment::Index(index) => value.get(*index),
        })
}

/// A value on one line, as it may stand in a file; `None` for one that is not given.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => Some("\"\"".to_owned()),
        Value::Sequence(items) => {
            let items: Vec<String> = items.iter().filter_map(written).collect();
            Some(format!("[{}]", items.join(", ")))
        }
        Value::Mapping(_) => Some("{}".to_owned()),
        scalar => serde_yaml::to_string(scalar)
            .ok()
            .map(|text| text.trim_end().to_owned()),
    }
}

/// Says what a key takes.
fn takes<T: Section>(path: &KeyPath, default: Option<&Value>) -> String {
    let mut words = kind::<T>(path, default);
    if let Some(range) = range::<T>(path) {
        // A whole number is one from here to there: the range says it closer.
        let plain = words.split(" from ").next().unwrap_or_default();
        let plain = plain.split(", 0 or more").next().unwrap_or_default();
        words = format!("{plain}, {range}");
    }
    words
}

/// Names the type by what is said about nonsense.
fn kind<T: Section>(path: &KeyPath, default: Option<&Value>) -> String {
    if default.is_some_and(Value::is_sequence) {
        return list_of::<T>(path);
    }
    if default.is_some_and(Value::is_mapping) {
        return mapping_of::<T>(path);
    }
    refusal::<T>(path, NONSENSE).map_or_else(|| "text".to_owned(), |error| in_words(&error))
}

fn list_of<T: Section>(path: &KeyPath) -> String {
    match keys_of::<T>(path, "[{\"?!\": 1}]") {
        Some(keys) => format!("a list of mappings, each with {keys}"),
        None => match refusal::<T>(path, "[\"?!\"]") {
            Some(error) => format!("a list, each of it {}", in_words(&error)),
            None => "a list of texts".to_owned(),
        },
    }
}

fn mapping_of<T: Section>(path: &KeyPath) -> String {
    match keys_of::<T>(path, "{\"wss://relay.example.com\": {\"?!\": 1}}") {
        Some(keys) => format!("a mapping, each of it with {keys}"),
        None => "a mapping".to_owned(),
    }
}

/// The keys of what is in a list or mapping, where the answer to a wrong one names them.
fn keys_of<T: Section>(path: &KeyPath, text: &str) -> Option<String> {
    let error = refusal::<T>(path, text)?;
    let keys = error.hint?.strip_prefix("known keys: ")?.to_owned();
    Some(keys)
}

/// The range of a key, from the answers to what is far outside.
fn range<T: Section>(path: &KeyPath) -> Option<String> {
    EXTREMES.iter().find_map(|text| {
        let error = refusal::<T>(path, text)?;
        let range = error.hint?.strip_prefix("expected ")?.to_owned();
        let is_range = error.message.ends_with(" is out of range");
        is_range.then_some(range)
    })
}

/// The first thing that is wrong with this key, or with what is in it, when it is this text.
fn refusal<T: Section>(path: &KeyPath, text: &str) -> Option<ConfigError> {
    let key = path.within(T::NAME);
    let source = ConfigSource::new().with_flag(&key, text, "--key");
    let errors = source.section::<T>().err()?;
    errors
        .iter()
        .find(|error| error.key.as_deref().is_some_and(|at| at.starts_with(&key)))
        .cloned()
}

/// What the operator is told, the hint first.
fn told(error: &ConfigError) -> &str {
    error.hint.as_deref().unwrap_or(&error.message)
}

/// What is allowed, by what is said about nonsense.
fn in_words(error: &ConfigError) -> String {
    let told = told(error);
    if let Some(examples) = after(told, "invalid duration", "expected e.g. ") {
        return format!("a time ({examples})");
    }
    if let Some(examples) = after(told, "invalid size", "expected e.g. ") {
        return format!("a size in bytes ({examples})");
    }
    told.strip_prefix("expected ").unwrap_or(told).to_owned()
}

fn after<'a>(text: &'a str, start: &str, mark: &str) -> Option<&'a str> {
    if !text.starts_with(start) {
        return None;
    }
    text.split_once(mark).map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    use super::super::{ByteSize, Checks, Invalid, duration};
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
    }

    #[derive(Serialize, Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        on: bool,
        port: u16,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        #[serde(with = "duration")]
        interval: Duration,
        #[serde(with = "duration")]
        pause: Duration,
        size: ByteSize,
        workers: u32,
        colour: Colour,
        name: String,
        since: Option<u64>,
        colours: Vec<Colour>,
        inners: Vec<Inner>,
        named: BTreeMap<String, Inner>,
        inner: Inner,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self {
                interval: Duration::from_secs(90),
                pause: Duration::ZERO,
                size: ByteSize::kib(64),
                workers: 4,
                colour: Colour::Green,
                name: String::new(),
                since: None,
                colours: vec![Colour::Red],
                inners: Vec::new(),
                named: BTreeMap::new(),
                inner: Inner::default(),
            }
        }
    }

    impl Section for Sample {
        const NAME: &'static str = "sample";

        fn validate(&self) -> Result<(), Vec<Invalid>> {
            let mut checks = Checks::new();
            checks.range("workers", self.workers, 1..=64);
            let hour = Duration::from_hours(1);
            checks.duration("interval", self.interval, Duration::from_secs(1)..=hour);
            checks.finish()
        }
    }

    fn of(key: &str) -> KeyReference {
        let yaml = "# Head.\n\n# How often,\n# at most.\ninterval: 1m\n# What for.\n# since: 5\n";
        let all = reference::<Sample>(yaml);
        all.into_iter().find(|one| one.key == key).unwrap()
    }

    #[test]
    fn a_key_tells_its_default_and_what_it_takes() {
        let cases = [
            (
                "sample.interval",
                Some("1m 30s"),
                "a time (30s, 5m, 1h 30m), 1s to 1h",
            ),
            ("sample.pause", Some("0s"), "a time (30s, 5m, 1h 30m)"),
            (
                "sample.size",
                Some("64KiB"),
                "a size in bytes (65536, 64KiB, 1MB)",
            ),
            ("sample.workers", Some("4"), "a whole number, 1 to 64"),
            ("sample.colour", Some("green"), "one of: red, green"),
            ("sample.name", Some("\"\""), "text"),
            ("sample.since", None, "a whole number, 0 or more"),
            (
                "sample.colours",
                Some("[red]"),
                "a list, each of it one of: red, green",
            ),
            (
                "sample.inners",
                Some("[]"),
                "a list of mappings, each with on, port",
            ),
            (
                "sample.named",
                Some("{}"),
                "a mapping, each of it with on, port",
            ),
            ("sample.inner", None, ""),
            ("sample.inner.on", Some("false"), "true or false"),
            (
                "sample.inner.port",
                Some("0"),
                "a whole number from 0 to 65535",
            ),
        ];
        for (key, default, takes) in cases {
            let found = of(key);
            assert_eq!(
                (found.default.as_deref(), found.takes.as_str()),
                (default, takes),
                "{key}"
            );
        }
        assert_eq!(reference::<Sample>("").len(), cases.len());
    }

    #[test]
    fn the_comment_in_the_file_is_the_help() {
        assert_eq!(of("sample.interval").help, "How often, at most.");
        assert_eq!(of("sample.since").help, "What for.");
        assert_eq!(of("sample.size").help, "");
        assert_eq!(
            of("sample.inner.on").variable,
            "BIGBROTR__SAMPLE__INNER__ON"
        );
    }
}
