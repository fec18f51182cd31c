//! The way to the URLs in a JSON document: `data.relays`, `relays.*.url`.
//!
//! Keys and positions, separated by dots; `*` is every item of an array and every value of an
//! object. What stands at the end may be a URL, an array of URLs, or an object whose keys are.

use serde_json::Value;

/// A path that the document does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    /// No such key, or nothing that has keys.
    #[error("there is no {segment:?} at {at:?}")]
    Missing {
        /// The key or position.
        segment: String,
        /// The path up to it.
        at: String,
    },
}

/// Collects the texts at the end of a path, up to `most`, and says how many more there are.
///
/// A path that leads somewhere for some items of a `*` and nowhere for others is right.
pub(super) fn texts<'a>(
    document: &'a Value,
    path: &str,
    most: usize,
) -> Result<(Vec<&'a str>, u64), PathError> {
    let mut places = vec![document];
    let mut walked = String::new();
    for segment in path.split('.').filter(|segment| !segment.is_empty()) {
        let next: Vec<&Value> = places
            .iter()
            .flat_map(|place| children(place, segment))
            .collect();
        // An empty list is no wrong path.
        let nothing_there = segment == "*" && places.iter().any(|place| is_empty(place));
        if next.is_empty() && !nothing_there && !places.is_empty() {
            return Err(PathError::Missing {
                segment: segment.to_owned(),
                at: walked,
            });
        }
        places = next;
        if !walked.is_empty() {
            walked.push('.');
        }
        walked.push_str(segment);
    }
    let mut found = Vec::new();
    let mut excess = 0;
    for text in places.iter().flat_map(|place| ends(place)) {
        if found.len() < most {
            found.push(text);
        } else {
            excess += 1;
        }
    }
    Ok((found, excess))
}

fn children<'a>(place: &'a Value, segment: &str) -> Vec<&'a Value> {
    match (place, segment) {
        (Value::Array(items), "*") => items.iter().collect(),
        (Value::Object(entries), "*") => entries.values().collect(),
        (Value::Array(items), position) => {
            let position = position.parse::<usize>().ok();
            position.and_then(|n| items.get(n)).into_iter().collect()
        }
        (Value::Object(entries), key) => entries.get(key).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn is_empty(place: &Value) -> bool {
    match place {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

fn ends(place: &Value) -> Vec<&str> {
    match place {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        Value::Object(entries) => entries.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(document: &Value, path: &str) -> Vec<String> {
        let (found, excess) = texts(document, path, 100).unwrap();
        assert_eq!(excess, 0);
        found.into_iter().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn arrays_objects_and_single_urls_are_found() {
        assert_eq!(at(&json!(["a", 7, "b", null]), ""), ["a", "b"]);
        assert_eq!(at(&json!({ "a": {}, "b": 1 }), ""), ["a", "b"]);
        assert_eq!(at(&json!("a"), ""), ["a"]);
        let nested = json!({ "data": { "relays": ["a", "b"] } });
        assert_eq!(at(&nested, "data.relays"), ["a", "b"]);
        let listed = json!({ "relays": [{ "url": "a" }, { "name": "x" }, { "url": "b" }] });
        assert_eq!(at(&listed, "relays.*.url"), ["a", "b"]);
        assert_eq!(at(&listed, "relays.2.url"), ["b"]);
        let by_country = json!({ "de": ["a"], "jp": ["b", "c"] });
        assert_eq!(at(&by_country, "*"), ["a", "b", "c"]);
        assert_eq!(at(&json!({ "relays": [] }), "relays.*.url"), [""; 0]);
    }

    #[test]
    fn a_wrong_path_is_named_with_the_place_where_it_ends() {
        let document = json!({ "data": { "relays": [{ "uri": "a" }] } });
        for (path, segment, at) in [
            ("relays", "relays", ""),
            ("data.relay", "relay", "data"),
            ("data.relays.7", "7", "data.relays"),
            ("data.relays.*.url", "url", "data.relays.*"),
            ("data.relays.*.uri.deeper", "deeper", "data.relays.*.uri"),
        ] {
            let error = texts(&document, path, 9).unwrap_err();
            let (segment, at) = (segment.to_owned(), at.to_owned());
            assert_eq!(error, PathError::Missing { segment, at }, "{path}");
        }
    }

    #[test]
    fn what_is_too_much_is_counted() {
        assert_eq!(
            texts(&json!(["a", "b", "c"]), "", 2),
            Ok((vec!["a", "b"], 1))
        );
    }
}
