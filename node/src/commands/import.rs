//! `bigbrotr import`: events from JSON Lines, as other relays' tools write them.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::ingest::{Ingest, IngestMetrics, Ingested};
use bigbrotr_schema::store::RelayId;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::{ImportArgs, Options};
use crate::database::Database;
use crate::summary::count;

/// Events that are given to the archive at once.
const BATCH: usize = 2_000;

/// The longest line that is read: bytes. Longer ones are reported as bad.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// What became of the lines.
#[derive(Debug, Default)]
struct Tally {
    lines: u64,
    bad: u64,
    ingested: Ingested,
}

/// Imports a file. Bad lines are reported and counted, and end the import only if that was asked.
pub(crate) async fn run(options: &Options, args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let policy = UrlPolicy {
        allow_private: settings.networks.allow_private,
        ..UrlPolicy::default()
    };
    let relay = args
        .relay
        .as_ref()
        .map(|url| RelayUrl::parse(url, &policy).with_context(|| format!("--relay {url}")))
        .transpose()?;
    let stdin = args.file.as_os_str() == "-";
    let (reader, size): (Box<dyn AsyncBufRead + Unpin + Send>, u64) = if stdin {
        (Box::new(BufReader::new(tokio::io::stdin())), 0)
    } else {
        let file = tokio::fs::File::open(&args.file)
            .await
            .with_context(|| format!("cannot read {}", args.file.display()))?;
        let size = file.metadata().await.map_or(0, |metadata| metadata.len());
        (Box::new(BufReader::with_capacity(1 << 20, file)), size)
    };
    let database = Database::open_for_command(&settings, Arc::new(SystemClock)).await?;
    let outcome = import(&database, reader, size, relay, args.strict).await;
    database.close().await?;
    let (tally, strict_end) = outcome?;
    println!(
        "{} lines: {} new events, {} known, {} refused, {} bad lines",
        count(tally.lines),
        count(tally.ingested.new),
        count(tally.ingested.known),
        count(tally.ingested.refused),
        count(tally.bad),
    );
    Ok(if strict_end {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn import(
    database: &Database,
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    size: u64,
    relay: Option<RelayUrl>,
    strict: bool,
) -> anyhow::Result<(Tally, bool)> {
    let relay = match relay {
        Some(url) => {
            database
                .store
                .insert_relays(std::slice::from_ref(&url))
                .await?;
            database.store.get_relay(&url).await?.map(|known| known.id)
        }
        None => None,
    };
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let metrics = IngestMetrics::register(&prometheus::Registry::new())?;
    let ingest = Ingest::start(database.store.clone(), metrics, &tasks, stop.clone());
    let outcome = read(&ingest, reader, size, relay, strict).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    database.store.rollup_to_end().await?;
    outcome
}

async fn read(
    ingest: &Ingest,
    mut reader: Box<dyn AsyncBufRead + Unpin + Send>,
    size: u64,
    relay: Option<RelayId>,
    strict: bool,
) -> anyhow::Result<(Tally, bool)> {
    let bar = if size > 0 {
        ProgressBar::new(size)
    } else {
        ProgressBar::new_spinner()
    };
    bar.set_style(ProgressStyle::with_template(
        "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    )?);
    let mut tally = Tally::default();
    let mut batch = Vec::with_capacity(BATCH);
    let mut line = Vec::new();
    let mut strict_end = false;
    loop {
        line.clear();
        let read = read_line(&mut reader, &mut line).await?;
        bar.inc(read as u64);
        if read == 0 {
            break;
        }
        tally.lines += 1;
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match parse(text) {
            Ok(event) => batch.push(event),
            Err(reason) => {
                tally.bad += 1;
                bar.suspend(|| eprintln!("line {}: {reason}", tally.lines));
                if strict {
                    strict_end = true;
                    break;
                }
            }
        }
        if batch.len() == BATCH {
            submit(ingest, &mut batch, relay, &mut tally).await?;
        }
    }
    submit(ingest, &mut batch, relay, &mut tally).await?;
    bar.finish_and_clear();
    Ok((tally, strict_end))
}

/// Reads one line, at most one byte beyond the longest allowed; returns how many bytes.
async fn read_line(
    reader: &mut Box<dyn AsyncBufRead + Unpin + Send>,
    line: &mut Vec<u8>,
) -> anyhow::Result<usize> {
    let mut total = 0;
    loop {
        let available = reader.fill_buf().await.context("cannot read on")?;
        if available.is_empty() {
            return Ok(total);
        }
        let (used, done) = match available.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (available.len(), false),
        };
        let room = (MAX_LINE_BYTES + 1).saturating_sub(line.len());
        line.extend_from_slice(&available[..used.min(room)]);
        reader.consume(used);
        total += used;
        if done {
            return Ok(total);
        }
    }
}

fn parse(line: &[u8]) -> anyhow::Result<Event> {
    if line.len() > MAX_LINE_BYTES {
        bail!("longer than {MAX_LINE_BYTES} bytes");
    }
    let text = std::str::from_utf8(line).context("not UTF-8")?;
    Event::from_json(text).map_err(|error| anyhow::anyhow!(crate::summary::explain(&error.into())))
}

async fn submit(
    ingest: &Ingest,
    batch: &mut Vec<Event>,
    relay: Option<RelayId>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let ingested = ingest.submit(std::mem::take(batch), relay).await?;
    tally.ingested.new += ingested.new;
    tally.ingested.known += ingested.known;
    tally.ingested.refused += ingested.refused;
    Ok(())
}
