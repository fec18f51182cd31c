//! From a filter to SQL conditions: the only place where this is written.
//!
//! The in-memory matcher of [`bigbrotr_core::filter`] is its oracle. Values are bound, never
//! interpolated.

use std::collections::BTreeSet;

use bigbrotr_core::filter::Filter;
use sha2::{Digest, Sha256};
use sqlx::{Postgres, QueryBuilder};

/// A table of events, by what it offers to filters: names of columns, or expressions of them.
#[derive(Debug)]
pub(crate) struct EventTable {
    /// A `bigint[]` with [`tag_hash`]es, where there is one.
    tag_hashes: Option<&'static str>,
    /// The column of `json` with the tags themselves, where they are looked at one by one: exact,
    /// and no index helps.
    tags: Option<&'static str>,
    /// The time of expiry, where expired events must not be served.
    expires_at: Option<&'static str>,
    /// A `tsvector` of the content, where it can be searched.
    words: Option<&'static str>,
    /// What an event has to be besides, whatever the filter.
    only: Option<&'static str>,
    /// Whether there is nothing but `pubkey` and `kind`, so that other conditions are the caller's.
    counters: bool,
}

/// The events of our own relay.
pub(crate) const RELAY_EVENTS: EventTable = EventTable {
    tag_hashes: Some("tag_hashes"),
    tags: None,
    expires_at: Some("expires_at"),
    words: Some("event_words(event)"),
    only: None,
    counters: false,
};

/// The archive, which has no index of tags and keeps what has expired: whoever asks by tags has to
/// look at the events again.
pub(crate) const ARCHIVE: EventTable = EventTable {
    tag_hashes: None,
    tags: None,
    expires_at: None,
    words: None,
    only: None,
    counters: false,
};

/// The archive as the view `events_by_number` shows it, for whoever cannot look again.
pub(crate) const NUMBERED_EVENTS: EventTable = EventTable {
    tags: Some("tags"),
    ..ARCHIVE
};

/// Counters by pubkey and kind.
pub(crate) const COUNTERS: EventTable = EventTable {
    counters: true,
    ..ARCHIVE
};

/// What may be served of the archive, as far as an event itself tells: it is whole, neither
/// ephemeral nor for its author alone to publish. Reports of other monitors are among the relay's
/// own events.
pub(crate) const SERVED_ARCHIVE: EventTable = EventTable {
    tag_hashes: Some("event_tag_hashes(tags)"),
    tags: None,
    counters: false,
    // Most events have neither tag: looking for its name costs a fifth of calling the function.
    expires_at: Some(
        "case when position('\"expiration\"' in tags::text) > 0 then event_expires_at(tags) end",
    ),
    words: Some("content_words(content)"),
    only: Some(
        "kind not between 20000 and 29999 and kind not in (10166, 30166)
            and tags is not null and content is not null and sig is not null
            and not (position('\"-\"' in tags::text) > 0 and event_is_protected(tags))",
    ),
};

/// Hashes a single-letter tag's name and first value for the tag index. Collisions are possible:
/// whoever finds events by hash has to look again.
pub(crate) fn tag_hash(name: char, value: &str) -> i64 {
    let mut hasher = Sha256::new();
    let mut buffer = [0; 4];
    hasher.update(name.encode_utf8(&mut buffer).as_bytes());
    hasher.update(value.as_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}

/// Appends the filter's conditions, joined by `and`; `true` when there are none. `limit` is the
/// caller's.
pub(crate) fn push_conditions(
    query: &mut QueryBuilder<Postgres>,
    table: &EventTable,
    filter: &Filter,
    now: i64,
) {
    query.push("true");
    if let (Some(ids), false) = (&filter.ids, table.counters) {
        let ids = ids.iter().map(|id| id.0.to_vec());
        push_any(query, "id", ids.collect());
    }
    if let Some(authors) = &filter.authors {
        let authors = authors.iter().map(|author| author.0.to_vec());
        push_any(query, "pubkey", authors.collect());
    }
    if let Some(kinds) = &filter.kinds {
        let kinds = kinds.iter().map(|kind| i32::from(*kind));
        push_any(query, "kind", kinds.collect());
    }
    if let (Some(since), false) = (filter.since, table.counters) {
        query.push(" and created_at >= ").push_bind(since);
    }
    if let (Some(until), false) = (filter.until, table.counters) {
        query.push(" and created_at <= ").push_bind(until);
    }
    if let Some(column) = table.tag_hashes {
        for (name, values) in &filter.tags {
            let hashes: Vec<i64> = values.iter().map(|value| tag_hash(*name, value)).collect();
            query
                .push(format_args!(" and {column} && "))
                .push_bind(hashes);
        }
    }
    if let Some(column) = table.tags {
        for (name, values) in &filter.tags {
            push_tag(query, column, *name, values);
        }
    }
    if let (Some(column), Some(search)) = (table.words, &filter.search) {
        query
            .push(format_args!(
                " and {column} @@ websearch_to_tsquery('simple', "
            ))
            .push_bind(search_text(search))
            .push(")");
    }
    if let Some(only) = table.only {
        query.push(" and ").push(only);
    }
    if let Some(column) = table.expires_at {
        query
            .push(format_args!(" and coalesce({column} > "))
            .push_bind(now)
            .push(", true)");
    }
}

/// Appends that a column has one of these values. One alone is put as such: only then does Postgres read
/// an index in the order of what follows the column, and stop at the limit.
fn push_any<T>(query: &mut QueryBuilder<Postgres>, column: &str, mut values: Vec<T>)
where
    T: Send + 'static + for<'q> sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres>,
    Vec<T>: for<'q> sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres>,
{
    query.push(format_args!(" and {column} = "));
    match (values.pop(), values.is_empty()) {
        (Some(only), true) => {
            query.push_bind(only);
        }
        (last, _) => {
            values.extend(last);
            query.push("any (").push_bind(values).push(")");
        }
    }
}

/// What of a search (NIP-50) Postgres looks for: extensions (`key:value`) are ignored, as the NIP
/// asks of who does not support them, and NUL is in no text.
fn search_text(search: &str) -> String {
    let is_extension = |word: &str| {
        let key = word.split_once(':').map(|(key, _)| key);
        key.is_some_and(|key| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase()))
            && !word.contains("://")
    };
    let words = search.split_whitespace().filter(|word| !is_extension(word));
    words.collect::<Vec<_>>().join(" ").replace('\0', " ")
}

/// Appends the condition that any of the values is the first one of such a tag. Tags are told apart
/// by how their JSON text begins, which is ours and has no blanks: values as text could not have
/// a NUL.
fn push_tag(
    query: &mut QueryBuilder<Postgres>,
    column: &str,
    name: char,
    values: &BTreeSet<String>,
) {
    let begin = |value: &String| {
        let mut tag = serde_json::json!([name, value]).to_string();
        tag.pop();
        tag
    };
    let begins: Vec<String> = values.iter().map(begin).collect();
    query
        .push(format_args!(
            " and exists (select from json_array_elements({column}) as t (tag) \
             cross join unnest("
        ))
        .push_bind(begins)
        .push(
            "::text[]) as b (begin) where t.tag::text = b.begin || ']' \
             or starts_with(t.tag::text, b.begin || ','))",
        );
}
