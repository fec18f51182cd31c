//! How many of the URLs found may become candidates, and where reading has to stop for that.
//!
//! Pure: what the database knows of each URL is given. Nothing is lost where there is no room: the
//! source stops before the event that does not fit, and goes on from there when there is room
//! again. Only relays of networks that are switched off here are left out beyond their room: they
//! wait for nobody, and must not stop the others.

use std::collections::{BTreeMap, HashMap, HashSet};

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_schema::store::{CandidateCount, FoundBy, Mention, Verdict};

use super::config::FinderConfig;

/// The relays that one event names to one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The event's number.
    pub(super) num: i64,
    /// The source.
    pub(super) found_by: FoundBy,
    /// Each once.
    pub(super) urls: Vec<RelayUrl>,
}

/// What became of the URLs of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) known: u64,
    pub(super) crowded: u64,
    pub(super) full: u64,
}

/// What follows from a page.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// How far the page has been read for the sources that had to stop before its end.
    pub(super) stopped: BTreeMap<FoundBy, i64>,
    /// What is to become a candidate.
    pub(super) mentions: Vec<Mention>,
    /// What does not.
    pub(super) tallies: BTreeMap<FoundBy, Tally>,
}

/// The room that is left for new candidates.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// In this cycle.
    cycle: u64,
    /// For all that is found in the archive.
    archive: u64,
    sources: BTreeMap<FoundBy, u64>,
    /// For the networks that are switched off.
    off: BTreeMap<Network, u64>,
}

impl Budget {
    /// Counts the room: half of it is all that one source may take, so that a flood through one
    /// does not close the others. Lists are the operator's choice and have a half of their own.
    pub(super) fn new(
        config: &FinderConfig,
        enabled: &[Network],
        untried: &[CandidateCount],
    ) -> Self {
        let most = u64::from(config.max_untried);
        let sum = |counts: &dyn Fn(&CandidateCount) -> bool| {
            untried
                .iter()
                .filter(|c| counts(c))
                .map(|c| c.count)
                .sum::<u64>()
        };
        let is_on = |count: &CandidateCount| enabled.contains(&count.network);
        let sources = FoundBy::ALL.map(|source| {
            let taken = sum(&|c| is_on(c) && c.found_by == source);
            (source, (most / 2).saturating_sub(taken))
        });
        let off = Network::ALL
            .into_iter()
            .filter(|network| !enabled.contains(network));
        Self {
            cycle: u64::from(config.candidates_per_cycle),
            archive: most.saturating_sub(sum(&|c| is_on(c) && c.found_by != FoundBy::Lists)),
            sources: sources.into(),
            off: off
                .map(|network| {
                    let taken = sum(&|c| c.network == network);
                    (network, (most / 2).saturating_sub(taken))
                })
                .collect(),
        }
    }

    /// Returns the room of one source.
    pub(super) fn room(&self, source: FoundBy) -> u64 {
        let own = self.sources.get(&source).copied().unwrap_or_default();
        if source == FoundBy::Lists {
            own
        } else {
            own.min(self.archive)
        }
        .min(self.cycle)
    }

    /// Decides on what a page names, in its order, and takes the room for what is accepted.
    pub(super) fn plan(&mut self, named: &[Named], verdicts: &HashMap<RelayUrl, Verdict>) -> Plan {
        let mut plan = Plan::default();
        let mut accepted: HashSet<&RelayUrl> = HashSet::new();
        for Named {
            num,
            found_by,
            urls,
        } in named
        {
            if plan.stopped.contains_key(found_by) {
                continue;
            }
            let verdict = |url: &RelayUrl| verdicts.get(url).copied().unwrap_or(Verdict::Known);
            let fresh: Vec<&RelayUrl> = urls
                .iter()
                .filter(|url| verdict(url) == Verdict::New && !accepted.contains(url))
                .collect();
            let on = fresh
                .iter()
                .filter(|url| !self.is_off(url.network()))
                .count() as u64;
            if on > self.room(*found_by) {
                plan.stopped.insert(*found_by, num - 1);
                continue;
            }
            self.take(*found_by, on);
            let tally = plan.tallies.entry(*found_by).or_default();
            let crowded = urls.iter().filter(|url| verdict(url) == Verdict::Crowded);
            let crowded = crowded.count();
            tally.crowded += crowded as u64;
            tally.known += (urls.len() - crowded - fresh.len()) as u64;
            for url in fresh {
                if !self.take_off(url.network()) {
                    tally.full += 1;
                    continue;
                }
                accepted.insert(url);
                plan.mentions.push(Mention {
                    url: url.clone(),
                    found_by: *found_by,
                });
            }
        }
        plan
    }

    fn is_off(&self, network: Network) -> bool {
        self.off.contains_key(&network)
    }

    fn take(&mut self, source: FoundBy, count: u64) {
        self.cycle = self.cycle.saturating_sub(count);
        if let Some(room) = self.sources.get_mut(&source) {
            *room = room.saturating_sub(count);
        }
        if source != FoundBy::Lists {
            self.archive = self.archive.saturating_sub(count);
        }
    }

    /// Takes room on a network that is off; says `false` where there is none.
    fn take_off(&mut self, network: Network) -> bool {
        match self.off.get_mut(&network) {
            None => true,
            Some(0) => false,
            Some(room) => {
                *room -= 1;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bigbrotr_core::relay_url::UrlPolicy;

    use super::*;

    const ONION: &str = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";

    fn url(text: &str) -> RelayUrl {
        RelayUrl::parse(text, &UrlPolicy::default()).unwrap()
    }

    fn named(num: i64, found_by: FoundBy, names: &[&str]) -> Named {
        let urls = names
            .iter()
            .map(|name| url(&format!("wss://{name}.example.com")));
        Named {
            num,
            found_by,
            urls: urls.collect(),
        }
    }

    fn config(max_untried: u32, per_cycle: u32) -> FinderConfig {
        FinderConfig {
            max_untried,
            candidates_per_cycle: per_cycle,
            ..FinderConfig::default()
        }
    }

    fn all_new(page: &[Named]) -> HashMap<RelayUrl, Verdict> {
        let urls = page.iter().flat_map(|named| named.urls.clone());
        urls.map(|url| (url, Verdict::New)).collect()
    }

    fn untried(found_by: FoundBy, network: Network, count: u64) -> CandidateCount {
        CandidateCount {
            found_by,
            network,
            count,
        }
    }

    const ON: [Network; 1] = [Network::Clearnet];

    #[test]
    fn each_url_is_taken_once_and_the_rest_is_counted() {
        let page = [
            named(1, FoundBy::Hints, &["a", "b", "k", "c"]),
            named(2, FoundBy::Tags, &["a", "d"]),
        ];
        let mut verdicts = all_new(&page);
        verdicts.insert(url("wss://k.example.com"), Verdict::Known);
        verdicts.insert(url("wss://c.example.com"), Verdict::Crowded);
        let plan = Budget::new(&config(100, 100), &ON, &[]).plan(&page, &verdicts);
        let found: Vec<(&str, FoundBy)> = plan
            .mentions
            .iter()
            .map(|mention| (mention.url.host(), mention.found_by))
            .collect();
        assert_eq!(
            found,
            [
                ("a.example.com", FoundBy::Hints),
                ("b.example.com", FoundBy::Hints),
                ("d.example.com", FoundBy::Tags)
            ]
        );
        assert!(plan.stopped.is_empty());
        let tally = |known, crowded| Tally {
            known,
            crowded,
            full: 0,
        };
        assert_eq!(plan.tallies[&FoundBy::Hints], tally(1, 1));
        assert_eq!(plan.tallies[&FoundBy::Tags], tally(1, 0));
    }

    #[test]
    fn a_source_without_room_stops_before_the_event_and_the_others_go_on() {
        let waiting = [untried(FoundBy::Hints, Network::Clearnet, 47)];
        let mut budget = Budget::new(&config(100, 1_000), &ON, &waiting);
        let page = [
            named(10, FoundBy::Hints, &["a", "b"]),
            named(20, FoundBy::Hints, &["c", "d"]),
            named(21, FoundBy::Hints, &["e"]),
            named(30, FoundBy::Tags, &["c", "f"]),
        ];
        let plan = budget.plan(&page, &all_new(&page));
        assert_eq!(plan.stopped, BTreeMap::from([(FoundBy::Hints, 19)]));
        assert_eq!(plan.mentions.len(), 4);
        assert_eq!(budget.room(FoundBy::Hints), 1);
    }

    #[test]
    fn the_cycle_and_the_archive_have_bounds_of_their_own() {
        let page = [named(1, FoundBy::Tags, &["a", "b", "c"])];
        let plan = Budget::new(&config(100, 2), &ON, &[]).plan(&page, &all_new(&page));
        assert_eq!(plan.stopped[&FoundBy::Tags], 0);
        let waiting = [
            untried(FoundBy::Hints, Network::Clearnet, 50),
            untried(FoundBy::Contacts, Network::Clearnet, 48),
        ];
        let budget = Budget::new(&config(100, 100), &ON, &waiting);
        assert_eq!(budget.room(FoundBy::Tags), 2);
        assert_eq!(budget.room(FoundBy::Hints), 0);
        assert_eq!(budget.room(FoundBy::Lists), 50);
    }

    #[test]
    fn a_network_that_is_off_stops_nobody() {
        let onions = Named {
            num: 5,
            found_by: FoundBy::Hints,
            urls: (1..=4)
                .map(|n| url(&format!("ws://{ONION}.onion:{n}")))
                .collect(),
        };
        let page = [onions, named(6, FoundBy::Hints, &["a"])];
        let waiting = [untried(FoundBy::Hints, Network::Tor, 48)];
        let mut budget = Budget::new(&config(100, 100), &ON, &waiting);
        let plan = budget.plan(&page, &all_new(&page));
        assert!(plan.stopped.is_empty());
        assert_eq!(plan.mentions.len(), 3);
        assert_eq!(plan.tallies[&FoundBy::Hints].full, 2);
        assert_eq!(budget.room(FoundBy::Hints), 49);
    }
}
