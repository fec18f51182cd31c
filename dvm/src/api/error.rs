//! Why the REST mirror cannot start.

use std::net::SocketAddr;

/// Why the REST mirror cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The configured address.
        listen: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A catalogue entry's path cannot be served.
    #[error("cannot serve catalogue entry {entry} at {path}: {reason}")]
    Path {
        /// The entry's name.
        entry: String,
        /// Its path.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Metrics of the same names are registered already.
    #[error("cannot register the REST mirror's metrics")]
    Metrics(#[from] prometheus::Error),
}

impl BindError {
    /// Says what to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        let Self::Listen { source, .. } = self else {
            return None;
        };
        match source.kind() {
            std::io::ErrorKind::AddrInUse => Some(
                "another program, perhaps another node, uses the port: stop it, or set api.listen \
                 to another port",
            ),
            std::io::ErrorKind::AddrNotAvailable => {
                Some("api.listen has to be an address of this machine, or 0.0.0.0 for all")
            }
            std::io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 need privileges: set api.listen to a higher port")
            }
            _ => None,
        }
    }
}
