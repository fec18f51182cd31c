//! Defaults < files < environment < flags, and how text from outside gets its type.

use std::fs;
use std::time::Duration;

use bigbrotr_core::config::{ByteSize, ConfigSource};

use crate::sample::{Level, MonitorConfig, TorConfig, env, file, read};

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(read(&ConfigSource::new()), MonitorConfig::default());
    for empty in ["", "# only a comment\n", "---\n", "tor:\n  # proxy: x\n"] {
        assert_eq!(read(&file(empty)), MonitorConfig::default(), "{empty:?}");
    }
}

#[test]
fn a_file_sets_what_it_names_and_nothing_else() {
    let text = "\
interval: 5m
deadline: 1h 30m
level: full
max_size: 1MB
kinds: [0, 3]
weights: {1: 0.5, 30023: 2}
tor:
  enabled: true
  proxy: 127.0.0.1:9050
sources:
  - url: https://a.example
    every: 1d
";
    let config = read(&file(text));
    assert_eq!(config.interval, Duration::from_mins(5));
    assert_eq!(config.deadline, Some(Duration::from_mins(90)));
    assert_eq!(config.level, Level::Full);
    assert_eq!(config.max_size, ByteSize::new(1_000_000));
    assert_eq!(config.kinds, [0, 3]);
    assert_eq!(config.weights[&30_023].to_bits(), 2.0_f64.to_bits());
    let proxy = Some("127.0.0.1:9050".to_owned());
    assert_eq!(
        config.tor,
        TorConfig {
            enabled: true,
            proxy,
            max_open: 0
        }
    );
    assert_eq!(config.sources[0].every, Duration::from_hours(24));
    assert_eq!(config.concurrency, 50);
}

#[test]
fn a_variable_wins_over_the_file_and_a_flag_over_both() {
    let file = file("interval: 1m\nconcurrency: 1\nname: file\n");
    let env = file.with_env([
        ("BIGBROTR__MONITOR__INTERVAL", "2m"),
        ("BIGBROTR__MONITOR__CONCURRENCY", "2"),
        ("PATH", "/bin"),
    ]);
    let flags = env.with_flag("monitor.interval", "3m", "--interval");
    let config = read(&flags);
    assert_eq!(config.interval, Duration::from_mins(3));
    assert_eq!(config.concurrency, 2);
    assert_eq!(config.name, "file");
}

#[test]
fn flags_win_even_when_variables_are_added_later() {
    let source = ConfigSource::new()
        .with_flag("monitor.interval", "3m", "--interval")
        .with_env([("BIGBROTR__MONITOR__INTERVAL", "2m")]);
    assert_eq!(read(&source).interval, Duration::from_mins(3));
}

#[test]
fn a_variable_with_a_name_of_its_own_sets_its_key() {
    let source = ConfigSource::new().with_variable("monitor.token", "hunter2", "MONITOR_TOKEN");
    assert_eq!(read(&source).token.expose(), "hunter2");
}

#[test]
fn a_variable_is_read_as_what_its_key_wants() {
    let set = |key: &str, value: &str| read(&env(&format!("BIGBROTR__MONITOR__{key}"), value));
    assert!(!set("ENABLED", "false").enabled);
    assert_eq!(set("CONCURRENCY", "7").concurrency, 7);
    assert_eq!(set("DEADLINE", "7s").deadline, Some(Duration::from_secs(7)));
    assert_eq!(set("DEADLINE", "").deadline, None);
    assert_eq!(set("LEVEL", "full").level, Level::Full);
    assert_eq!(set("LEVEL", "{custom: 3}").level, Level::Custom(3));
    assert_eq!(set("MAX_SIZE", "65536").max_size, ByteSize::kib(64));
    assert_eq!(set("MAX_SIZE", "1MiB").max_size, ByteSize::mib(1));
    assert_eq!(
        set("TOR__PROXY", "[::1]:9050").tor.proxy.as_deref(),
        Some("[::1]:9050")
    );
    assert_eq!(
        set("WEIGHTS__30023", "0.5").weights[&30_023].to_bits(),
        0.5_f64.to_bits()
    );
}

#[test]
fn text_in_a_variable_stays_as_it_is() {
    for text in ["12", "true", "null", "{a: b", "# x", " padded ", "a: b", ""] {
        assert_eq!(read(&env("BIGBROTR__MONITOR__NAME", text)).name, text);
        assert_eq!(
            read(&env("BIGBROTR__MONITOR__TOKEN", text)).token.expose(),
            text
        );
    }
}

#[test]
fn a_list_in_a_variable_is_separated_by_commas_or_yaml() {
    let set = |key: &str, value: &str| read(&env(&format!("BIGBROTR__MONITOR__{key}"), value));
    assert_eq!(set("KINDS", "1, 2,3").kinds, [1, 2, 3]);
    assert_eq!(set("KINDS", "[1, 2, 3]").kinds, [1, 2, 3]);
    assert_eq!(set("KINDS", "").kinds, Vec::<u16>::new());
    assert_eq!(
        set("RELAYS", "wss://a.example, wss://b.example")
            .relays
            .len(),
        2
    );
    let listen = set("LISTEN", "[::1]:8080,127.0.0.1:80").listen;
    assert_eq!(
        listen,
        [
            "[::1]:8080".parse().unwrap(),
            "127.0.0.1:80".parse().unwrap()
        ]
    );
    assert_eq!(set("LISTEN", "[::1]:8080").listen.len(), 1);
    assert_eq!(
        set("SOURCES", "[{url: 'https://a.example', every: 1h}]")
            .sources
            .len(),
        1
    );
}

#[test]
fn a_variable_reaches_into_what_a_file_began() {
    let source = file("tor:\n  enabled: true\n  proxy: a\n")
        .with_env([("BIGBROTR__MONITOR__TOR__PROXY", "b")]);
    let tor = read(&source).tor;
    assert_eq!((tor.enabled, tor.proxy.as_deref()), (true, Some("b")));
}

#[test]
fn anchors_and_a_byte_order_mark_are_ordinary_yaml() {
    let config = read(&file("\u{feff}interval: &often 5m\ndeadline: *often\n"));
    assert_eq!(config.deadline, Some(Duration::from_mins(5)));
}

#[test]
fn a_directory_is_a_set_of_sections() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("monitor.yaml"), "interval: 5m\n").unwrap();
    fs::write(dir.path().join(".monitor.yaml.swp"), "rubbish").unwrap();
    let source = ConfigSource::new().with_dir(dir.path()).unwrap();
    assert_eq!(read(&source).interval, Duration::from_mins(5));
    assert_eq!(source.finish(&["monitor"]), Ok(()));
}

#[test]
fn a_variable_may_name_a_file_that_holds_the_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("value");
    let name = "BIGBROTR__MONITOR__NAME_FILE";
    let source = |more: &[(&'static str, &'static str)]| {
        let path = path.display().to_string();
        let mut variables = vec![(name.to_owned(), path)];
        variables.extend(more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        file("name: file\n").with_env(variables)
    };
    fs::write(&path, " se: cret\r\n\n").unwrap();
    assert_eq!(read(&source(&[])).name, " se: cret");
    assert!(source(&[]).finish(&["monitor"]).is_ok());

    let refused = |more: &[(&'static str, &'static str)]| {
        let errors = source(more).finish(&["monitor"]).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors}");
        errors.to_string()
    };
    let twice = refused(&[("BIGBROTR__MONITOR__NAME", "x")]);
    assert!(twice.starts_with(&format!(
        "environment variable {name}: BIGBROTR__MONITOR__NAME is set too"
    )));
    let long = "x".repeat(70_000);
    for (content, reason) in [
        (&b"\n"[..], "empty"),
        (b"\xff", "not UTF-8"),
        (long.as_bytes(), "longer than"),
    ] {
        fs::write(&path, content).unwrap();
        let error = refused(&[]);
        assert!(error.contains(name) && error.contains(reason), "{error}");
        assert!(!error.contains("xxxx"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(refused(&[]).contains("No such file"));
}
