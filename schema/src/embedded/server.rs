//! Starts a server on a cluster, waits until it answers, and stops it. Whether that should
//! happen is decided elsewhere, under the start lock.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::time::{Instant, sleep};

use super::account::{self, Identity};
use super::database::{self, Access, Answer};
use super::error::EmbeddedError;
use super::home::{Home, LogMark};
use super::installation::Installation;
use super::limits;
use super::lock::ServerLock;
use super::postmaster::{self, Postmaster, Shutdown, Status};
use super::version::PostgresVersion;

/// A server that answers.
#[derive(Debug)]
pub(super) struct Running {
    /// The process, when this process started it; kept to reap it.
    pub(super) process: Option<Child>,
    pub(super) access: Access,
    pub(super) version: PostgresVersion,
}

/// What a server is started with.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) home: &'a Home,
    pub(super) installation: &'a Installation,
    pub(super) identity: &'a Identity,
    pub(super) secret: &'a str,
    pub(super) lock: &'a ServerLock,
    /// The port, or 0 for any free one.
    pub(super) port: u16,
}

/// Starts a server on a cluster on which none runs.
pub(super) async fn start(
    launch: &Launch<'_>,
    startup_timeout: Duration,
) -> Result<Running, EmbeddedError> {
    let Launch { home, secret, .. } = *launch;
    let cluster = home.cluster();
    postmaster::remove_stale(&cluster)
        .map_err(EmbeddedError::io("remove the postmaster.pid in", cluster))?;
    let began = Instant::now();
    let mut attempts = 0;
    loop {
        let port = choose_port(launch.port)?;
        let access = Access {
            port,
            secret: secret.to_owned(),
        };
        tracing::info!(port, version = %launch.installation.version, "starting Postgres");
        let mark = home.log_mark();
        let mut launched = spawn(launch, port)?;
        let mut subject = Subject::Child(&mut launched);
        let awaited = await_answer(home, secret, &mut subject, &mark, startup_timeout).await?;
        let outcome = match awaited {
            Awaited::Ready { version, .. } => {
                let duration_ms = began.elapsed().as_millis() as u64;
                tracing::info!(port, duration_ms, "Postgres is ready");
                return Ok(Running {
                    process: launched.keep(),
                    access,
                    version,
                });
            }
            Awaited::Ended(outcome) => outcome,
        };
        let (log, tail) = home.log_tail(&mark);
        attempts += 1;
        if tail.contains("Address already in use") {
            if launch.port == 0 && attempts < limits::PORT_ATTEMPTS {
                continue;
            }
            return Err(EmbeddedError::PortInUse { port });
        }
        return Err(EmbeddedError::StartFailed {
            path: home.cluster(),
            outcome,
            log,
            tail,
        });
    }
}

/// Waits for a server that another process started; `None` if it ends meanwhile.
pub(super) async fn join(
    home: &Home,
    secret: &str,
    startup_timeout: Duration,
) -> Result<Option<Running>, EmbeddedError> {
    let mark = LogMark::default();
    let mut subject = Subject::Stranger;
    Ok(
        match await_answer(home, secret, &mut subject, &mark, startup_timeout).await? {
            Awaited::Ready { port, version } => {
                let access = Access {
                    port,
                    secret: secret.to_owned(),
                };
                Some(Running {
                    process: None,
                    access,
                    version,
                })
            }
            Awaited::Ended(_) => None,
        },
    )
}

/// Stops a server: fast, and if that takes too long, at once.
pub(super) async fn stop(pid: u32, bound: Duration) -> Result<(), EmbeddedError> {
    let began = Instant::now();
    tracing::info!(pid, "stopping Postgres");
    for (shutdown, bound) in [
        (Shutdown::Fast, bound),
        (Shutdown::Immediate, limits::IMMEDIATE_STOP_TIMEOUT),
    ] {
        postmaster::signal(pid, shutdown)
            .map_err(EmbeddedError::io("signal", format!("process {pid}")))?;
        if await_end(pid, bound).await {
            tracing::info!(
                pid,
                duration_ms = began.elapsed().as_millis() as u64,
                "Postgres has stopped"
            );
            return Ok(());
        }
        tracing::warn!(pid, "Postgres does not stop: insisting");
    }
    Err(EmbeddedError::StopFailed {
        pid,
        waited: began.elapsed(),
    })
}

/// Waits for the end of a process; whether it came.
pub(super) async fn await_end(pid: u32, bound: Duration) -> bool {
    let began = Instant::now();
    while postmaster::alive(pid) {
        if began.elapsed() >= bound {
            return false;
        }
        sleep(limits::POLL_INTERVAL).await;
    }
    true
}

/// A server on its way up. Whoever gives up on it in between leaves no process behind.
struct Launched {
    child: Option<Child>,
}

impl Launched {
    fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    fn keep(mut self) -> Option<Child> {
        self.child.take()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child
            && !matches!(child.try_wait(), Ok(Some(_)))
        {
            postmaster::signal(child.id(), Shutdown::Fast).ok();
        }
    }
}

fn spawn(launch: &Launch<'_>, port: u16) -> Result<Launched, EmbeddedError> {
    let Launch {
        home,
        installation,
        identity,
        lock,
        ..
    } = *launch;
    let path = home.startup_log();
    let log = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(&path)
        .map_err(EmbeddedError::io("write", &path))?;
    account::give_file(&log, &path, identity.keeper())?;
    let output = log.try_clone().map_err(EmbeddedError::io("write", &path))?;
    let program = installation.bin_dir.join("postgres");
    let mut command = identity.command(&program);
    command
        .arg("-D")
        .arg(home.cluster())
        .arg("-p")
        .arg(port.to_string())
        .stdin(lock.inherited()?)
        .stdout(output)
        .stderr(log);
    let child = command.spawn().map_err(identity.spawn_error(&program))?;
    Ok(Launched { child: Some(child) })
}

/// The port to start on: the one asked for, if it is free, or any free one.
fn choose_port(wanted: u16) -> Result<u16, EmbeddedError> {
    let probe = TcpListener::bind(("127.0.0.1", wanted)).and_then(|listener| listener.local_addr());
    match probe {
        Ok(address) => Ok(address.port()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(EmbeddedError::PortInUse { port: wanted })
        }
        Err(source) => Err(EmbeddedError::io(
            "listen on",
            format!("127.0.0.1:{wanted}"),
        )(source)),
    }
}

/// Whose life is watched while waiting.
enum Subject<'a> {
    /// A process this one started.
    Child(&'a mut Launched),
    /// Whatever `postmaster.pid` names.
    Stranger,
}

impl Subject<'_> {
    /// What `postmaster.pid` says about the server now, or how the server ended.
    fn look(&mut self, home: &Home) -> Result<Option<Postmaster>, String> {
        match self {
            Self::Child(launched) => {
                if let Some(status) = launched.ended() {
                    return Err(status.to_string());
                }
                let pid = launched.pid();
                Ok(postmaster::read(&home.cluster()).filter(|found| Some(found.pid) == pid))
            }
            Self::Stranger => {
                let running = postmaster::running(&home.cluster());
                running
                    .map(Some)
                    .ok_or_else(|| "an unknown status".to_owned())
            }
        }
    }
}

enum Awaited {
    Ready {
        port: u16,
        version: PostgresVersion,
    },
    /// How the process ended.
    Ended(String),
}

/// Waits until the server answers. The start-up bound does not run while it says that it is
/// recovering.
async fn await_answer(
    home: &Home,
    secret: &str,
    subject: &mut Subject<'_>,
    mark: &LogMark,
    startup_timeout: Duration,
) -> Result<Awaited, EmbeddedError> {
    let began = Instant::now();
    let mut deadline = began + startup_timeout;
    let mut next_question = began + limits::QUESTION_INTERVAL;
    let mut next_progress = began + limits::PROGRESS_INTERVAL;
    loop {
        let present = match subject.look(home) {
            Ok(present) => present,
            Err(outcome) => return Ok(Awaited::Ended(outcome)),
        };
        let (pid, port) = present
            .as_ref()
            .map_or((0, 0), |found| (found.pid, found.port));
        // The file says when the server is ready; asking now and then tells recovery from
        // silence.
        let ready = present.is_some_and(|found| found.status == Status::Ready);
        let now = Instant::now();
        if port != 0 && (ready || now >= next_question) {
            next_question = now + limits::QUESTION_INTERVAL;
            match database::ask(&Access {
                port,
                secret: secret.to_owned(),
            })
            .await
            {
                Answer::Ready(version) => return Ok(Awaited::Ready { port, version }),
                Answer::NotNow => {
                    deadline = (now + startup_timeout).min(began + limits::RECOVERY_TIMEOUT);
                }
                Answer::Refused(source) => {
                    let path = home.secret_file();
                    return Err(EmbeddedError::SecretRefused {
                        port,
                        pid,
                        path,
                        source,
                    });
                }
                Answer::Silence => {}
            }
        }
        if now >= deadline {
            let (log, tail) = home.log_tail(mark);
            let waited = began.elapsed();
            return Err(EmbeddedError::NotAnswering {
                port,
                pid,
                waited,
                log,
                tail,
            });
        }
        if now >= next_progress {
            next_progress = now + limits::PROGRESS_INTERVAL;
            tracing::info!(waited = ?began.elapsed(), "Postgres is starting or recovering");
        }
        sleep(limits::POLL_INTERVAL).await;
    }
}
