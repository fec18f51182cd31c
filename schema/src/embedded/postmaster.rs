//! The server's process as seen from outside: who it is by `postmaster.pid`, whether it lives,
//! and the signals that stop it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// What a server says about itself in `postmaster.pid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: u32,
    /// The port, or 0 while the server has not said.
    pub(super) port: u16,
    pub(super) status: Status,
}

/// Where a server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// Starting or recovering.
    Starting,
    /// Accepting connections.
    Ready,
    /// Shutting down.
    Stopping,
}

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shutdown {
    /// Ends sessions, writes everything, leaves a clean cluster.
    Fast,
    /// Stops at once; the next start recovers.
    Immediate,
}

/// Reads `postmaster.pid`, whoever wrote it.
pub(super) fn read(cluster: &Path) -> Option<Postmaster> {
    fs::read_to_string(cluster.join("postmaster.pid"))
        .ok()
        .and_then(|text| parse(&text))
}

/// The server that runs on a cluster now. A file left behind by a server that died, or whose
/// number belongs to another process by now, is none.
pub(super) fn running(cluster: &Path) -> Option<Postmaster> {
    read(cluster).filter(|postmaster| alive(postmaster.pid) && serves(postmaster.pid, cluster))
}

/// Removes the `postmaster.pid` of a server that is gone, if Postgres would not: when its
/// number belongs to another process by now, or to a zombie that nobody reaps, Postgres takes
/// that for its predecessor and refuses to start.
///
/// # Correctness
/// The caller holds the server's lock: no process of an earlier server is left.
pub(super) fn remove_stale(cluster: &Path) -> io::Result<()> {
    let stale = read(cluster).filter(|found| exists(found.pid));
    match stale {
        Some(found) if running(cluster).is_none() => {
            tracing::info!(
                pid = found.pid,
                "removing the postmaster.pid of a server that is gone"
            );
            fs::remove_file(cluster.join("postmaster.pid"))
        }
        _ => Ok(()),
    }
}

/// Whether a process exists and has not ended; one that waits to be reaped has ended.
pub(super) fn alive(pid: u32) -> bool {
    let Some(raw) = Pid::from_raw(pid.cast_signed()) else {
        return false;
    };
    match test_kill_process(raw) {
        Ok(()) | Err(Errno::PERM) => !is_zombie(pid),
        Err(_) => false,
    }
}

/// Asks a server to stop.
pub(super) fn signal(pid: u32, shutdown: Shutdown) -> io::Result<()> {
    let signal = match shutdown {
        Shutdown::Fast => Signal::INT,
        Shutdown::Immediate => Signal::QUIT,
    };
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    match kill_process(pid, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The directory of the programs that started the server last.
pub(super) fn bin_dir(cluster: &Path) -> Option<PathBuf> {
    let command = fs::read_to_string(cluster.join("postmaster.opts")).ok()?;
    // The program comes first, unquoted; its arguments are quoted.
    let program = command.split(" \"").next()?.trim();
    Path::new(program).parent().map(Path::to_owned)
}

/// A name for the time since the machine was started, where it has one.
#[cfg(feature = "testing")]
pub(super) fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn parse(text: &str) -> Option<Postmaster> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let line = |number: usize| lines.get(number - 1).copied();
    // A negative number marks a single-user server.
    let pid = line(1)?.trim_start_matches('-').parse().ok()?;
    let port = line(4).and_then(|port| port.parse().ok()).unwrap_or(0);
    let status = match line(8) {
        Some("ready") => Status::Ready,
        Some("stopping") => Status::Stopping,
        _ => Status::Starting,
    };
    Some(Postmaster { pid, port, status })
}

/// Whether a living process is the server of a cluster: it works in it, or was started for it.
fn serves(pid: u32, cluster: &Path) -> bool {
    let cluster = cluster
        .canonicalize()
        .unwrap_or_else(|_| cluster.to_owned());
    if let Ok(directory) = fs::read_link(format!("/proc/{pid}/cwd")) {
        return directory == cluster;
    }
    let cluster = cluster.to_string_lossy();
    arguments(pid).is_some_and(|line| line.contains("postgres") && line.contains(&*cluster))
}

fn arguments(pid: u32) -> Option<String> {
    if let Ok(bytes) = fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    process_status(pid, "command=")
}

fn exists(pid: u32) -> bool {
    Pid::from_raw(pid.cast_signed())
        .is_some_and(|pid| matches!(test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

fn is_zombie(pid: u32) -> bool {
    if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The name in parentheses may itself hold parentheses; the state follows the last.
        return text
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'));
    }
    process_status(pid, "state=").is_some_and(|state| state.starts_with('Z'))
}

/// Asks `ps`, where there is no `/proc`.
fn process_status(pid: u32, field: &str) -> Option<String> {
    let output = Command::new("ps")
        .args(["-o", field, "-p", &pid.to_string()])
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_complete_postmaster_pid() {
        let text = "4242\n/data/pgdata\n1700000000\n54321\n\n127.0.0.1\n  5432 7\nready   \n";
        let expected = Postmaster {
            pid: 4242,
            port: 54321,
            status: Status::Ready,
        };
        assert_eq!(parse(text), Some(expected));
    }

    #[test]
    fn reads_what_is_there_of_an_unfinished_one() {
        let expected = Postmaster {
            pid: 4242,
            port: 0,
            status: Status::Starting,
        };
        assert_eq!(parse("4242\n/data/pgdata\n"), Some(expected));
        assert_eq!(parse(""), None);
        assert_eq!(parse("rubbish\n"), None);
    }

    #[test]
    fn knows_the_living_from_the_dead() {
        assert!(alive(std::process::id()));
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        while alive(pid) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!alive(pid));
        assert!(!alive(0));
    }

    #[test]
    fn another_process_is_not_the_server() {
        let cluster = tempfile::tempdir().unwrap();
        fs::write(
            cluster.path().join("postmaster.pid"),
            format!("{}\n", std::process::id()),
        )
        .unwrap();
        assert_eq!(running(cluster.path()), None);
        remove_stale(cluster.path()).unwrap();
        assert_eq!(read(cluster.path()), None);
    }
}
