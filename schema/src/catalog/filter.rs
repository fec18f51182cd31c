//! NIP-01 filters as parameters: their bounds, their canonical form, and their way into the SQL.
//!
//! In an entry's SQL, a parameter `f` of type `filter` stands for conditions instead of a value:
//!
//! | written | is |
//! |---|---|
//! | `:f` | whether an event matches, by its columns `id`, `pubkey`, `kind`, `created_at`, `tags` |
//! | `:f_counters` | the same by the columns `pubkey` and `kind` alone |
//! | `:f_plain` | whether the filter has no other conditions, so that counters can answer it |
//! | `:f_authors` | whether it names authors |
//!
//! They become [`crate::filter_sql`]'s conditions when the question is asked, with values bound.

use bigbrotr_core::filter::Filter;
use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::{Postgres, QueryBuilder};

use crate::filter_sql::{COUNTERS, NUMBERED_EVENTS, push_conditions};
use crate::limits::{MAX_FILTER_BYTES, MAX_FILTER_VALUES, MAX_FILTERS};

/// Marks a place for conditions in a statement; the part's letter follows. No entry may have it in
/// its SQL.
pub(super) const MARK: char = '\u{1}';

/// What stands for a filter in an entry's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Events,
    Counters,
    Plain,
    Authors,
}

impl Part {
    const ALL: [(Self, &'static str, char); 4] = [
        (Self::Events, "", 'e'),
        (Self::Counters, "_counters", 'c'),
        (Self::Plain, "_plain", 'p'),
        (Self::Authors, "_authors", 'a'),
    ];

    /// Splits a name in an entry's SQL into the parameter's name and the part of it.
    pub(super) fn of(name: &str) -> impl Iterator<Item = (&str, Self)> {
        Self::ALL
            .into_iter()
            .filter_map(|(part, suffix, _)| Some((name.strip_suffix(suffix)?, part)))
    }

    /// Writes the mark that stands in the statement until it is asked.
    pub(super) fn mark(self) -> String {
        let letter = Self::ALL.iter().find(|(part, ..)| *part == self);
        let letter = letter.map_or('e', |(_, _, letter)| *letter);
        format!("{MARK}{letter}")
    }
}

/// Reads one filter or a list of them.
///
/// # Errors
/// What is wrong, for whoever asks.
///
/// # Security
/// The text is a stranger's: it is bounded before it is parsed.
pub(super) fn read(text: &str) -> Result<Vec<Filter>, String> {
    if text.len() > MAX_FILTER_BYTES {
        return Err(format!("longer than {MAX_FILTER_BYTES} bytes"));
    }
    let wrong = |error: serde_json::Error| match error.to_string() {
        // The filter's own words name the field; the rest of the parser's are about positions.
        message if message.starts_with("filter field") => message,
        message => format!("not a NIP-01 filter or a list of them: {message}"),
    };
    let filters: Vec<Filter> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(wrong)?
    } else {
        vec![Filter::from_json(text).map_err(wrong)?]
    };
    if filters.is_empty() || filters.len() > MAX_FILTERS {
        return Err(format!("expected 1 to {MAX_FILTERS} filters"));
    }
    if filters.iter().map(Filter::value_count).sum::<usize>() > MAX_FILTER_VALUES {
        return Err(format!("more than {MAX_FILTER_VALUES} values"));
    }
    for filter in &filters {
        if filter.limit.is_some() {
            return Err("limit has no meaning here".to_owned());
        }
        if filter.search.is_some() {
            return Err("search is not supported".to_owned());
        }
    }
    Ok(filters)
}

/// Writes filters in one way: one as itself, several as a list.
pub(super) fn canonical(filters: &[Filter]) -> String {
    match filters {
        [filter] => filter.to_json(),
        filters => serde_json::to_string(filters).unwrap_or_default(),
    }
}

/// Writes a canonical filter as JSON.
pub(super) fn to_json(canonical: &str) -> Value {
    serde_json::from_str(canonical).unwrap_or(Value::Null)
}

/// Says whether it takes an event's tags to tell whether it matches.
pub(super) fn needs_tags(filters: &[Filter]) -> bool {
    filters.iter().any(|filter| !filter.tags.is_empty())
}

/// Filters that have every condition there is: what an entry is checked with when it is loaded.
pub(super) fn sample() -> Vec<Filter> {
    const ALL: &str = r##"{"ids":[],"authors":[],"kinds":[],"#e":[],"since":0,"until":0}"##;
    Filter::from_json(ALL).into_iter().collect()
}

/// Puts the conditions of the filters where the statement has their marks. `arguments` are the
/// values of its other parameters.
pub(super) fn render(
    sql: &str,
    arguments: PgArguments,
    filters: &[Filter],
    now: i64,
) -> QueryBuilder<Postgres> {
    let mut pieces = sql.split(MARK);
    let first = pieces.next().unwrap_or_default();
    let mut query = QueryBuilder::with_arguments(first, arguments);
    for piece in pieces {
        let mut rest = piece.chars();
        match rest.next() {
            Some('e') => push_any(
                &mut query,
                |query, filter| {
                    push_conditions(query, &NUMBERED_EVENTS, filter, now);
                },
                filters,
            ),
            Some('c') => push_any(
                &mut query,
                |query, filter| {
                    push_conditions(query, &COUNTERS, filter, now);
                },
                filters,
            ),
            Some('p') => {
                query.push(filters.iter().all(is_plain));
            }
            Some('a') => {
                query.push(filters.iter().any(|filter| filter.authors.is_some()));
            }
            _ => {}
        }
        query.push(rest.as_str());
    }
    query
}

fn push_any(
    query: &mut QueryBuilder<Postgres>,
    push: impl Fn(&mut QueryBuilder<Postgres>, &Filter),
    filters: &[Filter],
) {
    query.push("(");
    for (n, filter) in filters.iter().enumerate() {
        query.push(if n == 0 { "(" } else { " or (" });
        push(query, filter);
        query.push(")");
    }
    query.push(")");
}

/// Says whether pubkey and kind are all that the filter looks at.
fn is_plain(filter: &Filter) -> bool {
    filter.ids.is_none()
        && filter.tags.is_empty()
        && filter.since.is_none()
        && filter.until.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_bounded_and_written_in_one_way() {
        let one = read(r#" {"kinds":[2,1,1]}"#).unwrap();
        assert_eq!(canonical(&one), r#"{"kinds":[1,2]}"#);
        let two = read(r#"[{"kinds":[1]}, {"authors":[]}]"#).unwrap();
        assert_eq!(canonical(&two), r#"[{"kinds":[1]},{"authors":[]}]"#);
        assert_eq!(
            canonical(&read(r#"[{"kinds":[1]}]"#).unwrap()),
            r#"{"kinds":[1]}"#
        );
        let long = format!(r##"{{"#t":["{}"]}}"##, "x".repeat(MAX_FILTER_BYTES));
        let many = format!("[{}{{}}]", "{},".repeat(MAX_FILTERS));
        for (text, part) in [
            ("", "not a NIP-01 filter"),
            ("[]", "1 to"),
            ("7", "not a NIP-01 filter"),
            (r#"{"kinds":[65536]}"#, "kinds"),
            (r#"{"limit":1}"#, "limit"),
            (r#"{"search":"x"}"#, "search"),
            (&long, "longer"),
            (&many, "1 to"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text:.80}: {error}");
        }
    }

    #[test]
    fn conditions_take_the_place_of_their_marks() {
        let filters = read(r##"[{"kinds":[1],"#t":["x"]},{"authors":[]}]"##).unwrap();
        let sql = format!(
            "select {} and not {} where {} or {}",
            Part::Plain.mark(),
            Part::Authors.mark(),
            Part::Counters.mark(),
            Part::Events.mark(),
        );
        let query = render(&sql, PgArguments::default(), &filters, 0);
        let sql = query.into_string();
        assert!(sql.starts_with("select false and not true where ((true and kind = $1) or ("));
        assert!(!sql.contains(MARK));
    }
}
