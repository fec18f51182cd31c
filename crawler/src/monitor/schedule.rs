//! When a relay is checked again. Decides; storing it and waiting for it is done elsewhere.

use std::time::Duration;

use rand::Rng;

use super::config::MonitorConfig;

/// What follows from a check for the relay's next ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// When it is due, Unix seconds.
    pub next_at: i64,
    /// Checks in a row that found it offline.
    pub failures: u32,
}

/// Schedules the next check of a relay that was just found online or offline, after `failures`
/// checks in a row that found it offline. `now` is in Unix seconds.
///
/// Online: `interval` later at most. Offline: pauses that double, so that what stays dead costs
/// little. Jitter shortens both, so that relays that came together do not stay together.
pub fn next_check<R: Rng + ?Sized>(
    config: &MonitorConfig,
    now: i64,
    online: bool,
    failures: u32,
    rng: &mut R,
) -> Schedule {
    let (pause, failures) = if online {
        let share = 1.0 - config.jitter.clamp(0.0, 1.0) * rng.random::<f64>();
        (config.interval.mul_f64(share), 0)
    } else {
        (
            config.retry().delay(failures, rng),
            failures.saturating_add(1),
        )
    };
    Schedule {
        next_at: now.saturating_add(whole_seconds(pause)),
        failures,
    }
}

/// Says whether a check of an online relay is published: it is news, or the last report gets old.
///
/// Checks come a little early or late: half an interval before its time, a report is due.
pub(super) fn is_report_due(
    config: &MonitorConfig,
    now: i64,
    failures: u32,
    published_at: Option<i64>,
) -> bool {
    let Some(published_at) = published_at.filter(|_| failures == 0) else {
        return true;
    };
    let age = now.saturating_sub(published_at);
    let slack = config.interval / 2;
    // A report from the future was made by a wrong clock.
    age < 0 || age >= whole_seconds(config.publish_interval.saturating_sub(slack))
}

/// At least one second: a check is due again later, never at once.
fn whole_seconds(pause: Duration) -> i64 {
    i64::try_from(pause.as_secs().max(1)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const NOW: i64 = 1_700_000_000;

    fn pause(config: &MonitorConfig, online: bool, failures: u32) -> i64 {
        let mut rng = StdRng::seed_from_u64(3);
        next_check(config, NOW, online, failures, &mut rng).next_at - NOW
    }

    #[test]
    fn online_relays_are_checked_within_the_interval() {
        let config = MonitorConfig::default();
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..1_000 {
            let schedule = next_check(&config, NOW, true, 5, &mut rng);
            assert_eq!(schedule.failures, 0);
            assert!(
                (3_240..=3_600).contains(&(schedule.next_at - NOW)),
                "{schedule:?}"
            );
        }
    }

    #[test]
    fn offline_relays_are_asked_less_and_less_often() {
        let config = MonitorConfig {
            jitter: 0.0,
            ..MonitorConfig::default()
        };
        let minutes: Vec<i64> = (0..9).map(|n| pause(&config, false, n) / 60).collect();
        assert_eq!(minutes, [15, 30, 60, 120, 240, 480, 960, 1_440, 1_440]);
        assert_eq!(pause(&config, false, u32::MAX), 24 * 3_600);
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(next_check(&config, NOW, false, 3, &mut rng).failures, 4);
    }

    #[test]
    fn a_check_is_never_due_again_at_once() {
        let config = MonitorConfig {
            interval: Duration::from_millis(1),
            ..MonitorConfig::default()
        };
        assert_eq!(pause(&config, true, 0), 1);
    }

    #[test]
    fn reports_are_published_when_they_are_news_or_get_old() {
        let config = MonitorConfig {
            publish_interval: Duration::from_hours(4),
            ..MonitorConfig::default()
        };
        let due = |failures, published_at| is_report_due(&config, NOW, failures, published_at);
        assert!(due(0, None));
        assert!(!due(0, Some(NOW - 3_600)));
        assert!(due(1, Some(NOW - 3_600)));
        assert!(due(0, Some(NOW - 4 * 3_600 + 600)));
        assert!(due(0, Some(NOW + 60)));
    }

    #[test]
    fn by_default_every_check_is_published() {
        let config = MonitorConfig::default();
        assert!(is_report_due(&config, NOW, 0, Some(NOW - 3_240)));
    }
}
