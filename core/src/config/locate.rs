//! Finds the line and column of a key in YAML text.
//!
//! The YAML parser tells positions only with errors. So this walks down the path with the parser
//! itself and fails on purpose at the target: exact for every way to write YAML, and paid for only
//! when there is an error to report.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::path::{KeyPath, Segment};

/// Which side of `key: value` to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Key,
    Value,
}

/// Line and column, from 1, of the key or value at the path, if the text has it.
pub(super) fn locate(text: &str, path: &KeyPath, side: Side) -> Option<(usize, usize)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let walk = Walk {
        path: &path.0,
        side,
    };
    let error = walk
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .err()?;
    error.location().map(|at| (at.line(), at.column()))
}

/// Walks the remaining path.
#[derive(Clone, Copy)]
struct Walk<'a> {
    path: &'a [Segment],
    side: Side,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Every scalar fails by default: either it is the target, or the path does not exist.
impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("to stop here")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((segment, rest)) = self.path.split_first() else {
            return Err(de::Error::custom("stop here"));
        };
        let stop = rest.is_empty() && self.side == Side::Key;
        while let Some(found) = map.next_key_seed(KeyMatch { segment, stop })? {
            if found {
                map.next_value_seed(Walk {
                    path: rest,
                    side: self.side,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((Segment::Index(wanted), rest)) = self.path.split_first() else {
            return Err(de::Error::custom("stop here"));
        };
        for _ in 0..*wanted {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        items.next_element_seed(Walk {
            path: rest,
            side: self.side,
        })?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Tells whether a key is the wanted one, or stops on it.
struct KeyMatch<'a> {
    segment: &'a Segment,
    stop: bool,
}

impl<'de> DeserializeSeed<'de> for KeyMatch<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for KeyMatch<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        let found = matches!(self.segment, Segment::Key(wanted) if wanted == key);
        if found && self.stop {
            Err(E::custom("stop here"))
        } else {
            Ok(found)
        }
    }

    fn visit_u64<E: de::Error>(self, key: u64) -> Result<bool, E> {
        self.visit_str(&key.to_string())
    }

    fn visit_i64<E: de::Error>(self, key: i64) -> Result<bool, E> {
        self.visit_str(&key.to_string())
    }

    fn visit_bool<E: de::Error>(self, key: bool) -> Result<bool, E> {
        self.visit_str(&key.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# how often
interval: 5m
tor:
  enabled: true   # a switch
  proxy: 'socks5h://x'
sources:
  - https://a.example
  - url: https://b.example
    every: 1h
inline: {deep: [1, 2, {x: y}]}
empty:
kinds:
  10002: yes
";

    #[track_caller]
    fn assert_at(path: &str, side: Side, expected: Option<(usize, usize)>) {
        assert_eq!(
            locate(TEXT, &KeyPath::parse(path), side),
            expected,
            "{path}"
        );
    }

    #[test]
    fn values_and_keys_are_found_where_they_are_written() {
        assert_at("interval", Side::Value, Some((2, 11)));
        assert_at("interval", Side::Key, Some((2, 1)));
        assert_at("tor.proxy", Side::Value, Some((5, 10)));
        assert_at("tor.proxy", Side::Key, Some((5, 3)));
        assert_at("sources[0]", Side::Value, Some((7, 5)));
        assert_at("sources[1].every", Side::Value, Some((9, 12)));
        assert_at("inline.deep[2].x", Side::Value, Some((10, 27)));
        assert_at("kinds.10002", Side::Value, Some((13, 10)));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_at("absent", Side::Key, None);
        assert_at("tor.absent", Side::Value, None);
        assert_at("sources[7]", Side::Value, None);
    }
}
