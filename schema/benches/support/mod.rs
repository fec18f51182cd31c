//! What the benchmarks share: options, corpora on disk, the rollup beside them, percentiles.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::store::{RelayId, Store};
use bigbrotr_testkit::population::Corpus;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// When the newest event of every benchmark was made: Unix seconds.
pub(crate) const NOW: i64 = 1_750_000_000;

/// Opens the corpus of so many events, made and signed first if it is not there: about 2 minutes
/// and 780 MB for a million.
pub(crate) fn corpus(seed: u64, events: usize) -> impl Iterator<Item = String> {
    let path = corpus_path(seed, events);
    if !path.exists() {
        eprintln!("signing {events} events into {}, once", path.display());
        let partial = path.with_extension("partial");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let mut file = BufWriter::new(File::create(&partial).expect("a file"));
        Corpus::new(Corpus::config(seed, events, NOW))
            .write(&mut file)
            .expect("a corpus");
        std::fs::rename(&partial, &path).expect("a corpus");
    }
    let file = File::open(&path).expect("a corpus");
    BufReader::with_capacity(1 << 20, file)
        .lines()
        .map(|line| line.expect("a line"))
}

fn corpus_path(seed: u64, events: usize) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("corpus-{seed}-{events}.jsonl"))
}

/// Parses JSON lines on all cores, in order.
pub(crate) fn parse(lines: &[String]) -> Vec<Event> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let parts: Vec<_> = lines
            .chunks(lines.len().div_ceil(cores).max(1))
            .map(|part| {
                scope.spawn(move || {
                    part.iter()
                        .map(|line| Event::from_json(line).expect("an event"))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().expect("a thread"))
            .collect()
    })
}

/// Adds two relays.
pub(crate) async fn relays(store: &Store) -> Vec<RelayId> {
    vec![
        relay(store, "wss://one.example.com").await,
        relay(store, "wss://two.example.com").await,
    ]
}

/// Adds a relay.
pub(crate) async fn relay(store: &Store, url: &str) -> RelayId {
    let url = RelayUrl::parse(url, &UrlPolicy::default()).expect("a URL");
    store
        .insert_relays(std::slice::from_ref(&url))
        .await
        .expect("a relay");
    let relay = store.get_relay(&url).await.expect("a relay");
    relay.expect("a relay").id
}

/// The rollup, at work beside what is measured.
pub(crate) struct Rollup {
    tasks: TaskTracker,
    stop: CancellationToken,
    worst_lag_ms: Arc<AtomicU64>,
}

impl Rollup {
    /// Folds as the service does, until it is stopped.
    pub(crate) fn start(store: &Store) -> Self {
        let rollup = Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            worst_lag_ms: Arc::default(),
        };
        let (store, stop) = (store.clone(), rollup.stop.clone());
        let worst = Arc::clone(&rollup.worst_lag_ms);
        rollup.tasks.spawn(async move {
            while !stop.is_cancelled() {
                let lag = store.rollup_lag().await.expect("a lag");
                worst.fetch_max((lag * 1e3) as u64, Ordering::Relaxed);
                match store.rollup_step().await {
                    Ok(Some(step)) if step.more => {}
                    Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    Err(error) => panic!("the rollup failed: {error:?}"),
                }
            }
        });
        rollup
    }

    /// Waits until nothing is left to fold; returns how long that took.
    pub(crate) async fn settle(&self, store: &Store) -> Duration {
        let begun = Instant::now();
        while store.status().await.expect("a status").rollup_backlog > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        begun.elapsed()
    }

    /// Returns the largest lag since the last call, seconds.
    pub(crate) fn worst_lag(&self) -> f64 {
        self.worst_lag_ms.swap(0, Ordering::Relaxed) as f64 / 1e3
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Returns the share (0 to 1) of sorted durations as milliseconds.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len() - 1);
    sorted[index].as_secs_f64() * 1e3
}

/// Returns the most memory that this process has had: MB.
pub(crate) fn peak_memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or_default()
        / 1024
}
