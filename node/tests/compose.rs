//! `compose.yaml` and the `Dockerfile` stay true to the program: nothing here runs a container.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bigbrotr_core::service::ServiceName;
use common::{bigbrotr, output};
use serde_yaml::{Mapping, Value};

const IMPLEMENTATIONS: [&str; 3] = ["bigbrotr", "lilbrotr", "template"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn compose() -> Value {
    let text = std::fs::read_to_string(root().join("compose.yaml")).unwrap();
    let mut compose: Value = serde_yaml::from_str(&text).unwrap();
    // What is merged in merges something itself: once for each level.
    for _ in 0..2 {
        compose.apply_merge().unwrap();
    }
    compose
}

fn containers(compose: &Value) -> Vec<(&str, &Mapping)> {
    let services = compose["services"].as_mapping().unwrap();
    services
        .iter()
        .map(|(name, container)| (name.as_str().unwrap(), container.as_mapping().unwrap()))
        .collect()
}

/// The texts of a list; of a mapping, its keys. Nothing for what is not there.
fn texts(value: Option<&Value>) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match value {
        Some(Value::Sequence(items)) => items.iter().map(text).collect(),
        Some(Value::Mapping(entries)) => entries.keys().map(text).collect(),
        _ => Vec::new(),
    }
}

/// Those that run our binary.
fn is_ours(container: &Mapping) -> bool {
    container["image"]
        .as_str()
        .unwrap()
        .starts_with("bigbrotr:")
}

/// Puts in what a variable has when it is not set, and the implementation.
fn interpolated(text: &str, implementation: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, variable)) = rest.split_once("${") {
        let (variable, after) = variable.split_once('}').unwrap();
        let (name, default) = variable
            .split_once(":-")
            .expect("every variable has a default");
        out.push_str(before);
        out.push_str(if name == "IMPLEMENTATION" {
            implementation
        } else {
            default
        });
        rest = after;
    }
    out + rest
}

#[test]
fn every_service_of_the_program_has_a_container_of_its_own() {
    let compose = compose();
    for service in ServiceName::ALL {
        let container = &compose["services"][service.as_str()];
        let expected = match service {
            ServiceName::Initializer => vec!["init"],
            service => vec!["--services", service.as_str()],
        };
        assert_eq!(texts(container.get("command")), expected, "{service}");
        let others = texts(container.get("depends_on"));
        let waits = others.contains(&"initializer".to_owned());
        assert_eq!(waits, service != ServiceName::Initializer, "{service}");
    }
    let ours = containers(&compose)
        .into_iter()
        .filter(|(_, container)| is_ours(container))
        .count();
    assert_eq!(ours, ServiceName::ALL.len());
}

#[test]
fn only_the_relay_and_the_api_are_published_to_everybody() {
    let compose = compose();
    let mut published = Vec::new();
    for (name, container) in containers(&compose) {
        for port in texts(container.get("ports")) {
            published.push((name.to_owned(), interpolated(&port, "bigbrotr")));
        }
        let networks = texts(container.get("networks"));
        let inside = ["postgres", "pgbouncer", "prometheus"].contains(&name);
        assert!(networks.contains(&"internal".to_owned()), "{name}");
        assert!(!inside || networks.len() == 1, "{name} has a way out");
        assert!(container.get("network_mode").is_none(), "{name}");
        assert!(container.get("privileged").is_none(), "{name}");
    }
    published.sort();
    let expected = [
        ("api", "8080:8080"),
        ("grafana", "127.0.0.1:3000:3000"),
        ("relay", "7777:7777"),
    ];
    assert_eq!(
        published,
        expected.map(|(name, port)| (name.to_owned(), port.to_owned()))
    );
    assert_eq!(compose["networks"]["internal"]["internal"], true);
}

#[test]
fn secrets_are_files_and_nowhere_else() {
    let compose = compose();
    let declared = compose["secrets"].as_mapping().unwrap();
    let names: BTreeSet<String> = texts(compose.get("secrets")).into_iter().collect();
    for (name, secret) in declared {
        let name = name.as_str().unwrap();
        assert_eq!(secret["file"], format!("./secrets/{name}"));
    }
    let mut used = BTreeSet::new();
    for (name, container) in containers(&compose) {
        let secrets = texts(container.get("secrets"));
        used.extend(secrets.iter().cloned());
        for (variable, value) in container
            .get("environment")
            .and_then(Value::as_mapping)
            .into_iter()
            .flatten()
        {
            let (variable, value) = (variable.as_str().unwrap(), value.as_str().unwrap());
            if let Some(secret) = value.strip_prefix("/run/secrets/") {
                assert!(variable.ends_with("_FILE"), "{name}: {variable}");
                assert!(secrets.contains(&secret.to_owned()), "{name}: {secret}");
            } else {
                assert!(!variable.contains("PASSWORD"), "{name}: {variable}");
                assert!(!variable.contains("SECRET"), "{name}: {variable}");
            }
            if let Some((_, url)) = value.split_once("://") {
                let user = url.split_once('@').map_or("", |(user, _)| user);
                assert!(!user.contains(':'), "{name}: {variable} holds a password");
            }
        }
    }
    assert_eq!(used, names);
    // None of them gets into an image or a commit.
    let ignored = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    assert!(ignored(".gitignore").lines().any(|line| line == "/secrets"));
    assert!(ignored(".dockerignore").starts_with("*\n"));
}

#[test]
fn the_script_makes_the_secrets_and_keeps_those_that_are_there() {
    let compose = compose();
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    let make = || {
        let script = root().join("deploy/secrets");
        let (done, stdout, stderr) = output(Command::new(script).arg(&secrets));
        assert!(done.status.success(), "{stdout}{stderr}");
        let read = |name: String| std::fs::read_to_string(secrets.join(name)).unwrap();
        texts(compose.get("secrets"))
            .into_iter()
            .map(read)
            .collect::<Vec<_>>()
    };
    let made = make();
    assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), 3);
    assert!(made.iter().all(|secret| secret.len() >= 24));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&secrets), 0o700);
    assert_eq!(mode(&secrets.join("node_key")), 0o444);
    assert_eq!(make(), made);
    assert_eq!(std::fs::read_dir(&secrets).unwrap().count(), made.len());
}

#[test]
fn the_environment_of_every_container_is_a_configuration_of_every_implementation() {
    let compose = compose();
    let folder = tempfile::tempdir().unwrap();
    let (done, ..) = output(Command::new(root().join("deploy/secrets")).arg(folder.path()));
    assert!(done.status.success());
    let run_secrets = format!("{}/", folder.path().display());
    let mut seen = BTreeSet::new();
    for (name, container) in containers(&compose) {
        if !is_ours(container) {
            continue;
        }
        for implementation in IMPLEMENTATIONS {
            let environment = container["environment"].as_mapping().unwrap();
            let environment: Vec<(String, String)> = environment
                .iter()
                .map(|(variable, value)| {
                    let value = interpolated(value.as_str().unwrap(), implementation);
                    let value = value.replace("/run/secrets/", &run_secrets);
                    (variable.as_str().unwrap().to_owned(), value)
                })
                .collect();
            // Most containers have the same.
            if !seen.insert(environment.clone()) {
                continue;
            }
            for command in [&["config", "check"][..], &["keys"]] {
                // `--data-dir` is no flag of the container, whose folder cannot be written.
                let (done, stdout, stderr) = output(
                    bigbrotr(&folder.path().join("data"))
                        .args(command)
                        .current_dir(root())
                        .envs(environment.iter().map(|(name, value)| (name, value))),
                );
                assert!(done.status.success(), "{name}: {stdout}{stderr}");
            }
        }
    }
    assert!(!folder.path().join("data").exists(), "nothing was written");
    assert_eq!(seen.len() % IMPLEMENTATIONS.len(), 0);
}

#[test]
fn every_container_is_bounded_and_ours_may_do_little() {
    let compose = compose();
    for (name, container) in containers(&compose) {
        let limits = &container["deploy"]["resources"]["limits"];
        assert!(
            limits["memory"].is_string(),
            "{name} has no limit of memory"
        );
        assert!(
            limits["cpus"].is_string(),
            "{name} has no limit of processors"
        );
        let log = &container["logging"]["options"];
        assert!(
            log["max-size"].is_string() && log["max-file"].is_string(),
            "{name}"
        );
        assert!(container["restart"].is_string(), "{name}");
        let security = texts(container.get("security_opt"));
        assert_eq!(security, ["no-new-privileges:true"], "{name}");
        let image = interpolated(container["image"].as_str().unwrap(), "bigbrotr");
        let (image, tag) = image.rsplit_once(':').unwrap();
        if image.starts_with("bigbrotr") {
            assert_eq!(texts(container.get("cap_drop")), ["ALL"], "{name}");
            assert_eq!(container["read_only"], true, "{name}");
        } else {
            assert!(
                tag.starts_with(|c: char| c.is_ascii_digit() || c == 'v'),
                "{name}"
            );
        }
    }
}

#[test]
fn what_is_mounted_is_there_for_every_implementation() {
    let compose = compose();
    let mut mounted = BTreeSet::new();
    for (name, container) in containers(&compose) {
        for mount in texts(container.get("volumes")) {
            for implementation in IMPLEMENTATIONS {
                let mount = interpolated(&mount, implementation);
                let source = mount.split(':').next().unwrap().to_owned();
                if let Some(path) = source.strip_prefix("./implementations") {
                    let path = root().join(format!("implementations{path}"));
                    assert!(path.exists(), "{name}: {}", path.display());
                    assert!(mount.ends_with(":ro"), "{name}: {mount}");
                    mounted.insert(source);
                } else if !source.starts_with('.') {
                    assert!(
                        compose["volumes"].get(&source).is_some(),
                        "{name}: {source}"
                    );
                }
            }
        }
    }
    assert_eq!(mounted.len(), 1 + 2 * IMPLEMENTATIONS.len());
}

/// A setting of a `name = value` file.
fn setting(file: &Path, name: &str) -> u32 {
    let text = std::fs::read_to_string(file).unwrap();
    let value = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim().parse().unwrap())
    });
    value.unwrap_or_else(|| panic!("{name} is not in {}", file.display()))
}

#[test]
fn postgres_has_room_for_the_pool_and_the_pool_for_the_services() {
    for implementation in IMPLEMENTATIONS {
        let folder = root().join("implementations").join(implementation);
        let pooler = folder.join("pgbouncer/pgbouncer.ini");
        let server = folder.join("postgres/postgresql.conf");
        let pool = setting(&pooler, "default_pool_size") + setting(&pooler, "reserve_pool_size");
        let services = ServiceName::ALL.len() as u32;
        // Directly: a listener and a migration of each service; three are the superuser's.
        let room = setting(&server, "max_connections") - 3;
        assert!(pool + 2 * services <= room, "{implementation}");
        let clients = setting(&pooler, "max_client_conn");
        assert!(services * (16 + 8) <= clients, "{implementation}");
    }
}

#[test]
fn the_image_is_built_from_every_crate() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("members = [")?.strip_suffix(']'))
        .unwrap();
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let context = std::fs::read_to_string(root().join(".dockerignore")).unwrap();
    for member in members.split(", ").map(|name| name.trim_matches('"')) {
        let copied = format!("COPY {member}/Cargo.toml {member}/\n");
        assert!(dockerfile.contains(&copied), "{copied}");
        let sent = format!("!{member}");
        assert!(context.lines().any(|line| line == sent), "{sent}");
    }
    let stage = dockerfile.rsplit("\nFROM ").next().unwrap();
    for part in [
        "USER 10001:10001",
        r#"CMD ["bigbrotr", "health"]"#,
        "\"tini\", \"--\"",
    ] {
        assert!(stage.contains(part), "{part} is missing in the last stage");
    }
}
