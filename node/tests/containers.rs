//! What containers need of the binary: values and secrets from files, and a health check.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::path::Path;

use common::{Node, bigbrotr, eventually, output, signal};

const KEY: &str = "0000000000000000000000000000000000000000000000000000000000000003";
const NPUB: &str = "npub1lycg5qvjtrp3qjf5f7zl382j9x6nrjz9sdhenvyxq8c3808qxmus6gq266";

fn secret(folder: &Path, name: &str, value: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, format!("{value}\n")).unwrap();
    path.display().to_string()
}

#[test]
fn health_says_how_the_node_is_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let health = |listen: &str| {
        let (done, stdout, stderr) =
            output(bigbrotr(&data).args(["health", "--metrics-listen", listen]));
        (done.status.code(), stdout, stderr)
    };
    let node = Node::start(&data, &["--services", "initializer,rollup"]);
    // As a container has it: on all addresses, asked by loopback.
    let listen = node.metrics.replace("http://127.0.0.1", "0.0.0.0");
    eventually("the node to be ready", || health(&listen).0 == Some(0));
    let (_, said, _) = health(&listen);
    assert!(said.contains("rollup"), "{said}");

    // A node that hangs has no answer, in bounded time.
    signal("STOP", node.pid());
    let (code, _, stderr) = health(&listen);
    signal("CONT", node.pid());
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no answer from"), "{stderr}");

    assert_eq!(node.terminate(), Some(0));
    let (code, stdout, stderr) = health(&listen);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("no node answers at"), "{stderr}");
}

#[test]
fn secrets_come_from_files_and_are_given_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = secret(folder.path(), "node_key", KEY);
    let keys = |variables: &[(&str, &str)]| {
        let (done, stdout, stderr) =
            output(bigbrotr(&data).arg("keys").envs(variables.iter().copied()));
        (done.status.success(), stdout + &stderr)
    };
    let (ok, said) = keys(&[("BIGBROTR_SECRET_KEY_FILE", &key)]);
    assert!(ok && said.contains(NPUB) && said.contains(&key), "{said}");
    assert!(!data.join("keys").exists(), "no key is made beside it");
    let (ok, said) = keys(&[
        ("BIGBROTR_SECRET_KEY_FILE", &key),
        ("BIGBROTR_SECRET_KEY", KEY),
    ]);
    assert!(!ok && said.contains("both set"), "{said}");

    let show = |variables: &[(&str, &str)]| {
        let (done, stdout, stderr) = output(
            bigbrotr(&data)
                .args(["config", "show"])
                .envs(variables.iter().copied()),
        );
        (done.status.success(), stdout + &stderr)
    };
    let password = secret(folder.path(), "password", "hunter2");
    let url = secret(folder.path(), "url", "postgres://op@db.example/mine");
    let (ok, said) = show(&[
        ("BIGBROTR__DATABASE__PASSWORD_FILE", &password),
        ("DATABASE_URL_FILE", &url),
    ]);
    assert!(ok, "{said}");
    for name in ["BIGBROTR__DATABASE__PASSWORD_FILE", "DATABASE_URL_FILE"] {
        assert!(said.contains(name), "{name} is missing in {said}");
    }
    assert!(!said.contains("hunter2") && !said.contains("db.example"));
    let (ok, said) = show(&[
        ("DATABASE_URL_FILE", &url),
        ("DATABASE_URL", "postgres://op@db.example/mine"),
    ]);
    assert!(!ok && said.contains("given twice"), "{said}");
}
