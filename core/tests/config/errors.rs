//! What a mistake reads like: its place, its key, what is wrong, and what to write instead.

use std::fs;

use bigbrotr_core::config::{ConfigErrors, ConfigSource};

use crate::sample::{MonitorConfig, env, file};

/// The errors of reading the section, one per line.
#[track_caller]
fn errors(source: &ConfigSource) -> String {
    source
        .section::<MonitorConfig>()
        .expect_err("the section is wrong")
        .to_string()
}

#[track_caller]
fn assert_file(text: &str, expected: &str) {
    assert_eq!(errors(&file(text)), expected);
}

#[track_caller]
fn assert_env(key: &str, value: &str, expected: &str) {
    let name = format!("BIGBROTR__MONITOR__{key}");
    assert_eq!(
        errors(&env(&name, value)),
        format!("environment variable {name}: {expected}")
    );
}

#[test]
fn a_bad_duration_in_a_file() {
    assert_file(
        "# how often\ninterval: 5 minuts\n",
        "config/monitor.yaml:2:11: monitor.interval: invalid duration \"5 minuts\": \
         expected e.g. 30s, 5m, 1h 30m",
    );
    assert_file(
        "deadline: 60\n",
        "config/monitor.yaml:1:11: monitor.deadline: duration 60 has no unit: \
         write e.g. 60s, 60m or 60h",
    );
    assert_file(
        "interval:\n",
        "config/monitor.yaml:1:10: monitor.interval: the value is missing: \
         expected a duration, e.g. 30s, 5m, 1h 30m",
    );
}

#[test]
fn an_unknown_key_in_a_file() {
    assert_file(
        "tor:\n  enabled: false\n  proxxy: x\n",
        "config/monitor.yaml:3:3: monitor.tor.proxxy: unknown key, did you mean \"proxy\"?: \
         known keys: enabled, proxy, max_open",
    );
    assert_file(
        "tor:\n  colour: red\n",
        "config/monitor.yaml:2:3: monitor.tor.colour: unknown key: \
         known keys: enabled, proxy, max_open",
    );
}

#[test]
fn a_value_of_the_wrong_type_in_a_file() {
    assert_file(
        "name: x\nconcurrency: lots\n",
        "config/monitor.yaml:2:14: monitor.concurrency: invalid value \"lots\": \
         expected a whole number from 0 to 65535",
    );
    assert_file(
        "concurrency: 70000\n",
        "config/monitor.yaml:1:14: monitor.concurrency: invalid value 70000: \
         expected a whole number from 0 to 65535",
    );
    assert_file(
        "retries: 0\n",
        "config/monitor.yaml:1:10: monitor.retries: invalid value 0: \
         expected a whole number from 1 to 4294967295",
    );
    assert_file(
        "enabled: yes\n",
        "config/monitor.yaml:1:10: monitor.enabled: invalid value \"yes\": expected true or false",
    );
    assert_file(
        "name: 12\n",
        "config/monitor.yaml:1:7: monitor.name: invalid value 12: \
         expected text: put the value in quotes",
    );
    assert_file(
        "kinds: 1\n",
        "config/monitor.yaml:1:8: monitor.kinds: invalid value 1: expected a list",
    );
    assert_file(
        "kinds:\n  - 1\n  - two\n",
        "config/monitor.yaml:3:5: monitor.kinds[1]: invalid value \"two\": \
         expected a whole number from 0 to 65535",
    );
    assert_file(
        "tor: always\n",
        "config/monitor.yaml:1:6: monitor.tor: invalid value \"always\": \
         expected a mapping of keys",
    );
    assert_file(
        "weights: {many: 1.0}\n",
        "config/monitor.yaml:1:11: monitor.weights.many: invalid value \"many\": \
         expected a whole number from 0 to 65535",
    );
    assert_file(
        "max_size: 3 parsecs\n",
        "config/monitor.yaml:1:11: monitor.max_size: invalid size \"3 parsecs\": \
         expected e.g. 65536, 64KiB, 1MB",
    );
    assert_file(
        "listen: [nowhere]\n",
        "config/monitor.yaml:1:10: monitor.listen[0]: invalid socket address syntax",
    );
}

#[test]
fn an_unknown_name_lists_the_allowed_ones() {
    assert_file(
        "level: ful\n",
        "config/monitor.yaml:1:8: monitor.level: unknown value \"ful\", did you mean \"full\"?: \
         expected one of: basic, full, custom",
    );
    assert_env(
        "LEVEL",
        "everything",
        "monitor.level: unknown value \"everything\": expected one of: basic, full, custom",
    );
}

#[test]
fn a_missing_key_without_default() {
    assert_file(
        "sources:\n  - every: 1h\n",
        "config/monitor.yaml:2:5: monitor.sources[0]: missing key \"url\": it has no default",
    );
}

#[test]
fn text_that_is_no_yaml() {
    assert_file(
        "name: x\n  bad: indent\n",
        "config/monitor.yaml:2:6: monitor: invalid YAML: \
         mapping values are not allowed in this context",
    );
    assert_file(
        "tor:\n  proxy: a\n  proxy: b\n",
        "config/monitor.yaml:3:3: monitor.tor.proxy: duplicate key",
    );
    assert_file(
        "- a\n- b\n",
        "config/monitor.yaml:1:1: monitor: invalid value, a list: expected a mapping of keys",
    );
    assert!(errors(&file("name: !secret x\n")).starts_with("config/monitor.yaml:1:7: monitor"));
    assert!(errors(&file("a: 1\n---\nb: 2\n")).contains("more than one document"));
}

#[test]
fn mistakes_in_variables_and_flags_name_them() {
    assert_env(
        "INTERVAL",
        "60",
        "monitor.interval: duration 60 has no unit: write e.g. 60s, 60m or 60h",
    );
    assert_env(
        "CONCURRENCY",
        "",
        "monitor.concurrency: the value is missing: expected a whole number from 0 to 65535",
    );
    assert_env(
        "KINDS",
        "1,two",
        "monitor.kinds[1]: invalid value \"two\": expected a whole number from 0 to 65535",
    );
    assert_env(
        "TOR__PROXXY",
        "x",
        "monitor.tor.proxxy: unknown key, did you mean \"proxy\"?: \
         known keys: enabled, proxy, max_open",
    );
    assert_env(
        "TOR",
        "",
        "monitor.tor: the value is missing: expected a mapping of keys",
    );
    let flag = ConfigSource::new().with_flag("monitor.concurrency", "lots", "--concurrency");
    assert_eq!(
        errors(&flag),
        "flag --concurrency: monitor.concurrency: invalid value \"lots\": \
         expected a whole number from 0 to 65535"
    );
}

#[test]
fn a_variable_cannot_reach_into_a_plain_value() {
    let source = file("name: x\n").with_env([("BIGBROTR__MONITOR__NAME__DEEP", "y")]);
    assert_eq!(
        errors(&source),
        "environment variable BIGBROTR__MONITOR__NAME__DEEP: monitor.name: \
         the key has no keys under it: set it as a whole"
    );
}

#[test]
fn a_refused_value_names_where_it_was_written() {
    assert_file(
        "interval: 1m\nconcurrency: 0\n",
        "config/monitor.yaml:2:14: monitor.concurrency: 0 is out of range: expected 1 to 10000",
    );
    assert_file(
        "sources:\n  - {url: 'http://a.example', every: 1h}\n",
        "config/monitor.yaml:2:11: monitor.sources[0].url: is not an https URL",
    );
    assert_env(
        "INTERVAL",
        "1s",
        "monitor.interval: 1s is out of range: expected 10s to 1d",
    );
    let source = file("concurrency: 5\n").with_flag("monitor.concurrency", "0", "--concurrency");
    assert_eq!(
        errors(&source),
        "flag --concurrency: monitor.concurrency: 0 is out of range: expected 1 to 10000"
    );
}

#[test]
fn a_refused_default_says_how_to_set_it() {
    assert_file(
        "tor:\n  enabled: true\n",
        "default value: monitor.tor.proxy: a proxy is needed while tor is enabled: \
         expected e.g. 127.0.0.1:9050; set it in monitor.yaml or by BIGBROTR__MONITOR__TOR__PROXY",
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let source = file(
        "interval: often\nintervall: 5m\nsources:\n  - url: 1\n    every: x\n  - url: a\n    every: y\n",
    )
    .with_env([("BIGBROTR__MONITOR__INTERVAL", "60"), ("BIGBROTR__MONITOR__ENABLED", "maybe")]);
    let expected = "\
config/monitor.yaml:1:11: monitor.interval: invalid duration \"often\": expected e.g. 30s, 5m, 1h 30m
config/monitor.yaml:2:1: monitor.intervall: unknown key, did you mean \"interval\"?: known keys: KEYS
config/monitor.yaml:4:10: monitor.sources[0].url: invalid value 1: expected text: put the value in quotes
config/monitor.yaml:5:12: monitor.sources[0].every: invalid duration \"x\": expected e.g. 30s, 5m, 1h 30m
config/monitor.yaml:7:12: monitor.sources[1].every: invalid duration \"y\": expected e.g. 30s, 5m, 1h 30m
environment variable BIGBROTR__MONITOR__ENABLED: monitor.enabled: invalid value \"maybe\": expected true or false
environment variable BIGBROTR__MONITOR__INTERVAL: monitor.interval: duration 60 has no unit: write e.g. 60s, 60m or 60h";
    let keys = "enabled, interval, deadline, concurrency, retries, level, name, token, max_size, \
                listen, kinds, relays, weights, tor, sources";
    assert_eq!(errors(&source), expected.replace("KEYS", keys));
}

#[test]
fn a_mistake_in_a_file_shows_even_under_an_override() {
    let source = file("interval: often\n").with_env([("BIGBROTR__MONITOR__INTERVAL", "60s")]);
    assert!(errors(&source).starts_with("config/monitor.yaml:1:11: monitor.interval"));
}

#[test]
fn secrets_are_not_repeated_in_errors() {
    let text = errors(&file("token: 271828\n"));
    assert_eq!(
        text,
        "config/monitor.yaml:1:8: monitor.token: a secret must be text: put the value in quotes"
    );
    let source = env("BIGBROTR__MONITOR__TOKEM", "hunter2").with_env([("X", "hunter2")]);
    assert!(!errors(&source).contains("hunter2"));
    assert!(!format!("{source:?}").contains("hunter2"));
}

#[test]
fn unknown_files_and_variables_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["moniter.yaml", "monitor.yml", "notes.txt"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let source = ConfigSource::new()
        .with_dir(dir.path())
        .unwrap()
        .with_env([
            ("BIGBROTR__MONITR__INTERVAL", "1m"),
            ("BIGBROTR__MONITOR", "x"),
        ])
        .with_flag("nowhere.interval", "1m", "--interval");
    let errors = source
        .finish(&["monitor", "relay"])
        .unwrap_err()
        .to_string();
    let expected = "\
DIR/monitor.yml: not a section's file: rename it to monitor.yaml
DIR/notes.txt: not a section's file: expected <section>.yaml, known sections: monitor, relay
DIR/moniter.yaml: unknown section \"moniter\", did you mean \"monitor\"?: known sections: monitor, relay
environment variable BIGBROTR__MONITOR: the name is not that of a key: expected BIGBROTR__<SECTION>__<KEY>, e.g. BIGBROTR__MONITOR__INTERVAL
environment variable BIGBROTR__MONITR__INTERVAL: unknown section \"monitr\", did you mean \"monitor\"?: known sections: monitor, relay
flag --interval: unknown section \"nowhere\": known sections: monitor, relay";
    assert_eq!(
        errors,
        expected.replace("DIR", &dir.path().display().to_string())
    );
}

#[test]
fn a_directory_that_cannot_be_read_says_so() {
    let error = ConfigSource::new()
        .with_dir("no/such/dir".as_ref())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("no/such/dir: cannot be read: "),
        "{error}"
    );
    assert!(error.ends_with(": check the path"), "{error}");
}

#[test]
fn errors_of_several_sections_are_collected() {
    let mut errors = ConfigErrors::new();
    assert!(
        errors
            .take(ConfigSource::new().section::<MonitorConfig>())
            .is_some()
    );
    assert!(
        errors
            .take(file("kinds: 1\n").section::<MonitorConfig>())
            .is_none()
    );
    errors.take(file("").finish(&["relay"]));
    assert_eq!(errors.len(), 2);
    assert_eq!(
        errors.iter().next().unwrap().key.as_deref(),
        Some("monitor.kinds")
    );
    assert!(errors.into_result().is_err());
}
