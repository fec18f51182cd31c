//! Rules on values that types alone do not express: ranges, and keys that depend on each other.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::duration;

/// A value that its section refuses. The origin is found from the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The key inside its section: `interval`, `tor.proxy`, `sources[1].url`.
    pub key: String,
    /// What is wrong, with the offending value.
    pub message: String,
    /// What is allowed instead, or what to do.
    pub hint: Option<String>,
}

impl Invalid {
    /// A refused value.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// Adds what is allowed, or what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Collects the refusals of a section's `validate`.
///
/// ```
/// # use bigbrotr_core::config::{Checks, Invalid};
/// # struct Config { concurrency: u32 }
/// # impl Config {
/// fn validate(&self) -> Result<(), Vec<Invalid>> {
///     let mut checks = Checks::new();
///     checks.range("concurrency", self.concurrency, 1..=10_000);
///     checks.finish()
/// }
/// # }
/// # assert!(Config { concurrency: 0 }.validate().is_err());
/// ```
#[derive(Debug, Default)]
pub struct Checks(Vec<Invalid>);

impl Checks {
    /// No refusals yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses `key` unless the condition holds.
    pub fn require(&mut self, holds: bool, key: &str, message: impl Into<String>) {
        if !holds {
            self.0.push(Invalid::new(key, message));
        }
    }

    /// Refuses a number outside the range.
    pub fn range<T: PartialOrd + Display + Copy>(
        &mut self,
        key: &str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            let hint = format!("expected {} to {}", range.start(), range.end());
            self.0
                .push(Invalid::new(key, format!("{value} is out of range")).with_hint(hint));
        }
    }

    /// Refuses a duration outside the range.
    pub fn duration(&mut self, key: &str, value: Duration, range: RangeInclusive<Duration>) {
        if !range.contains(&value) {
            let (start, end) = (
                duration::format(*range.start()),
                duration::format(*range.end()),
            );
            let message = format!("{} is out of range", duration::format(value));
            self.0
                .push(Invalid::new(key, message).with_hint(format!("expected {start} to {end}")));
        }
    }

    /// Takes over the refusals of a nested struct found under `key`.
    pub fn nested(&mut self, key: &str, result: Result<(), Vec<Invalid>>) {
        for mut invalid in result.err().unwrap_or_default() {
            invalid.key = format!("{key}.{}", invalid.key);
            self.0.push(invalid);
        }
    }

    /// Adds a refusal.
    pub fn push(&mut self, invalid: Invalid) {
        self.0.push(invalid);
    }

    /// `Ok` if nothing was refused.
    pub fn finish(self) -> Result<(), Vec<Invalid>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.0)
        }
    }
}
