//! `bigbrotr config`: what is in effect, and what is wrong with it.

use std::process::ExitCode;

use crate::cli::Options;
use crate::output::{out, outln};
use crate::settings::Settings;

/// Reads everything; fails with every mistake found.
pub(crate) fn check(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(options)?;
    outln!(
        "the configuration of implementation {} is valid",
        settings.implementation.name
    );
    Ok(ExitCode::SUCCESS)
}

/// Prints the values in effect.
pub(crate) fn show(options: &Options) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(options)?;
    out!("{}", settings.render());
    Ok(ExitCode::SUCCESS)
}
