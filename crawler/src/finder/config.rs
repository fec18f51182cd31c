//! The section `finder`: where relays are looked for, and how many candidates at once.

use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, Section, duration};
use bigbrotr_schema::store::{FoundBy, SiteBounds};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::dial::Target;
use crate::store_wait::whole_seconds;

/// Where relays are looked for, and how many candidates at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the file"
)]
pub struct FinderConfig {
    /// How often the archive is looked at for events that are new to the finder.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// The most archived events that one look reads.
    pub events_per_cycle: u32,
    /// The most candidates that one look, or one list, adds.
    pub candidates_per_cycle: u32,
    /// The most candidates that wait for their first try. Each source may have half of it.
    pub max_untried: u32,
    /// The most relays and candidates on one host, all paths and ports together.
    pub max_per_host: u32,
    /// The most relays and waiting candidates under one registrable name.
    pub max_per_site: u32,
    /// The pause between the first tries of candidates under one registrable name.
    #[serde(with = "duration")]
    pub site_pause: Duration,
    /// Whether relay lists (NIP-65) are read.
    pub relay_lists: bool,
    /// Whether relay recommendations (kind 2) are read.
    pub recommendations: bool,
    /// Whether the content of contact lists (kind 3) is read.
    pub contacts: bool,
    /// Whether `r`, `relay` and `relays` tags of all events are read.
    pub tags: bool,
    /// Whether relay hints of all events are read.
    pub hints: bool,
    /// Whether the reports of other monitors (NIP-66) are read.
    pub monitors: bool,
    /// Lists of relays on the web.
    pub lists: Vec<ListConfig>,
    /// The longest time for fetching one list, redirects included.
    #[serde(with = "duration")]
    pub list_timeout: Duration,
}

/// A list of relays on the web.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListConfig {
    /// Where it is: http or https.
    pub url: String,
    /// How it is written.
    #[serde(default)]
    pub format: ListFormat,
    /// The way to the URLs in a JSON document: keys and positions with dots between, `*` for every
    /// item. At its end: a URL, an array of URLs, or an object whose keys are URLs. Empty: the
    /// document itself.
    #[serde(default)]
    pub path: String,
    /// How often it is fetched.
    #[serde(with = "duration", default = "six_hours")]
    pub interval: Duration,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListFormat {
    /// A JSON document.
    #[default]
    Json,
    /// One URL a line; `#` starts a comment.
    Text,
}

fn six_hours() -> Duration {
    Duration::from_hours(6)
}

impl Default for FinderConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(10),
            events_per_cycle: 20_000,
            candidates_per_cycle: 2_000,
            max_untried: 20_000,
            max_per_host: 16,
            max_per_site: 2_000,
            site_pause: Duration::from_secs(2),
            relay_lists: true,
            recommendations: true,
            contacts: true,
            tags: true,
            hints: true,
            monitors: true,
            lists: Vec::new(),
            list_timeout: Duration::from_secs(30),
        }
    }
}

impl FinderConfig {
    /// Says whether a source is switched on.
    pub(super) fn is_on(&self, source: FoundBy) -> bool {
        match source {
            FoundBy::RelayLists => self.relay_lists,
            FoundBy::Recommendations => self.recommendations,
            FoundBy::Contacts => self.contacts,
            FoundBy::Tags => self.tags,
            FoundBy::Hints => self.hints,
            FoundBy::Monitors => self.monitors,
            FoundBy::Lists => !self.lists.is_empty(),
        }
    }

    pub(super) fn bounds(&self) -> SiteBounds {
        SiteBounds {
            per_host: self.max_per_host,
            per_site: self.max_per_site,
            pause_seconds: if self.site_pause.is_zero() {
                0
            } else {
                whole_seconds(self.site_pause)
            },
        }
    }
}

impl Section for FinderConfig {
    const NAME: &'static str = "finder";

    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        let seconds = Duration::from_secs;
        let day = Duration::from_hours(24);
        checks.duration("interval", self.interval, Duration::from_millis(100)..=day);
        checks.range("events_per_cycle", self.events_per_cycle, 1..=1_000_000);
        // One event may name as many relays as it may; it has to fit.
        let fits = super::limits::MAX_URLS_PER_EVENT as u32;
        checks.range(
            "candidates_per_cycle",
            self.candidates_per_cycle,
            fits..=1_000_000,
        );
        checks.range("max_untried", self.max_untried, 2 * fits..=1_000_000);
        checks.range("max_per_host", self.max_per_host, 1..=100_000);
        checks.range("max_per_site", self.max_per_site, 1..=1_000_000);
        checks.require(
            self.max_per_host <= self.max_per_site,
            "max_per_site",
            "max_per_site is smaller than max_per_host: a host is a part of its site",
        );
        checks.duration(
            "site_pause",
            self.site_pause,
            Duration::ZERO..=seconds(3_600),
        );
        checks.duration(
            "list_timeout",
            self.list_timeout,
            Duration::from_millis(1)..=seconds(600),
        );
        for (n, list) in self.lists.iter().enumerate() {
            checks.nested(&format!("lists[{n}]"), list.validate());
            let twice = self.lists[..n].iter().any(|other| other.url == list.url);
            let key = format!("lists[{n}].url");
            checks.require(!twice, &key, "the list is there twice");
        }
        checks.finish()
    }
}

impl ListConfig {
    fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        let url = Url::parse(&self.url).ok();
        let is_http = url.as_ref().is_some_and(|url| {
            matches!(url.scheme(), "http" | "https") && Target::from_url(url).is_ok()
        });
        if !is_http {
            let message = format!("{:?} is not the URL of a web page", self.url);
            checks.push(Invalid::new("url", message).with_hint("expected http://… or https://…"));
        } else if url.is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
            let message = "it holds a user name or password, which are not sent";
            checks.push(Invalid::new("url", message).with_hint("leave them out"));
        }
        checks.require(
            self.path.is_empty() || self.format == ListFormat::Json,
            "path",
            "a list in plain text has no paths",
        );
        let well_formed = self.path.is_empty() || self.path.split('.').all(|part| !part.is_empty());
        if !well_formed {
            let message = format!("{:?} has an empty part", self.path);
            let hint = "expected keys with dots between, such as data.relays or relays.*.url";
            checks.push(Invalid::new("path", message).with_hint(hint));
        }
        let most = Duration::from_hours(31 * 24);
        checks.duration("interval", self.interval, Duration::from_mins(1)..=most);
        checks.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(url: &str, path: &str, format: ListFormat) -> ListConfig {
        ListConfig {
            url: url.into(),
            format,
            path: path.into(),
            interval: Duration::from_hours(1),
        }
    }

    #[test]
    fn the_defaults_are_valid_and_mistakes_are_named() {
        assert_eq!(FinderConfig::default().validate(), Ok(()));
        let good = list(
            "https://lists.example.com/a",
            "data.*.url",
            ListFormat::Json,
        );
        let config = FinderConfig {
            candidates_per_cycle: 1,
            max_untried: 0,
            max_per_host: 50,
            max_per_site: 10,
            lists: vec![
                good.clone(),
                good,
                list("wss://relay.example.com", "", ListFormat::Text),
                list("https://me:pw@lists.example.com", ".a", ListFormat::Json),
                list("relays.txt", "a", ListFormat::Text),
            ],
            ..FinderConfig::default()
        };
        let refused = config.validate().unwrap_err();
        let keys: Vec<&str> = refused.iter().map(|invalid| invalid.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "candidates_per_cycle",
                "max_untried",
                "max_per_site",
                "lists[1].url",
                "lists[2].url",
                "lists[3].url",
                "lists[3].path",
                "lists[4].url",
                "lists[4].path",
            ]
        );
        let told: Vec<&str> = refused
            .iter()
            .map(|invalid| invalid.message.as_str())
            .collect();
        assert!(
            told.iter().all(|message| !message.contains("pw")),
            "{told:?}"
        );
    }
}
