//! The guards that keep shipped YAML honest.

use bigbrotr_core::config::{differing_defaults, undocumented_keys};

use crate::sample::MonitorConfig;

const DOCUMENTED: &str = "\
# The monitor.

# Whether to run it.
enabled: true
# How often: see the interval of others.
interval: 60m
# Ends a check.
# deadline: 30s
# How many at once.
concurrency: 50
# Tries.
# retries: 1
# How thorough.
level: basic
# Its name.
name: monitor
# Its password.
# token: ''
# The largest document.
max_size: 65536
# Where to listen.
# listen:
#   - 127.0.0.1:8080
# Which kinds
# (an example: kinds may be any).
kinds: [1, 30166]
# Relays.
# relays: []
# Weights.
# weights: {}
# Tor.
tor:
  # Whether to use it.
  # enabled: false
  # Where it is.
  # proxy: 127.0.0.1:9050
  # How many at once.
  max_open: 0
# Lists.
# sources: []
";

#[test]
fn a_fully_documented_file_passes() {
    assert_eq!(
        undocumented_keys::<MonitorConfig>(DOCUMENTED),
        Vec::<String>::new()
    );
}

#[test]
fn examples_of_optional_keys_are_told_apart() {
    let differing = differing_defaults::<MonitorConfig>(DOCUMENTED).unwrap();
    let lines: Vec<String> = differing.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "monitor.deadline: \"30s\" in the file, null in the code",
            "monitor.tor.proxy: \"127.0.0.1:9050\" in the file, null in the code",
        ]
    );
}

#[test]
fn a_key_without_a_comment_is_reported() {
    let text = DOCUMENTED
        .replace("# Its name.\n", "")
        .replace("  # Where it is.\n", "")
        .replace("# Lists.\n# sources: []\n", "");
    assert_eq!(
        undocumented_keys::<MonitorConfig>(&text),
        ["monitor.name", "monitor.tor.proxy", "monitor.sources"]
    );
}

#[test]
fn a_blank_line_does_not_document() {
    let text = DOCUMENTED.replace("# Tries.\n", "# Tries.\n\n");
    assert_eq!(
        undocumented_keys::<MonitorConfig>(&text),
        ["monitor.retries"]
    );
}

#[test]
fn a_stale_default_is_reported_active_or_commented() {
    let text = DOCUMENTED
        .replace("interval: 60m", "interval: 30m")
        .replace("# retries: 1", "# retries: 5")
        .replace("#   - 127.0.0.1:8080", "#   - 127.0.0.1:9999");
    let differing = differing_defaults::<MonitorConfig>(&text).unwrap();
    let keys: Vec<&str> = differing
        .iter()
        .map(|differing| differing.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "monitor.interval",
            "monitor.deadline",
            "monitor.retries",
            "monitor.listen",
            "monitor.tor.proxy"
        ]
    );
}

#[test]
fn a_mistake_in_a_commented_key_is_an_error() {
    let text = DOCUMENTED.replace("# retries: 1", "# retries: none");
    let errors = differing_defaults::<MonitorConfig>(&text)
        .unwrap_err()
        .to_string();
    assert!(
        errors.starts_with("monitor.yaml:12:10: monitor.retries: "),
        "{errors}"
    );
}
