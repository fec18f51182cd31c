//! An entry's file: a header of comments, then one SELECT.
//!
//! ```sql
//! -- name: kinds.list
//! -- help: Kinds by how many events they have.
//! -- path: /kinds
//! -- param window: window = 24h; the stretch of time that counts
//! -- param relay: relay?; only events that this relay had
//! -- order events: events bigint desc, kind integer asc
//! -- limit: 100..1000
//! select kind, events from … where window = :window
//! ```
//!
//! `param` lines give name, type, `?` or `= default`, and help. Types are those of [`ParamType`].
//! In the SQL, `:name` stands for a parameter's value, null when it is not given; a filter stands
//! for conditions (see `catalog/filter.rs`), and an entry has one at most, which is required.
//! `refuse_param(name, message)` refuses a parameter for what the database has.
//!
//! An entry with `order` lines is a list. Its parameters `sort` (when there are several orders),
//! `limit` and `cursor`, its ORDER BY, its LIMIT and its paging by keyset follow from the header;
//! the SQL does none of it. An order's columns must be in the answer, not null, and together
//! unique. An entry without is one row: no row means that what was asked for is not there, which
//! `missing` says.

use super::error::LoadError;
use super::param::{Param, ParamType};

/// What an answer's `data` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One object.
    Row,
    /// An array of objects.
    List,
}

/// One way to sort a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) columns: Vec<OrderColumn>,
}

/// A column of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderColumn {
    pub(crate) name: String,
    pub(crate) sql_type: String,
    pub(crate) descending: bool,
}

/// A public question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, such as `kinds.list`.
    pub name: String,
    /// One line for humans.
    pub help: String,
    /// Its REST path below `/v1`; `{name}` stands for a parameter.
    pub path: String,
    /// Its parameters, in the order of the header; `sort`, `limit` and `cursor` come last.
    pub params: Vec<Param>,
    /// Whether it gives one object or a list.
    pub shape: Shape,
    /// What to say when a row is missing.
    pub(crate) missing: String,
    pub(crate) orders: Vec<Order>,
    pub(crate) sql: String,
    pub(crate) file: String,
}

impl Entry {
    /// Parses an entry's file.
    pub fn parse(file: &str, text: &str) -> Result<Self, LoadError> {
        let fail = |reason: String| LoadError::new(file, reason);
        let mut entry = Self {
            name: String::new(),
            help: String::new(),
            path: String::new(),
            params: Vec::new(),
            shape: Shape::Row,
            missing: "not found".to_owned(),
            orders: Vec::new(),
            sql: String::new(),
            file: file.to_owned(),
        };
        let mut limits = None;
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next_if(|(_, line)| line.starts_with("--")) {
            let fail = |reason: String| fail(format!("line {}: {reason}", number + 1));
            let line = line.trim_start_matches("--").trim();
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim().to_owned();
            match key.split_once(' ').unwrap_or((key, "")) {
                ("name", "") => entry.name = value,
                ("help", "") => entry.help = value,
                ("path", "") => entry.path = value,
                ("missing", "") => entry.missing = value,
                ("limit", "") => limits = Some(parse_limits(&value).map_err(fail)?),
                ("param", name) => entry.params.push(parse_param(name, &value).map_err(fail)?),
                ("order", name) => entry.orders.push(parse_order(name, &value).map_err(fail)?),
                _ => return Err(fail(format!("unknown header {key:?}"))),
            }
        }
        entry.sql = lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n");
        entry.sql = entry.sql.trim().trim_end_matches(';').to_owned();
        for (header, value) in [
            ("name", &entry.name),
            ("help", &entry.help),
            ("path", &entry.path),
        ] {
            if value.is_empty() {
                return Err(fail(format!("header {header:?} is missing")));
            }
        }
        if entry.sql.is_empty() {
            return Err(fail("there is no SQL after the header".to_owned()));
        }
        let mut filters = entry.params.iter().filter(|p| p.kind == ParamType::Filter);
        if filters.next().is_some_and(|filter| filter.optional) || filters.next().is_some() {
            return Err(fail("one filter at most, and a required one".to_owned()));
        }
        if !entry.orders.is_empty() {
            entry.shape = Shape::List;
            let limits = limits.ok_or_else(|| fail("a list needs the header \"limit\"".into()))?;
            entry.add_paging(limits);
        }
        Ok(entry)
    }

    fn add_paging(&mut self, (default, max): (i64, i64)) {
        if self.orders.len() > 1 {
            let names: Vec<String> = self.orders.iter().map(|order| order.name.clone()).collect();
            self.params.push(Param {
                name: "sort".to_owned(),
                default: names.first().cloned(),
                kind: ParamType::Enum(names),
                optional: false,
                help: "what the list is sorted by".to_owned(),
            });
        }
        self.params.push(Param {
            name: "limit".to_owned(),
            kind: ParamType::Integer { min: 1, max },
            default: Some(default.to_string()),
            optional: false,
            help: "how many to list".to_owned(),
        });
        self.params.push(Param {
            name: "cursor".to_owned(),
            kind: ParamType::Cursor,
            default: None,
            optional: true,
            help: "where to go on: meta.next of the answer before".to_owned(),
        });
    }

    /// Returns the parameter with this name.
    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|param| param.name == name)
    }
}

/// `type = default; help`, `type?; help` or `type; help`.
fn parse_param(name: &str, text: &str) -> Result<Param, String> {
    let (declared, help) = text
        .split_once(';')
        .ok_or_else(|| format!("parameter {name} has no help after ;"))?;
    let (kind, default) = match declared.split_once('=') {
        Some((kind, default)) => (kind.trim(), Some(default.trim().to_owned())),
        None => (declared.trim(), None),
    };
    let (kind, optional) = match kind.strip_suffix('?') {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    let param = Param {
        name: name.to_owned(),
        kind: ParamType::parse(kind)?,
        default,
        optional,
        help: help.trim().to_owned(),
    };
    if let Some(default) = &param.default {
        param
            .canonical(default)
            .map_err(|error| format!("default of {error}"))?;
    }
    Ok(param)
}

/// `column type asc|desc, …`
fn parse_order(name: &str, text: &str) -> Result<Order, String> {
    let columns = text
        .split(',')
        .map(|column| {
            let words: Vec<&str> = column.split_whitespace().collect();
            match words[..] {
                [name, sql_type, direction @ ("asc" | "desc")]
                    if is_identifier(name) && is_identifier(sql_type) =>
                {
                    Ok(OrderColumn {
                        name: name.to_owned(),
                        sql_type: sql_type.to_owned(),
                        descending: direction == "desc",
                    })
                }
                _ => Err(format!(
                    "order {name}: {column:?} is not `column type asc|desc`"
                )),
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(Order {
        name: name.to_owned(),
        columns,
    })
}

fn parse_limits(text: &str) -> Result<(i64, i64), String> {
    text.split_once("..")
        .and_then(|(default, max)| Some((default.parse().ok()?, max.parse().ok()?)))
        .filter(|(default, max)| 1 <= *default && default <= max)
        .ok_or_else(|| format!("limit {text:?} is not `default..maximum`"))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
