//! `bigbrotr export`: the archive as JSON Lines, in constant memory.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::Store;
use tokio::io::{AsyncWrite, AsyncWriteExt, BufWriter};

use crate::cli::{ExportArgs, Options};
use crate::database::Database;
use crate::summary::count;

/// Events read from the database at once.
const PAGE: i64 = 2_000;

/// Exports events in the order in which they were archived.
pub(crate) async fn run(options: &Options, args: &ExportArgs) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let filter = match &args.filter {
        Some(json) => Filter::from_json(json).context("--filter is not a NIP-01 filter")?,
        None => Filter::default(),
    };
    let writer: Box<dyn AsyncWrite + Unpin + Send> = match &args.output {
        Some(path) => Box::new(
            tokio::fs::File::create(path)
                .await
                .with_context(|| format!("cannot write {}", path.display()))?,
        ),
        None => Box::new(tokio::io::stdout()),
    };
    let database = Database::open_for_command(&settings, Arc::new(SystemClock)).await?;
    let outcome = export(&database.store, &filter, writer).await;
    database.close().await?;
    let (written, partial) = outcome?;
    eprintln!("{} events exported", count(written));
    if partial > 0 {
        eprintln!(
            "{} events left out: this implementation keeps only parts of them",
            count(partial)
        );
    }
    Ok(ExitCode::SUCCESS)
}

async fn export(
    store: &Store,
    filter: &Filter,
    writer: Box<dyn AsyncWrite + Unpin + Send>,
) -> anyhow::Result<(u64, u64)> {
    let mut writer = BufWriter::with_capacity(1 << 20, writer);
    let (mut after, mut written, mut partial) = (0, 0, 0);
    let limit = filter.limit.map_or(u64::MAX, |limit| limit as u64);
    'pages: loop {
        let page = store.list_events(after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, event) in page {
            let Some(event) = event else {
                partial += 1;
                continue;
            };
            if written == limit {
                break 'pages;
            }
            if filter.matches(&event) {
                writer
                    .write_all(event.to_json().as_bytes())
                    .await
                    .context("cannot write on")?;
                writer.write_all(b"\n").await.context("cannot write on")?;
                written += 1;
            }
        }
    }
    writer.flush().await.context("cannot write on")?;
    Ok((written, partial))
}
