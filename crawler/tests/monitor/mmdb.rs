//! A database in MaxMind's format, made up: addresses below 128.0.0.0 have an entry.

use std::io;
use std::path::Path;

/// A value of the format, as far as it is needed here.
pub(crate) enum Value<'a> {
    Text(&'a str),
    Double(f64),
    U16(u16),
    U32(u32),
    U64(u64),
    List(Vec<Value<'a>>),
    Map(Vec<(&'a str, Value<'a>)>),
}

impl Value<'_> {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                head(2, text.len(), to);
                to.extend(text.as_bytes());
            }
            Self::Double(number) => {
                head(3, 8, to);
                to.extend(number.to_be_bytes());
            }
            Self::U16(number) => {
                head(5, 2, to);
                to.extend(number.to_be_bytes());
            }
            Self::U32(number) => {
                head(6, 4, to);
                to.extend(number.to_be_bytes());
            }
            Self::U64(number) => {
                head(9, 8, to);
                to.extend(number.to_be_bytes());
            }
            Self::List(values) => {
                head(11, values.len(), to);
                for value in values {
                    value.write(to);
                }
            }
            Self::Map(fields) => {
                head(7, fields.len(), to);
                for (name, value) in fields {
                    Value::Text(name).write(to);
                    value.write(to);
                }
            }
        }
    }
}

fn head(kind: u8, size: usize, to: &mut Vec<u8>) {
    let short = size.min(29) as u8;
    if kind > 7 {
        to.extend([short, kind - 7]);
    } else {
        to.push(kind << 5 | short);
    }
    if size >= 29 {
        to.push((size - 29) as u8);
    }
}

/// Writes a database with one entry.
pub(crate) fn write(path: &Path, kind: &str, entry: &Value<'_>) -> io::Result<()> {
    // One node: a first bit of 0 leads to the entry, 1 to nothing.
    let mut bytes = vec![0, 0, 17, 0, 0, 1];
    bytes.extend([0; 16]);
    entry.write(&mut bytes);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("binary_format_major_version", Value::U16(2)),
        ("binary_format_minor_version", Value::U16(0)),
        ("build_epoch", Value::U64(1_700_000_000)),
        ("database_type", Value::Text(kind)),
        ("description", Value::Map(Vec::new())),
        ("ip_version", Value::U16(4)),
        ("languages", Value::List(Vec::new())),
        ("node_count", Value::U32(1)),
        ("record_size", Value::U16(24)),
    ]);
    metadata.write(&mut bytes);
    std::fs::write(path, bytes)
}
