//! Names of environment variables: `BIGBROTR__NETWORKS__TOR__PROXY` is `networks.tor.proxy`.

use std::collections::BTreeMap;

use super::error::{ConfigError, ConfigErrors, Origin};

/// What the names of configuration variables start with.
pub const PREFIX: &str = "BIGBROTR__";

/// Reads this process's environment, the only such place in the crate.
///
/// # Errors
///
/// A variable of ours that is not UTF-8; foreign ones are left out.
pub fn process_env() -> Result<BTreeMap<String, String>, ConfigErrors> {
    let mut variables = BTreeMap::new();
    let mut errors = ConfigErrors::new();
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => {
                variables.insert(name, value);
            }
            (Ok(name), Err(_)) if name.starts_with("BIGBROTR") => errors.push(ConfigError::new(
                Origin::Environment(name),
                "the value is not UTF-8",
                "write it as plain text",
            )),
            _ => {}
        }
    }
    errors.into_result()?;
    Ok(variables)
}

/// Section and keys named by a variable.
///
/// `None` for a variable that is not ours, an error for one that is but names no key.
pub(super) fn keys_of(name: &str) -> Option<Result<Vec<String>, ConfigError>> {
    let keys: Vec<String> = name
        .strip_prefix(PREFIX)?
        .split("__")
        .map(str::to_lowercase)
        .collect();
    if keys.len() >= 2 && keys.iter().all(|key| !key.is_empty()) {
        return Some(Ok(keys));
    }
    Some(Err(ConfigError::new(
        Origin::Environment(name.to_owned()),
        "the name is not that of a key",
        format!("expected {PREFIX}<SECTION>__<KEY>, e.g. {PREFIX}MONITOR__INTERVAL"),
    )))
}

/// The variable that sets a key, for hints.
pub(super) fn name_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_path() {
        let keys = keys_of("BIGBROTR__NETWORKS__TOR__MAX_OPEN")
            .unwrap()
            .unwrap();
        assert_eq!(keys, ["networks", "tor", "max_open"]);
        assert_eq!(
            name_of("networks.tor.max_open"),
            "BIGBROTR__NETWORKS__TOR__MAX_OPEN"
        );
    }

    #[test]
    fn foreign_names_are_none_of_our_business() {
        assert!(keys_of("PATH").is_none());
        assert!(keys_of("BIGBROTR_SECRET_KEY").is_none());
    }

    #[test]
    fn a_name_without_a_key_is_an_error() {
        for name in [
            "BIGBROTR__MONITOR",
            "BIGBROTR__",
            "BIGBROTR__MONITOR__",
            "BIGBROTR____X",
        ] {
            assert!(keys_of(name).unwrap().is_err(), "{name}");
        }
    }
}
