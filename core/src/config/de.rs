//! Gives a tree of values its types.
//!
//! Values from files already have a YAML type and must match. Values from the environment and from
//! flags are text, and are read as what their field wants: text stays as it is, numbers and
//! switches are read as YAML, a list is YAML flow (`[a, b]`) or separated by commas.

use std::vec;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{
    self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;

use super::de_error::DeError;
use super::node::{Layer, Node, Value};
use super::path::Segment;

impl Node {
    fn raw(text: String, layer: Layer) -> Self {
        Self {
            value: Value::Raw(text),
            layer,
        }
    }

    /// Reads raw text as YAML, where that is what the field wants.
    fn parsed(self) -> Self {
        match &self.value {
            Value::Raw(text) => match Self::parse_inline(text, &self.layer) {
                Some(node) => node,
                None => Self {
                    value: Value::Text(text.clone()),
                    layer: self.layer,
                },
            },
            _ => self,
        }
    }

    fn visit_list<'de, V: Visitor<'de>>(
        items: Vec<(usize, Self)>,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        visitor.visit_seq(Items {
            rest: items.into_iter(),
        })
    }

    fn entries(entries: Vec<(String, Self)>, layer: Layer) -> Entries {
        Entries {
            rest: entries.into_iter(),
            layer,
            pending: None,
        }
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let node = self.parsed();
        match node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Unsigned(value) => visitor.visit_u64(value),
            Value::Signed(value) => visitor.visit_i64(value),
            Value::Float(value) => visitor.visit_f64(value),
            Value::Text(text) | Value::Raw(text) => visitor.visit_string(text),
            Value::List(items) => Self::visit_list(items, visitor),
            Value::Map(entries) => visitor.visit_map(Self::entries(entries, node.layer)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match self.value {
            Value::Raw(text) => visitor.visit_string(text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.value {
            Value::Null => visitor.visit_none(),
            // An empty variable is how shells and compose files say "not set".
            Value::Raw(text) if matches!(text.as_str(), "" | "null" | "~") => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let Value::Raw(text) = &self.value else {
            return self.deserialize_any(visitor);
        };
        // An IPv6 address starts like a YAML list but is none.
        if text.starts_with('[')
            && let Some(Node {
                value: Value::List(items),
                ..
            }) = Self::parse_inline(text, &self.layer)
        {
            return Self::visit_list(items, visitor);
        }
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| Self::raw(item.to_owned(), self.layer.clone()))
            .enumerate()
            .collect();
        Self::visit_list(items, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        // A key whose children are all commented out is null in YAML; it means "nothing changed".
        if matches!(self.value, Value::Null) {
            return visitor.visit_map(Self::entries(Vec::new(), self.layer));
        }
        let node = self.parsed();
        match node.value {
            // Serde would take a list for the values of a struct's fields.
            Value::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => node.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match self.value {
            Value::Raw(text) if !text.starts_with('{') => visit_variant(text, visitor),
            Value::Text(text) => visit_variant(text, visitor),
            _ => {
                let node = self.parsed();
                match node.value {
                    Value::Map(entries) if entries.len() == 1 => visitor.visit_enum(
                        MapAccessDeserializer::new(Self::entries(entries, node.layer)),
                    ),
                    _ => node.deserialize_any(visitor),
                }
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 bytes byte_buf unit unit_struct
        tuple_struct
    }
}

fn visit_variant<'de, V: Visitor<'de>>(text: String, visitor: V) -> Result<V::Value, DeError> {
    let variant: StringDeserializer<DeError> = text.into_deserializer();
    visitor.visit_enum(variant)
}

/// The items of a list.
struct Items {
    rest: vec::IntoIter<(usize, Node)>,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = DeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DeError> {
        let Some((index, node)) = self.rest.next() else {
            return Ok(None);
        };
        seed.deserialize(node)
            .map(Some)
            .map_err(|error| error.under(Segment::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The entries of a mapping.
struct Entries {
    rest: vec::IntoIter<(String, Node)>,
    layer: Layer,
    pending: Option<(String, Node)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = DeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DeError> {
        let Some((key, value)) = self.rest.next() else {
            return Ok(None);
        };
        // Raw, so that keys of any type can be read from their text.
        let node = Node::raw(key.clone(), self.layer.clone());
        let result = seed
            .deserialize(node)
            .map_err(|e| e.at_key(Segment::Key(key.clone())));
        self.pending = Some((key, value));
        result.map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, DeError> {
        let Some((key, value)) = self.pending.take() else {
            return Err(de::Error::custom("a value was read before its key"));
        };
        seed.deserialize(value)
            .map_err(|error| error.under(Segment::Key(key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}
