//! Reads YAML into the tree, refusing repeated keys where they stand.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::node::{Layer, Node, Value};
use super::path::KeyPath;

impl Node {
    /// Parses a YAML file's text.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let duplicate = RefCell::new(None);
        let context = Context {
            layer: &Layer::File,
            duplicate: &duplicate,
        };
        let seed = NodeSeed {
            context,
            path: KeyPath::default(),
        };
        match seed.deserialize(serde_yaml::Deserializer::from_str(text)) {
            Ok(Node {
                value: Value::Null, ..
            }) => Ok(Self::empty()),
            Ok(node) => Ok(node),
            Err(error) => Err(SyntaxError::new(&error, duplicate.into_inner())),
        }
    }

    /// Parses the text of an environment variable or flag as YAML, if it is any.
    pub(super) fn parse_inline(text: &str, layer: &Layer) -> Option<Self> {
        let context = Context {
            layer,
            duplicate: &RefCell::new(None),
        };
        let seed = NodeSeed {
            context,
            path: KeyPath::default(),
        };
        seed.deserialize(serde_yaml::Deserializer::from_str(text))
            .ok()
    }
}

/// Text that is no YAML, or repeats a key.
#[derive(Debug, Clone)]
pub(super) struct SyntaxError {
    pub(super) position: Option<(usize, usize)>,
    pub(super) path: KeyPath,
    pub(super) message: String,
}

impl SyntaxError {
    fn new(error: &serde_yaml::Error, duplicate: Option<KeyPath>) -> Self {
        let position = error.location().map(|at| (at.line(), at.column()));
        if let Some(path) = duplicate {
            let message = "duplicate key".to_owned();
            return Self {
                position,
                path,
                message,
            };
        }
        let text = error.to_string();
        // The position has its own place in front of the message.
        let message = position
            .and_then(|(line, column)| {
                text.strip_suffix(&format!(" at line {line} column {column}"))
            })
            .unwrap_or(&text);
        Self {
            position,
            path: KeyPath::default(),
            message: format!("invalid YAML: {message}"),
        }
    }
}

/// What the nodes of one document share.
#[derive(Clone, Copy)]
struct Context<'a> {
    layer: &'a Layer,
    /// Set to the path of a repeated key, which the parser's error does not carry.
    duplicate: &'a RefCell<Option<KeyPath>>,
}

struct NodeSeed<'a> {
    context: Context<'a>,
    path: KeyPath,
}

impl NodeSeed<'_> {
    fn node(&self, value: Value) -> Node {
        Node {
            value,
            layer: self.context.layer.clone(),
        }
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(self.node(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(self.node(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(self.node(Value::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(self.node(Value::Unsigned(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(self.node(Value::Signed(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(self.node(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(self.node(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        loop {
            let index = list.len();
            let seed = NodeSeed {
                context: self.context,
                path: self.path.index(index),
            };
            match items.next_element_seed(seed)? {
                Some(item) => list.push((index, item)),
                None => return Ok(self.node(Value::List(list))),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        loop {
            let key = KeySeed {
                context: self.context,
                path: &self.path,
                entries: &entries,
            };
            let Some(key) = map.next_key_seed(key)? else {
                return Ok(self.node(Value::Map(entries)));
            };
            let seed = NodeSeed {
                context: self.context,
                path: self.path.key(&key),
            };
            let value = map.next_value_seed(seed)?;
            entries.push((key, value));
        }
    }
}

/// Reads a key and refuses it while the parser still stands on it, for an exact position.
struct KeySeed<'a> {
    context: Context<'a>,
    path: &'a KeyPath,
    entries: &'a [(String, Node)],
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
        if self.entries.iter().any(|(name, _)| name == key) {
            self.context.duplicate.replace(Some(self.path.key(key)));
            return Err(E::custom("duplicate key"));
        }
        Ok(key.to_owned())
    }

    fn visit_u64<E: de::Error>(self, key: u64) -> Result<String, E> {
        self.visit_str(&key.to_string())
    }

    fn visit_i64<E: de::Error>(self, key: i64) -> Result<String, E> {
        self.visit_str(&key.to_string())
    }

    fn visit_bool<E: de::Error>(self, key: bool) -> Result<String, E> {
        self.visit_str(&key.to_string())
    }
}
