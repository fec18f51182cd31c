//! BigBrotr: the command line, the wiring of the services and their lifecycle.
//!
//! | file | what |
//! |---|---|
//! | `cli` | commands and flags |
//! | `commands/…` | one command each |
//! | `settings`, `implementation` | the effective configuration |
//! | `database` | the server: given, owned or joined |
//! | `node`, `wiring` | which services run, in which order, made of what |
//! | `supervisor` | starting, restarting, draining |
//! | `open_files` | room for the connections |
//! | `exporter` | metrics and health over HTTP |
//! | `runtime_metrics` | metrics of the async runtime |
//! | `metrics` | what the process tells about itself |
//! | `reference` | the pages that are generated from all this |
//! | `other_relays` | other relays, as the data vending machine wants them |
//! | `asking` | a NIP-90 client |
//! | `completion` | what a shell may complete |
//! | `logging`, `signals`, `summary`, `meter` | what the operator sees |
//! | `limits` | every bound, with its reason |

mod asking;
mod cli;
mod commands;
mod completion;
mod database;
mod demo;
mod exporter;
mod implementation;
mod limits;
mod logging;
mod meter;
mod metrics;
mod node;
mod open_files;
mod other_relays;
mod output;
mod partial;
mod postgres_tools;
#[cfg(test)]
mod reference;
mod relays;
mod runtime_metrics;
mod settings;
mod signals;
mod summary;
mod supervisor;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

fn main() -> ExitCode {
    // A shell that asks what may follow gets its answer here, and the program ends.
    completion::complete();
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(commands::run(cli));
    // Blocking tasks (a DNS look-up, a signature check) are not worth waiting for.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", summary::explain(&error));
            ExitCode::FAILURE
        }
    }
}
