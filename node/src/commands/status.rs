//! `bigbrotr status`: what the node has done, and how far the work on relays is.
//!
//! | file | what |
//! |---|---|
//! | `report` | what is known, for people and for programs |
//! | `relays` | the table of relays, as wide as there is room |
//! | `screen` | how it comes onto a terminal, again and again |

mod relays;
mod report;
mod screen;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::catalog::Catalog;
use tokio_util::sync::CancellationToken;

use self::report::Report;
use self::screen::Screen;
use crate::cli::{Options, StatusArgs};
use crate::database::Database;
use crate::limits::STATUS_TIMEOUT;
use crate::summary::explain;

/// Prints the state of the database and of the work on relays, once or until a signal comes.
pub(crate) async fn run(options: &Options, args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let database = Database::open_for_command(&settings, Arc::new(SystemClock)).await?;
    let outcome = show(&database, args).await;
    database.close().await?;
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn show(database: &Database, args: &StatusArgs) -> anyhow::Result<()> {
    let catalog = Catalog::load(database.store.clone(), &[]).await?;
    match args.watch {
        None => {
            let report = look(database, &catalog, args).await?;
            print(&text(&report, args, screen::width(), None)).map(drop)
        }
        Some(seconds) => {
            let stop = CancellationToken::new();
            let every = Duration::from_secs(seconds);
            let watching = Box::pin(watch(database, &catalog, args, every, &stop));
            super::interruptible(&stop, watching).await
        }
    }
}

/// Shows one report after the other until it is stopped, or nobody reads them. The first has to
/// succeed; later the database may be away for a while.
async fn watch(
    database: &Database,
    catalog: &Catalog,
    args: &StatusArgs,
    every: Duration,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut screen = Screen::default();
    let mut is_first = true;
    loop {
        let looking = look(database, catalog, args);
        let text = match stop.run_until_cancelled(looking).await {
            None => return Ok(()),
            Some(Ok(report)) => text(&report, args, screen::width(), Some(every)),
            Some(Err(error)) if is_first => return Err(error),
            Some(Err(error)) if args.json => {
                eprintln!("bigbrotr: {}", explain(&error));
                String::new()
            }
            Some(Err(error)) => format!("{}\n", explain(&error)),
        };
        let frame = if args.json { text } else { screen.frame(&text) };
        if !print(&frame)? {
            return Ok(());
        }
        is_first = false;
        let pause = stop.run_until_cancelled(tokio::time::sleep(every));
        if pause.await.is_none() {
            return Ok(());
        }
    }
}

async fn look(database: &Database, catalog: &Catalog, args: &StatusArgs) -> anyhow::Result<Report> {
    let gathered = Box::pin(Report::gather(database, catalog, args.relays));
    tokio::time::timeout(STATUS_TIMEOUT, gathered)
        .await
        .context("the database does not answer")?
}

fn text(
    report: &Report,
    args: &StatusArgs,
    width: Option<usize>,
    every: Option<Duration>,
) -> String {
    if args.json {
        format!("{}\n", report.to_json())
    } else {
        report.to_text(width, every)
    }
}

/// Writes to standard output; says whether somebody still reads it.
fn print(text: &str) -> anyhow::Result<bool> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes());
    match written.and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}
