//! A minimal SOCKS5 server ([RFC 1928]): CONNECT, no authentication, names by a table.
//!
//! Stands in for Tor and its like: it records which names it was asked for, and leads them to
//! local sockets. It never resolves a name and never connects to what the table does not have.
//!
//! [RFC 1928]: https://www.rfc-editor.org/rfc/rfc1928

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{HEAD_TIMEOUT, MAX_RECORDED};

/// What goes wrong with a SOCKS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocksFault {
    /// Answers every CONNECT with this reply code, e.g. 4 for "host unreachable".
    Refuse(u8),
    /// Never answers a CONNECT.
    Stall,
    /// Wants authentication that nobody has.
    NoAcceptableMethod,
    /// Wants a password though none was offered.
    WantsPassword,
    /// Speaks SOCKS4.
    OtherVersion,
    /// Answers every CONNECT with what is no SOCKS reply.
    Rubbish,
    /// Takes every CONNECT and hangs up.
    HangUp,
    /// Never answers the greeting.
    Mute,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<HashMap<String, SocketAddr>>,
    requested: Mutex<Vec<String>>,
    fault: Mutex<Option<SocksFault>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Shared {
    fn record(&self, name: &str) {
        let mut requested = lock(&self.requested);
        if requested.len() < MAX_RECORDED {
            requested.push(name.to_owned());
        }
    }
}

/// A running SOCKS5 server on 127.0.0.1. Dropping it ends it and its connections.
#[derive(Debug)]
pub struct SocksServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl SocksServer {
    /// Starts a server that knows these targets, each `name:port`, such as `abc.onion:80`.
    ///
    /// # Errors
    /// No port can be opened.
    pub async fn start<S: Into<String>>(
        table: impl IntoIterator<Item = (S, SocketAddr)>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let table = table
            .into_iter()
            .map(|(name, target)| (name.into(), target))
            .collect();
        let shared = Arc::new(Shared {
            table: Mutex::new(table),
            requested: Mutex::default(),
            fault: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(run(shared.clone(), listener));
        Ok(Self { address, shared })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds or changes a target.
    pub fn route(&self, name_and_port: impl Into<String>, target: SocketAddr) {
        lock(&self.shared.table).insert(name_and_port.into(), target);
    }

    /// Returns what clients asked for, `name:port`, in order.
    pub fn requested(&self) -> Vec<String> {
        lock(&self.shared.requested).clone()
    }

    /// Makes something go wrong, or nothing any more.
    pub fn set_fault(&self, fault: Option<SocksFault>) {
        *lock(&self.shared.fault) = fault;
    }

    /// Ends the server and waits until all its connections have ended.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for SocksServer {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        // Out of file descriptors, most likely: do not spin.
        let Ok((client, _)) = accepted else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let shared = shared.clone();
        shared.tasks.clone().spawn(async move {
            tokio::select! {
                () = shared.stop.cancelled() => {}
                result = serve(&shared, client) => if let Err(error) = result {
                    tracing::trace!(%error, "SOCKS connection ended");
                },
            }
        });
    }
}

async fn serve(shared: &Shared, mut client: TcpStream) -> io::Result<()> {
    let Ok(asked) = timeout(HEAD_TIMEOUT, negotiate(shared, &mut client)).await else {
        return Ok(());
    };
    let Some(name) = asked? else { return Ok(()) };
    shared.record(&name);
    let fault = *lock(&shared.fault);
    match fault {
        Some(SocksFault::Refuse(code)) => return reply(&mut client, code).await,
        Some(SocksFault::Stall) => return hold(&mut client).await,
        Some(SocksFault::Rubbish) => return client.write_all(b"HTTP/1.1 400 Bad\r\n\r\n").await,
        Some(SocksFault::HangUp) => return client.shutdown().await,
        _ => {}
    }
    let target = lock(&shared.table).get(&name).copied();
    let Some(target) = target else {
        return reply(&mut client, 4).await; // host unreachable
    };
    let Ok(mut server) = TcpStream::connect(target).await else {
        return reply(&mut client, 5).await; // connection refused
    };
    reply(&mut client, 0).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Reads the greeting and the request; returns `name:port`, or `None` where it was refused.
async fn negotiate(shared: &Shared, client: &mut TcpStream) -> io::Result<Option<String>> {
    let [version, methods] = read(client).await?;
    if version != 5 {
        return Ok(None);
    }
    let mut offered = vec![0; usize::from(methods)];
    client.read_exact(&mut offered).await?;
    let fault = *lock(&shared.fault);
    let refusal = match fault {
        Some(SocksFault::Mute) => {
            hold(client).await?;
            return Ok(None);
        }
        Some(SocksFault::WantsPassword) => Some([5, 2]),
        Some(SocksFault::OtherVersion) => Some([4, 0]),
        Some(SocksFault::NoAcceptableMethod) => Some([5, 0xff]),
        _ if !offered.contains(&0) => Some([5, 0xff]),
        _ => None,
    };
    if let Some(refusal) = refusal {
        client.write_all(&refusal).await?;
        return Ok(None);
    }
    client.write_all(&[5, 0]).await?;
    let [_, command, _, kind] = read(client).await?;
    let host = match kind {
        1 => Ipv4Addr::from(read::<4>(client).await?).to_string(),
        3 => {
            let [length] = read(client).await?;
            let mut name = vec![0; usize::from(length)];
            client.read_exact(&mut name).await?;
            String::from_utf8_lossy(&name).into_owned()
        }
        4 => format!("[{}]", Ipv6Addr::from(read::<16>(client).await?)),
        _ => {
            reply(client, 8).await?; // address type not supported
            return Ok(None);
        }
    };
    let port = u16::from_be_bytes(read(client).await?);
    if command != 1 {
        reply(client, 7).await?; // command not supported
        return Ok(None);
    }
    Ok(Some(format!("{host}:{port}")))
}

async fn read<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn reply(client: &mut TcpStream, code: u8) -> io::Result<()> {
    client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

/// Reads and ignores until the client leaves.
async fn hold(client: &mut TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while client.read(&mut buffer).await? > 0 {}
    Ok(())
}
