//! Populations too large for memory, written to a file once and read by many benchmarks.

use std::io::{self, Write};
use std::time::Duration;

use super::generator::Generator;
use super::{PopulationConfig, SimEvent};

/// How many stretches of time are delivered side by side: a crawl reads many relays at once, each
/// at another point of the past.
const STRETCHES: u64 = 64;

/// Events that are made and signed at once.
const CHUNK: usize = 64_000;

/// Events in a row from one stretch: a relay's page.
const PAGE: u64 = 500;

/// A population in the order in which a crawl would meet it.
#[derive(Debug)]
pub struct Corpus {
    generator: Generator,
    config: PopulationConfig,
    made: usize,
}

impl Corpus {
    /// Describes `events` events over three years, by one author per 20 events.
    pub fn config(seed: u64, events: usize, now: i64) -> PopulationConfig {
        PopulationConfig {
            authors: (events / 20).max(5),
            span: Duration::from_hours(3 * 365 * 24),
            ..PopulationConfig::new(seed, events, now)
        }
    }

    /// Starts a corpus.
    pub fn new(config: PopulationConfig) -> Self {
        Self {
            generator: Generator::new(&config),
            config,
            made: 0,
        }
    }

    /// Makes and signs the next events on all cores; empty at the end.
    pub fn next_chunk(&mut self) -> Vec<SimEvent> {
        let end = (self.made + CHUNK).min(self.config.events);
        let drafts = (self.made..end)
            .map(|n| self.generator.draft(created_at(&self.config, n as u64)))
            .collect();
        self.made = end;
        self.generator.sign_all(drafts)
    }

    /// Writes what is left as JSON Lines.
    ///
    /// # Errors
    /// When the output does not take it.
    pub fn write(mut self, output: &mut impl Write) -> io::Result<()> {
        loop {
            let chunk = self.next_chunk();
            if chunk.is_empty() {
                return output.flush();
            }
            for event in chunk {
                output.write_all(event.json().as_bytes())?;
                output.write_all(b"\n")?;
            }
        }
    }
}

/// When event number `n` was made: page after page from stretch after stretch, each stretch from
/// its beginning on.
fn created_at(config: &PopulationConfig, n: u64) -> i64 {
    let pages = (config.events as u64).div_ceil(PAGE);
    let pages_per_stretch = pages.div_ceil(STRETCHES);
    let (page, within) = (n / PAGE, n % PAGE);
    let position = (page % STRETCHES) * pages_per_stretch + page / STRETCHES;
    let share =
        (position * PAGE + within + 1) as f64 / (pages_per_stretch * STRETCHES * PAGE) as f64;
    let span = config.span.as_secs() as f64;
    config.now - ((1.0 - share) * span) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_corpus_every_time_and_all_of_it() {
        let config = Corpus::config(1, 1_234, 1_750_000_000);
        let mut texts = [Vec::new(), Vec::new()];
        for text in &mut texts {
            Corpus::new(config.clone()).write(text).unwrap();
        }
        assert_eq!(texts[0], texts[1]);
        let lines = texts[0]
            .split(|byte| *byte == b'\n')
            .filter(|l| !l.is_empty());
        assert_eq!(lines.count(), 1_234);
    }

    #[test]
    fn times_cover_the_span_and_end_now() {
        let config = Corpus::config(1, 100_000, 1_750_000_000);
        let times: Vec<i64> = (0..100_000).map(|n| created_at(&config, n)).collect();
        let span = config.span.as_secs() as i64;
        assert!(
            times
                .iter()
                .all(|t| (config.now - span..=config.now).contains(t))
        );
        assert!(*times.iter().max().unwrap() > config.now - span / 50);
        assert!(*times.iter().min().unwrap() < config.now - span + span / 50);
    }
}
