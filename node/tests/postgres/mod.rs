//! Postgres servers and poolers of a test's own, made and run by their own programs: what the
//! private server of a node is not meant for, such as replication and TLS.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::{eventually, signal};

pub(crate) mod pooler;
pub(crate) mod tls;

/// Settings that trade safety for speed, and let a standby follow.
const SETTINGS: [&str; 8] = [
    "fsync=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "shared_buffers=32MB",
    "wal_level=replica",
    "hot_standby_feedback=on",
    "wal_receiver_status_interval=1s",
    "max_connections=150",
];

/// A server, stopped when it is dropped.
pub(crate) struct Server {
    place: PathBuf,
    pub(crate) port: u16,
    settings: Vec<String>,
    process: Option<Child>,
}

impl Server {
    /// Makes and starts a server in a folder, with more settings. Everybody on this machine may
    /// come in, as anybody.
    pub(crate) fn start(place: &Path, settings: &[String]) -> Self {
        open_way(place.parent().unwrap());
        fs::create_dir(place).unwrap();
        give_away(place);
        let initdb = program("initdb")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--no-sync",
                "--pgdata",
            ])
            .arg(place)
            .output()
            .unwrap();
        assert!(initdb.status.success(), "{initdb:?}");
        let mut server = Self {
            place: place.to_owned(),
            port: free_port(),
            settings: settings.to_vec(),
            process: None,
        };
        server.run();
        server
    }

    /// Makes and starts a standby by `pg_basebackup`.
    pub(crate) fn standby(&self, place: &Path) -> Self {
        fs::create_dir(place).unwrap();
        fs::set_permissions(place, fs::Permissions::from_mode(0o700)).unwrap();
        give_away(place);
        let backup = program("pg_basebackup")
            .args([
                "--host=127.0.0.1",
                "--username=postgres",
                "--write-recovery-conf",
            ])
            .args(["--checkpoint=fast", "--no-sync"])
            .arg(format!("--port={}", self.port))
            .arg("--pgdata")
            .arg(place)
            .output()
            .unwrap();
        assert!(backup.status.success(), "{backup:?}");
        let mut standby = Self {
            place: place.to_owned(),
            port: free_port(),
            settings: self.settings.clone(),
            process: None,
        };
        standby.run();
        standby
    }

    /// Starts the server, again or for the first time, and waits until it answers.
    pub(crate) fn run(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        let mut command = program("postgres");
        command.arg("-D").arg(&self.place);
        command.args(["-p", &self.port.to_string()]);
        for setting in SETTINGS
            .iter()
            .copied()
            .chain(self.settings.iter().map(String::as_str))
        {
            command.args(["-c", setting]);
        }
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.process = Some(process);
        eventually("a server that answers", || {
            let mut ask = psql(&self.url("postgres"));
            ask.args(["-c", "select 1"])
                .output()
                .unwrap()
                .status
                .success()
        });
    }

    /// Ends the server as a crash would: nothing is written, nobody is told.
    pub(crate) fn crash(&mut self) {
        self.end("QUIT");
    }

    fn end(&mut self, how: &str) {
        if let Some(mut process) = self.process.take() {
            signal(how, process.id());
            process.wait().unwrap();
        }
    }

    /// The URL of a database, for the superuser, without TLS.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_as("postgres", database)
    }

    /// The URL of a database, for another login.
    pub(crate) fn url_as(&self, login: &str, database: &str) -> String {
        let port = self.port;
        format!("postgres://{login}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    /// Runs a statement as the superuser; what it returns, a row a line.
    pub(crate) fn sql(&self, database: &str, sql: &str) -> String {
        run_sql(&self.url(database), sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// What the server has written to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    fn log_path(&self) -> PathBuf {
        self.place.with_extension("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fast, and not waiting for clients.
        self.end("INT");
    }
}

/// Runs a statement; what it returns, or why it fails.
pub(crate) fn run_sql(url: &str, sql: &str) -> Result<String, String> {
    let done = psql(url).args(["-c", sql]).output().unwrap();
    if done.status.success() {
        Ok(String::from_utf8(done.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}

fn psql(url: &str) -> Command {
    let mut command = Command::new(bin_dir().unwrap().join("psql"));
    command.args(["--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", url]);
    command.stdin(Stdio::null());
    command
}

/// Says whether there are Postgres' programs.
pub(crate) fn is_installed() -> bool {
    bin_dir().is_some_and(|programs| programs.join("pg_basebackup").is_file())
}

/// The programs of the newest of the servers that packages have put here.
fn bin_dir() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .collect();
    found.sort();
    if let Some((_, newest)) = found.pop() {
        return Some(newest);
    }
    let asked = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(
        String::from_utf8(asked.stdout).unwrap().trim(),
    ))
}

/// One of Postgres' programs, as the account that may run it: not root.
fn program(name: &str) -> Command {
    let mut command = Command::new(bin_dir().unwrap().join(name));
    command.current_dir("/").stdin(Stdio::null());
    if let Some((uid, gid)) = account() {
        command.uid(uid).gid(gid);
    }
    command
}

/// The account that runs servers when the test is run by root.
pub(crate) fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<&str> = line.expect("the account postgres").split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

/// Lets the account reach a folder of this test's.
fn open_way(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes the account the owner of a file or folder.
pub(crate) fn give_away(path: &Path) {
    if let Some((uid, gid)) = account() {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until somebody listens there.
pub(crate) fn await_port(port: u16) {
    eventually("a port that answers", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    });
}
