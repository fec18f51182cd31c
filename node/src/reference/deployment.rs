//! `deploy/`: rules and dashboards ask for what exists, and promtool has nothing against them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use bigbrotr_core::service::ServiceName;
use serde_json::Value;

use super::metrics::known;
use super::{files, place, promql, read};

/// An alert of the rules.
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) rule: Value,
}

impl Alert {
    pub(super) fn text(&self, pointer: &str) -> &str {
        self.rule
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

fn yaml(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Every alert of every rules file.
pub(super) fn alerts() -> Vec<Alert> {
    let rules = files("deploy/prometheus/rules", "yml")
        .into_iter()
        .map(|path| yaml(&path));
    let alerts = rules.flat_map(|file| {
        let groups = list(&file, "/groups").to_vec();
        groups
            .into_iter()
            .flat_map(|group| list(&group, "/rules").to_vec())
    });
    alerts
        .map(|rule| Alert {
            name: rule["alert"].as_str().expect("an alert").to_owned(),
            rule,
        })
        .collect()
}

/// The dashboards by name.
fn dashboards() -> BTreeMap<String, Value> {
    files("deploy/grafana/dashboards", "json")
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect()
}

/// The expressions of a dashboard, each with its panel's title.
fn expressions(dashboard: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for panel in list(dashboard, "/panels") {
        for target in list(panel, "/targets") {
            let title = panel["title"].as_str().unwrap_or_default().to_owned();
            all.push((title, target["expr"].as_str().unwrap().to_owned()));
        }
    }
    all
}

/// As Prometheus reads it: without the variables that Grafana fills in.
fn filled_in(expression: &str) -> String {
    expression
        .replace("$__rate_interval", "5m")
        .replace("$instance", ".*")
}

/// A tool of Prometheus; `None`, with a line that says so, where it is not installed.
fn tool(name: &str) -> Option<Command> {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        eprintln!("{name} is not installed: nothing was checked by it");
    }
    found.then(|| Command::new(name))
}

fn succeeds(command: &mut Command) {
    let done = command.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{command:?}\n{out}{err}");
}

#[test]
fn rules_and_dashboards_ask_for_what_exists() {
    let known = known();
    let mut wrong = Vec::new();
    for alert in alerts() {
        let faults = promql::check(alert.text("/expr"), &known);
        wrong.extend(
            faults
                .into_iter()
                .map(|fault| format!("{}: {fault}", alert.name)),
        );
    }
    let dashboards = dashboards();
    assert!(dashboards.contains_key("operator") && dashboards.contains_key("public"));
    for (name, dashboard) in dashboards {
        let expressions = expressions(&dashboard);
        assert!(expressions.len() > 10, "{name} shows next to nothing");
        for (title, expression) in expressions {
            let faults = promql::check(&expression, &known);
            wrong.extend(
                faults
                    .into_iter()
                    .map(|fault| format!("{name}, {title}: {fault}")),
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_alert_has_a_severity_a_summary_and_tests_that_it_fires_and_that_it_does_not() {
    let mut fires: BTreeMap<String, [bool; 2]> = BTreeMap::new();
    for path in files("deploy/prometheus/tests", "yml") {
        for group in list(&yaml(&path), "/tests") {
            for test in list(group, "/alert_rule_test") {
                let name = test["alertname"].as_str().unwrap().to_owned();
                let is_quiet = list(test, "/exp_alerts").is_empty();
                fires.entry(name).or_default()[usize::from(is_quiet)] = true;
            }
        }
    }
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = &alert.name;
        assert!(names.insert(name.clone()), "{name} is there twice");
        let severity = alert.text("/labels/severity");
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: {severity:?}"
        );
        assert!(
            !alert.text("/annotations/summary").is_empty(),
            "{name} has no summary"
        );
        assert!(
            !alert.text("/for").is_empty(),
            "{name} does not say for how long"
        );
        assert_eq!(
            fires.get(name),
            Some(&[true, true]),
            "{name} is not tested both ways"
        );
    }
    assert!(
        fires.keys().all(|name| names.contains(name)),
        "a test of an alert that is no more"
    );
}

#[test]
fn promtool_takes_the_configuration_and_the_rules_and_their_tests_pass() {
    let Some(mut check) = tool("promtool") else {
        return;
    };
    succeeds(
        check
            .args(["check", "config"])
            .arg(place("deploy/prometheus/prometheus.yml")),
    );
    let rules = files("deploy/prometheus/rules", "yml");
    // What is bad style is an error here.
    succeeds(
        Command::new("promtool")
            .args(["check", "rules", "--lint-fatal"])
            .args(rules),
    );
    let tests = files("deploy/prometheus/tests", "yml");
    succeeds(Command::new("promtool").args(["test", "rules"]).args(tests));
}

#[test]
fn promtool_can_read_every_expression_of_the_dashboards() {
    let Some(mut check) = tool("promtool") else {
        return;
    };
    let mut rules = Vec::new();
    for dashboard in dashboards().values() {
        for (_, expression) in expressions(dashboard) {
            let name = format!("bigbrotr:panel:{}", rules.len());
            rules.push(serde_json::json!({"record": name, "expr": filled_in(&expression)}));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panels.yml");
    // JSON is YAML.
    let file = serde_json::json!({"groups": [{"name": "panels", "rules": rules}]});
    fs::write(&path, file.to_string()).unwrap();
    succeeds(check.args(["check", "rules"]).arg(&path));
}

#[test]
fn the_services_are_scraped_where_compose_runs_them() {
    let config = yaml(&place("deploy/prometheus/prometheus.yml"));
    let jobs = list(&config, "/scrape_configs");
    let job = jobs
        .iter()
        .find(|job| job["job_name"] == "bigbrotr")
        .unwrap();
    let targets: BTreeSet<&str> = list(job, "/static_configs/0/targets")
        .iter()
        .map(|target| target.as_str().unwrap())
        .map(|target| target.strip_suffix(":9464").expect("the port of metrics"))
        .collect();
    // The initializer ends.
    let wanted = ServiceName::ALL
        .into_iter()
        .filter(|name| *name != ServiceName::Initializer)
        .map(ServiceName::as_str)
        .collect();
    assert_eq!(targets, wanted);
    assert_eq!(config["rule_files"][0], "rules/*.yml");
}

#[test]
fn alertmanager_knows_its_receivers_and_the_alerts_that_it_silences() {
    let config = yaml(&place("deploy/alertmanager/alertmanager.yml"));
    let receivers: Vec<&Value> = list(&config, "/receivers")
        .iter()
        .map(|one| &one["name"])
        .collect();
    let routes = list(&config, "/route/routes").iter();
    for route in routes.chain([&config["route"]]) {
        assert!(receivers.contains(&&route["receiver"]), "{route}");
    }
    let names: Vec<String> = alerts().into_iter().map(|alert| alert.name).collect();
    for rule in list(&config, "/inhibit_rules") {
        for matcher in list(rule, "/source_matchers")
            .iter()
            .chain(list(rule, "/target_matchers"))
        {
            let matcher = matcher.as_str().unwrap();
            let pattern = matcher.split('"').nth(1).unwrap();
            let (start, rest) = pattern.split_once('(').unwrap_or((pattern, ""));
            for alternative in rest.trim_end_matches(')').split('|') {
                let name = format!("{start}{alternative}");
                let is_known = match name.strip_suffix(".*") {
                    Some(start) => names.iter().any(|known| known.starts_with(start)),
                    None => names.contains(&name),
                };
                assert!(is_known, "{matcher}: there is no alert {name}");
            }
        }
    }
    if let Some(mut check) = tool("amtool") {
        succeeds(
            check
                .arg("check-config")
                .arg(place("deploy/alertmanager/alertmanager.yml")),
        );
    }
}

#[test]
fn dashboards_are_provisioned_with_their_source_and_laid_out_without_overlaps() {
    let sources = yaml(&place(
        "deploy/grafana/provisioning/datasources/prometheus.yml",
    ));
    let source = &sources["datasources"][0]["uid"];
    let providers = yaml(&place(
        "deploy/grafana/provisioning/dashboards/bigbrotr.yml",
    ));
    assert_eq!(
        providers["providers"][0]["options"]["path"],
        "/var/lib/grafana/dashboards"
    );
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(uids.insert(dashboard["uid"].to_string()), "{name}");
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in list(&dashboard, "/panels") {
            let title = panel["title"].as_str().unwrap();
            assert!(
                ids.insert(panel["id"].as_u64().unwrap()),
                "{name}, {title}: the id"
            );
            let cell = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(cell("x") + cell("w") <= 24, "{name}, {title}: too wide");
            for x in cell("x")..cell("x") + cell("w") {
                for y in cell("y")..cell("y") + cell("h") {
                    assert!(
                        taken.insert((x, y)),
                        "{name}, {title}: another panel is there"
                    );
                }
            }
            if panel["type"] != "row" {
                assert_eq!(&panel["datasource"]["uid"], source, "{name}, {title}");
                assert_ne!(panel["description"], "", "{name}, {title} is not explained");
            }
        }
    }
    // A dashboard with variables cannot be shared with the public.
    let public = read("deploy/grafana/dashboards/public.json");
    assert!(
        !public.contains("$instance"),
        "the public dashboard has a variable"
    );
}
