//! Configuration before it has types: a tree of values that know where they were written.

use std::sync::Arc;

use super::path::{KeyPath, Segment};

/// Which layer a value came from. Lines in files are looked up only when an error needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layer {
    File,
    Environment(Arc<str>),
    Flag(Arc<str>),
}

/// A value and the layer it came from.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) layer: Layer,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    /// An environment variable's or flag's value: its type is decided by who reads it.
    Raw(String),
    /// Items with their position as written, which survives the removal of others.
    List(Vec<(usize, Node)>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A mapping without keys.
    pub(super) fn empty() -> Self {
        Self {
            value: Value::Map(Vec::new()),
            layer: Layer::File,
        }
    }

    /// The node at the path, or the deepest existing one on the way, with its own path.
    pub(super) fn deepest(&self, path: &KeyPath) -> (KeyPath, &Self) {
        let mut node = self;
        for (depth, segment) in path.0.iter().enumerate() {
            match node.child(segment) {
                Some(child) => node = child,
                None => return (KeyPath(path.0[..depth].to_vec()), node),
            }
        }
        (path.clone(), node)
    }

    fn child(&self, segment: &Segment) -> Option<&Self> {
        match (&self.value, segment) {
            (Value::Map(entries), Segment::Key(key)) => entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, node)| node),
            (Value::List(items), Segment::Index(index)) => items
                .iter()
                .find(|(position, _)| position == index)
                .map(|(_, node)| node),
            _ => None,
        }
    }

    /// Removes the node at the path; the root stays.
    pub(super) fn remove(&mut self, path: &[Segment]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        match (&mut self.value, first) {
            (Value::Map(entries), Segment::Key(key)) if rest.is_empty() => {
                entries.retain(|(name, _)| name != key);
            }
            (Value::List(items), Segment::Index(index)) if rest.is_empty() => {
                items.retain(|(position, _)| position != index);
            }
            (Value::Map(entries), Segment::Key(key)) => {
                entries
                    .iter_mut()
                    .filter(|(name, _)| name == key)
                    .for_each(|(_, n)| n.remove(rest));
            }
            (Value::List(items), Segment::Index(index)) => {
                items
                    .iter_mut()
                    .filter(|(at, _)| at == index)
                    .for_each(|(_, n)| n.remove(rest));
            }
            _ => {}
        }
    }

    /// Lays a value from a stronger layer over this mapping, making mappings on the way.
    ///
    /// Answers the path that is in the way if something that is no mapping already is there.
    pub(super) fn set(
        &mut self,
        keys: &[String],
        text: &str,
        layer: &Layer,
    ) -> Result<(), KeyPath> {
        let mut node = self;
        for (depth, key) in keys.iter().enumerate() {
            if matches!(node.value, Value::Null) {
                node.value = Value::Map(Vec::new());
            }
            let Value::Map(entries) = &mut node.value else {
                return Err(KeyPath(
                    keys[..depth].iter().cloned().map(Segment::Key).collect(),
                ));
            };
            let position = entries
                .iter()
                .position(|(name, _)| name == key)
                .unwrap_or_else(|| {
                    let value = Value::Map(Vec::new());
                    entries.push((
                        key.clone(),
                        Self {
                            value,
                            layer: layer.clone(),
                        },
                    ));
                    entries.len() - 1
                });
            node = &mut entries[position].1;
        }
        *node = Self {
            value: Value::Raw(text.to_owned()),
            layer: layer.clone(),
        };
        Ok(())
    }
}
