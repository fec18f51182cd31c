//! PostgreSQL's own programs, run on the node's database: `pg_dump`, `pg_restore`.
//!
//! Owns where they are and how they are told which database. What they do is up to the commands.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use bigbrotr_core::config::Secret;
use bigbrotr_schema::embedded::{EmbeddedConfig, Search};
use nostr::Url;
use percent_encoding::percent_decode_str;
use tokio::process::Command;

use crate::settings::Settings;

/// Parameters of a URL and the variables by which PostgreSQL's programs take them.
const PARAMETERS: [(&str, &str); 10] = [
    ("host", "PGHOST"),
    ("port", "PGPORT"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("dbname", "PGDATABASE"),
    ("options", "PGOPTIONS"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
];

/// The programs, and the database that they are to work on.
pub(crate) struct PostgresTools {
    places: Vec<PathBuf>,
    variables: Vec<(&'static str, String)>,
}

impl PostgresTools {
    /// Takes the URL of a database, and the folder of its server's programs where that is known.
    pub(crate) fn new(
        settings: &Settings,
        url: &Secret,
        bin_dir: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let given = &settings.database.embedded.bin_dir;
        let places = match bin_dir {
            Some(bin_dir) => vec![bin_dir.to_owned()],
            None if !given.as_os_str().is_empty() => vec![given.clone()],
            None => {
                let Search { path, usual, .. } = EmbeddedConfig::new(".").search;
                // On Debian, what is on the path is a wrapper of what is in the usual places.
                usual.into_iter().chain(path).collect()
            }
        };
        let mut variables = variables(url.expose())?;
        let password = &settings.database.password;
        if !password.is_empty() && variables.iter().all(|(name, _)| *name != "PGPASSWORD") {
            variables.push(("PGPASSWORD", password.expose().to_owned()));
        }
        Ok(Self { places, variables })
    }

    /// Runs a program to its end. What it has to say goes where ours does.
    ///
    /// # Security
    /// The password is in the program's environment, which is its user's alone, and not among its
    /// arguments, which are everybody's.
    pub(crate) async fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = self.command(program)?;
        let status = command
            .args(arguments)
            .stdout(Stdio::null())
            .status()
            .await
            .with_context(|| format!("cannot run {program}"))?;
        if !status.success() {
            bail!("{program} failed ({status}); what it said is above");
        }
        Ok(())
    }

    /// Runs a program to its end; returns what it prints.
    pub(crate) async fn output(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command(program)?;
        let done = command
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
            .await
            .with_context(|| format!("cannot run {program}"))?;
        if !done.status.success() {
            bail!("{program} failed ({}); what it said is above", done.status);
        }
        String::from_utf8(done.stdout).with_context(|| format!("{program} did not print text"))
    }

    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let found = self.places.iter().map(|place| place.join(program));
        let Some(path) = found.into_iter().find(|path| path.is_file()) else {
            bail!(
                "there is no {program} here. Hint: install PostgreSQL's client programs, of the \
                 server's version or newer, or say where they are: database.embedded.bin_dir"
            );
        };
        let mut command = Command::new(path);
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            // Interrupting the command ends what it has started.
            .kill_on_drop(true);
        Ok(command)
    }
}

/// Takes the URL apart, as its parts are given to programs.
fn variables(url: &str) -> anyhow::Result<Vec<(&'static str, String)>> {
    let url = Url::parse(url).context("the database's URL cannot be read")?;
    let host = url.host_str().unwrap_or_default();
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let parts = [
        // An IPv6 address has brackets in a URL only.
        ("PGHOST", decoded(host.trim_matches(['[', ']']))),
        (
            "PGPORT",
            url.port().map_or_else(String::new, |port| port.to_string()),
        ),
        ("PGUSER", decoded(url.username())),
        ("PGPASSWORD", decoded(url.password().unwrap_or_default())),
        ("PGDATABASE", decoded(url.path().trim_start_matches('/'))),
    ];
    let mut variables: Vec<(&str, String)> = parts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    for (name, value) in url.query_pairs() {
        let name = name.replace('-', "");
        if let Some((_, variable)) = PARAMETERS.iter().find(|(known, _)| *known == name) {
            variables.push((variable, value.into_owned()));
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::variables;

    #[test]
    fn a_url_becomes_the_variables_of_its_parts() {
        let url = "postgres://me:p%40ss@[::1]:5433/my%20db?sslmode=verify-full&ssl-root-cert=/ca\
                   &statement-cache-capacity=0";
        let expected = [
            ("PGHOST", "::1"),
            ("PGPORT", "5433"),
            ("PGUSER", "me"),
            ("PGPASSWORD", "p@ss"),
            ("PGDATABASE", "my db"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca"),
        ];
        let expected = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(variables(url).unwrap(), expected);
        let bracketed = variables("postgres://me:%5Bsecret%5D@host/db").unwrap();
        assert!(bracketed.contains(&("PGPASSWORD", "[secret]".to_owned())));
        let socket = variables("postgres:///db?host=/run/postgresql").unwrap();
        assert!(
            socket.contains(&("PGHOST", "/run/postgresql".to_owned())),
            "{socket:?}"
        );
    }
}
