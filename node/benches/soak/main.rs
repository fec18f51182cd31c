//! A soak of the whole node: whether anything grows that must not, and anything stays behind.
//!
//! `cargo bench -p bigbrotr --bench soak -- --minutes 60 [--rate 120] [--events N] [--settle 60]
//! [--csv FILE] [--data FOLDER]`
//!
//! The real program runs with all services and a private Postgres, against some three hundred
//! simulated relays on loopback: honest ones that get `--rate` new events a second, and hostile
//! ones of every sort that there is (`farm/mix`). Meanwhile its own faces are under load
//! (`load`): subscribers that read, read slowly, never read or vanish; clients that send rubbish;
//! DVM jobs, good and bad, twice, cancelled, encrypted; HTTP requests, good, bad, and of clients
//! that never read. Its intervals are short (`implementation/config`), so that an hour sees many
//! rounds of everything.
//!
//! The relays begin with `--events` events (5,000 per minute of the run), so that the memory of
//! known events is full in the first half of a run. What the process uses is noted every 15 s.
//! First it is left alone, without relays, for what it needs at rest. In the end load and relays
//! stop, and after `--settle` seconds it has to be at rest again. Nothing is judged by speed.
//!
//! The program is the one of this build; the run ends with exit code 1 when a verdict is bad.

mod database;
mod farm;
mod load;
mod node;
mod process;
mod report;
mod run;
mod sample;
mod verdict;

use std::process::ExitCode;

use bigbrotr_testkit::bench::raise_open_files;

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test --benches` runs it too, and nobody wants an hour of that.
    if !std::env::args().any(|argument| argument == "--bench" || argument == "--minutes") {
        println!("the soak runs by `cargo bench -p bigbrotr --bench soak -- --minutes 60`");
        return ExitCode::SUCCESS;
    }
    raise_open_files();
    if Box::pin(run::run()).await {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
