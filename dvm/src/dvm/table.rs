//! The forms of an answer that are no JSON: its `data` as a table.
//!
//! Columns come in the order of the answer. Numbers are written as the answer writes them, null
//! as nothing, and what is nested as JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::ask::Output;

/// Writes an answer in the form that was asked for.
///
/// # Errors
/// When the answer is not the JSON that the catalogue writes.
pub(crate) fn write(answer: &str, output: Output) -> Result<Cow<'_, str>, serde_json::Error> {
    match output {
        Output::Json => Ok(Cow::Borrowed(answer)),
        Output::Csv => Ok(Cow::Owned(Table::read(answer)?.to_csv())),
        Output::Plain => Ok(Cow::Owned(Table::read(answer)?.to_plain())),
    }
}

/// Names and cells, in which `None` is null.
#[derive(Debug, Default)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

#[derive(serde::Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

/// An object's fields in their order, with values as written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl Table {
    fn read(answer: &str) -> Result<Self, serde_json::Error> {
        let data = serde_json::from_str::<Answer<'_>>(answer)?.data.get();
        let rows: Vec<Fields<'_>> = if data.starts_with('[') {
            serde_json::from_str(data)?
        } else {
            vec![serde_json::from_str(data)?]
        };
        let mut table = Self::default();
        for Fields(fields) in rows {
            if table.columns.is_empty() {
                table.columns = fields.iter().map(|(name, _)| name.clone()).collect();
            }
            let row = fields.into_iter().map(|(_, value)| cell(value.get()));
            table.rows.push(row.collect::<Result<_, _>>()?);
        }
        Ok(table)
    }

    /// The line of names, unless there is not even one row to take them from, and the rows.
    fn lines(&self) -> impl Iterator<Item = Vec<&str>> {
        let head: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let rows = self
            .rows
            .iter()
            .map(|row| row.iter().map(|c| c.as_deref().unwrap_or("")).collect());
        Some(head)
            .filter(|head| !head.is_empty())
            .into_iter()
            .chain(rows)
    }

    /// RFC 4180: CRLF, and quotes around what needs them.
    fn to_csv(&self) -> String {
        let mut text = String::new();
        for line in self.lines() {
            for (n, cell) in line.iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                if cell.contains([',', '"', '\r', '\n']) {
                    text.push('"');
                    text.push_str(&cell.replace('"', "\"\""));
                    text.push('"');
                } else {
                    text.push_str(cell);
                }
            }
            text.push_str("\r\n");
        }
        text
    }

    /// Columns aligned by blanks; what would break a line is escaped.
    fn to_plain(&self) -> String {
        let lines: Vec<Vec<String>> = self
            .lines()
            .map(|line| line.iter().map(|cell| printable(cell)).collect())
            .collect();
        let width = |n: usize| {
            let widths = lines.iter().filter_map(|line| line.get(n));
            widths.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for line in &lines {
            let mut written = String::new();
            for (n, (cell, width)) in line.iter().zip(&widths).enumerate() {
                if n > 0 {
                    written.push_str("  ");
                }
                written.push_str(cell);
                let missing = width.saturating_sub(cell.chars().count());
                written.extend(std::iter::repeat_n(' ', missing));
            }
            text.push_str(written.trim_end());
            text.push('\n');
        }
        text
    }
}

fn cell(json: &str) -> Result<Option<String>, serde_json::Error> {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).map(Some),
        _ if json == "null" => Ok(None),
        _ => Ok(Some(json.to_owned())),
    }
}

fn printable(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for c in cell.chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = concat!(
        r#"{"data":[{"url":"wss://é.example","events":9007199254740993,"name":"a,\"b\"\nc"},"#,
        r#"{"url":"ws://b.example","events":12.50,"name":null},"#,
        r#"{"url":"\u0000","events":[1,"x"],"name":"plain"}],"meta":{"query":"relays.list"}}"#
    );

    #[test]
    fn csv_keeps_order_and_digits_and_quotes_what_needs_it() {
        let csv = write(LIST, Output::Csv).unwrap();
        let expected = "url,events,name\r\n\
                        wss://é.example,9007199254740993,\"a,\"\"b\"\"\nc\"\r\n\
                        ws://b.example,12.50,\r\n\
                        \0,\"[1,\"\"x\"\"]\",plain\r\n";
        assert_eq!(csv, expected);
    }

    #[test]
    fn plain_text_is_aligned_and_has_one_line_per_row() {
        let plain = write(LIST, Output::Plain).unwrap();
        let expected = "\
url              events            name
wss://é.example  9007199254740993  a,\"b\"\\nc
ws://b.example   12.50
\\u{0}            [1,\"x\"]           plain
";
        assert_eq!(plain, expected);
    }

    #[test]
    fn one_object_is_one_row_and_an_empty_list_is_empty() {
        let one = r#"{"data":{"a":1,"b":true},"meta":{}}"#;
        assert_eq!(write(one, Output::Csv).unwrap(), "a,b\r\n1,true\r\n");
        assert_eq!(write(one, Output::Json).unwrap(), one);
        let none = r#"{"data":[],"meta":{}}"#;
        assert_eq!(write(none, Output::Csv).unwrap(), "");
        assert!(write("[]", Output::Plain).is_err());
    }
}
