//! `docs/configuration.md`: every key of every section.

use bigbrotr_core::config::{KeyReference, Section, reference};
use bigbrotr_core::keys::SECRET_KEY_VARIABLE;
use bigbrotr_crawler::dial::NetworksConfig;
use bigbrotr_crawler::finder::FinderConfig;
use bigbrotr_crawler::monitor::MonitorConfig;
use bigbrotr_crawler::synchronizer::SynchronizerConfig;
use bigbrotr_crawler::validator::ValidatorConfig;
use bigbrotr_dvm::{ApiConfig, DvmConfig};
use bigbrotr_relay::RelayConfig;
use bigbrotr_schema::config::DatabaseConfig;

use super::{check_page, read};
use crate::settings::{LogConfig, MetricsConfig, NodeConfig, PrioritySynchronizerConfig, Settings};

const HEAD: &str = "\
# Configuration

Every key there is, generated from the code. A value is taken from the last of these that gives it:

1. the default, which is in the tables below;
2. the implementation's file of that section, `implementations/<name>/config/<section>.yaml`
   (`--implementation <name or folder>` chooses it). A file needs only what differs;
3. the environment: the variable of the key, which is `BIGBROTR__<SECTION>__<KEY>`, with two more
   underscores for each level below. A list is `a,b` or `[a, b]`, a mapping `{a: b}`;
4. a flag, where there is one: `bigbrotr run --help` lists them.

`bigbrotr config check` names every mistake with its file, line and what is allowed instead;
`bigbrotr config show` prints what is in effect, and where each value comes from. An unknown key or
a bad value stops the start.

| variable beside these | what |
|---|---|
";

/// Variables that are no keys, or that set a key under a name that others know, too.
const OTHER_VARIABLES: [(&str, &str); 3] = [
    ("DATABASE_URL", "The same as `BIGBROTR__DATABASE__URL`."),
    ("BIGBROTR_IMPLEMENTATION", "The same as `--implementation`."),
    (
        SECRET_KEY_VARIABLE,
        "The node's secret key, nsec1… or 64 hex digits. Not given: the key file in `node.data_dir`.",
    ),
];

/// One section: its name, what its file says it is, and its keys.
struct Reference {
    name: &'static str,
    about: String,
    keys: Vec<KeyReference>,
}

fn section<T: Section>() -> Reference {
    let yaml = read(&format!("implementations/bigbrotr/config/{}.yaml", T::NAME));
    let about = yaml
        .lines()
        .map_while(|line| line.strip_prefix('#'))
        .map(str::trim)
        .collect::<Vec<_>>();
    Reference {
        name: T::NAME,
        about: about.join(" "),
        keys: reference::<T>(&yaml),
    }
}

fn sections() -> [Reference; 13] {
    [
        section::<NodeConfig>(),
        section::<LogConfig>(),
        section::<MetricsConfig>(),
        section::<DatabaseConfig>(),
        section::<NetworksConfig>(),
        section::<FinderConfig>(),
        section::<ValidatorConfig>(),
        section::<MonitorConfig>(),
        section::<SynchronizerConfig>(),
        section::<PrioritySynchronizerConfig>(),
        section::<RelayConfig>(),
        section::<DvmConfig>(),
        section::<ApiConfig>(),
    ]
}

fn page(sections: &[Reference]) -> String {
    let mut page = HEAD.to_owned();
    for (name, what) in OTHER_VARIABLES {
        page.push_str(&format!("| `{name}` | {what} |\n"));
    }
    page.push_str("\n| section | what |\n|---|---|\n");
    for Reference { name, about, .. } in sections {
        page.push_str(&format!("| [`{name}`](#{name}) | {about} |\n"));
    }
    for section in sections {
        page.push_str(&format!(
            "\n## {}\n\n{}\n\nFile: `config/{}.yaml`.\n\n\
             | key | default | takes | what | variable |\n|---|---|---|---|---|\n",
            section.name, section.about, section.name
        ));
        for key in &section.keys {
            page.push_str(&line(section.name, key));
        }
    }
    page
}

fn line(section: &str, key: &KeyReference) -> String {
    let short = key.key.strip_prefix(section).unwrap_or(&key.key);
    let short = short.trim_start_matches('.');
    let help = escaped(&key.help);
    if key.takes.is_empty() {
        return format!("| **`{short}`** | | | {help} | |\n");
    }
    let default = match &key.default {
        Some(default) => format!("`{}`", escaped(default)),
        None => "not given".to_owned(),
    };
    let (takes, variable) = (escaped(&said(&key.takes)), &key.variable);
    format!("| `{short}` | {default} | {takes} | {help} | `{variable}` |\n")
}

/// What a key takes, where all that is known of it is what its type says against nonsense.
fn said(takes: &str) -> String {
    let (list, takes) = match takes.strip_prefix("a list, each of it ") {
        Some(each) => ("a list, each of it ", each),
        None => ("", takes),
    };
    let words = if takes == "invalid socket address syntax" {
        "an address and port, such as 127.0.0.1:9464".to_owned()
    } else if let Some((_, wanted)) = takes.split_once(": expected ") {
        wanted.to_owned()
    } else if let Some(wanted) = takes.strip_prefix("\"?!\" is neither ") {
        wanted.replacen(" nor ", " or ", 1)
    } else if let Some(wanted) = takes.strip_prefix("\"?!\" is no ") {
        format!("a {wanted}")
    } else if let Some((_, wanted)) = takes.split_once(" is not ") {
        wanted.to_owned()
    } else if takes.starts_with("e.g. ") {
        format!("text, {takes}")
    } else if takes.contains(" is part of ") {
        format!("text: {takes}")
    } else {
        takes.to_owned()
    };
    format!("{list}{words}")
}

/// As it may stand in a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('*', "\\*")
        .replace('<', "&lt;")
}

#[test]
fn the_page_of_the_configuration_is_up_to_date() {
    check_page("docs/configuration.md", &page(&sections()));
}

#[test]
fn every_section_is_there_and_every_key_of_it_is_explained() {
    let sections = sections();
    let names: Vec<&str> = sections.iter().map(|section| section.name).collect();
    let mut all = Settings::NAMES.to_vec();
    all.retain(|name| !names.contains(name));
    assert!(all.is_empty(), "{all:?} are left out");
    for section in sections {
        assert!(!section.about.is_empty(), "{}", section.name);
        for key in section.keys {
            assert!(!key.help.is_empty(), "{} has no help", key.key);
            let said = said(&key.takes);
            let is_said = !["?!", "invalid", " is not "]
                .iter()
                .any(|word| said.contains(word));
            assert!(is_said, "{} takes {said:?}", key.key);
        }
    }
}
