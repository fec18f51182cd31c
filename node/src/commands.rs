//! The commands, one file each.

mod ask;
mod backup;
mod check;
mod config;
mod export;
mod health;
mod import;
mod init;
mod keys;
mod query;
mod restore;
mod run;
mod status;
mod verify;

use std::process::ExitCode;

use anyhow::Context;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use tokio_util::sync::CancellationToken;

use crate::cli::{Cli, Command, ConfigCommand, Options};
use crate::demo;
use crate::settings::{LogConfig, Settings};
use crate::signals;

/// The exit code of a command that a signal ended.
const INTERRUPTED: u8 = 130;

/// Runs the command that was given.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let options = cli.options;
    match cli.command.unwrap_or(Command::Run) {
        Command::Run => Box::pin(run::run(&options)).await,
        Command::Init => Box::pin(init::run(&options)).await,
        Command::Check(args) => Box::pin(check::run(&options, &args)).await,
        Command::Query(args) => Box::pin(query::run(&options, args)).await,
        Command::Ask(args) => Box::pin(ask::run(&options, &args)).await,
        Command::Import(args) => Box::pin(import::run(&options, &args)).await,
        Command::Export(args) => Box::pin(export::run(&options, &args)).await,
        Command::Backup(args) => Box::pin(backup::run(&options, &args)).await,
        Command::Restore(args) => Box::pin(restore::run(&options, &args)).await,
        Command::Verify => Box::pin(verify::run(&options)).await,
        Command::Keys => keys::run(&options),
        Command::Config(ConfigCommand::Check) => config::check(&options),
        Command::Config(ConfigCommand::Show) => config::show(&options),
        Command::Status(args) => Box::pin(status::run(&options, &args)).await,
        Command::Health => Box::pin(health::run(&options)).await,
        Command::Demo => Box::pin(demo::run(&options)).await,
    }
}

/// Loads the settings of a command that prints its answer: the log says only what goes wrong.
fn quiet(options: &Options) -> anyhow::Result<Settings> {
    let settings = Settings::load(options)?;
    let log = LogConfig {
        level: crate::settings::Level::Warn,
        services: std::collections::BTreeMap::new(),
        dir: std::path::PathBuf::new(),
        ..settings.log.clone()
    };
    crate::logging::start(&log)?;
    Ok(settings)
}

/// Runs a command that ends in order once a signal cancels `stop`.
async fn interruptible<T>(
    stop: &CancellationToken,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        outcome = work => outcome,
        Err(error) = signals::watch(stop.clone()) => {
            Err(error).context("cannot listen for signals")
        }
    }
}

/// Reads a relay's URL from the command line.
fn relay_url(settings: &Settings, url: Option<&str>) -> anyhow::Result<Option<RelayUrl>> {
    let policy = UrlPolicy {
        allow_private: settings.networks.allow_private,
        ..UrlPolicy::default()
    };
    url.map(|url| RelayUrl::parse(url, &policy).with_context(|| format!("--relay {url}")))
        .transpose()
}
