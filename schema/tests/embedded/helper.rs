//! Data directories that leave nothing running, and other processes that use them.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres, Owner};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// Names the role of a process started by [`Other::start`].
const ROLE: &str = "BIGBROTR_TEST_ROLE";

/// Names its data directory.
const DATA_DIR: &str = "BIGBROTR_TEST_DATA_DIR";

/// A directory for a test, which the account that runs Postgres for root can enter.
pub(crate) fn open_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A data directory of one test. Whatever runs on it ends with the test.
pub(crate) struct Scratch {
    dir: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn config(&self) -> EmbeddedConfig {
        config(&self.data_dir())
    }

    /// The home of the cluster.
    pub(crate) fn home(&self) -> PathBuf {
        self.data_dir().join("postgres")
    }

    pub(crate) fn cluster(&self) -> PathBuf {
        self.home().join("pgdata")
    }

    /// The server's process, if there is one.
    pub(crate) fn server(&self) -> Option<u32> {
        let text = fs::read_to_string(self.cluster().join("postmaster.pid")).ok()?;
        let pid = text.lines().next()?.parse().ok()?;
        alive(pid).then_some(pid)
    }

    /// Waits until no server runs.
    pub(crate) async fn server_gone(&self) {
        wait_until("the server is gone", || self.server().is_none()).await;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(pid) = self.server() {
            kill(pid, Signal::QUIT);
            for _ in 0..100 {
                if self.server().is_none() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// A configuration for tests: small, fast and offline.
pub(crate) fn config(data_dir: &Path) -> EmbeddedConfig {
    let mut config = EmbeddedConfig::new(data_dir);
    config.download = false;
    config.settings.insert("fsync".into(), "off".into());
    config
        .settings
        .insert("shared_buffers".into(), "16MB".into());
    config
}

pub(crate) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

pub(crate) async fn answers(postgres: &EmbeddedPostgres) -> bool {
    PgConnection::connect(&postgres.connection_url())
        .await
        .is_ok()
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Whether a process runs; a zombie does not.
pub(crate) fn alive(pid: u32) -> bool {
    let exists = test_kill_process(Pid::from_raw(pid.cast_signed()).unwrap()).is_ok();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    exists
        && !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with('Z')
}

pub(crate) async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..600 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("gave up waiting until {what}");
}

/// Another process that uses a data directory.
pub(crate) struct Other {
    child: Child,
    /// What it said when it was ready.
    pub(crate) url: String,
}

impl Other {
    /// Starts a process in a role (`node` or `command`) and waits until it is ready.
    pub(crate) fn start(role: &str, data_dir: &Path) -> Self {
        Self::spawn(command(role).env(DATA_DIR, data_dir))
    }

    /// Starts a process that uses the test server of a temporary directory.
    pub(crate) fn start_test(temporary: &Path) -> Self {
        Self::spawn(command("test").env("TMPDIR", temporary))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ready ").map(str::to_owned));
        Self {
            child,
            url: url.expect("the other process failed"),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells it to stop in order.
    pub(crate) fn finish(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn command(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "helper::other_process",
        "--exact",
        "--ignored",
        "--nocapture",
    ]);
    command.env(ROLE, role);
    command
}

/// Not a test: the body of [`Other`].
#[tokio::test]
#[ignore = "other tests run it as a process of its own"]
async fn other_process() {
    let Some(role) = std::env::var_os(ROLE) else {
        return;
    };
    let until_told = || std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    if role == "test" {
        let database = TestDatabase::create().await;
        eprintln!("ready {}", database.url());
        until_told();
        return;
    }
    let data_dir = PathBuf::from(std::env::var_os(DATA_DIR).unwrap());
    let owner = if role == "node" {
        Owner::Node
    } else {
        Owner::Command
    };
    let postgres = EmbeddedPostgres::join_or_start(config(&data_dir), owner)
        .await
        .unwrap();
    eprintln!("ready {}", postgres.connection_url());
    until_told();
    postgres.stop().await.unwrap();
}
