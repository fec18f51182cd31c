//! The lifeline of the test server: held by every process that uses it, watched by a script
//! that outlives them all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::time::{Instant, sleep};

use super::super::limits::POLL_INTERVAL;

/// How long the server waits for the next test process after the last one has ended, in
/// seconds: `cargo test` starts the next binary at once.
const LINGER_SECS: &str = "2";

/// How long the watchdog may take to open the pipe, or to stop a server.
const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(30);

/// A share in the test server: it runs while anybody holds one.
#[derive(Debug)]
pub(super) struct Lifeline {
    _pipe: File,
    _watchdog: Option<Child>,
}

impl Lifeline {
    /// Takes hold of the lifeline, starting a watchdog if there is none. One process at a time
    /// does this.
    pub(super) async fn hold(path: &Path, cluster: &Path) -> io::Result<Self> {
        let deadline = Instant::now() + WATCHDOG_TIMEOUT;
        let closed = closed(path);
        let mut watchdog = None;
        loop {
            if let Some(pipe) = visit(path)? {
                return Ok(Self {
                    _pipe: pipe,
                    _watchdog: watchdog,
                });
            }
            if watched(&closed) {
                // A watchdog is stopping the server: another one comes after it.
            } else if watchdog.is_none() {
                for left_behind in [path, &closed] {
                    remove(left_behind)?;
                }
                watchdog = Some(start_watchdog(path, cluster)?);
            }
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// Opens the pipe as one more user; `None` if nobody watches it.
fn visit(path: &Path) -> io::Result<Option<File>> {
    let Some(mut pipe) = open(path)? else {
        return Ok(None);
    };
    pipe.write_all(b"+\n")?;
    // If the watchdog closed it in between, it may not have seen us.
    let same = fs::metadata(path).is_ok_and(|found| {
        pipe.metadata()
            .is_ok_and(|ours| (ours.dev(), ours.ino()) == (found.dev(), found.ino()))
    });
    Ok(same.then_some(pipe))
}

fn open(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits() as i32);
    match options.open(path) {
        Ok(file) if file.metadata()?.file_type().is_fifo() => Ok(Some(file)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn watched(path: &Path) -> bool {
    open(path).is_ok_and(|pipe| pipe.is_some())
}

fn closed(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".closed");
    PathBuf::from(name)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn start_watchdog(path: &Path, cluster: &Path) -> io::Result<Child> {
    let mut command = Command::new("/bin/sh");
    command
        .arg("-s")
        .arg(path)
        .arg(cluster)
        .arg(LINGER_SECS)
        .current_dir("/")
        // Interrupting the tests must not end what cleans up after them.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut watchdog = command.spawn()?;
    if let Some(mut script) = watchdog.stdin.take() {
        script.write_all(include_bytes!("watchdog.sh"))?;
    }
    Ok(watchdog)
}
