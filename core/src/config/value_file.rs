//! Values in files: `BIGBROTR__DATABASE__PASSWORD_FILE` names the file that holds
//! `database.password`. This is how containers are handed secrets.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::environment::PREFIX;
use super::error::{ConfigError, Origin};
use super::secret::Secret;
use crate::limits::MAX_VALUE_FILE_BYTES;

/// What the name of a variable that names a file ends in.
pub const FILE_SUFFIX: &str = "_FILE";

/// Reads the value that a file holds: its text without the line ends at its end.
///
/// # Errors
/// The file cannot be read, is empty, too long or not UTF-8.
///
/// # Security
/// The file's mode is not looked at: who mounts a secret into a container decides it, and often
/// has no choice but 0444. The text is never repeated in an error.
pub fn read_value_file(path: &Path) -> io::Result<Secret> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_VALUE_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_VALUE_FILE_BYTES {
        let reason = format!("longer than {MAX_VALUE_FILE_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_text| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))?;
    let value = text.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "empty"));
    }
    Ok(Secret::new(value))
}

/// The variable that a variable of ours stands for because it names a file.
pub(super) fn stands_for(name: &str) -> Option<&str> {
    name.strip_suffix(FILE_SUFFIX)
        .filter(|stem| stem.starts_with(PREFIX))
}

/// The value that a variable names.
pub(super) fn value_of(name: &str, path: &str) -> Result<String, ConfigError> {
    match read_value_file(Path::new(path)) {
        Ok(value) => Ok(value.expose().to_owned()),
        Err(error) => Err(ConfigError::new(
            Origin::Environment(name.to_owned()),
            format!("cannot read the value from {path}: {error}"),
            "the variable names a file that holds the value and nothing else",
        )),
    }
}

/// The value is given directly and by a file.
pub(super) fn given_twice(name: &str, stem: &str) -> ConfigError {
    ConfigError::new(
        Origin::Environment(name.to_owned()),
        format!("{stem} is set too"),
        "set one of them",
    )
}
