//! `bigbrotr import`: events from JSON Lines, as other relays' tools write them.
//!
//! | file | what |
//! |---|---|
//! | `source` | a file or a stream, unpacked |
//! | `chunks` | text to chunks of whole lines |
//! | `line` | a line to an event |
//! | `work` | a chunk to durable rows |
//! | `ledger` | what is done, in the order of the file; bad lines |
//! | `pipeline` | all of these together, for one file |
//! | `resume` | where the import of a file begins |
//! | `fold` | statistics meanwhile |

mod chunks;
mod fold;
mod ledger;
mod line;
mod pipeline;
mod resume;
mod source;
mod work;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_schema::error::StoreError;
use bigbrotr_schema::ingest::{Ingest, IngestMetrics};
use bigbrotr_schema::store::{ImportProgress, RelayId, Store};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::ledger::Reporter;
use self::pipeline::{End, Pipeline, rate, total};
use self::resume::{Begin, Wish};
use self::source::Input;
use self::work::Worker;
use crate::cli::{ImportArgs, Options};
use crate::database::Database;
use crate::meter::{Meter, Unit};
use crate::output::outln;
use crate::summary::count;

/// What all files came to.
#[derive(Default)]
struct Sum {
    /// Everything in the files, as far as it is done.
    done: ImportProgress,
    /// How much of it earlier imports had done.
    before: ImportProgress,
}

/// Imports files. Bad lines are reported and counted, and end the import only if that was asked.
pub(crate) async fn run(options: &Options, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let relay = super::relay_url(&settings, args.relay.as_deref())?;
    for path in &args.files {
        // Better to hear of a wrong name now than hours later.
        if path.as_os_str() != "-" {
            std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        }
    }
    let stop = CancellationToken::new();
    let work = async {
        let database = Database::open_for_command(&settings, Arc::new(SystemClock)).await?;
        let outcome = Box::pin(import(&database.store, relay, args, &stop)).await;
        database.close().await?;
        outcome
    };
    super::interruptible(&stop, Box::pin(work)).await
}

async fn import(
    store: &Store,
    relay: Option<RelayUrl>,
    args: &ImportArgs,
    stop: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    let relay = match relay {
        Some(url) => relay_id(store, &url).await?,
        None => None,
    };
    let (tasks, ingest_stop) = (TaskTracker::new(), CancellationToken::new());
    let metrics = IngestMetrics::register(&prometheus::Registry::new())?;
    let ingest = Ingest::start(store.clone(), metrics, &tasks, ingest_stop.clone());
    tasks.spawn(fold::along(store.clone(), ingest_stop.clone()));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let pipeline = Pipeline {
        store: store.clone(),
        worker: Worker {
            ingest,
            relay,
            strict: args.strict,
            cores: Arc::new(Semaphore::new(cores)),
        },
        stop: stop.clone(),
        ingest_stop: ingest_stop.clone(),
    };
    let began = Instant::now();
    let mut sum = Sum::default();
    let outcome = Box::pin(files(&pipeline, args, &mut sum)).await;
    ingest_stop.cancel();
    tasks.close();
    tasks.wait().await;
    let code = outcome?;
    if !stop.is_cancelled() {
        fold::rest(store).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    print_summary(&sum, seconds);
    Ok(code)
}

async fn relay_id(store: &Store, url: &RelayUrl) -> Result<Option<RelayId>, StoreError> {
    store.insert_relays(std::slice::from_ref(url)).await?;
    Ok(store.get_relay(url).await?.map(|known| known.id))
}

/// Imports one file after the other; a file that cannot be imported whole is the last.
async fn files(pipeline: &Pipeline, args: &ImportArgs, sum: &mut Sum) -> anyhow::Result<ExitCode> {
    let mut reporter = Reporter {
        file: None,
        left: args.max_reported,
        hushed: false,
    };
    for path in &args.files {
        let name = path.display().to_string();
        reporter.file = (args.files.len() > 1).then(|| name.clone());
        let end = Box::pin(file(pipeline, path, args, &mut reporter, sum)).await;
        let (end, durable) = end.with_context(|| format!("cannot import {name}"))?;
        let lines = count(durable.lines);
        match end {
            End::Complete => {}
            End::Interrupted => {
                let on = if path.is_file() {
                    "the same command goes on behind them"
                } else {
                    "a stream cannot be resumed"
                };
                eprintln!("interrupted: {lines} lines of {name} are imported; {on}");
                return Ok(ExitCode::from(super::INTERRUPTED));
            }
            End::Bad(problem) => {
                eprintln!(
                    "error: {name} line {}: stopped as --strict asks; every line before is imported",
                    problem.line
                );
                return Ok(ExitCode::FAILURE);
            }
            End::Unreadable {
                at,
                file_bytes,
                error,
            } => {
                let what = match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => "the file is cut off",
                    _ => "the file cannot be read on",
                };
                eprintln!(
                    "error: {name}: {what} after line {}, byte {} of the text ({} bytes of the \
                     file were read): {error}; every line before is imported",
                    at.lines, at.offset, file_bytes
                );
                return Ok(ExitCode::FAILURE);
            }
            End::Refused(error) => {
                return Err(anyhow::Error::from(error).context(format!(
                    "the archive takes no more events after line {} of {name}",
                    durable.lines
                )));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn file(
    pipeline: &Pipeline,
    path: &Path,
    args: &ImportArgs,
    reporter: &mut Reporter,
    sum: &mut Sum,
) -> anyhow::Result<(End, ImportProgress)> {
    let mut input = Input::open(path)?;
    let wish = Wish {
        restart: args.restart,
        strict: args.strict,
    };
    let name = path.display();
    let mut size = None;
    let record = match &mut input {
        Input::Stream(_) => None,
        Input::File(file) => {
            match resume::begin(&pipeline.store, file, pipeline.worker.relay, wish).await? {
                Begin::Behind(record) => {
                    size = Some(record.file.size_bytes);
                    Some(record)
                }
                Begin::Done(record) => {
                    eprintln!(
                        "{name} was imported to its end before, {} lines; --restart reads it again",
                        count(record.progress.lines)
                    );
                    return Ok((End::Complete, record.progress));
                }
            }
        }
    };
    let before = record.map(|record| record.progress).unwrap_or_default();
    if before.lines > 0 {
        eprintln!(
            "{name}: {} lines were imported before; going on behind them",
            count(before.lines)
        );
    }
    let mut meter = Meter::start(&name.to_string(), size, Unit::Bytes)?;
    let outcome = Box::pin(pipeline.run(input, record, reporter, &mut meter)).await;
    meter.finish();
    let outcome = outcome?;
    add(&mut sum.done, &outcome.done);
    add(&mut sum.before, &before);
    Ok((outcome.end, outcome.done))
}

fn add(sum: &mut ImportProgress, more: &ImportProgress) {
    sum.lines += more.lines;
    sum.bad_lines += more.bad_lines;
    sum.ingested += more.ingested;
}

fn print_summary(sum: &Sum, seconds: f64) {
    let Sum { done, before } = sum;
    outln!(
        "{} lines: {} new events, {} known, {} refused, {} bad lines; {seconds:.1} s, {} events/s",
        count(done.lines),
        count(done.ingested.new),
        count(done.ingested.known),
        count(done.ingested.refused),
        count(done.bad_lines),
        count(rate(total(done) - total(before), seconds)),
    );
    if done.ingested.unkept > 0 {
        outln!(
            "{} events are of a kind or age that is not kept (database.retention)",
            count(done.ingested.unkept)
        );
    }
    if before.lines > 0 {
        outln!("{} of the lines were imported before", count(before.lines));
    }
}
