//! The path of a key inside a section: `tor.proxy`, `sources[1].url`.

use std::fmt;

/// One step of a [`KeyPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// A key of a mapping.
    Key(String),
    /// A position in a list, from 0.
    Index(usize),
}

/// Where a value is inside its section; empty for the section itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct KeyPath(pub(super) Vec<Segment>);

impl KeyPath {
    /// Reads what [`fmt::Display`] writes. Text that is no path becomes a single key.
    pub(super) fn parse(text: &str) -> Self {
        let mut segments = Vec::new();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let mut rest = part.split('[');
            let key = rest.next().unwrap_or_default();
            if !key.is_empty() {
                segments.push(Segment::Key(key.to_owned()));
            }
            for index in rest {
                match index.trim_end_matches(']').parse() {
                    Ok(index) => segments.push(Segment::Index(index)),
                    Err(_) => return Self(vec![Segment::Key(text.to_owned())]),
                }
            }
        }
        Self(segments)
    }

    /// The path of `key` under this one.
    pub(super) fn key(&self, key: &str) -> Self {
        self.child(Segment::Key(key.to_owned()))
    }

    /// The path of the `index`th item under this one.
    pub(super) fn index(&self, index: usize) -> Self {
        self.child(Segment::Index(index))
    }

    fn child(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    /// The path with its section in front, as people write it: `networks.tor.proxy`.
    pub(super) fn within(&self, section: &str) -> String {
        if self.0.is_empty() {
            return section.to_owned();
        }
        let separator = if matches!(self.0.first(), Some(Segment::Key(_))) {
            "."
        } else {
            ""
        };
        format!("{section}{separator}{self}")
    }

    pub(super) fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_written() {
        for text in ["interval", "tor.proxy", "sources[1].url", "grid[0][2]", ""] {
            assert_eq!(KeyPath::parse(text).to_string(), text);
        }
        assert_eq!(KeyPath::parse("a[1].b").within("finder"), "finder.a[1].b");
        assert_eq!(KeyPath::default().within("finder"), "finder");
    }
}
