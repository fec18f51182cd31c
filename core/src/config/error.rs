//! What is wrong with a configuration, where it was written, and what would be right.

use std::fmt;
use std::path::PathBuf;

use super::path::KeyPath;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A YAML file.
    File {
        /// The file, as its directory was given.
        path: PathBuf,
        /// Line and column, both from 1, where they are known.
        position: Option<(usize, usize)>,
    },
    /// An environment variable.
    Environment(String),
    /// A command-line flag, with its dashes.
    Flag(String),
    /// Nowhere: the value is the code's default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                position: Some((line, column)),
            } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::File {
                path,
                position: None,
            } => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Default => f.write_str("default value"),
        }
    }
}

/// One thing wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {}{message}{}", Prefix(.key.as_deref()), Suffix(.hint.as_deref()))]
pub struct ConfigError {
    /// Where it was written.
    pub origin: Origin,
    /// The full key, `monitor.interval`, if the error is about one.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What is allowed instead, or what to do.
    pub hint: Option<String>,
}

impl ConfigError {
    /// An error about a whole file, variable or flag.
    pub(super) fn new(origin: Origin, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        Self {
            origin,
            key: None,
            message: message.into(),
            hint,
        }
    }

    pub(super) fn with_key(mut self, section: &str, path: &KeyPath) -> Self {
        self.key = Some(path.within(section));
        self
    }
}

struct Prefix<'a>(Option<&'a str>);

impl fmt::Display for Prefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |key| write!(f, "{key}: "))
    }
}

struct Suffix<'a>(Option<&'a str>);

impl fmt::Display for Suffix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}

/// Everything wrong with the configuration, so one run of `config check` shows it all.
///
/// Displays as one line per error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// No errors yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one error.
    pub fn push(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    /// Passes a value through, or keeps its errors and answers `None`.
    ///
    /// Reads several sections and reports the errors of all of them together:
    ///
    /// ```
    /// # use bigbrotr_core::config::{ConfigErrors, ConfigSource, Section};
    /// # #[derive(Default, serde::Serialize, serde::Deserialize)]
    /// # #[serde(default, deny_unknown_fields)]
    /// # struct Monitor { concurrency: u32 }
    /// # impl Section for Monitor { const NAME: &'static str = "monitor"; }
    /// # fn main() -> Result<(), ConfigErrors> {
    /// let source = ConfigSource::new();
    /// let mut errors = ConfigErrors::new();
    /// let monitor = errors.take(source.section::<Monitor>());
    /// errors.take(source.finish(&[Monitor::NAME]));
    /// errors.into_result()?;
    /// # assert!(monitor.is_some());
    /// # Ok(())
    /// # }
    /// ```
    pub fn take<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(errors) => {
                self.0.extend(errors.0);
                None
            }
        }
    }

    /// `Ok` if nothing was wrong.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The errors in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// How many errors there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
