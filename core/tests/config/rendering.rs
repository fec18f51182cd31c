//! What `config show` prints.

use bigbrotr_core::config::{ConfigSource, render_yaml};

use crate::sample::{MonitorConfig, file, read};

#[test]
fn values_that_are_not_the_default_name_their_origin() {
    let text = "\
# how often
interval: 5m
name: monitor
relays:
  - wss://a.example
tor:
  proxy: 127.0.0.1:9050
sources:
  - url: https://a.example
    every: 1h
";
    let source = file(text)
        .with_env([
            ("BIGBROTR__MONITOR__TOKEN", "hunter2"),
            ("BIGBROTR__MONITOR__KINDS", "0,3"),
            ("BIGBROTR__MONITOR__WEIGHTS", "{1: 0.5}"),
        ])
        .with_flag("monitor.tor.max_open", "8", "--max-open");
    let expected = "\
enabled: true
interval: 5m  # file config/monitor.yaml:2
deadline: null
concurrency: 50
retries: 1
level: basic
name: monitor
token: '********'  # environment BIGBROTR__MONITOR__TOKEN
max_size: 64KiB
listen:
  - 127.0.0.1:8080
kinds:  # environment BIGBROTR__MONITOR__KINDS
  - 0
  - 3
relays:  # file config/monitor.yaml:5
  - wss://a.example
weights:
  1: 0.5  # environment BIGBROTR__MONITOR__WEIGHTS
tor:
  enabled: false
  proxy: 127.0.0.1:9050  # file config/monitor.yaml:7
  max_open: 8  # flag --max-open
sources:  # file config/monitor.yaml:9
  - url: https://a.example
    every: 1h
";
    assert_eq!(source.render_yaml(&read(&source)), expected);
}

#[test]
fn what_is_shown_can_be_read_back() {
    let source = file("interval: 90s\nname: \"two\\nlines: # and a sign\"\nmax_size: 1000\n");
    let config = read(&source);
    assert_eq!(read(&file(&source.render_yaml(&config))), config);
    assert_eq!(read(&file(&render_yaml(&config))), config);
}

#[test]
fn without_a_source_there_are_no_notes() {
    let text = render_yaml(&MonitorConfig::default());
    assert!(text.contains("interval: 1h\n"), "{text}");
    assert!(!text.contains('#'), "{text}");
}

#[test]
fn secrets_are_masked() {
    let source = ConfigSource::new().with_flag("monitor.token", "hunter2", "--token");
    let text = source.render_yaml(&read(&source));
    assert!(
        text.contains("token: '********'  # flag --token\n"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
}
