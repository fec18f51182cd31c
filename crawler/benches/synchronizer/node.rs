//! The node under measure: the real program in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_testkit::bench::option;
use rustix::process::{Pid, Signal, kill_process};

/// How long the node may take to end.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Node {
    child: Child,
    log: PathBuf,
}

impl Node {
    /// Starts it on a database, with these relays to begin with; it is up when this returns.
    pub(crate) fn start(folder: &Path, database: &str, relays: &[RelayUrl]) -> Self {
        let (seeds, none) = (folder.join("seeds.txt"), folder.join("none.txt"));
        let list: String = relays.iter().flat_map(|url| [url.as_str(), "\n"]).collect();
        fs::write(&seeds, list).expect("a list");
        fs::write(&none, "# none\n").expect("a list");
        let log = folder.join("node.log");
        let mut command = Command::new(program());
        command
            .args(["--services", "initializer,rollup,synchronizer"])
            .args(["--allow-private-networks", "--log-format", "json"])
            .args(["--metrics-listen", "127.0.0.1:0"])
            .args(["--database-url", database])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--seed-relays")
            .arg(&seeds)
            .arg("--priority-relays")
            .arg(&none)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a log"));
        let mut child = command.spawn().expect("the node");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = output.lines().map_while(Result::ok);
        if !lines.any(|line| line.starts_with("  key ")) {
            let log = fs::read_to_string(&log).unwrap_or_default();
            panic!("the node does not start: {log}");
        }
        Self { child, log }
    }

    /// Memory, MB: the most so far (`VmHWM`) and now (`VmRSS`).
    pub(crate) fn memory(&self) -> (f64, f64) {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes =
                line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kilobytes.unwrap_or_default() / 1024.0
        };
        (field("VmHWM:"), field("VmRSS:"))
    }

    /// CPU time so far, seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(path).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = |n: usize| fields.split_whitespace().nth(n)?.parse::<f64>().ok();
        // In hundredths on every Linux.
        (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0
    }

    /// Says what is wrong, when it has ended by itself.
    pub(crate) fn check(&mut self) {
        if let Ok(Some(status)) = self.child.try_wait() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            panic!("the node has ended, {status}: {log}");
        }
    }

    /// Ends it in order.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id() as i32);
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
            eprintln!("cannot stop the node: {error}");
        }
        let begun = std::time::Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Where the program is: as given, or beside this one as cargo builds them.
pub(crate) fn program() -> PathBuf {
    let here = std::env::current_exe().expect("this program");
    let beside = here.parent().and_then(Path::parent).expect("a folder");
    let program = option("node", beside.join("bigbrotr"));
    assert!(
        program.exists(),
        "there is no {}: cargo build --release -p bigbrotr, or give --node PATH",
        program.display()
    );
    program
}
