//! The layers a configuration is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Section;
use super::environment::keys_of;
use super::error::{ConfigError, ConfigErrors, Origin};
use super::node::{Layer, Node};
use super::reading::Reading;
use super::render;
use super::suggest::nearest;
use super::value_file::{given_twice, stands_for, value_of};
use super::yaml::SyntaxError;

/// The files, variables and flags that sections are read from.
///
/// Everything is handed in, so tests and tools decide what exists. `Debug` shows names only:
/// variables may hold secrets.
#[derive(Clone, Default)]
pub struct ConfigSource {
    files: BTreeMap<String, File>,
    /// Files in the directory that cannot be a section.
    strays: Vec<PathBuf>,
    variables: Vec<Override>,
    flags: Vec<Override>,
    /// Variables with our prefix that name no key, or no file that can be read.
    bad_variables: Vec<ConfigError>,
}

/// One section's file.
#[derive(Clone)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) tree: Result<Node, SyntaxError>,
}

/// A value set by a variable or flag.
#[derive(Clone)]
pub(super) struct Override {
    section: String,
    pub(super) keys: Vec<String>,
    pub(super) text: String,
    pub(super) layer: Layer,
}

impl ConfigSource {
    /// Nothing but defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds every section file of a directory. Hidden files are passed over.
    ///
    /// # Errors
    ///
    /// The directory or a file in it cannot be read.
    pub fn with_dir(mut self, dir: &Path) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::new();
        let mut paths = errors.take(list(dir)).unwrap_or_default();
        paths.sort();
        for path in paths {
            let yaml = path
                .extension()
                .is_some_and(|extension| extension == "yaml");
            if !yaml || path.is_dir() {
                self.strays.push(path);
                continue;
            }
            match fs::read_to_string(&path) {
                Ok(text) => self = self.with_file(path, text),
                Err(error) => errors.push(unreadable(&path, &error)),
            }
        }
        errors.into_result()?;
        Ok(self)
    }

    /// Adds one file already read. Its stem is the section's name; nothing is opened.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let section = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let tree = Node::parse(&text);
        self.files.insert(section, File { path, text, tree });
        self
    }

    /// Adds environment variables; those without [`PREFIX`](super::PREFIX) are left alone. Files
    /// named by variables that end in [`FILE_SUFFIX`](super::FILE_SUFFIX) are read.
    #[must_use]
    pub fn with_env<K: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let sorted: BTreeMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        for (name, value) in &sorted {
            let stem = stands_for(name);
            let value = match stem {
                Some(stem) if sorted.contains_key(stem) => Err(given_twice(name, stem)),
                Some(_) => value_of(name, value),
                None => Ok(value.clone()),
            };
            match (keys_of(stem.unwrap_or(name)), value) {
                (None, _) => {}
                (Some(Ok(keys)), Ok(value)) => {
                    let layer = Layer::Environment(Arc::from(name.as_str()));
                    self.variables.extend(Override::new(keys, value, layer));
                }
                (Some(Err(error)), _) | (_, Err(error)) => self.bad_variables.push(error),
            }
        }
        self
    }

    /// Sets a key (`database.url`) from a variable with a name of its own (`DATABASE_URL`).
    ///
    /// Among variables, the one added last wins.
    #[must_use]
    pub fn with_variable(mut self, key: &str, value: impl Into<String>, name: &str) -> Self {
        let layer = Layer::Environment(Arc::from(name));
        self.variables
            .extend(Override::new(split(key), value.into(), layer));
        self
    }

    /// Sets a key (`monitor.interval`) from a flag, given with its dashes. Flags win over all.
    #[must_use]
    pub fn with_flag(mut self, key: &str, value: impl Into<String>, flag: &str) -> Self {
        let layer = Layer::Flag(Arc::from(flag));
        self.flags
            .extend(Override::new(split(key), value.into(), layer));
        self
    }

    /// Reads a section: its defaults, overlaid by the layers, then validated.
    ///
    /// # Errors
    ///
    /// Everything wrong with the section's file, variables and flags. Validation runs once all
    /// values have their types, so its errors come alone.
    pub fn section<T: Section>(&self) -> Result<T, ConfigErrors> {
        Reading::new(T::NAME, self).read()
    }

    /// Refuses files and variables of sections that do not exist.
    ///
    /// # Errors
    ///
    /// Every file, variable and flag outside the known sections.
    pub fn finish(&self, known: &[&str]) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::new();
        for path in &self.strays {
            errors.push(stray(path, known));
        }
        for (section, file) in &self.files {
            if !known.contains(&section.as_str()) {
                let origin = Origin::File {
                    path: file.path.clone(),
                    position: None,
                };
                errors.push(unknown_section(origin, section, known));
            }
        }
        for error in &self.bad_variables {
            errors.push(error.clone());
        }
        for set in self.variables.iter().chain(&self.flags) {
            if !known.contains(&set.section.as_str()) {
                errors.push(unknown_section(set.origin(), &set.section, known));
            }
        }
        errors.into_result()
    }

    /// Renders a section as YAML, secrets masked, each value that is not the default annotated
    /// with where it was set.
    pub fn render_yaml<T: Section>(&self, section: &T) -> String {
        let reading = Reading::new(T::NAME, self);
        let tree = reading.merged();
        render::annotated(section, |path| reading.origin_of_value(&tree, path))
    }

    pub(super) fn file(&self, section: &str) -> Option<&File> {
        self.files.get(section)
    }

    /// The section's overrides, weakest first.
    pub(super) fn overrides(&self, section: &str) -> impl Iterator<Item = &Override> {
        self.variables
            .iter()
            .chain(&self.flags)
            .filter(move |set| set.section == section)
    }
}

impl Override {
    fn new(keys: Vec<String>, text: String, layer: Layer) -> Option<Self> {
        let mut keys = keys.into_iter();
        Some(Self {
            section: keys.next()?,
            keys: keys.collect(),
            text,
            layer,
        })
    }

    pub(super) fn origin(&self) -> Origin {
        match &self.layer {
            Layer::Environment(name) => Origin::Environment(name.to_string()),
            Layer::Flag(name) => Origin::Flag(name.to_string()),
            Layer::File => Origin::Default,
        }
    }
}

impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overrides: Vec<_> = self
            .variables
            .iter()
            .chain(&self.flags)
            .map(|set| set.origin().to_string())
            .collect();
        f.debug_struct("ConfigSource")
            .field(
                "files",
                &self
                    .files
                    .values()
                    .map(|file| &file.path)
                    .collect::<Vec<_>>(),
            )
            .field("overrides", &overrides)
            .finish_non_exhaustive()
    }
}

fn split(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

/// The visible entries of a directory.
fn list(dir: &Path) -> Result<Vec<PathBuf>, ConfigErrors> {
    let entries = fs::read_dir(dir)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect()
        })
        .map_err(|error| unreadable(dir, &error))?;
    let hidden = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    let entries: Vec<PathBuf> = entries;
    Ok(entries.into_iter().filter(|path| !hidden(path)).collect())
}

fn unreadable(path: &Path, error: &io::Error) -> ConfigError {
    let origin = Origin::File {
        path: path.to_owned(),
        position: None,
    };
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "check the permissions",
        io::ErrorKind::InvalidData => "save it as UTF-8",
        _ => "",
    };
    ConfigError::new(origin, format!("cannot be read: {error}"), hint)
}

fn stray(path: &Path, known: &[&str]) -> ConfigError {
    let origin = Origin::File {
        path: path.to_owned(),
        position: None,
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let hint = if known.contains(&&*stem) {
        format!("rename it to {stem}.yaml")
    } else {
        format!(
            "expected <section>.yaml, known sections: {}",
            known.join(", ")
        )
    };
    ConfigError::new(origin, "not a section's file", hint)
}

fn unknown_section(origin: Origin, section: &str, known: &[&str]) -> ConfigError {
    let near = nearest(section, known.iter().copied())
        .map(|near| format!(", did you mean {near:?}?"))
        .unwrap_or_default();
    let hint = format!("known sections: {}", known.join(", "));
    ConfigError::new(origin, format!("unknown section {section:?}{near}"), hint)
}
