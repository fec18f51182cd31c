//! The arrows between the crates: down only, and SQL in one place.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What each crate may depend on among ours, outside of tests.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let core = "bigbrotr-core";
    let schema = "bigbrotr-schema";
    BTreeMap::from([
        (core, BTreeSet::new()),
        ("bigbrotr-testkit", BTreeSet::from([core])),
        (schema, BTreeSet::from([core])),
        ("bigbrotr-crawler", BTreeSet::from([core, schema])),
        ("bigbrotr-relay", BTreeSet::from([core, schema])),
        ("bigbrotr-dvm", BTreeSet::from([core, schema])),
        (
            "bigbrotr",
            BTreeSet::from([
                core,
                schema,
                "bigbrotr-crawler",
                "bigbrotr-relay",
                "bigbrotr-dvm",
                "bigbrotr-testkit",
            ]),
        ),
    ])
}

#[test]
fn crates_depend_downwards_and_only_schema_speaks_sql() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed = allowed();
    let packages = metadata["packages"].as_array().unwrap();
    assert_eq!(
        packages.len(),
        allowed.len(),
        "a crate is missing from this test"
    );
    for package in packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            let for_tests = dependency["kind"] == "dev";
            if on.starts_with("bigbrotr") && !for_tests {
                assert!(allowed[name].contains(on), "{name} must not depend on {on}");
            }
            let sql = on.starts_with("sqlx") || on.contains("postgres");
            assert!(
                !sql || name == "bigbrotr-schema" || for_tests,
                "{name} must not depend on {on}: SQL lives in bigbrotr-schema"
            );
            assert!(
                !(name == "bigbrotr-core" && on == "warp"),
                "core must not depend on a web framework"
            );
        }
    }
}
