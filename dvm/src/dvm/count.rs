//! The registry's event count ([kind 5400]): how it is asked and how it is answered.
//!
//! Its page says that filters are the input, and its examples have them in the content: both are
//! read, and whatever else people write that can only mean one thing.
//!
//! [kind 5400]: https://github.com/nostr-protocol/data-vending-machines/blob/master/kinds/5400.md

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::question::named;
use crate::problem::Problem;
use crate::question::refuse;

/// The question that it is.
pub(super) const QUERY: &str = "events.count";

/// Reads the parameters of the question: filters of the content and of all inputs, relays and
/// groups of all params of these names.
pub(super) fn params(
    tags: &[Vec<String>],
    content: &str,
    inputs: &[String],
) -> Result<BTreeMap<String, String>, Problem> {
    let mut params = BTreeMap::new();
    let texts = std::iter::once(content).chain(inputs.iter().map(String::as_str));
    for text in texts.filter(|text| !text.trim().is_empty()) {
        add_filters(&mut params, text)?;
    }
    let (mut relays, mut groups) = (Vec::new(), Vec::new());
    for tag in named(tags, "param") {
        let values = tag
            .iter()
            .skip(2)
            .filter(|value| !value.is_empty())
            .cloned();
        match tag.get(1).map(String::as_str) {
            Some("relay" | "relays") => relays.extend(values),
            Some("group" | "groups") => groups.extend(values),
            name => {
                let name = name.unwrap_or_default();
                return Err(refuse(name, "unknown parameter; a count takes relay, group").into());
            }
        }
    }
    for (name, values, between) in [("relay", relays, " "), ("group", groups, ",")] {
        if !values.is_empty() {
            params.insert(name.to_owned(), values.join(between));
        }
    }
    Ok(params)
}

/// Adds a filter, or a list of them, to those that are there.
pub(super) fn add_filters(
    params: &mut BTreeMap<String, String>,
    text: &str,
) -> Result<(), Problem> {
    let wrong = |error: serde_json::Error| {
        refuse(
            "filter",
            &format!("not a NIP-01 filter or a list of them: {error}"),
        )
    };
    let mut filters: Vec<Value> = match params.get("filter") {
        Some(known) => serde_json::from_str(known).map_err(wrong)?,
        None => Vec::new(),
    };
    match serde_json::from_str(text).map_err(wrong)? {
        Value::Array(list) => filters.extend(list.into_iter().map(usual)),
        one => filters.push(usual(one)),
    }
    params.insert("filter".to_owned(), Value::Array(filters).to_string());
    Ok(())
}

/// Brings a filter into the usual form: one example writes `#kinds`, and a limit says nothing here.
fn usual(filter: Value) -> Value {
    let Value::Object(fields) = filter else {
        return filter;
    };
    let fields = fields.into_iter().filter(|(name, _)| name != "limit");
    let renamed = fields.map(|(name, value)| match name.as_str() {
        "#kinds" | "#ids" | "#authors" => (name[1..].to_owned(), value),
        _ => (name, value),
    });
    Value::Object(renamed.collect::<Map<_, _>>())
}

/// Writes the content of the result: the bare number, or the dictionary where groups were asked for.
pub(super) fn content(answer: &str) -> Result<String, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        data: Data<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        count: &'a RawValue,
        #[serde(borrow)]
        groups: &'a RawValue,
    }
    let data = serde_json::from_str::<Answer<'_>>(answer)?.data;
    Ok(match data.groups.get() {
        "null" => data.count.get().to_owned(),
        groups => groups.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[&[&str]]) -> Vec<Vec<String>> {
        tags.iter()
            .map(|tag| tag.iter().map(ToString::to_string).collect())
            .collect()
    }

    #[test]
    fn filters_are_read_wherever_they_are() {
        let given = tags(&[
            &["param", "relay", "wss://a.example"],
            &["param", "relay", "wss://b.example", "wss://c.example"],
            &["param", "group", "content"],
            &["param", "group", "kind"],
        ]);
        let content = r##"[{"#kinds":[7],"#e":["ab"]}]"##;
        let inputs = [r#"{"kinds":[1],"limit":5}"#.to_owned()];
        let params = params(&given, content, &inputs).unwrap();
        assert_eq!(
            params["filter"],
            r##"[{"#e":["ab"],"kinds":[7]},{"kinds":[1]}]"##
        );
        assert_eq!(
            params["relay"],
            "wss://a.example wss://b.example wss://c.example"
        );
        assert_eq!(params["group"], "content,kind");
        assert!(super::params(&[], " ", &[]).unwrap().is_empty());
        for (tags, content) in [
            (vec![], "no json"),
            (tags(&[&["param", "window", "7d"]]), "{}"),
            (tags(&[&["param"]]), "{}"),
        ] {
            let problem = super::params(&tags, content, &[]).unwrap_err();
            assert_eq!(problem.code, "invalid_param");
        }
    }

    #[test]
    fn the_content_is_the_number_or_the_dictionary() {
        let number = r#"{"data":{"count":12,"groups":null},"meta":{}}"#;
        assert_eq!(content(number).unwrap(), "12");
        let groups = r#"{"data":{"count":3,"groups":{"+":2,"\u0000":{"1":1}}},"meta":{}}"#;
        assert_eq!(content(groups).unwrap(), r#"{"+":2,"\u0000":{"1":1}}"#);
    }
}
