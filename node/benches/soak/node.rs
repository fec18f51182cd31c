//! The node under soak: the real program in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nostr::PublicKey;
use rustix::process::{Pid, Signal, kill_process};

/// How long the node may take to end: its services, its intake and its Postgres have 90 s.
const PATIENCE: Duration = Duration::from_mins(2);

/// Lines of the log that are shown where it is not as it should be.
const SHOWN_LINES: usize = 10;

pub(crate) struct Node {
    child: Child,
    data: PathBuf,
    log: PathBuf,
    pub(crate) relay: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) key: PublicKey,
}

impl Node {
    /// Starts it; it is up when this returns.
    pub(crate) fn start(folder: &Path, variables: &[(&str, String)]) -> Self {
        let (data, log) = (folder.join("data"), folder.join("node.log"));
        let mut command = program(&data);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.args(["--log-format", "json"]);
        for flag in ["--relay-listen", "--api-listen", "--metrics-listen"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        command.stdout(Stdio::piped());
        command.stderr(fs::File::create(&log).expect("a log"));
        let mut child = command.spawn().expect("the node");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut summary = Vec::new();
        for line in output.lines().map_while(Result::ok) {
            let is_last = line.starts_with("  key ");
            summary.push(line);
            if is_last {
                break;
            }
        }
        let found = |name: &str| {
            let line = summary
                .iter()
                .find_map(|line| line.trim().strip_prefix(name));
            line.unwrap_or_else(|| {
                let log = fs::read_to_string(&log).unwrap_or_default();
                panic!("the node does not start: {log}")
            })
            .trim()
            .to_owned()
        };
        let address = |name: &str| {
            let url = found(name);
            let (_, rest) = url.split_once("://").expect("a URL");
            let authority = rest.split('/').next().unwrap_or_default();
            authority.parse().expect("an address")
        };
        let key = found("public key ");
        Self {
            relay: address("relay "),
            api: address("REST "),
            metrics: address("metrics "),
            key: PublicKey::parse(&key).expect("a key"),
            child,
            data,
            log,
        }
    }

    /// Where its data, its lists and its log are.
    pub(crate) fn folder(&self) -> &Path {
        self.data.parent().expect("a folder")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command of the program on the node's data; returns whether it succeeded and all that
    /// it said.
    pub(crate) fn command(&self, arguments: &[&str]) -> (bool, String) {
        let output = program(&self.data).args(arguments).output();
        let output = output.expect("a command of the node");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        (output.status.success(), text)
    }

    /// Says whether it runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it in order; returns what became of that.
    pub(crate) fn terminate(&mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        self.signal();
        while begun.elapsed() < PATIENCE {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Ok(Some(status)) if status.success() => return Ok(begun.elapsed()),
                Ok(Some(status)) => return Err(format!("{status}")),
                Err(error) => return Err(error.to_string()),
            }
        }
        Err(format!("it runs still after {} s", PATIENCE.as_secs()))
    }

    /// Lines of the log that tell of errors and panics: how many, and the first of them.
    pub(crate) fn errors(&self) -> (usize, String) {
        let log = fs::File::open(&self.log).expect("the log");
        let (mut count, mut first) = (0, String::new());
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let is_error = line.contains("\"level\":\"ERROR\"");
            // Panics are no JSON; the service that panicked is told of by the supervisor.
            if is_error || !line.starts_with('{') || line.contains("panicked") {
                count += 1;
                if count <= SHOWN_LINES {
                    first += &format!("\n    {line}");
                }
            }
        }
        (count, first)
    }

    fn signal(&self) {
        let pid = Pid::from_raw(self.child.id() as i32);
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
            eprintln!("cannot stop the node: {error}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.is_running() {
            drop(self.terminate());
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// The program on this data, with nothing of the environment that would change what it does.
fn program(data: &Path) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_bigbrotr"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BIGBROTR_") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command.arg("--data-dir").arg(data);
    command
        .arg("--implementation")
        .arg(here.join("benches/soak/implementation"));
    command.stdin(Stdio::null());
    command
}
