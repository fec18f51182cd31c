//! `docs/metrics.md`: every metric that there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use prometheus::Registry;
use prometheus::proto::{MetricFamily, MetricType};

use super::{check_page, place};
use crate::metrics::register_all;

const HEAD: &str = "\
# Metrics

Every metric of every service, generated from what the code registers. A process serves those of
the services that run in it, and those of the process itself, as Prometheus reads them:
`http://127.0.0.1:9464/metrics` unless `metrics.listen` says otherwise. [Observability](observability.md)
has dashboards, alerts and what to do about them.

Labels have closed sets of values, never a URL, a key or a peer's text; all but those marked with
`…` are there from the start, at zero. A histogram has the series `_bucket`, `_sum` and `_count`.
Numbers that tell how things stand in the database (said in the help) are the same in every process
that tells them: take the `max`, not the sum.
";

/// Labels whose values are not all known beforehand, with what they are.
const OPEN: [(&str, &str); 3] = [
    ("route", "names of the catalogue's entries"),
    ("version", "of the program"),
    ("implementation", "its name"),
];

/// Where a metric belongs, by the beginning of its name.
const AREAS: [(&str, &str); 15] = [
    ("bigbrotr_build_", "Every process"),
    ("bigbrotr_node_", "Every process"),
    ("bigbrotr_tokio_", "Every process"),
    ("process_", "Every process"),
    ("bigbrotr_ingest_", "Ingest (processes with a synchronizer)"),
    ("bigbrotr_archive_", "Rollup"),
    ("bigbrotr_rollup_", "Rollup"),
    ("bigbrotr_retention_", "Retention"),
    ("bigbrotr_finder_", "Finder"),
    ("bigbrotr_validator_", "Validator"),
    ("bigbrotr_monitor_", "Monitor"),
    (
        "bigbrotr_synchronizer_",
        "Synchronizer and priority synchronizer",
    ),
    ("bigbrotr_relay_", "Relay"),
    ("bigbrotr_dvm_", "DVM"),
    ("bigbrotr_api_", "API"),
];

/// What is known of a metric.
pub(super) struct Known {
    pub(super) kind: MetricType,
    pub(super) labels: BTreeMap<String, BTreeSet<String>>,
    help: String,
}

impl Known {
    /// Says whether a label may have this value.
    pub(super) fn may_be(&self, label: &str, value: &str) -> bool {
        let is_open = OPEN.iter().any(|(open, _)| *open == label);
        is_open
            || self
                .labels
                .get(label)
                .is_some_and(|values| values.contains(value))
    }
}

/// Every metric that there is, by name.
pub(super) fn known() -> BTreeMap<String, Known> {
    let registry = Registry::new();
    register_all(&registry).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    crate::runtime_metrics::register(&registry, runtime.handle().clone()).unwrap();
    let families = registry.gather();
    families
        .iter()
        .map(|family| (family.name().to_owned(), described(family)))
        .collect()
}

fn described(family: &MetricFamily) -> Known {
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for label in family
        .get_metric()
        .iter()
        .flat_map(prometheus::proto::Metric::get_label)
    {
        let values = labels.entry(label.name().to_owned()).or_default();
        values.insert(label.value().to_owned());
    }
    Known {
        kind: family.get_field_type(),
        help: family.help().to_owned(),
        labels,
    }
}

fn page(known: &BTreeMap<String, Known>) -> String {
    let mut page = HEAD.to_owned();
    let mut sections: Vec<&str> = AREAS.iter().map(|(_, section)| *section).collect();
    sections.dedup();
    for section in sections {
        page.push_str(&format!(
            "\n## {section}\n\n| metric | type | unit | labels | what |\n|---|---|---|---|---|\n"
        ));
        for (name, metric) in known.iter().filter(|(name, _)| area(name) == section) {
            page.push_str(&format!(
                "| `{name}` | {} | {} | {} | {} |\n",
                kind(metric.kind),
                unit(name),
                labels(&metric.labels),
                metric.help.replace('|', "\\|"),
            ));
        }
    }
    page
}

fn area(name: &str) -> &'static str {
    let area = AREAS.iter().find(|(start, _)| name.starts_with(start));
    area.unwrap_or_else(|| panic!("{name} belongs to no area"))
        .1
}

fn kind(kind: MetricType) -> &'static str {
    match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        other => panic!("{other:?} is not documented"),
    }
}

/// The unit is a part of the name, as Prometheus wants it; what has none is a number of things.
fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    if name.ends_with("_timestamp_seconds") || name == "process_start_time_seconds" {
        "Unix seconds"
    } else if name.ends_with("_seconds") {
        "seconds"
    } else if name.ends_with("_bytes") {
        "bytes"
    } else {
        "number"
    }
}

fn labels(labels: &BTreeMap<String, BTreeSet<String>>) -> String {
    let lines: Vec<String> = labels
        .iter()
        .map(|(label, values)| {
            let quoted: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            match OPEN.iter().find(|(open, _)| open == label) {
                Some((_, words)) if label == "route" => {
                    format!("`{label}`: …{words}, {}", quoted.join(", "))
                }
                Some((_, words)) => format!("`{label}`: …{words}"),
                None => format!("`{label}`: {}", quoted.join(", ")),
            }
        })
        .collect();
    lines.join("<br>")
}

/// The names of metrics in the sources of the services.
fn names_in_sources(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names_in_sources(&path, names);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // A database, a crate or a temporary file has such a name too, where no metrics are.
            if text.contains("use prometheus::") || text.contains("prometheus::{") {
                let quoted = text.split('"').skip(1).step_by(2);
                let is_name = |text: &&str| {
                    text.starts_with("bigbrotr_")
                        && !text.ends_with('_')
                        && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                };
                names.extend(quoted.filter(is_name).map(str::to_owned));
            }
        }
    }
}

#[test]
fn the_page_of_metrics_is_up_to_date() {
    check_page("docs/metrics.md", &page(&known()));
}

#[test]
fn no_metric_of_the_sources_is_left_out() {
    let (known, mut names) = (known(), BTreeSet::new());
    for part in ["core", "schema", "crawler", "relay", "dvm", "node"] {
        names_in_sources(&place(part).join("src"), &mut names);
    }
    assert!(names.len() > 60, "{names:?}");
    let left_out: Vec<&String> = names
        .iter()
        .filter(|name| !known.contains_key(*name))
        .collect();
    assert!(left_out.is_empty(), "register_all leaves out {left_out:?}");
}

#[test]
fn every_metric_is_explained_and_named_by_its_unit() {
    for (name, metric) in known() {
        assert!(
            metric.help.ends_with('.') || name.starts_with("process_"),
            "{name}: {}",
            metric.help
        );
        let counts = metric.kind == MetricType::COUNTER;
        assert_eq!(counts, name.ends_with("_total"), "{name}");
        for (label, values) in &metric.labels {
            assert!(
                values.iter().all(|value| !value.is_empty()),
                "{name} {label}"
            );
        }
    }
}
