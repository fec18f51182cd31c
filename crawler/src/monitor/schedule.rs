//! When a relay is checked again. Decides; storing it and waiting for it is done elsewhere.
//!
//! Relays that are online are checked at moments of their own: each has its phase, by its number,
//! and numbers in a row have phases far apart. So whatever made many relays due at once (a bulk of
//! seeds, a node that was down, an outage of our own network), their next checks are spread over
//! the interval again, by nothing that has to be remembered. See docs/decisions/0015.

use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_schema::store::RelayId;
use rand::Rng;

use super::config::MonitorConfig;
use super::limits::{RETRY_SPREAD, SHORTEST_PAUSE};
use crate::store_wait::whole_seconds;

/// What the schedule of a relay depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Its number: which moments are its own.
    pub relay: RelayId,
    /// It is on the operator's list.
    pub priority: bool,
    /// What was found just now.
    pub online: bool,
    /// Checks in a row, before this one, that found it offline.
    pub failures: u32,
}

/// What follows from a check for the relay's next ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When it is due, Unix seconds.
    pub next_at: i64,
    /// Checks in a row that found it offline.
    pub failures: u32,
}

/// Schedules the next check of a relay that was just checked; `now` is in Unix seconds.
///
/// Online: at the next of its own moments, which come once an interval; never later than the
/// interval, and no sooner than an eighth of it. Offline: after a pause of random length that
/// doubles, so that what stays dead costs little, up to a longest one, so that it is still seen
/// when it comes back.
pub fn next_check<R: Rng + ?Sized>(
    config: &MonitorConfig,
    now: i64,
    checked: Checked,
    rng: &mut R,
) -> Schedule {
    let interval = config.interval_of(checked.priority);
    let (pause, failures) = if checked.online {
        (
            pause_to_phase(interval, config.jitter, checked.relay, now, rng),
            0,
        )
    } else {
        let pause = retry(config, checked.priority).delay(checked.failures, rng);
        (pause, checked.failures.saturating_add(1))
    };
    Schedule {
        next_at: now.saturating_add(whole_seconds(pause)),
        failures,
    }
}

/// The pauses between the checks of a relay that is offline. One that matters is not left alone
/// for longer than others are when they are online.
fn retry(config: &MonitorConfig, priority: bool) -> Backoff {
    let (base, max) = if priority {
        (config.priority_interval, config.interval)
    } else {
        (config.retry_interval, config.max_retry_interval)
    };
    Backoff {
        base: base.min(config.retry_interval),
        factor: 2.0,
        max: max.min(config.max_retry_interval),
        jitter: config.jitter.max(RETRY_SPREAD),
    }
}

/// The pause until the next of a relay's own moments, less some jitter.
///
/// The moments are `period` apart, and a check comes up to `lead` before one, so that two of them
/// are never further apart than the interval. A moment that is too near is not waited for; the
/// check before the one after it is then anywhere in between, so that also those checks are spread.
fn pause_to_phase<R: Rng + ?Sized>(
    interval: Duration,
    jitter: f64,
    relay: RelayId,
    now: i64,
    rng: &mut R,
) -> Duration {
    let jitter = jitter.clamp(0.0, 1.0);
    let period = interval.as_secs_f64() / (1.0 + jitter);
    let lead = jitter * period;
    let since = (now as f64 + lead - phase(relay) * period).rem_euclid(period);
    let ahead = period - since;
    let shortest = SHORTEST_PAUSE * period;
    let ahead = if ahead < shortest {
        // From [0, 1/8) to [1/8, 7/8).
        shortest + ahead * (1.0 - 2.0 * SHORTEST_PAUSE) / SHORTEST_PAUSE
    } else {
        ahead
    };
    Duration::try_from_secs_f64(ahead + lead * (1.0 - rng.random::<f64>())).unwrap_or(interval)
}

/// Where in each period a relay's moment is, from 0 to 1: multiples of the golden ratio, of which
/// any that follow each other fill the circle evenly.
fn phase(relay: RelayId) -> f64 {
    const GOLDEN: u32 = 2_654_435_769;
    f64::from((relay.0 as u32).wrapping_mul(GOLDEN)) / (f64::from(u32::MAX) + 1.0)
}

/// Says whether a check of an online relay is published: it is news, or the last report gets old.
///
/// Checks come a little early or late: half an interval before its time, a report is due.
pub(super) fn is_report_due(
    config: &MonitorConfig,
    now: i64,
    priority: bool,
    failures: u32,
    published_at: Option<i64>,
) -> bool {
    let Some(published_at) = published_at.filter(|_| failures == 0) else {
        return true;
    };
    let age = now.saturating_sub(published_at);
    let slack = config.interval_of(priority) / 2;
    // A report from the future was made by a wrong clock.
    age < 0 || age >= whole_seconds(config.publish_interval.saturating_sub(slack))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn online(relay: i32) -> Checked {
        Checked {
            relay: RelayId(relay),
            priority: false,
            online: true,
            failures: 5,
        }
    }

    fn offline(failures: u32, priority: bool) -> Checked {
        Checked {
            relay: RelayId(1),
            priority,
            online: false,
            failures,
        }
    }

    /// Shortest and longest pause, in seconds, of many.
    fn pauses(config: &MonitorConfig, checked: Checked) -> (i64, i64) {
        let mut rng = StdRng::seed_from_u64(3);
        let pauses: Vec<i64> = (0..2_000)
            .map(|_| next_check(config, NOW, checked, &mut rng).next_at - NOW)
            .collect();
        (*pauses.iter().min().unwrap(), *pauses.iter().max().unwrap())
    }

    #[test]
    fn an_online_relay_is_checked_within_the_interval_and_not_at_once() {
        for jitter in [0.0, 0.1, 0.5, 1.0] {
            let config = MonitorConfig {
                jitter,
                ..MonitorConfig::default()
            };
            let mut rng = StdRng::seed_from_u64(1);
            for relay in 0..2_000 {
                let now = NOW + i64::from(relay) * 7;
                let schedule = next_check(&config, now, online(relay), &mut rng);
                let pause = schedule.next_at - now;
                assert_eq!(schedule.failures, 0);
                let shortest = (3_600.0 / (1.0 + jitter) / 8.0) as i64;
                assert!((shortest..=3_600).contains(&pause), "{jitter}: {pause}");
            }
        }
    }

    #[test]
    fn a_relay_that_is_checked_in_time_is_checked_once_an_interval() {
        let config = MonitorConfig::default();
        let mut rng = StdRng::seed_from_u64(2);
        for relay in 1..200 {
            let (mut now, mut pauses) = (NOW, Vec::new());
            for _ in 0..50 {
                let next = next_check(&config, now, online(relay), &mut rng).next_at;
                pauses.push(next - now);
                // The monitor is never early, and now and then some seconds late.
                now = next + i64::from(rng.random_range(0..20));
            }
            // After a first pause or two, on its way to its moments.
            let settled = &pauses[2..];
            assert!(
                settled.iter().all(|pause| (2_900..=3_600).contains(pause)),
                "relay {relay}: {pauses:?}"
            );
        }
    }

    #[test]
    fn relays_that_were_due_together_are_spread_over_the_interval_at_once() {
        let (config, mut rng) = (MonitorConfig::default(), StdRng::seed_from_u64(4));
        let mut minutes = [0; 61];
        for relay in 1..=20_000 {
            // All were checked within five minutes.
            let now = NOW + i64::from(relay) * 300 / 20_000;
            let next = next_check(&config, now, online(relay), &mut rng).next_at;
            minutes[((next - NOW - 1) / 60).clamp(0, 60) as usize] += 1;
        }
        // Twenty thousand an hour are 333 a minute; an eighth of the hour has to be left free.
        assert!(minutes.iter().all(|checks| *checks < 600), "{minutes:?}");
    }

    #[test]
    fn offline_relays_are_asked_less_and_less_often() {
        let config = MonitorConfig::default();
        let minutes: Vec<(i64, i64)> = (0..9)
            .map(|failures| pauses(&config, offline(failures, false)))
            .map(|(least, most)| (least / 60, (most + 59) / 60))
            .collect();
        let longest: Vec<i64> = minutes.iter().map(|(_, most)| *most).collect();
        assert_eq!(longest, [15, 30, 60, 120, 240, 480, 960, 1_440, 1_440]);
        assert!(
            minutes.iter().all(|(least, most)| least * 2 >= most - 2),
            "{minutes:?}"
        );
        // Dead for a very long time: still visited, once in half a day to a day.
        let (least, most) = pauses(&config, offline(u32::MAX, false));
        assert!(least >= 12 * 3_600 && most <= 24 * 3_600);
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(
            next_check(&config, NOW, offline(3, false), &mut rng).failures,
            4
        );
    }

    #[test]
    fn priority_relays_are_checked_more_often_online_and_offline() {
        let config = MonitorConfig::default();
        let checked = Checked {
            priority: true,
            ..online(7)
        };
        assert!(pauses(&config, checked).1 <= 600);
        assert!(pauses(&config, offline(0, true)).1 <= 600);
        assert!(pauses(&config, offline(u32::MAX, true)).1 <= 3_600);
    }

    #[test]
    fn a_check_is_never_due_again_at_once() {
        let config = MonitorConfig {
            interval: Duration::from_millis(1),
            ..MonitorConfig::default()
        };
        assert_eq!(pauses(&config, online(1)), (1, 1));
    }

    #[test]
    fn reports_are_published_when_they_are_news_or_get_old() {
        let config = MonitorConfig {
            publish_interval: Duration::from_hours(4),
            ..MonitorConfig::default()
        };
        let due =
            |failures, published_at| is_report_due(&config, NOW, false, failures, published_at);
        assert!(due(0, None));
        assert!(!due(0, Some(NOW - 3_600)));
        assert!(due(1, Some(NOW - 3_600)));
        assert!(due(0, Some(NOW - 4 * 3_600 + 600)));
        assert!(due(0, Some(NOW + 60)));
    }

    #[test]
    fn by_default_every_hourly_check_is_published_and_priorities_no_more_often() {
        let config = MonitorConfig::default();
        assert!(is_report_due(&config, NOW, false, 0, Some(NOW - 2_900)));
        assert!(!is_report_due(&config, NOW, true, 0, Some(NOW - 2_900)));
        assert!(is_report_due(&config, NOW, true, 0, Some(NOW - 3_400)));
    }
}
