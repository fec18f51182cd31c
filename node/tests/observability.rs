//! What a node tells to those who watch it, and a real Prometheus that is told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use common::{Node, eventually, get, get_json};
use serde_json::Value;

fn repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// Says whether a program is there, or that something is not checked because it is not.
fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("{program} is not installed: nothing was checked by it");
    }
    found
}

/// A node with every service and no relay to go to.
fn quiet_node(folder: &Path, more: &[&str]) -> Node {
    let list = folder.join("none.txt");
    std::fs::write(&list, "").unwrap();
    let list = list.display().to_string();
    let mut flags = vec!["--seed-relays", &list, "--priority-relays", &list];
    flags.extend(more);
    Node::start(&folder.join("data"), &flags)
}

/// The rows of docs/metrics.md by the metric's name: type and labels.
fn documented() -> BTreeMap<String, (String, String)> {
    let page = std::fs::read_to_string(repository("docs/metrics.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let name = cells[0].trim_matches(['|', ' ', '`']).to_owned();
        (name, (cells[1].to_owned(), cells[3].to_owned()))
    })
    .collect()
}

/// Name and value of the labels of a sample.
fn labels(sample: &str) -> Vec<(&str, &str)> {
    let Some((_, rest)) = sample.split_once('{') else {
        return Vec::new();
    };
    let (inside, _) = rest.rsplit_once('}').unwrap();
    let pairs = inside.split("\",");
    let pairs = pairs.filter_map(|pair| pair.trim_end_matches('"').split_once("=\""));
    pairs.collect()
}

#[test]
fn a_node_tells_what_is_documented_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let node = quiet_node(folder.path(), &[]);
    // So that something is asked of the catalogue.
    get_json(&format!("{}/v1/events/stats", node.api));
    let (status, text) = get(&format!("{}/metrics", node.metrics));
    assert_eq!(status, 200);
    let documented = documented();
    let mut told = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            told.insert(name.to_owned(), kind.to_owned());
        }
    }
    let kinds: BTreeMap<String, String> = documented
        .iter()
        .map(|(name, (kind, _))| (name.clone(), kind.clone()))
        .collect();
    assert_eq!(told, kinds);
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().unwrap();
        let stem = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|n| told.contains_key(*n)));
        let (_, known) = &documented[stem.unwrap_or(name)];
        for (label, value) in labels(sample)
            .into_iter()
            .filter(|(label, _)| *label != "le")
        {
            let is_open = known.contains(&format!("`{label}`: …"));
            let is_known =
                known.contains(&format!("`{label}`: ")) && known.contains(&format!("`{value}`"));
            assert!(is_open || is_known, "{sample}: not in docs/metrics.md");
        }
    }
    for (part, state) in [
        ("database", "ready"),
        ("rollup", "ready"),
        ("monitor", "ready"),
    ] {
        let sample = format!("bigbrotr_node_health{{part=\"{part}\",state=\"{state}\"}} 1");
        assert!(text.contains(&sample), "{sample}");
    }
    if is_installed("promtool") {
        let mut check = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        check
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let done = check.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && said.is_empty(), "{said}");
    }
}

/// A Prometheus of its own, ended when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    /// Scrapes a node every second, with the rules as they are shipped but for their patience.
    fn start(folder: &Path, target: &str) -> Self {
        let rules =
            std::fs::read_to_string(repository("deploy/prometheus/rules/bigbrotr.yml")).unwrap();
        let rules: Vec<&str> = rules
            .lines()
            .map(|line| {
                if line.starts_with("        for: ") {
                    "        for: 1s"
                } else {
                    line
                }
            })
            .collect();
        std::fs::write(folder.join("rules.yml"), rules.join("\n")).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [rules.yml]\n\
             scrape_configs:\n- job_name: bigbrotr\n  static_configs: [{{targets: [\"{target}\"]}}]\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new("prometheus")
            .arg("--config.file")
            .arg(folder.join("prometheus.yml"))
            .arg("--storage.tsdb.path")
            .arg(folder.join("series"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let address = ([127, 0, 0, 1], port).into();
        let prometheus = Self { child, address };
        eventually("Prometheus", || prometheus.get("/-/ready").0 == "200");
        prometheus
    }

    fn ask(&self, path: &str) -> Value {
        let (status, body) = self.get(&format!("/api/v1/{path}"));
        assert_eq!(status, "200", "{path}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        answer["data"].clone()
    }

    /// By HTTP 1.0, in which an answer comes in one piece.
    fn get(&self, path: &str) -> (String, String) {
        let Ok(mut stream) = TcpStream::connect(self.address) else {
            return Default::default();
        };
        write!(stream, "GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let (_, body) = text.split_once("\r\n\r\n").unwrap_or_default();
        (status, body.to_owned())
    }

    /// The alerts that fire, but for those on the disk of the machine on which tests run.
    fn firing(&self) -> Vec<String> {
        let alerts = self.ask("alerts")["alerts"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .filter(|name| !name.starts_with("BigbrotrDisk"))
            .collect()
    }

    fn fires(&self, alert: &str) -> bool {
        self.firing().iter().any(|firing| firing == alert)
    }

    /// The rules, with how their last evaluation went.
    fn rules(&self) -> Vec<Value> {
        let groups = self.ask("rules")["groups"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        groups
            .iter()
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_tells_when_the_database_or_the_node_is_gone_and_when_it_is_back() {
    if !is_installed("prometheus") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut config = EmbeddedConfig::new(folder.path().join("postgres"));
    let server = EmbeddedPostgres::start(config.clone()).await.unwrap();
    // The same address when it is back.
    config.port = server.port();
    let node = quiet_node(folder.path(), &["--database-url", &server.connection_url()]);
    let target = node.metrics.trim_start_matches("http://").to_owned();
    let prometheus = Prometheus::start(folder.path(), &target);

    eventually("an evaluation of every rule", || {
        let up = prometheus.ask("query?query=up%3D%3D1")["result"]
            .as_array()
            .map(Vec::len);
        let rules = prometheus.rules();
        up == Some(1) && rules.len() > 30 && rules.iter().all(|rule| rule["health"] != "unknown")
    });
    for rule in prometheus.rules() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    // A node that is well says nothing, once it has been so for a moment.
    eventually("silence", || prometheus.firing().is_empty());

    server.stop().await.unwrap();
    eventually("the alert", || prometheus.fires("BigbrotrDatabaseDown"));
    eventually("what follows from that", || {
        prometheus.fires("BigbrotrNoRollup")
    });
    assert!(!prometheus.fires("BigbrotrProcessDown"));

    let server = EmbeddedPostgres::start(config).await.unwrap();
    // Those that count what happened in the last quarter of an hour may go on for as long.
    eventually("the end of the alerts", || {
        let firing = prometheus.firing();
        !["BigbrotrDatabaseDown", "BigbrotrNoRollup"]
            .iter()
            .any(|alert| firing.iter().any(|name| name == alert))
    });

    node.kill();
    eventually("the alert", || prometheus.fires("BigbrotrProcessDown"));
    assert!(!prometheus.fires("BigbrotrDatabaseDown"), "nobody knows");
    server.stop().await.unwrap();
}
