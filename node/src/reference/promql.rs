//! What an expression of Prometheus asks for: enough of its language to find metrics and labels.
//! Whether it is well formed is promtool's to say.

use std::collections::BTreeMap;

use prometheus::proto::MetricType;

use super::metrics::Known;

/// Words before a list of labels.
const GROUPING: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// Words that are no metric.
const WORDS: [&str; 6] = ["and", "or", "unless", "offset", "bool", "atan2"];

/// Labels that Prometheus itself gives.
const GIVEN: [&str; 2] = ["job", "instance"];

/// A metric, and the conditions on its labels: name, operator, value.
#[derive(Debug, Default, PartialEq, Eq)]
struct Selector {
    metric: String,
    matchers: Vec<(String, String, String)>,
}

/// What an expression asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    selectors: Vec<Selector>,
    /// Labels that results are grouped or joined by.
    grouped: Vec<String>,
}

/// Says what in an expression does not exist.
pub(super) fn check(expression: &str, known: &BTreeMap<String, Known>) -> Vec<String> {
    let asked = parse(expression);
    let mut wrong = Vec::new();
    if asked.selectors.is_empty() && expression != "vector(0)" {
        wrong.push("no metric is asked for".to_owned());
    }
    let mut labels: Vec<&str> = GIVEN.to_vec();
    for selector in &asked.selectors {
        let name = selector.metric.as_str();
        if name == "up" {
            continue;
        }
        let Some((metric, is_bucket)) = find(name, known) else {
            wrong.push(format!("there is no metric {name}"));
            continue;
        };
        labels.extend(metric.labels.keys().map(String::as_str));
        labels.extend(is_bucket.then_some("le"));
        for (label, operator, value) in &selector.matchers {
            if GIVEN.contains(&label.as_str()) || (is_bucket && label == "le") {
                continue;
            }
            if !metric.labels.contains_key(label) {
                wrong.push(format!("{name} has no label {label}"));
                continue;
            }
            for value in values(operator, value) {
                if !metric.may_be(label, value) {
                    wrong.push(format!("{name}: {label} is never {value}"));
                }
            }
        }
    }
    for label in &asked.grouped {
        if !labels.contains(&label.as_str()) {
            wrong.push(format!("nothing here has the label {label}"));
        }
    }
    wrong
}

/// The metric of a series, and whether the series is a histogram's buckets.
fn find<'a>(name: &str, known: &'a BTreeMap<String, Known>) -> Option<(&'a Known, bool)> {
    let plain = known
        .get(name)
        .filter(|metric| metric.kind != MetricType::HISTOGRAM);
    plain.map(|metric| (metric, false)).or_else(|| {
        ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let metric = known.get(name.strip_suffix(suffix)?)?;
            let is_histogram = metric.kind == MetricType::HISTOGRAM;
            is_histogram.then_some((metric, *suffix == "_bucket"))
        })
    })
}

/// The values that a condition names; of a pattern, those that are no pattern themselves.
fn values<'a>(operator: &str, value: &'a str) -> Vec<&'a str> {
    if operator == "=" || operator == "!=" {
        return vec![value];
    }
    let plain = |value: &&str| {
        value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    value.split('|').filter(plain).collect()
}

fn parse(expression: &str) -> Asked {
    let (mut asked, mut rest) = (Asked::default(), expression);
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            rest = string(rest).1;
        } else if first == '[' {
            rest = rest.split_once(']').map_or("", |(_, rest)| rest);
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if first.is_ascii_alphabetic() || first == '_' || first == ':' {
            let (word, after) = word(rest);
            rest = after.trim_start();
            if GROUPING.contains(&word) {
                let (inside, after) = rest[1..].split_once(')').unwrap_or((rest, ""));
                let labels = inside
                    .split(',')
                    .map(str::trim)
                    .filter(|label| !label.is_empty());
                asked.grouped.extend(labels.map(str::to_owned));
                rest = after;
            } else if !WORDS.contains(&word) && !is_function(rest) {
                let mut selector = Selector {
                    metric: word.to_owned(),
                    ..Selector::default()
                };
                if let Some(inside) = rest.strip_prefix('{') {
                    rest = matchers(inside, &mut selector);
                }
                asked.selectors.push(selector);
            }
        } else {
            assert!(first != '{', "a selector without a metric: {expression}");
            rest = &rest[first.len_utf8()..];
        }
    }
    asked
}

/// Says whether the word before this names a function or an aggregation: `f(…)`, `f by (…) (…)`.
fn is_function(rest: &str) -> bool {
    rest.starts_with('(') || ["by", "without"].contains(&word(rest).0)
}

/// Reads the conditions up to the closing brace.
fn matchers<'a>(mut rest: &'a str, selector: &mut Selector) -> &'a str {
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n']);
        if let Some(after) = rest.strip_prefix('}') {
            return after;
        }
        let (label, after) = word(rest);
        let value_at = after.find('"').expect("a value in quotes");
        let operator = after[..value_at].trim().to_owned();
        let (value, after) = string(&after[value_at..]);
        selector
            .matchers
            .push((label.to_owned(), operator, value.to_owned()));
        rest = after;
    }
}

fn word(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A string in quotes, and what follows it. None of ours has a quote in it.
fn string(text: &str) -> (&str, &str) {
    text[1..].split_once('"').expect("a closing quote")
}

#[test]
fn metrics_labels_and_values_that_do_not_exist_are_found() {
    let known = super::metrics::known();
    let wrong = |expression: &str| check(expression, &known);
    for right in [
        "up{job=\"bigbrotr\"} == 0",
        "max by (part) (bigbrotr_node_health{state=~\"failed|degraded\", instance=~\"$instance\"}) > 1.5e9",
        "histogram_quantile(0.99, sum by (le) (rate(bigbrotr_relay_query_seconds_bucket[5m])))",
        "rate(bigbrotr_relay_query_seconds_count[$__rate_interval] offset 1d) or vector(0)",
        "rate(bigbrotr_api_requests_total{route=\"events.stats\", route!~\"health.*\"}[5m])",
        "time() - max(bigbrotr_rollup_last_success_timestamp_seconds > 0) > 86400",
    ] {
        assert_eq!(wrong(right), Vec::<String>::new(), "{right}");
    }
    for (expression, what) in [
        (
            "bigbrotr_node_healthy == 0",
            "there is no metric bigbrotr_node_healthy",
        ),
        (
            "rate(bigbrotr_relay_query_seconds[5m])",
            "there is no metric bigbrotr_relay_query_seconds",
        ),
        (
            "rate(bigbrotr_dvm_jobs_total_count[5m])",
            "there is no metric bigbrotr_dvm_jobs_total_count",
        ),
        (
            "bigbrotr_node_health{service=\"relay\"}",
            "bigbrotr_node_health has no label service",
        ),
        (
            "bigbrotr_node_health{state=~\"failed|broken\"}",
            "bigbrotr_node_health: state is never broken",
        ),
        (
            "bigbrotr_node_health{part=\"seeder\"}",
            "bigbrotr_node_health: part is never seeder",
        ),
        (
            "sum by (relay) (bigbrotr_dvm_queue_jobs)",
            "nothing here has the label relay",
        ),
        (
            "sum by (le) (bigbrotr_dvm_job_seconds_sum)",
            "nothing here has the label le",
        ),
        ("1 + 2", "no metric is asked for"),
    ] {
        assert_eq!(wrong(expression), [what], "{expression}");
    }
}
