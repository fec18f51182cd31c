//! What it costs to archive relays: time, bytes, memory, and how soon a new event is archived.
//!
//! `cargo build --release -p bigbrotr`, then
//! `cargo bench -p bigbrotr-crawler --bench synchronizer -- --scenario NAME [options]`
//!
//! | scenario | measures | options, with their defaults |
//! |---|---|---|
//! | `second` | a second relay with the same events: its bytes and time over those of the first | `--events 100000` |
//! | `overlap` | relays that share most of their events, all at once, over the sum of their separate downloads | `--relays 10 --events 100000 --overlap 0.9 --samples 2` |
//! | `tail` | from the OK for a new event until it is archived, with so many relays followed | `--relays 1000 --events 20 --publish 1000 --rate 50 --settle 10 --patience 600` |
//! | `memory` | the most memory that the node takes | `--relays 8 --events 1000000 --overlap 0` |
//! | `strfry` | one relay into an empty archive, in seconds | `--events 93500` |
//!
//! The relays are simulated, on real sockets on loopback, in a process of their own, with NIP-77
//! unless `--no-nip77` is given. The node is the real program in a process of its own: the one
//! beside this benchmark's, or `--node PATH`; its configuration is the default, but for loopback
//! being allowed, and what is set in the environment (`BIGBROTR__SYNCHRONIZER__INTERVAL=5s`). The
//! database is the private Postgres with its own, durable settings. Everything is over when the
//! statistics have counted every event of every relay, and each run ends with a comparison of the
//! archive with what the relays hold.
//!
//! The last line is `result` and a JSON object.

mod database;
mod farm;
mod node;
mod run;
mod scenario;

use std::process::ExitCode;

use bigbrotr_testkit::bench::{flag, option, raise_open_files};

#[tokio::main]
async fn main() -> ExitCode {
    raise_open_files();
    if flag("farm") {
        farm::serve().await;
        return ExitCode::SUCCESS;
    }
    let name: String = option("scenario", String::new());
    let result = match name.as_str() {
        "second" => scenario::second().await,
        "overlap" => scenario::overlap().await,
        "tail" => scenario::tail().await,
        "memory" => scenario::memory().await,
        "strfry" => scenario::strfry().await,
        _ => {
            eprintln!("--scenario second, overlap, tail, memory or strfry");
            return ExitCode::from(2);
        }
    };
    println!("result {result}");
    ExitCode::SUCCESS
}
