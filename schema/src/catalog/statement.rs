//! From an entry to the SQL that is prepared and run.

use super::entry::{Entry, Order, OrderColumn};
use super::error::LoadError;
use super::filter::{MARK, Part};
use super::param::ParamType;

/// The SELECT of an entry's file with its parameters bound.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) sql: String,
    pub(crate) binds: Vec<String>,
}

/// The SQL of an entry in one of its orders. Values are bound as text, in the order of `binds`.
/// It returns rows of two columns: the row as JSON text, and the values of the order's columns.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    /// Names of parameters, by position.
    pub(crate) binds: Vec<String>,
    pub(crate) order: Option<Order>,
}

impl Body {
    /// Binds the parameters of an entry's SELECT.
    pub(crate) fn new(entry: &Entry) -> Result<Self, LoadError> {
        let mut binds = Vec::new();
        let sql = substitute(entry, &mut binds)?;
        Ok(Self { sql, binds })
    }
}

impl Statement {
    /// Compiles an entry whose SELECT has these columns: one statement, or one for each order.
    /// Columns that start with `_` are for sorting only and stay out of the answer.
    pub(crate) fn compile(entry: &Entry, body: &Body, columns: &[String]) -> Vec<Self> {
        let shown: Vec<String> = columns
            .iter()
            .filter(|column| !column.starts_with('_'))
            .map(|column| format!("r.\"{}\"", column.replace('"', "\"\"")))
            .collect();
        let item = format!(
            // No column that is shown can have this name.
            "(select row_to_json(_row)::text from (select {}) _row)",
            shown.join(", ")
        );
        if entry.orders.is_empty() {
            let sql = format!(
                "select {item}, array[]::text[] from ({}\n) r limit 2",
                body.sql
            );
            return vec![Self {
                sql,
                binds: body.binds.clone(),
                order: None,
            }];
        }
        entry
            .orders
            .iter()
            .map(|order| paged(&item, body, order))
            .collect()
    }
}

fn paged(item: &str, body: &Body, order: &Order) -> Statement {
    let columns = &order.columns;
    let keys: Vec<String> = columns
        .iter()
        .map(|column| format!("r.{}::text", column.name))
        .collect();
    let sorted: Vec<String> = columns
        .iter()
        .map(|c| format!("r.{} {}", c.name, if c.descending { "desc" } else { "asc" }))
        .collect();
    let first = body.binds.len() + 1;
    let limit = first + columns.len();
    let sql = format!(
        "select {item}, array[{}] from ({}\n) r where (${first}::text is null or ({})) \
         order by {} limit (${limit}::text)::bigint",
        keys.join(", "),
        body.sql,
        after(columns, first),
        sorted.join(", "),
    );
    let mut binds = body.binds.clone();
    binds.extend((0..columns.len()).map(|n| format!("cursor {n}")));
    binds.push("limit".to_owned());
    Statement {
        sql,
        binds,
        order: Some(order.clone()),
    }
}

/// The condition for rows after the cursor's: `a < x or (a = x and (b > y …))`.
fn after(columns: &[OrderColumn], position: usize) -> String {
    let Some((column, rest)) = columns.split_first() else {
        return "false".to_owned();
    };
    let name = &column.name;
    let value = format!("(${position}::text)::{}", column.sql_type);
    let sign = if column.descending { '<' } else { '>' };
    if rest.is_empty() {
        return format!("r.{name} {sign} {value}");
    }
    // The first part is implied by the second, and can use an index.
    format!(
        "r.{name} {sign}= {value} and (r.{name} {sign} {value} or ({}))",
        after(rest, position + 1)
    )
}

/// Replaces `:name` by the parameter's position, outside of quotes, comments and casts.
fn substitute(entry: &Entry, binds: &mut Vec<String>) -> Result<String, LoadError> {
    if entry.sql.contains(MARK) {
        let reason = "the SQL has a control character".to_owned();
        return Err(LoadError::new(&entry.file, reason));
    }
    let mut out = String::with_capacity(entry.sql.len());
    let mut rest = entry.sql.as_str();
    while let Some(at) = rest.find([':', '\'', '"', '-', '$']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let fail = |reason: String| LoadError::new(&entry.file, reason);
        if let Some(quote @ ('\'' | '"')) = rest.chars().next() {
            let end = rest[1..]
                .find(quote)
                .ok_or_else(|| fail("a quote is not closed".into()))?;
            out.push_str(&rest[..end + 2]);
            rest = &rest[end + 2..];
        } else if rest.starts_with("--") {
            let end = rest.find('\n').unwrap_or(rest.len());
            rest = &rest[end..];
        } else if rest.starts_with('$') {
            return Err(fail("$ is not allowed: write parameters as :name".into()));
        } else if rest.starts_with("::") {
            out.push_str("::");
            rest = &rest[2..];
        } else if let Some(after) = rest.strip_prefix(':') {
            let end = after
                .find(|c: char| !(c.is_ascii_lowercase() || c == '_'))
                .unwrap_or(after.len());
            let name = &after[..end];
            if let Some(mark) = filter_mark(entry, name) {
                out.push_str(&mark);
                rest = &after[end..];
                continue;
            }
            let param = entry
                .param(name)
                .ok_or_else(|| fail(format!("the SQL uses :{name}, which is no parameter")))?;
            let position = binds
                .iter()
                .position(|bind| bind == name)
                .unwrap_or_else(|| {
                    binds.push(name.to_owned());
                    binds.len() - 1
                });
            out.push_str(&param.kind.sql(position + 1));
            rest = &after[end..];
        } else {
            out.push('-');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The mark for a part of a filter, where the name is one.
fn filter_mark(entry: &Entry, name: &str) -> Option<String> {
    Part::of(name)
        .find(|(param, _)| {
            let param = entry.param(param);
            param.is_some_and(|param| param.kind == ParamType::Filter)
        })
        .map(|(_, part)| part.mark())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(sql: &str) -> Entry {
        let head = "-- name: n\n-- help: h\n-- path: /n\n-- param window: window = all; w\n\
                    -- param kind: kind?; k\n-- order events: events bigint desc, kind integer asc\n\
                    -- limit: 10..20\n";
        Entry::parse("n.sql", &format!("{head}{sql}")).unwrap()
    }

    #[test]
    fn parameters_are_bound_and_the_rest_is_left_alone() {
        let sql = "select ':window' as \":kind\", a::text -- :nothing\n from t where w = :window and (:kind is null or k = :kind);";
        let entry = entry(sql);
        let body = Body::new(&entry).unwrap();
        let columns = ["a", "_b"].map(ToOwned::to_owned);
        let statements = Statement::compile(&entry, &body, &columns);
        assert_eq!(statements.len(), 1);
        let statement = &statements[0];
        assert_eq!(
            statement.binds,
            ["window", "kind", "cursor 0", "cursor 1", "limit"]
        );
        assert!(
            statement.sql.contains("(select r.\"a\") _row"),
            "{}",
            statement.sql
        );
        assert!(
            statement
                .sql
                .contains("select ':window' as \":kind\", a::text")
        );
        assert!(
            statement
                .sql
                .contains("w = $1::text and (($2::text)::bigint is null")
        );
        assert!(statement.sql.contains(
            "r.events <= ($3::text)::bigint and (r.events < ($3::text)::bigint or \
             (r.kind > ($4::text)::integer))"
        ));
    }

    #[test]
    fn unknown_parameters_and_positions_are_refused() {
        for sql in ["select :nope", "select $1", "select 'open"] {
            assert!(Body::new(&entry(sql)).is_err(), "{sql}");
        }
    }
}
