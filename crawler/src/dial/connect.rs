//! The last step to the wire: a TCP connection to an address that was judged already.
//!
//! Owns the system call only. Whether an address may be connected to is decided by the dialer,
//! before this; that it asks here for exactly the addresses it judged is what keeps a name that
//! changes its mind (DNS rebinding) from leading elsewhere.

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

/// Opens TCP connections. Tests put public addresses on this machine with it.
pub trait Connect: Send + Sync + 'static {
    /// Connects to an address. The dialer bounds the time.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>>;
}

/// Connects where the address says.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemConnector;

impl Connect for SystemConnector {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(address))
    }
}
