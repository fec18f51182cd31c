//! Reads one section out of its layers and says where its mistakes are.

use serde::de::DeserializeOwned;

use super::Section;
use super::checks::Invalid;
use super::environment::name_of;
use super::error::{ConfigError, ConfigErrors, Origin};
use super::locate::{Side, locate};
use super::node::{Layer, Node, Value};
use super::path::KeyPath;
use super::source::{ConfigSource, File};
use super::yaml::SyntaxError;

/// One section being read.
pub(super) struct Reading<'a> {
    section: &'a str,
    source: &'a ConfigSource,
    errors: ConfigErrors,
    /// What was taken out because it was wrong, so that reading could go on.
    removed: Vec<KeyPath>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(section: &'a str, source: &'a ConfigSource) -> Self {
        Self {
            section,
            source,
            errors: ConfigErrors::new(),
            removed: Vec::new(),
        }
    }

    /// Reads the file first and alone, so that its mistakes show even under an override.
    pub(super) fn read<T: Section>(mut self) -> Result<T, ConfigErrors> {
        let mut tree = match self
            .source
            .file(self.section)
            .map(|file| (file, &file.tree))
        {
            None => Node::empty(),
            Some((_, Ok(tree))) => tree.clone(),
            Some((file, Err(error))) => {
                self.errors.push(self.syntax_error(file, error));
                Node::empty()
            }
        };
        // A key that the file lacks may still come from an override.
        self.settle::<T>(&mut tree, false);
        for set in self.source.overrides(self.section) {
            if let Err(path) = tree.set(&set.keys, &set.text, &set.layer) {
                let error = ConfigError::new(
                    set.origin(),
                    "the key has no keys under it",
                    "set it as a whole",
                );
                self.errors.push(error.with_key(self.section, &path));
            }
        }
        let value = self.settle::<T>(&mut tree, true);
        if self.errors.is_empty()
            && let Some(refused) = value.as_ref().and_then(|value| value.validate().err())
        {
            for invalid in refused {
                self.errors.push(self.refusal(&tree, invalid));
            }
        }
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(self.errors),
        }
    }

    /// The section's layers in one tree.
    pub(super) fn merged(&self) -> Node {
        let file = self.source.file(self.section);
        let mut tree = file
            .and_then(|file| file.tree.as_ref().ok())
            .cloned()
            .unwrap_or_else(Node::empty);
        for set in self.source.overrides(self.section) {
            // What does not fit is reported by `read`.
            tree.set(&set.keys, &set.text, &set.layer)
                .unwrap_or_default();
        }
        tree
    }

    /// Where the value at the path was set, if it was set at all.
    pub(super) fn origin_of_value(&self, tree: &Node, path: &KeyPath) -> Option<Origin> {
        let (found, node) = tree.deepest(path);
        // A list or mapping in one variable has no nodes of its own for what is inside.
        let set = found == *path || !matches!(node.value, Value::Map(_));
        set.then(|| self.origin(&node.layer, &found, Side::Value))
    }

    /// Gives the tree its types. What is wrong is reported and taken out, until the rest fits.
    fn settle<T: DeserializeOwned>(&mut self, tree: &mut Node, complete: bool) -> Option<T> {
        loop {
            let error = match T::deserialize(tree.clone()) {
                Ok(value) => return Some(value),
                Err(error) => error,
            };
            if error.missing && !complete {
                return None;
            }
            let path = error.path();
            let (found, node) = tree.deepest(&path);
            // What lacks something that was taken out of it is no new mistake.
            let consequence = self
                .removed
                .iter()
                .any(|gone| *gone != found && gone.starts_with(&found));
            if !consequence {
                let origin = self.origin(&node.layer, &path, error.side);
                let error = ConfigError::new(origin, error.message, error.hint);
                self.errors.push(error.with_key(self.section, &path));
            }
            if found.0.is_empty() {
                // Reported once; what comes over it is read on its own.
                *tree = Node::empty();
                return None;
            }
            tree.remove(&found.0);
            self.removed.push(found);
        }
    }

    fn syntax_error(&self, file: &File, error: &SyntaxError) -> ConfigError {
        let origin = Origin::File {
            path: file.path.clone(),
            position: error.position,
        };
        ConfigError::new(origin, &error.message, "").with_key(self.section, &error.path)
    }

    fn refusal(&self, tree: &Node, invalid: Invalid) -> ConfigError {
        let path = KeyPath::parse(&invalid.key);
        let origin = self.origin_of_value(tree, &path).unwrap_or(Origin::Default);
        let mut hint = invalid.hint.unwrap_or_default();
        if origin == Origin::Default && !path.0.is_empty() {
            let separator = if hint.is_empty() { "" } else { "; " };
            let variable = name_of(&path.within(self.section));
            hint = format!(
                "{hint}{separator}set it in {}.yaml or by {variable}",
                self.section
            );
        }
        ConfigError::new(origin, invalid.message, hint).with_key(self.section, &path)
    }

    fn origin(&self, layer: &Layer, path: &KeyPath, side: Side) -> Origin {
        match (layer, self.source.file(self.section)) {
            (Layer::Environment(name), _) => Origin::Environment(name.to_string()),
            (Layer::Flag(name), _) => Origin::Flag(name.to_string()),
            (Layer::File, Some(file)) => {
                let position = locate(&file.text, path, side);
                Origin::File {
                    path: file.path.clone(),
                    position,
                }
            }
            (Layer::File, None) => Origin::Default,
        }
    }
}
