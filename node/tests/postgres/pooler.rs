//! PgBouncer, in transaction mode.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{Server, account, await_port, free_port, give_away};
use crate::common::signal;

/// Where packages put it; not everybody has that on their path.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A pooler before a server, ended when it is dropped.
pub(crate) struct Pooler {
    port: u16,
    process: Child,
}

/// Whether there is a PgBouncer on this machine.
pub(crate) fn is_installed() -> bool {
    let asked = Command::new(PROGRAM).arg("--version").output();
    asked.is_ok_and(|asked| asked.status.success())
}

impl Pooler {
    /// Starts a pooler. The configuration is the one of `docs/operations.md`, but that each
    /// transaction meets another of the few sessions, which shows what does not survive that.
    pub(crate) fn start(folder: &Path, server: &Server) -> Self {
        let (port, behind) = (free_port(), server.port);
        let (config, users) = (folder.join("pgbouncer.ini"), folder.join("users.txt"));
        fs::write(&users, "\"postgres\" \"\"\n").unwrap();
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={behind}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = 12\nmax_client_conn = 200\n\
             ignore_startup_parameters = extra_float_digits\nserver_round_robin = 1\n",
            users.display()
        );
        fs::write(&config, text).unwrap();
        let log = fs::File::create(folder.join("pgbouncer.log")).unwrap();
        let mut command = Command::new(PROGRAM);
        if let Some((uid, gid)) = account() {
            command.uid(uid).gid(gid);
        }
        give_away(&config);
        give_away(&users);
        let process = command
            .arg(&config)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        await_port(port);
        Self { port, process }
    }

    /// The URL of a database, through it.
    pub(crate) fn url(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://postgres@127.0.0.1:{port}/{database}?sslmode=disable")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        signal("TERM", self.process.id());
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
