//! Configuration: defaults in code, then YAML files, then the environment, then flags.
//!
//! One file is one section: `config/monitor.yaml` is the section `monitor`. A section is an
//! ordinary serde struct that lives in the crate that uses it and implements [`Section`];
//! [`ConfigSource`] holds the layers and reads sections out of them. Every key can be set by
//! `BIGBROTR__<SECTION>__<KEY>`, deeper keys by more `__`, and by a file that holds its value, named
//! by the same variable with `_FILE` at its end.
//!
//! A mistake names its file, line, key and what is allowed instead, and all mistakes are reported
//! together: see [`ConfigErrors`]. What is *in* the sections is not decided here.

mod byte_size;
mod checks;
mod de;
mod de_error;
mod documented;
pub mod duration;
mod environment;
mod error;
mod locate;
mod node;
mod path;
mod reading;
mod reference;
mod render;
mod secret;
mod source;
mod suggest;
mod value_file;
mod yaml;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use byte_size::{ByteSize, ByteSizeError};
pub use checks::{Checks, Invalid};
pub use documented::{DifferingDefault, differing_defaults, undocumented_keys};
pub use environment::{PREFIX, process_env};
pub use error::{ConfigError, ConfigErrors, Origin};
pub use reference::{KeyReference, reference};
pub use render::render_yaml;
pub use secret::Secret;
pub use source::ConfigSource;
pub use value_file::{FILE_SUFFIX, read_value_file};

/// A part of the configuration with its own file.
///
/// The struct takes `#[serde(default, deny_unknown_fields)]`, so that a file needs only what
/// differs and a misspelt key is refused. Avoid `flatten` and untagged enums: serde loses the
/// place of an error inside them.
///
/// ```
/// use std::time::Duration;
///
/// use bigbrotr_core::config::{Checks, Invalid, Section, duration};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct MonitorConfig {
///     #[serde(with = "duration")]
///     interval: Duration,
///     concurrency: u32,
/// }
///
/// impl Default for MonitorConfig {
///     fn default() -> Self {
///         Self { interval: Duration::from_secs(3600), concurrency: 50 }
///     }
/// }
///
/// impl Section for MonitorConfig {
///     const NAME: &'static str = "monitor";
///
///     fn validate(&self) -> Result<(), Vec<Invalid>> {
///         let mut checks = Checks::new();
///         checks.range("concurrency", self.concurrency, 1..=10_000);
///         checks.finish()
///     }
/// }
/// ```
pub trait Section: Serialize + DeserializeOwned + Default {
    /// The section's name: its file's stem, and its place in variables and flags.
    const NAME: &'static str;

    /// Refuses values that their types allow. Called once every value has its type.
    ///
    /// # Errors
    ///
    /// Every refused key, so that they can be reported together; see [`Checks`].
    fn validate(&self) -> Result<(), Vec<Invalid>> {
        Ok(())
    }
}
