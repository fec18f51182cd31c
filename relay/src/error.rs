//! Why the relay cannot start.

use std::net::SocketAddr;

/// Why the relay cannot start.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The configured address.
        listen: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Metrics of the same names are registered already.
    #[error("cannot register the relay's metrics")]
    Metrics(#[from] prometheus::Error),
}

impl RelayError {
    /// Says what to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        let Self::Listen { source, .. } = self else {
            return None;
        };
        match source.kind() {
            std::io::ErrorKind::AddrInUse => Some(
                "another program, perhaps another node, uses the port: stop it, or set \
                 relay.listen to another port",
            ),
            std::io::ErrorKind::AddrNotAvailable => {
                Some("relay.listen has to be an address of this machine, or 0.0.0.0 for all")
            }
            std::io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 need privileges: set relay.listen to a higher port")
            }
            _ => None,
        }
    }
}
