//! Running the real binary in tests.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) mod sync;

/// How long anything may take on a busy machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The binary, with nothing of the environment that would change what it does.
pub(crate) fn bigbrotr(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bigbrotr"));
    command.arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    for (name, _) in std::env::vars() {
        if name.starts_with("BIGBROTR_") || name.starts_with("DATABASE_URL") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end.
pub(crate) fn output(command: &mut Command) -> (Output, String, String) {
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, stdout, stderr)
}

/// A node that runs until it is dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) summary: String,
    pub(crate) relay: String,
    pub(crate) api: String,
    pub(crate) metrics: String,
}

impl Node {
    /// Starts a node on free ports and waits for its summary.
    pub(crate) fn start(data_dir: &Path, more: &[&str]) -> Self {
        Self::start_with(data_dir, more, &[])
    }

    /// As [`Node::start`], with variables of the environment.
    pub(crate) fn start_with(data_dir: &Path, more: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = bigbrotr(data_dir);
        command.envs(variables.iter().copied());
        for flag in ["--relay-listen", "--api-listen", "--metrics-listen"] {
            if !more.contains(&flag) {
                command.args([flag, "127.0.0.1:0"]);
            }
        }
        command.args(more);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, received) = mpsc::sync_channel(1_000);
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let mut reader = BufReader::new(stderr);
            drop(reader.read_to_string(&mut text));
            text
        });
        let (deadline, mut summary) = (Instant::now() + PATIENCE, String::new());
        while !summary.contains("\n  key ") {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Ok(line) = received.recv_timeout(left) {
                summary.push_str(&line);
                summary.push('\n');
            } else {
                drop(child.kill());
                drop(child.wait());
                let errors = errors.join().unwrap();
                panic!("the node did not start: {summary}{errors}");
            }
        }
        let find = |name: &str| {
            summary
                .lines()
                .find_map(|line| line.trim().strip_prefix(name))
                .map(|rest| rest.trim().to_owned())
                .unwrap_or_default()
        };
        let (relay, api) = (find("relay "), find("REST "));
        let metrics = find("metrics ").trim_end_matches("/metrics").to_owned();
        Self {
            child,
            summary,
            relay,
            api,
            metrics,
        }
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the node as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the node to stop; returns its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        signal("TERM", self.pid());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the node did not stop");
    }
}

impl Drop for Node {
    /// Ends a node of a failed test in order, so that its Postgres ends too.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal("TERM", self.pid());
            for _ in 0..200 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(name: &str, pid: u32) {
    Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status()
        .unwrap();
}

/// Gets a document: the status and the body.
pub(crate) fn get(url: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address: SocketAddr = host.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    (status, body.to_owned())
}

/// Gets a JSON document.
pub(crate) fn get_json(url: &str) -> Value {
    let (status, body) = get(url);
    assert_eq!(status, 200, "{url}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{url}: {error}: {body}"))
}

/// Waits until a condition holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen in time");
        std::thread::sleep(Duration::from_millis(100));
    }
}
