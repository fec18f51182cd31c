//! A port that swallows what is sent to it: no connection, no refusal. What a dead host looks like.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// An address at which nobody answers. Dropping it makes the address refuse.
///
/// It listens and accepts nobody: its queue holds one connection, which is its own, and the
/// kernel drops the requests of all others without a word.
#[derive(Debug)]
pub struct BlackHole {
    address: SocketAddr,
    _listener: TcpListener,
    _occupant: TcpStream,
}

impl BlackHole {
    /// Opens a black hole at a loopback address; port 0 takes a free one.
    ///
    /// # Errors
    /// The system's, when the address cannot be listened on.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(address)?;
        let listener = socket.listen(0)?;
        let address = listener.local_addr()?;
        let occupant = TcpStream::connect(address).await?;
        Ok(Self {
            address,
            _listener: listener,
            _occupant: occupant,
        })
    }

    /// Returns where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
