//! Writes a section as YAML for people: `config show`.

use std::fmt::Write as _;

use serde::Serialize;
use serde_yaml::Value;

use super::Section;
use super::error::Origin;
use super::path::KeyPath;
use super::secret::MASK;

/// Renders any configuration as YAML, with secrets masked.
pub fn render_yaml<T: Serialize>(config: &T) -> String {
    render(config, None, |_| None)
}

/// Renders a section and notes the origin of each value that is not the default.
pub(super) fn annotated<T: Section>(
    section: &T,
    origin: impl Fn(&KeyPath) -> Option<Origin>,
) -> String {
    let defaults = serde_yaml::to_value(T::default()).ok();
    render(section, defaults.as_ref(), origin)
}

fn render<T: Serialize>(
    config: &T,
    defaults: Option<&Value>,
    origin: impl Fn(&KeyPath) -> Option<Origin>,
) -> String {
    let value = match serde_yaml::to_value(config) {
        Ok(value) => value,
        Err(error) => return format!("# cannot be shown: {error}\n"),
    };
    let note = |path: &KeyPath, value: &Value, default: Option<&Value>| {
        let masked = value.as_str() == Some(MASK);
        let differs = masked || default != Some(value);
        let origin = if differs { origin(path) } else { None };
        origin
            .map(|origin| format!("  # {}", origin_note(&origin)))
            .unwrap_or_default()
    };
    let mut lines = Vec::new();
    match &value {
        Value::Mapping(entries) if !entries.is_empty() => {
            block(&value, defaults, &KeyPath::default(), &note, &mut lines);
        }
        _ => lines.push(inline(&value)),
    }
    lines.iter().fold(String::new(), |mut text, line| {
        // Writing to a String cannot fail.
        writeln!(text, "{line}").unwrap_or_default();
        text
    })
}

fn origin_note(origin: &Origin) -> String {
    match origin {
        Origin::File {
            path,
            position: Some((line, _)),
        } => {
            format!("file {}:{line}", path.display())
        }
        Origin::File {
            path,
            position: None,
        } => format!("file {}", path.display()),
        Origin::Environment(name) => format!("environment {name}"),
        Origin::Flag(name) => format!("flag {name}"),
        Origin::Default => "default".to_owned(),
    }
}

/// Says after a value where it was set.
type Note<'a> = &'a dyn Fn(&KeyPath, &Value, Option<&Value>) -> String;

/// Appends the lines of a mapping or list that is not empty.
fn block(
    value: &Value,
    default: Option<&Value>,
    path: &KeyPath,
    note: Note<'_>,
    lines: &mut Vec<String>,
) {
    match value {
        Value::Mapping(entries) => {
            for (key, value) in entries {
                let text = inline(key);
                let path = path.key(key.as_str().unwrap_or(&text));
                let default = default.and_then(|default| default.get(key));
                entry(&text, value, default, &path, note, lines);
            }
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                let mut nested = Vec::new();
                if is_block(item) {
                    // Inside a list, the list's own note says it all.
                    block(
                        item,
                        None,
                        &path.index(index),
                        &|_, _, _| String::new(),
                        &mut nested,
                    );
                } else {
                    nested.push(inline(item));
                }
                for (position, line) in nested.iter().enumerate() {
                    let lead = if position == 0 { "- " } else { "  " };
                    lines.push(format!("{lead}{line}"));
                }
            }
        }
        scalar => lines.push(inline(scalar)),
    }
}

/// Appends the lines of `key: value`.
fn entry(
    key: &str,
    value: &Value,
    default: Option<&Value>,
    path: &KeyPath,
    note: Note<'_>,
    lines: &mut Vec<String>,
) {
    if !is_block(value) {
        lines.push(format!(
            "{key}: {}{}",
            inline(value),
            note(path, value, default)
        ));
        return;
    }
    let own = if value.is_sequence() {
        note(path, value, default)
    } else {
        String::new()
    };
    lines.push(format!("{key}:{own}"));
    let mut nested = Vec::new();
    block(value, default, path, note, &mut nested);
    lines.extend(nested.iter().map(|line| format!("  {line}")));
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Mapping(entries) => !entries.is_empty(),
        Value::Sequence(items) => !items.is_empty(),
        _ => false,
    }
}

/// A value on one line, quoted where YAML needs it.
fn inline(value: &Value) -> String {
    if let Value::String(text) = value
        && text.contains('\n')
    {
        return serde_json::Value::from(text.as_str()).to_string();
    }
    serde_yaml::to_string(value)
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}
