//! A certificate authority of a test's own and a server's certificate, made by the commands of
//! `docs/operations.md`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::give_away;

/// Files: what clients believe, and what a server shows.
pub(crate) struct Certificates {
    /// The authority that signed.
    pub(crate) authority: PathBuf,
    /// Another one, of the same name.
    pub(crate) stranger: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Makes them, for a server that is called `localhost`.
    pub(crate) fn make(folder: &Path) -> Self {
        let made = Self {
            authority: folder.join("ca.pem"),
            stranger: folder.join("stranger.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        };
        for name in ["ca", "stranger"] {
            openssl(
                folder,
                &format!(
                    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
                     -subj /CN=bigbrotr-ca -keyout {name}.key -out {name}.pem"
                ),
            );
        }
        openssl(
            folder,
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
             -addext subjectAltName=DNS:localhost -keyout server.key -out server.csr",
        );
        openssl(
            folder,
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 \
             -copy_extensions copy -out server.pem",
        );
        give_away(&made.key);
        made
    }

    /// The settings of a server that shows the certificate.
    pub(crate) fn settings(&self) -> Vec<String> {
        vec![
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", self.certificate.display()),
            format!("ssl_key_file={}", self.key.display()),
        ]
    }
}

/// Says whether the program is here that makes them.
pub(crate) fn is_installed() -> bool {
    Command::new("openssl").arg("version").output().is_ok()
}

fn openssl(folder: &Path, words: &str) {
    let done = Command::new("openssl")
        .args(words.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{words}: {done:?}");
}
