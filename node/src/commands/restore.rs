//! `bigbrotr restore`: a backup into an empty database.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::embedded::Owner;
use bigbrotr_schema::store::Store;

use crate::cli::{Options, RestoreArgs};
use crate::database::Database;
use crate::settings::Settings;
use crate::summary::table;

/// Restores a backup and brings the schema to this version.
pub(crate) async fn run(options: &Options, args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let settings = super::quiet(options)?;
    ensure!(
        args.file.is_file(),
        "there is no file {}",
        args.file.display()
    );
    let database = Database::open(&settings, Owner::Command, Arc::new(SystemClock)).await?;
    let origin = database.origin.clone();
    let outcome = Box::pin(restore(&database, &settings, args)).await;
    database.close().await?;
    outcome?;
    print!(
        "{}",
        table(
            "The backup is restored",
            &[
                ("database", origin),
                ("schema", format!("version {}", Store::schema_version())),
                ("file", args.file.display().to_string()),
            ],
        )
    );
    Ok(ExitCode::SUCCESS)
}

async fn restore(
    database: &Database,
    settings: &Settings,
    args: &RestoreArgs,
) -> anyhow::Result<()> {
    let overlays = settings.implementation.overlays()?;
    let file = args.file.to_str().context("the file's name is no text")?;
    let tools = database.tools(settings)?;
    let listed = tools.output("pg_restore", &["--list", file]).await?;
    ensure!(
        database.store.is_empty().await?,
        "the database is not empty: a backup is restored into a new one. Hint: another \
         --database-url, or another --data-dir"
    );
    let mut list = tempfile::NamedTempFile::new().context("cannot write a temporary file")?;
    for line in listed.lines().filter(|line| is_wanted(line)) {
        writeln!(list, "{line}").context("cannot write a temporary file")?;
    }
    let list = list
        .path()
        .to_str()
        .context("the temporary file's name is no text")?;
    database.store.prepare_roles().await?;
    let jobs = format!("--jobs={}", args.jobs);
    // In one transaction, all or nothing; several connections cannot share one.
    let how = if args.jobs == 1 {
        "--single-transaction"
    } else {
        &jobs
    };
    let name = database.store.database_name().await?;
    let target = format!("--dbname={name}");
    let arguments = [
        "--no-password",
        "--no-owner",
        "--exit-on-error",
        "--use-list",
        list,
        how,
        &target,
        file,
    ];
    tools.run("pg_restore", &arguments).await?;
    database.store.finish_restore(&overlays).await?;
    Ok(())
}

/// Leaves out what belongs to the server or to the login that made the backup: rights on what comes
/// with Postgres, and on what that login will create. This login's are set afterwards.
fn is_wanted(line: &str) -> bool {
    ![" ACL pg_catalog ", " DEFAULT ACL ", " LANGUAGE plpgsql "]
        .iter()
        .any(|kind| line.contains(kind))
}
