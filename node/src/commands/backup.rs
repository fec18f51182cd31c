//! `bigbrotr backup`: the whole database in one file.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::embedded::Owner;
use tempfile::NamedTempFile;
use tokio_util::sync::CancellationToken;

use crate::cli::{BackupArgs, Options};
use crate::database::Database;
use crate::partial;
use crate::settings::Settings;
use crate::summary::{bytes, table};

/// Dumps the database, as it is at one moment, beside whatever goes on. Changes nothing in it, so
/// that it can be made before an upgrade.
pub(crate) async fn run(options: &Options, args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    let file = &args.file;
    ensure!(
        !file.exists(),
        "{} exists. Hint: give the backup another name, or remove that file",
        file.display()
    );
    let stop = CancellationToken::new();
    // Everything that the database has: for its owner alone.
    let part =
        partial::beside(file, 0o600).with_context(|| format!("cannot write {}", file.display()))?;
    let work = async {
        let database = Database::open(&settings, Owner::Command, Arc::new(SystemClock)).await?;
        let origin = database.origin.clone();
        let outcome = tokio::select! {
            outcome = dump(&database, &settings, &part) => outcome.map(Some),
            () = stop.cancelled() => Ok(None),
        };
        database.close().await?;
        Ok(outcome?.map(|()| origin))
    };
    let Some(origin) = super::interruptible(&stop, Box::pin(work)).await? else {
        eprintln!("interrupted: there is no backup");
        return Ok(ExitCode::from(super::INTERRUPTED));
    };
    let size = keep_as(part, file)?;
    print!(
        "{}",
        table(
            "The database is backed up",
            &[
                ("database", origin),
                ("file", file.display().to_string()),
                ("size", bytes(size)),
                (
                    "not in it",
                    "the node's key (bigbrotr keys), the configuration".to_owned()
                ),
            ],
        )
    );
    Ok(ExitCode::SUCCESS)
}

async fn dump(
    database: &Database,
    settings: &Settings,
    part: &NamedTempFile,
) -> anyhow::Result<()> {
    let file = part.path().to_str().context("the file's name is no text")?;
    let tools = database.tools(settings)?;
    let arguments = ["--format=custom", "--no-password", "--file", file];
    tools.run("pg_dump", &arguments).await
}

/// Gives it its name, once it is on disk and unless somebody else has it by now; returns its size.
fn keep_as(part: NamedTempFile, file: &Path) -> anyhow::Result<u64> {
    // The program that wrote it may have made another file of it.
    let written = File::open(part.path()).context("cannot read the backup")?;
    written.sync_all().context("cannot write the backup")?;
    let size = written.metadata().context("cannot read the backup")?.len();
    part.persist_noclobber(file)
        .map_err(|failed| failed.error)
        .with_context(|| format!("cannot name the backup {}", file.display()))?;
    Ok(size)
}
