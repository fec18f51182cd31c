//! `bigbrotr export`: the archive as JSON Lines, in constant memory.
//!
//! | file | what |
//! |---|---|
//! | `plan` | which events, in which passes |
//! | `output` | where they go |

mod output;
mod plan;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_schema::store::{RelayId, Store};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::output::Output;
use self::plan::{Plan, Verdict};
use crate::cli::{ExportArgs, ExportFormat, Options};
use crate::database::Database;
use crate::limits::{EXPORT_FIRST_PAGE_EVENTS, EXPORT_PAGE_BYTES, EXPORT_PAGE_EVENTS};
use crate::meter::{Meter, Unit};
use crate::summary::count;

/// What the writer is told.
enum Order {
    /// Write these.
    Write(Vec<Event>),
    /// That was all. Without it, what was written is not whole.
    Finish,
}

/// How an export ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    /// A signal stopped it.
    Interrupted,
    /// Whoever read it has seen enough.
    Unwanted,
}

/// Counts events.
#[derive(Debug, Default)]
struct Tally {
    written: u64,
    partial: u64,
}

/// Exports events that match, in the order in which they were archived.
pub(crate) async fn run(options: &Options, args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let ExportFormat::Jsonl = args.format;
    let settings = super::quiet(options)?;
    let plan = Plan::new(&args.filter)?;
    let relay = super::relay_url(&settings, args.relay.as_deref())?;
    let stop = CancellationToken::new();
    let work = async {
        let database = Database::open_for_command(&settings, Arc::new(SystemClock)).await?;
        let outcome = Box::pin(export(&database.store, plan, relay, args, &stop)).await;
        database.close().await?;
        outcome
    };
    let (end, tally) = super::interruptible(&stop, Box::pin(work)).await?;
    match end {
        End::Unwanted => return Ok(ExitCode::SUCCESS),
        End::Interrupted => {
            eprintln!("interrupted: the export is not whole");
            return Ok(ExitCode::from(super::INTERRUPTED));
        }
        End::Whole => {}
    }
    eprintln!("{} events exported", count(tally.written));
    if tally.partial > 0 {
        eprintln!(
            "{} events left out: this implementation keeps only parts of them",
            count(tally.partial)
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn export(
    store: &Store,
    mut plan: Plan,
    relay: Option<RelayUrl>,
    args: &ExportArgs,
    stop: &CancellationToken,
) -> anyhow::Result<(End, Tally)> {
    let relay = match relay {
        Some(url) => {
            let known = store.get_relay(&url).await?;
            let known = known.with_context(|| format!("--relay {url} is not in the database"))?;
            Some(known.id)
        }
        None => None,
    };
    let output = Output::open(args.output.as_deref())?;
    // A file that is not whole has to be taken away; whoever reads a pipe may hold the writer up.
    let is_file = output.is_file();
    let visible = args.output.is_none() && io::stdout().is_terminal();
    let (orders, received) = mpsc::channel(1);
    let writing = tokio::task::spawn_blocking(move || write(output, received));
    let mut tally = Tally::default();
    let read = tokio::select! {
        () = stop.cancelled() => Ok(End::Interrupted),
        end = read(store, &mut plan, relay, &orders, visible, &mut tally) => end,
    };
    drop(orders);
    if !is_file && !matches!(read, Ok(End::Whole | End::Unwanted)) {
        return read.map(|end| (end, tally));
    }
    let written = tokio::select! {
        () = stop.cancelled(), if !is_file => return Ok((End::Interrupted, tally)),
        written = writing => written?,
    };
    let end = read?;
    match written {
        Ok(()) => Ok((end, tally)),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok((End::Unwanted, tally)),
        Err(error) => Err(anyhow::Error::from(error).context("cannot write on")),
    }
}

/// Makes the meter, which is silent where it would be drawn into the events.
async fn meter(store: &Store, plan: &Plan, visible: bool) -> anyhow::Result<(Meter, i64)> {
    let up_to = store.last_event_num().await?;
    if visible {
        return Ok((Meter::silent(), up_to));
    }
    let total = plan
        .passes
        .iter()
        .map(|pass| pass.limit.unwrap_or(up_to as u64))
        .fold(0, u64::saturating_add);
    Ok((Meter::start("export", Some(total), Unit::Count)?, up_to))
}

/// Reads the archive, page after page, and hands what is wanted to the writer.
async fn read(
    store: &Store,
    plan: &mut Plan,
    relay: Option<RelayId>,
    orders: &mpsc::Sender<Order>,
    visible: bool,
    tally: &mut Tally,
) -> anyhow::Result<End> {
    let (mut meter, up_to) = meter(store, plan, visible).await?;
    let mut before: u64 = 0;
    let mut most = EXPORT_FIRST_PAGE_EVENTS;
    for number in 0..plan.passes.len() {
        let query = plan.passes[number].query(relay, up_to);
        let mut after = None;
        while !plan.passes[number].is_full() {
            let page = store
                .archive_page(&query, after, most, EXPORT_PAGE_BYTES)
                .await?;
            // A page that ended with its bytes leaves rows behind that were sent for nothing.
            most = (2 * page.events.len()).clamp(1, EXPORT_PAGE_EVENTS);
            let mut events = Vec::with_capacity(page.events.len());
            for found in page.events {
                if plan.passes[number].is_full() {
                    break;
                }
                match plan.judge(number, found) {
                    Verdict::Export(event) => events.push(event),
                    Verdict::Partial => tally.partial += 1,
                    Verdict::Leave => {}
                }
            }
            let sent = events.len() as u64;
            if orders.send(Order::Write(events)).await.is_err() {
                // The writer says why.
                return Ok(End::Unwanted);
            }
            tally.written += sent;
            let pass = &plan.passes[number];
            let position = match pass.limit {
                Some(_) => pass.taken,
                None => page.next.map_or(0, |next| next.num as u64),
            };
            meter.update(before.saturating_add(position), || {
                format!("{} events", count(tally.written))
            });
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        before = before.saturating_add(plan.passes[number].limit.unwrap_or(up_to as u64));
    }
    meter.finish();
    let finish = orders.send(Order::Finish).await;
    Ok(finish.map_or(End::Unwanted, |()| End::Whole))
}

/// Writes events in a thread that may wait for whoever reads them.
fn write(mut output: Output, mut orders: mpsc::Receiver<Order>) -> io::Result<()> {
    while let Some(order) = orders.blocking_recv() {
        match order {
            Order::Write(events) => {
                for event in events {
                    output.write_all(event.to_json().as_bytes())?;
                    output.write_all(b"\n")?;
                }
            }
            Order::Finish => return output.finish(),
        }
    }
    Ok(())
}
