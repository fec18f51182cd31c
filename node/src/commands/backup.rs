//! `bigbrotr backup`: the whole database in one file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::embedded::Owner;
use tokio_util::sync::CancellationToken;

use crate::cli::{BackupArgs, Options};
use crate::database::Database;
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
    let part = Part::of(file);
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
    let size = part.keep_as(file)?;
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

async fn dump(database: &Database, settings: &Settings, part: &Part) -> anyhow::Result<()> {
    let file = part.0.to_str().context("the file's name is no text")?;
    let tools = database.tools(settings)?;
    let arguments = ["--format=custom", "--no-password", "--file", file];
    tools.run("pg_dump", &arguments).await
}

/// A file that is not whole yet: gone when it is dropped.
struct Part(PathBuf);

impl Part {
    fn of(file: &Path) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push(".part");
        Self(name.into())
    }

    /// Gives it its name, once it is on disk; returns its size.
    fn keep_as(self, file: &Path) -> anyhow::Result<u64> {
        let written = std::fs::File::open(&self.0).context("cannot read the backup")?;
        written.sync_all().context("cannot write the backup")?;
        let size = written.metadata().context("cannot read the backup")?.len();
        std::fs::rename(&self.0, file)
            .with_context(|| format!("cannot name the backup {}", file.display()))?;
        Ok(size)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Usually it has its name by now.
        drop(std::fs::remove_file(&self.0));
    }
}
