//! `docs/observability.md`: a line for each alert on what it means, what to look at, what to do.

use super::deployment::alerts;
use super::read;

/// What is said of each alert.
const LINES: [&str; 3] = ["- Means: ", "- Look at: ", "- Do: "];

#[test]
fn every_alert_is_in_the_runbook_where_it_points_to() {
    let page = read("docs/observability.md");
    let sections: Vec<&str> = page.split("\n#### ").skip(1).collect();
    let section = |name: &str| {
        let found = sections
            .iter()
            .find(|section| section.lines().next() == Some(name));
        found.unwrap_or_else(|| panic!("docs/observability.md has no section {name}"))
    };
    let mut names = Vec::new();
    for alert in alerts() {
        let (_, anchor) = alert
            .text("/annotations/runbook_url")
            .split_once("docs/observability.md#")
            .unwrap();
        // As GitHub makes anchors of headings.
        assert_eq!(anchor, alert.name.to_lowercase());
        for line in LINES {
            let text = section(&alert.name)
                .lines()
                .find_map(|found| found.strip_prefix(line));
            assert!(
                text.is_some_and(|text| text.len() > 10),
                "{}: {line}",
                alert.name
            );
        }
        let severity = alert.text("/labels/severity");
        let told = section(&alert.name)
            .to_lowercase()
            .contains(&format!("\n{severity}, after"));
        assert!(told, "{} is {severity}", alert.name);
        names.push(alert.name);
    }
    for section in sections {
        let name = section.lines().next().unwrap_or_default();
        assert!(
            names.iter().any(|known| known == name),
            "{name} is no alert"
        );
    }
}

#[test]
fn the_runbook_names_only_keys_that_exist() {
    let keys = read("docs/configuration.md");
    for word in read("docs/observability.md").split('`').skip(1).step_by(2) {
        let Some((section, key)) = word.split_once('.') else {
            continue;
        };
        let is_key = word
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b"._".contains(&b));
        let is_section = keys.contains(&format!("\n## {section}\n"));
        if is_key && is_section {
            let key = key.replace('.', "__").to_uppercase();
            let variable = format!("BIGBROTR__{}__{key}", section.to_uppercase());
            // A key, or one that holds others.
            let is_there = ["`", "__"]
                .iter()
                .any(|end| keys.contains(&format!("{variable}{end}")));
            assert!(is_there, "there is no key {word}");
        }
    }
}
