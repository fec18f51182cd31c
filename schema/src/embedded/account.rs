//! Whom Postgres runs as. It refuses to run as root, so a node that is root lends it another
//! account; an ordinary user runs it as itself. Owns nothing but that decision and what
//! follows from it: how programs are started and whose the files are.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::timeout;

use super::error::EmbeddedError;
use super::limits;

/// The account that runs Postgres for root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Whom a file is to belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Whose processes and files there are.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// The user of this process.
    pub(super) uid: u32,
    /// Whom Postgres runs as, when that is somebody else.
    pub(super) account: Option<Account>,
    /// Who keeps the data directory, when root only helps out: files made for it are theirs.
    keeper: Option<Owner>,
}

impl Identity {
    /// Decides whom Postgres runs as: whoever owns the cluster, else whoever owns the data
    /// directory, else `postgres`, else `nobody`; never root.
    pub(super) fn decide(data_dir: &Path, cluster: &Path) -> Result<Self, EmbeddedError> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            return Ok(Self {
                uid,
                account: None,
                keeper: None,
            });
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let keeper = owner(data_dir).filter(|owner| owner.uid != 0);
        let account = choose(owner(cluster), keeper, &passwd).ok_or(EmbeddedError::NoAccount)?;
        Ok(Self {
            uid,
            account: Some(account),
            keeper,
        })
    }

    /// The user id of the server.
    pub(super) fn server_uid(&self) -> u32 {
        self.account
            .as_ref()
            .map_or(self.uid, |account| account.uid)
    }

    /// Whose the server's files are, when they are not this process' own.
    pub(super) fn server_owner(&self) -> Option<Owner> {
        self.account.as_ref().map(|account| Owner {
            uid: account.uid,
            gid: account.gid,
        })
    }

    /// Whose the data directory's files are, when they are not this process' own.
    pub(super) fn keeper(&self) -> Option<Owner> {
        self.keeper
    }

    /// A command that runs as the server would: its account, nothing to read, and none of
    /// this process' environment except where programs and libraries are.
    ///
    /// # Security
    /// The environment may hold keys, and `/proc` shows it to the account.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // The directory this process is in may be closed to the account.
        command.current_dir("/").process_group(0);
        if let Some(account) = &self.account {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Whether the account that runs Postgres can enter a directory. Trying answers for
    /// permissions, access control lists and mount options alike.
    pub(super) fn can_enter(&self, directory: &Path) -> io::Result<()> {
        let mut command = self.command(Path::new("/bin/sh"));
        command
            .args(["-c", ":"])
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().map(|_| ())
    }

    /// The error for a program that could not be started.
    pub(super) fn spawn_error(&self, program: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
        let program = program.to_owned();
        let account = self.account.as_ref().map(|account| account.name.clone());
        move |source| EmbeddedError::Spawn {
            program,
            account,
            source,
        }
    }
}

/// What a program that ran to its end said.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// Runs a program to its end; it is killed, with every process it started, when it takes too
/// long or nobody waits any more.
pub(super) async fn finish(command: Command, bound: Duration) -> io::Result<Finished> {
    let mut command = tokio::process::Command::from(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn()?;
    let mut group = Group { leader: child.id() };
    let output = timeout(bound, child.wait_with_output())
        .await
        .map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))??;
    group.leader = None;
    Ok(Finished {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A program's process group, killed on drop: `initdb` starts servers of its own.
struct Group {
    leader: Option<u32>,
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}

/// The last lines of a text, as an error quotes them.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(limits::LOG_TAIL_LINES)..].join("\n")
}

/// Gives a file or directory to somebody; a link itself, not what it leads to.
pub(super) fn give(path: &Path, owner: Option<Owner>) -> Result<(), EmbeddedError> {
    owner.map_or(Ok(()), |owner| {
        lchown(path, Some(owner.uid), Some(owner.gid))
            .map_err(EmbeddedError::io("change the owner of", path))
    })
}

/// Gives an open file to somebody.
pub(super) fn give_file(
    file: &File,
    path: &Path,
    owner: Option<Owner>,
) -> Result<(), EmbeddedError> {
    owner.map_or(Ok(()), |owner| {
        fchown(file, Some(owner.uid), Some(owner.gid))
            .map_err(EmbeddedError::io("change the owner of", path))
    })
}

fn owner(path: &Path) -> Option<Owner> {
    let metadata = fs::metadata(path).ok()?;
    Some(Owner {
        uid: metadata.uid(),
        gid: metadata.gid(),
    })
}

fn choose(cluster: Option<Owner>, keeper: Option<Owner>, passwd: &str) -> Option<Account> {
    let by_id = |owner: Owner| accounts(passwd).find(|account| account.uid == owner.uid);
    let by_name = |name: &str| accounts(passwd).find(|account| account.name == name);
    cluster
        .filter(|owner| owner.uid != 0)
        // A cluster needs no entry in the list of users to run, only to be created.
        .map(|Owner { uid, gid }| {
            let unnamed = || Account {
                name: format!("user {uid}"),
                uid,
                gid,
            };
            by_id(Owner { uid, gid }).unwrap_or_else(unnamed)
        })
        .or_else(|| keeper.and_then(by_id))
        .or_else(|| by_name("postgres"))
        .or_else(|| by_name("nobody"))
        .filter(|account| account.uid != 0)
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account { name, uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        nobody:x:65534:65533::/:/bin/false\n\
        alice:x:1000:1001::/home/alice:/bin/sh\n";
    const POSTGRES: &str = "postgres:x:70:71::/var/lib/postgresql:/bin/sh\n";

    fn chosen(
        cluster: Option<(u32, u32)>,
        keeper: Option<(u32, u32)>,
        passwd: &str,
    ) -> Option<(u32, u32)> {
        let owner = |(uid, gid)| Owner { uid, gid };
        choose(cluster.map(owner), keeper.map(owner), passwd)
            .map(|account| (account.uid, account.gid))
    }

    #[test]
    fn root_lends_an_unprivileged_account() {
        let both = format!("{PASSWD}{POSTGRES}");
        assert_eq!(chosen(None, None, &both), Some((70, 71)));
        assert_eq!(chosen(None, None, PASSWD), Some((65534, 65533)));
        assert_eq!(chosen(None, None, "root:x:0:0::/:/bin/sh\nnonsense"), None);
    }

    #[test]
    fn an_existing_cluster_keeps_its_owner() {
        assert_eq!(chosen(Some((1000, 1001)), None, PASSWD), Some((1000, 1001)));
        assert_eq!(chosen(Some((4242, 4343)), None, PASSWD), Some((4242, 4343)));
    }

    #[test]
    fn a_data_directory_of_an_ordinary_user_stays_theirs() {
        let both = format!("{PASSWD}{POSTGRES}");
        assert_eq!(chosen(None, Some((1000, 1001)), &both), Some((1000, 1001)));
        // `initdb` needs a name for the user id.
        assert_eq!(chosen(None, Some((4242, 4343)), &both), Some((70, 71)));
    }

    #[test]
    fn never_root() {
        assert_eq!(chosen(Some((0, 0)), None, PASSWD), Some((65534, 65533)));
        assert_eq!(chosen(None, None, "postgres:x:0:0::/:/bin/sh"), None);
    }
}
