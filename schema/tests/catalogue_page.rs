//! `docs/catalogue.md` says what the entries say.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bigbrotr_schema::catalog::{document, read_built_in};

/// With this variable set, the page is written instead of compared.
const WRITE: &str = "WRITE_DOCS";

#[test]
fn the_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/catalogue.md");
    let page = document(&read_built_in().unwrap());
    #[expect(clippy::disallowed_methods, reason = "a switch for developers")]
    if std::env::var(WRITE).is_ok() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/catalogue.md is old: {WRITE}=1 cargo test -p bigbrotr-schema --test catalogue_page"
    );
}

#[test]
fn every_parameter_is_typed_and_bounded_and_every_entry_is_explained() {
    for entry in read_built_in().unwrap() {
        assert!(entry.help.ends_with('.'), "{}: {}", entry.name, entry.help);
        for param in &entry.params {
            assert!(!param.help.is_empty(), "{} {}", entry.name, param.name);
            // No type takes an endless value.
            let endless = "x".repeat(1 << 20);
            let taken = param.canonical_value(&endless);
            assert_eq!(taken, None, "{} {}", entry.name, param.name);
        }
    }
}
