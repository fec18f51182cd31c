//! How much the relay takes and gives, beside a relay of others on the same machine.
//!
//! `cargo build --release -p bigbrotr`, then
//! `cargo bench -p bigbrotr-relay --bench relay -- --scenario NAME [options]`
//!
//! | scenario | measures | options, with their defaults |
//! |---|---|---|
//! | `load` | events taken and questions answered in a second | `--events 30000 --connections 100 --seconds 8` |
//! | `fanout` | from when another process begins to publish a report until each subscriber has it | `--subscribers 5000 --reports 20 --rate 1` |
//! | `idle` | memory of a connection with one subscription that hears nothing | `--connections 5000` |
//!
//! Ours is the real program in a process of its own, the one beside this benchmark's or `--node
//! PATH`, on a private Postgres with its own, durable settings; kind 1 is taken from anybody and
//! rates are not limited, the rest is the default. `--nostr-rs-relay PATH` measures that relay
//! (0.8.12 of crates.io, its default settings) in the same run, and `--nostr-bench PATH` lets that
//! tool (0.4.0) measure too. `load` begins with a relay that answers at once and does nothing: more
//! than it takes is more than this benchmark can send.
//!
//! The last line is `result` and a JSON object.

mod client;
mod corpus;
mod nothing;
mod program;
mod scenario;
mod tool;

use std::process::ExitCode;

use bigbrotr_testkit::bench::{flag, option, raise_open_files};

#[tokio::main]
async fn main() -> ExitCode {
    raise_open_files();
    if flag("nothing") {
        nothing::serve().await;
        return ExitCode::SUCCESS;
    }
    let name: String = option("scenario", String::new());
    let result = match name.as_str() {
        "load" => scenario::load::run().await,
        "fanout" => scenario::fanout::run().await,
        "idle" => scenario::idle::run().await,
        _ => {
            eprintln!("--scenario load, fanout or idle");
            return ExitCode::from(2);
        }
    };
    println!("result {result}");
    ExitCode::SUCCESS
}
