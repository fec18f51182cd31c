//! Guards for shipped YAML: every key is documented, and shows the value the code really has.
//!
//! The layout they read is the one our files use: block mappings, `# prose` above each key, and
//! optional keys commented out as `# key: value` at the column where they would stand.

use std::fmt;

use serde_yaml::Value;

use super::error::{ConfigError, ConfigErrors, Origin};
use super::path::KeyPath;
use super::{ConfigSource, Section};

/// A key whose value in a shipped file is not the code's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DifferingDefault {
    /// The full key, `monitor.interval`.
    pub key: String,
    /// The value in the file, as JSON.
    pub file: String,
    /// The default in the code, as JSON.
    pub code: String,
}

impl fmt::Display for DifferingDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} in the file, {} in the code",
            self.key, self.file, self.code
        )
    }
}

/// The keys of a section, nested ones included, that a shipped file does not document.
///
/// A key is documented if it stands in the file, active or commented out, with a line of comment
/// directly above. Keys inside an `Option` that is `None` by default are not seen.
pub fn undocumented_keys<T: Section>(yaml: &str) -> Vec<String> {
    let known = known_paths(&default_of::<T>());
    let lines = scan(yaml, &known);
    let documented = |path: &KeyPath| {
        lines.windows(2).any(|pair| {
            matches!(pair[0], Line::Prose(_)) && pair[1].key().is_some_and(|key| key.path == *path)
        })
    };
    known
        .iter()
        .filter(|path| !documented(path))
        .map(|path| path.within(T::NAME))
        .collect()
}

/// The keys whose value in a shipped file, active or commented out, is not the code's default.
///
/// Some differ on purpose, and examples of optional keys always do: the caller lists those.
///
/// # Errors
///
/// The file is wrong, as it stands or with its commented keys made active.
pub fn differing_defaults<T: Section>(yaml: &str) -> Result<Vec<DifferingDefault>, ConfigErrors> {
    let name = format!("{}.yaml", T::NAME);
    ConfigSource::new().with_file(&name, yaml).section::<T>()?;
    let default = default_of::<T>();
    let active = uncomment(yaml, &known_paths(&default));
    let section = ConfigSource::new()
        .with_file(&name, active)
        .section::<T>()?;
    let shipped = serde_yaml::to_value(section).map_err(|error| {
        ConfigError::new(Origin::Default, format!("cannot be shown: {error}"), "")
    })?;
    let mut differing = Vec::new();
    compare(
        T::NAME,
        &KeyPath::default(),
        &shipped,
        &default,
        &mut differing,
    );
    Ok(differing)
}

/// The comment above a key of a shipped file, its lines joined; empty where there is none.
pub(super) fn comment_of<T: Section>(yaml: &str, path: &KeyPath) -> String {
    let lines = scan(yaml, &known_paths(&default_of::<T>()));
    let Some(at) = lines
        .iter()
        .position(|line| line.key().is_some_and(|key| key.path == *path))
    else {
        return String::new();
    };
    let prose = lines[..at]
        .iter()
        .rev()
        .take_while(|line| matches!(line, Line::Prose(_)));
    let mut words: Vec<&str> = prose
        .map(|line| match line {
            Line::Prose(text) => text.trim(),
            _ => "",
        })
        .collect();
    words.reverse();
    words.join(" ")
}

pub(super) fn default_of<T: Section>() -> Value {
    serde_yaml::to_value(T::default()).unwrap_or_default()
}

/// Every key of a value, mappings before what is in them.
pub(super) fn known_paths(value: &Value) -> Vec<KeyPath> {
    fn collect(value: &Value, path: &KeyPath, paths: &mut Vec<KeyPath>) {
        for (key, value) in value.as_mapping().into_iter().flatten() {
            let path = path.key(key.as_str().unwrap_or_default());
            paths.push(path.clone());
            collect(value, &path, paths);
        }
    }
    let mut paths = Vec::new();
    collect(value, &KeyPath::default(), &mut paths);
    paths
}

fn compare(
    section: &str,
    path: &KeyPath,
    shipped: &Value,
    default: &Value,
    differing: &mut Vec<DifferingDefault>,
) {
    if let (Value::Mapping(left), Value::Mapping(right)) = (shipped, default) {
        let added = left.iter().filter(|(key, _)| !right.contains_key(key));
        for (key, default) in right
            .iter()
            .chain(added.map(|(key, _)| (key, &Value::Null)))
        {
            let path = path.key(key.as_str().unwrap_or_default());
            compare(
                section,
                &path,
                left.get(key).unwrap_or(&Value::Null),
                default,
                differing,
            );
        }
    } else if shipped != default {
        let json = |value| serde_json::to_string(value).unwrap_or_default();
        let (file, code) = (json(shipped), json(default));
        differing.push(DifferingDefault {
            key: path.within(section),
            file,
            code,
        });
    }
}

/// A line of a shipped file.
enum Line<'a> {
    /// A comment for the reader.
    Prose(&'a str),
    /// `key: …`, active or commented out.
    Key(Key<'a>),
    /// `# - …`: an item of a list that is commented out.
    Item(Content<'a>),
    /// Everything else.
    Other,
}

struct Key<'a> {
    path: KeyPath,
    commented: bool,
    content: Content<'a>,
}

/// What a line says and at which column, without the comment sign.
#[derive(Clone, Copy)]
struct Content<'a> {
    indent: usize,
    text: &'a str,
}

impl Line<'_> {
    fn key(&self) -> Option<&Key<'_>> {
        if let Line::Key(key) = self {
            Some(key)
        } else {
            None
        }
    }
}

impl Content<'_> {
    fn uncommented(&self) -> String {
        format!("{:width$}{}", "", self.text, width = self.indent)
    }
}

/// Tells keys from prose, by whether the section has such a key at that place.
fn scan<'a>(yaml: &'a str, known: &[KeyPath]) -> Vec<Line<'a>> {
    let mut parents: Vec<(usize, KeyPath)> = Vec::new();
    let mut lines = Vec::new();
    for line in yaml.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let (commented, content) = match text.strip_prefix('#') {
            Some(body) => {
                let text = body.trim_start();
                // `# key` stands for `key` at the column of the comment sign.
                let indent = indent + (body.len() - text.len()).saturating_sub(1);
                (true, Content { indent, text })
            }
            None => (false, Content { indent, text }),
        };
        let depth = parents
            .iter()
            .take_while(|(column, _)| *column < content.indent)
            .count();
        let path = key_of(content.text).map(|key| match depth.checked_sub(1) {
            Some(parent) => parents[parent].1.key(key),
            None => KeyPath::default().key(key),
        });
        lines.push(
            match path.filter(|path| !commented || known.contains(path)) {
                Some(path) => {
                    parents.truncate(depth);
                    parents.push((content.indent, path.clone()));
                    Line::Key(Key {
                        path,
                        commented,
                        content,
                    })
                }
                None if commented && content.text.starts_with("- ") => Line::Item(content),
                None if commented && !content.text.is_empty() => Line::Prose(content.text),
                None => Line::Other,
            },
        );
    }
    lines
}

/// The key of `key: value` or `key:`.
fn key_of(text: &str) -> Option<&str> {
    let (key, rest) = text.split_once(':')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let named = !key.is_empty() && key.bytes().all(plain);
    (named && (rest.is_empty() || rest.starts_with(' '))).then_some(key)
}

/// The file with its commented keys made active, unless they are active already.
fn uncomment(yaml: &str, known: &[KeyPath]) -> String {
    let lines = scan(yaml, known);
    let mut active: Vec<&KeyPath> = lines
        .iter()
        .filter_map(Line::key)
        .filter(|key| !key.commented)
        .map(|key| &key.path)
        .collect();
    let mut text = String::new();
    let mut in_list = false;
    for (line, original) in lines.iter().zip(yaml.lines()) {
        let uncommented = match line {
            Line::Key(key) if key.commented && !active.contains(&&key.path) => {
                active.push(&key.path);
                in_list = true;
                Some(key.content)
            }
            Line::Item(content) if in_list => Some(*content),
            _ => {
                in_list = false;
                None
            }
        };
        match uncommented {
            Some(content) => text.push_str(&content.uncommented()),
            None => text.push_str(original),
        }
        text.push('\n');
    }
    text
}
