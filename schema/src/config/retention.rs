//! What the archive keeps, and for how long.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use bigbrotr_core::config::{Checks, Invalid, duration};
use serde::{Deserialize, Serialize};

/// The longest window of the catalogue that has an end: what it shows has to be there.
const SHORTEST_CHECKS_AGE: Duration = Duration::from_hours(30 * 24);

/// For how long events are archived, by their `created_at`. Nothing is ever removed by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Older events are removed, and not archived any more. 0s: all are kept.
    #[serde(with = "duration")]
    pub max_age: Duration,
    /// Exceptions by kind or range of kinds: an age, `forever` or `never`.
    pub kinds: BTreeMap<String, String>,
    /// Older checks of relays are removed, except for the last ten of each relay. 0s: all are kept.
    #[serde(with = "duration")]
    pub checks_max_age: Duration,
    /// How often to look for what is to be removed.
    #[serde(with = "duration")]
    pub interval: Duration,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            max_age: Duration::ZERO,
            kinds: BTreeMap::new(),
            checks_max_age: Duration::ZERO,
            interval: Duration::from_mins(10),
        }
    }
}

impl RetentionConfig {
    /// Refuses kinds and ages that cannot be read.
    pub(super) fn validate(&self) -> Result<(), Vec<Invalid>> {
        let mut checks = Checks::new();
        checks.duration(
            "interval",
            self.interval,
            Duration::from_secs(1)..=Duration::from_hours(24 * 30),
        );
        checks.require(
            self.checks_max_age.is_zero() || self.checks_max_age >= SHORTEST_CHECKS_AGE,
            "checks_max_age",
            "shorter than 30d, which is how far back histories of relays go",
        );
        for (kinds, age) in &self.kinds {
            let key = format!("kinds.{kinds}");
            if parse_kinds(kinds).is_none() {
                checks.push(
                    Invalid::new(&key, format!("{kinds:?} is no kind and no range of kinds"))
                        .with_hint("expected a kind such as 4, or a range such as 20000-29999"),
                );
            }
            if parse_age(age).is_none() {
                checks.push(
                    Invalid::new(&key, format!("{age:?} is no age"))
                        .with_hint("expected e.g. 30d or 1h, or forever, or never"),
                );
            }
        }
        checks.finish()
    }

    /// Returns the moment (Unix seconds) before which checks of relays are not kept, if there is
    /// one.
    pub fn checks_horizon(&self, now: i64) -> Option<i64> {
        (!self.checks_max_age.is_zero()).then(|| now.saturating_sub(seconds(self.checks_max_age)))
    }

    /// Compiles the rules.
    pub fn policy(&self) -> Retention {
        let general = (self.max_age > Duration::ZERO).then(|| seconds(self.max_age));
        let rules = self
            .kinds
            .iter()
            .filter_map(|(kinds, age)| Some((parse_kinds(kinds)?, parse_age(age)?)))
            .collect();
        Retention { general, rules }
    }
}

/// Rules that say for how long an event is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Seconds that events are kept that no rule names; `None`: for ever.
    general: Option<i64>,
    /// The narrowest range that holds a kind decides.
    rules: Vec<(RangeInclusive<u16>, Option<i64>)>,
}

impl Retention {
    /// Says whether everything is kept.
    pub fn keeps_all(&self) -> bool {
        self.general.is_none() && self.rules.iter().all(|(_, age)| age.is_none())
    }

    /// Says whether an event is kept at this moment (both Unix seconds).
    pub fn keeps(&self, kind: u16, created_at: i64, now: i64) -> bool {
        match self.age_of(kind) {
            None => true,
            Some(0) => false,
            Some(age) => created_at > now.saturating_sub(age),
        }
    }

    /// Returns the moment (Unix seconds) from which on everything is kept; events before it, and
    /// at it, may have to be removed.
    pub fn horizon(&self, now: i64) -> i64 {
        let ages = self.rules.iter().map(|(_, age)| *age);
        match ages.chain([self.general]).flatten().min() {
            None => i64::MIN,
            // Kinds that are not kept at all are not kept with a date in the future either.
            Some(0) => i64::MAX,
            Some(age) => now.saturating_sub(age),
        }
    }

    fn age_of(&self, kind: u16) -> Option<i64> {
        self.rules
            .iter()
            .filter(|(kinds, _)| kinds.contains(&kind))
            .min_by_key(|(kinds, _)| kinds.end() - kinds.start())
            .map_or(self.general, |(_, age)| *age)
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn parse_kinds(text: &str) -> Option<RangeInclusive<u16>> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    (start <= end).then_some(start..=end)
}

/// Reads an age; the inner `None` is for ever.
#[expect(
    clippy::option_option,
    reason = "unreadable, for ever, or so many seconds"
)]
fn parse_age(text: &str) -> Option<Option<i64>> {
    match text.trim() {
        "forever" => Some(None),
        "never" => Some(Some(0)),
        age => {
            let age = duration::parse(age).ok()?;
            (age >= Duration::from_secs(1)).then(|| Some(seconds(age)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(max_age: u64, kinds: &[(&str, &str)]) -> Retention {
        let config = RetentionConfig {
            max_age: Duration::from_secs(max_age),
            kinds: kinds
                .iter()
                .map(|(kinds, age)| ((*kinds).into(), (*age).into()))
                .collect(),
            ..RetentionConfig::default()
        };
        config.validate().unwrap();
        config.policy()
    }

    #[test]
    fn everything_is_kept_unless_a_rule_says_otherwise() {
        let policy = policy(0, &[]);
        assert!(policy.keeps_all() && policy.keeps(1, 0, i64::MAX));
        assert_eq!(policy.horizon(1_000), i64::MIN);
    }

    #[test]
    fn the_narrowest_range_decides() {
        let policy = policy(
            100,
            &[("0", "forever"), ("20000-29999", "10s"), ("20001", "never")],
        );
        assert!(policy.keeps(0, 0, 1_000));
        assert!(policy.keeps(1, 901, 1_000) && !policy.keeps(1, 900, 1_000));
        assert!(policy.keeps(20_000, 991, 1_000) && !policy.keeps(20_000, 990, 1_000));
        assert!(!policy.keeps(20_001, 2_000, 1_000));
        assert_eq!(policy.horizon(1_000), i64::MAX);
    }

    #[test]
    fn checks_are_kept_for_ever_or_for_as_long_as_histories_go() {
        let config = |hours| RetentionConfig {
            checks_max_age: Duration::from_hours(hours),
            ..RetentionConfig::default()
        };
        assert_eq!(config(0).validate(), Ok(()));
        assert_eq!(config(0).checks_horizon(9_000_000), None);
        assert_eq!(config(30 * 24).validate(), Ok(()));
        assert_eq!(
            config(720).checks_horizon(9_000_000),
            Some(9_000_000 - 2_592_000)
        );
        let refused = config(30 * 24 - 1).validate().unwrap_err();
        assert_eq!(refused[0].key, "checks_max_age");
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_key() {
        for (kinds, age) in [
            ("x", "1d"),
            ("70000", "1d"),
            ("9-1", "1d"),
            ("", "1d"),
            ("1", "soon"),
            ("1", "10"),
            ("1", "0s"),
        ] {
            let config = RetentionConfig {
                kinds: BTreeMap::from([(kinds.to_owned(), age.to_owned())]),
                ..RetentionConfig::default()
            };
            let refused = config.validate().unwrap_err();
            assert_eq!(refused[0].key, format!("kinds.{kinds}"));
        }
    }
}
