//! The log: for people on a terminal, JSON elsewhere, optionally into rotated files.

mod json;

use std::io::IsTerminal;

use anyhow::Context;
use bigbrotr_core::service::ServiceName;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{RollingFileAppender, Rotation as Roll};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use self::json::JsonLines;
use crate::settings::{LogConfig, LogStyle, Rotation};

/// Starts the log. Lines for files are written by a thread that ends with the returned guard.
pub(crate) fn start(config: &LogConfig) -> anyhow::Result<Option<WorkerGuard>> {
    let terminal = std::io::stderr().is_terminal();
    let human = match config.format {
        LogStyle::Human => true,
        LogStyle::Json => false,
        LogStyle::Auto => terminal,
    };
    let stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let stderr: Box<dyn Layer<Registry> + Send + Sync> = if human {
        stderr
            .with_ansi(terminal)
            .with_target(false)
            .compact()
            .with_filter(filter(config)?)
            .boxed()
    } else {
        stderr
            .event_format(JsonLines)
            .with_filter(filter(config)?)
            .boxed()
    };
    let mut layers = vec![stderr];
    let mut guard = None;
    if !config.dir.as_os_str().is_empty() {
        let roll = match config.rotation {
            Rotation::Never => Roll::NEVER,
            Rotation::Hourly => Roll::HOURLY,
            Rotation::Daily => Roll::DAILY,
        };
        let files = RollingFileAppender::builder()
            .rotation(roll)
            .filename_prefix("bigbrotr")
            .filename_suffix("log")
            .max_log_files(config.keep_files)
            .build(&config.dir)
            .with_context(|| format!("cannot write logs to {}", config.dir.display()))?;
        let (writer, flusher) = tracing_appender::non_blocking(files);
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(writer)
            .event_format(JsonLines);
        layers.push(layer.with_filter(filter(config)?).boxed());
        guard = Some(flusher);
    }
    tracing_subscriber::registry()
        .with(layers)
        .try_init()
        .context("cannot start the log")?;
    Ok(guard)
}

/// The level for everything of ours, warnings of libraries, and the levels of single services.
fn filter(config: &LogConfig) -> anyhow::Result<EnvFilter> {
    let level = config.level.as_str();
    let library = if matches!(level, "off" | "error") {
        level
    } else {
        "warn"
    };
    let mut directives = format!("{library},bigbrotr={level}");
    for part in ["core", "schema", "crawler", "relay", "dvm", "testkit"] {
        directives.push_str(&format!(",bigbrotr_{part}={level}"));
    }
    for (service, level) in &config.services {
        directives.push_str(&format!(",{}={}", module(*service), level.as_str()));
    }
    EnvFilter::try_new(&directives).with_context(|| format!("cannot use log filter {directives}"))
}

/// The module in which a service lives.
fn module(service: ServiceName) -> &'static str {
    match service {
        ServiceName::Initializer => "bigbrotr_schema::initializer",
        ServiceName::Rollup => "bigbrotr_schema::rollup",
        ServiceName::Retention => "bigbrotr_schema::retention",
        ServiceName::Relay => "bigbrotr_relay",
        ServiceName::Api => "bigbrotr_dvm::api",
        ServiceName::Dvm => "bigbrotr_dvm::dvm",
        ServiceName::Finder => "bigbrotr_crawler::finder",
        ServiceName::Validator => "bigbrotr_crawler::validator",
        ServiceName::Monitor => "bigbrotr_crawler::monitor",
        ServiceName::Synchronizer | ServiceName::PrioritySynchronizer => {
            "bigbrotr_crawler::synchronizer"
        }
    }
}
