//! What the operator is told about the configuration.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{bigbrotr, output};

#[test]
fn the_shipped_configuration_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    for implementation in ["bigbrotr", "lilbrotr", "template"] {
        let (done, stdout, stderr) = output(bigbrotr(folder.path()).args([
            "config",
            "check",
            "--implementation",
            implementation,
        ]));
        assert!(done.status.success(), "{stderr}");
        assert!(stdout.contains(implementation));
    }
}

#[test]
fn every_mistake_is_named_with_its_place_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("mine/config");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("monitor.yaml"), "# x\nintervall: 5m\n").unwrap();
    std::fs::write(config.join("relay.yaml"), "limits:\n  max_filters: many\n").unwrap();
    std::fs::write(config.join("nonsense.yaml"), "a: 1\n").unwrap();
    let mine = folder.path().join("mine").display().to_string();
    let (done, _, stderr) = output(
        bigbrotr(folder.path())
            .args(["config", "check", "--implementation", &mine])
            .env("BIGBROTR__API__LISTEN", "everywhere"),
    );
    assert!(!done.status.success());
    for part in [
        "monitor.yaml:2:1: monitor.intervall",
        "interval",
        "relay.yaml:2:16: relay.limits.max_filters",
        "nonsense",
        "BIGBROTR__API__LISTEN",
    ] {
        assert!(stderr.contains(part), "{part} is missing in:\n{stderr}");
    }
}

#[test]
fn flags_win_over_the_environment_and_secrets_are_masked() {
    let folder = tempfile::tempdir().unwrap();
    let (done, stdout, stderr) = output(
        bigbrotr(folder.path())
            .args(["config", "show", "--api-listen", "127.0.0.1:1"])
            .env("BIGBROTR__API__LISTEN", "127.0.0.1:2")
            .env("BIGBROTR__RELAY__NAME", "Mine")
            .env("DATABASE_URL", "postgres://me:hunter2@localhost/db"),
    );
    assert!(done.status.success(), "{stderr}");
    assert!(stdout.contains("listen: 127.0.0.1:1"), "{stdout}");
    assert!(stdout.contains("--api-listen"), "{stdout}");
    assert!(
        stdout.contains("name: Mine") && stdout.contains("BIGBROTR__RELAY__NAME"),
        "{stdout}"
    );
    assert!(!stdout.contains("hunter2"), "{stdout}");
}
